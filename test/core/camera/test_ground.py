"""The road as a plane: what it becomes in another camera's frame, and which planes no road is."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from msdepth_ros.core.camera.ground import (
    GroundPlane,
    GroundSource,
    find_ground,
    level_normal,
    plane_of_frame,
    read_ground,
)
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError

POINTS_M = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, -2.0, 0.0]])
"""On the road, in a frame that lies on it with z up."""


def pose(rotation: tuple[float, float, float], translation: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.array(rotation, np.float64))[0]
    matrix[:3, 3] = translation
    return matrix


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def camera_from_road(height_m: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """The optical frame of a camera by the convention of REP 103: x ahead, y left, z up, pitch and roll about them."""
    ry = cv2.Rodrigues(np.array([0.0, math.radians(pitch_deg), 0.0]))[0]
    rx = cv2.Rodrigues(np.array([math.radians(roll_deg), 0.0, 0.0]))[0]
    body_from_optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    road_from_camera = np.eye(4)
    road_from_camera[:3, :3] = ry @ rx @ body_from_optical
    road_from_camera[2, 3] = height_m
    return np.linalg.inv(road_from_camera)


def rig(ground: GroundPlane | None = None) -> Rig:
    k = np.array([[100.0, 0.0, 31.5], [0.0, 100.0, 15.5], [0.0, 0.0, 1.0]])
    cameras = {name: CameraModel(name, 64, 32, k) for name in ("rgb", "nir", "thermal")}
    poses = {
        "rgb": pose((0.1, 0.2, -0.1), (0.5, -0.3, 0.2)),
        "nir": pose((0.02, -0.3, 0.05), (-0.1, 0.01, 0.02)),
        "thermal": pose((0.15, 0.01, 0.0), (0.01, 0.3, 0.6)),
    }
    return Rig(cameras, poses, ground)


class TestGeometry:
    @pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (12, 0), (-9, 0), (0, 7), (0, -7), (10, -20)])
    def test_height_and_angles_are_those_of_rep_103(self, pitch_deg: float, roll_deg: float) -> None:
        points = apply(camera_from_road(1.6, pitch_deg, roll_deg), POINTS_M)
        np.testing.assert_allclose(points @ level_normal(pitch_deg, roll_deg), 1.6)

    def test_a_camera_that_looks_down_sees_the_road_lean_towards_it(self) -> None:
        x, y, z = level_normal(10.0, 0.0)
        assert x == 0 and y > 0 and z > 0  # the road meets the view axis at h / z

    @pytest.mark.parametrize("label", ["rgb", "nir", "thermal"])
    def test_every_camera_of_a_rig_sees_the_same_road(self, label: str) -> None:
        given_plane = GroundPlane("nir", level_normal(8.0, 3.0), 1.4, "a test")
        nir = apply(camera_from_road(1.4, 8.0, 3.0), POINTS_M)
        plane = given_plane.of_camera(label, rig().view_from_reference("nir", label))
        np.testing.assert_allclose(
            apply(rig().view_from_reference(label, "nir"), nir) @ plane.normal, plane.height_m, atol=1e-12
        )
        assert np.linalg.norm(plane.normal) == pytest.approx(1) and plane.camera == label
        back = plane.of_camera("nir", rig().view_from_reference(label, "nir"))
        np.testing.assert_allclose(back.normal, given_plane.normal, atol=1e-12)
        assert back.height_m == pytest.approx(1.4)

    def test_its_own_camera_sees_exactly_the_same(self) -> None:
        plane = GroundPlane("rgb", (0.0, 1.0, 0.0), 1.6, "a test")
        assert plane.of_camera("rgb", np.eye(4)) is plane
        np.testing.assert_array_equal(plane.vector(), np.array([0, 1, 0, 1.6], np.float32))

    def test_a_frame_on_the_road_gives_the_plane_of_its_points(self) -> None:
        camera_from_frame = camera_from_road(1.2, 5.0, -2.0) @ pose((0, 0, 0.7), (3.0, 1.0, 0.0))
        plane = plane_of_frame("rgb", np.linalg.inv(camera_from_frame), "a test")
        np.testing.assert_allclose(plane.normal, level_normal(5.0, -2.0), atol=1e-12)
        assert plane.height_m == pytest.approx(1.2)

    def test_the_frame_of_the_road_lies_on_it_below_the_camera(self) -> None:
        plane = GroundPlane("rgb", level_normal(10.0, 20.0), 1.6, "a test")
        camera_from_frame = plane.road_pose()
        assert np.linalg.det(camera_from_frame[:3, :3]) == pytest.approx(1)
        np.testing.assert_allclose(apply(camera_from_frame, POINTS_M) @ plane.normal, 1.6)
        frame_from_camera = np.linalg.inv(camera_from_frame)
        np.testing.assert_allclose(frame_from_camera[:3, 3], [0, 0, 1.6], atol=1e-12)
        ahead = frame_from_camera[:3, :3] @ [0, 0, 1]
        assert ahead[0] > 0.9 and ahead[1] == pytest.approx(0, abs=1e-12) and ahead[2] < 0  # x ahead, looking down
        again = plane_of_frame("rgb", frame_from_camera, "a test")
        np.testing.assert_allclose(again.normal, plane.normal, atol=1e-12)

    def test_views_have_it_in_the_frame_of_the_reference(self) -> None:
        plane = GroundPlane("nir", level_normal(8.0, 3.0), 1.4, "a test")
        nir = apply(camera_from_road(1.4, 8.0, 3.0), POINTS_M)
        for label in ("rgb", "nir", "thermal"):
            vector = rig(plane).views(32, 16, label).ground_plane
            assert vector.dtype == np.float32 and vector.shape == (4,)
            points = apply(rig().view_from_reference(label, "nir"), nir)
            np.testing.assert_allclose(points @ vector[:3], vector[3], atol=1e-5)
            assert not rig().views(32, 16, label).ground_plane.any()

    def test_a_part_of_a_rig_keeps_the_road(self) -> None:
        whole = rig(GroundPlane("nir", level_normal(8.0, 3.0), 1.4, "a test"))
        part = whole.subset(["thermal", "rgb"])
        assert part.ground is not None and part.ground.camera == "thermal"
        np.testing.assert_allclose(
            part.views(32, 16, "rgb").ground_plane, whole.views(32, 16, "rgb").ground_plane, atol=1e-6
        )

    def test_a_rig_without_the_camera_of_its_road_is_refused(self) -> None:
        with pytest.raises(MsdepthError, match="no camera 'left'"):
            rig(GroundPlane("left", (0.0, 1.0, 0.0), 1.4, "a test"))


class TestWhoseWordCounts:
    FILE = GroundPlane("nir", (0.0, 1.0, 0.0), 1.0, "rig.yaml")

    def find(self, source: GroundSource, from_file: GroundPlane | None = FILE) -> GroundPlane | None:
        return find_ground(
            source,
            from_file,
            reference="rgb",
            camera_from_reference=lambda label: pose((0, 0, 0), (0.0, {"nir": -0.25}[label], 0.0)),
            frame_from_reference=lambda frame: np.linalg.inv(camera_from_road(2.0, 0, 0)),
        )

    def test_frame_then_height_then_file_then_nothing(self) -> None:
        found = [
            self.find(GroundSource(frame="base_footprint", height_m=1.5)),
            self.find(GroundSource(height_m=1.5)),
            self.find(GroundSource(height_m=1.5, camera="nir")),
            self.find(GroundSource()),
        ]
        assert [(plane.origin, plane.height_m) for plane in found if plane] == [
            ("ground.frame base_footprint", 2.0), ("ground.height_m", 1.5), ("ground.height_m", 1.75),
            ("rig.yaml", 1.25),
        ]  # fmt: skip
        assert {plane.camera for plane in found if plane} == {"rgb"}
        assert self.find(GroundSource(), None) is None

    def test_a_pose_that_is_not_known_is_told_with_who_wants_it(self) -> None:
        def unknown(_: str) -> np.ndarray:
            raise MsdepthError("no transform")

        for source, word in ((GroundSource(frame="base"), "ground.frame base"), (GroundSource(), "rig.yaml")):
            with pytest.raises(MsdepthError, match=f"^{word}: no transform$"):
                find_ground(
                    source, self.FILE, reference="rgb", camera_from_reference=unknown, frame_from_reference=unknown
                )

    def test_a_rig_file_alone_has_no_frames(self) -> None:
        with pytest.raises(MsdepthError, match="ground.frame base_footprint: there is no tf"):
            rig().with_ground(GroundSource(frame="base_footprint"), "rgb")


unit = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)


class TestRefused:
    @settings(max_examples=150, deadline=None)
    @given(
        unit, st.floats(0.5, 2), st.floats(-20, 20),
    )  # fmt: skip
    def test_exactly_the_planes_that_no_road_is(
        self, direction: tuple[float, float, float], length: float, height_m: float
    ) -> None:
        n = np.array(direction) / np.linalg.norm(direction)
        tilt_deg = math.degrees(math.acos(np.clip(n[1], -1, 1)))
        assume(abs(tilt_deg - 45) > 1e-3 and abs(abs(length - 1) - 1e-3) > 1e-6)
        x, y, z = (length * n).tolist()
        good = abs(length - 1) <= 1e-3 and tilt_deg < 45 and 0 < height_m <= 10
        if good:
            np.testing.assert_allclose(GroundPlane("rgb", (x, y, z), height_m, "rig.yaml").normal, n, atol=1e-9)
            return
        with pytest.raises(MsdepthError) as caught:
            GroundPlane("rgb", (x, y, z), height_m, "rig.yaml")
        assert_one_sentence(caught.value, "rig.yaml: ground plane of the rgb camera: ")

    @settings(max_examples=100, deadline=None)
    @given(unit.map(lambda v: [float(x) for x in np.array(v) / np.linalg.norm(v)]), st.floats(0.01, 10))
    def test_unit_normals_that_are_near_down_are_taken(self, normal: list[float], height_m: float) -> None:
        normal[1] = abs(normal[1])
        assume(normal[1] > 0.71)
        plane = read_ground("rig.yaml", {"camera": "rgb", "normal": normal, "height_m": height_m}, ["rgb"])
        np.testing.assert_allclose(plane.vector(), [*normal, height_m], rtol=1e-5, atol=1e-6)

    @settings(max_examples=200, deadline=None)
    @given(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.floats()),
            st.fixed_dictionaries(
                {
                    "camera": st.one_of(st.just("rgb"), st.text(), st.none(), st.lists(st.integers())),
                    "normal": st.one_of(
                        st.just([0, 1, 0]), st.lists(st.floats(), max_size=4), st.text(), st.integers(),
                        st.just([0, 10**400, 0]), st.just([[0, 1, 0]]),
                    ),
                    "height_m": st.one_of(st.floats(), st.integers(), st.none(), st.text(), st.lists(st.floats())),
                },
                optional={"pitch": st.floats()},
            ),
        )
    )  # fmt: skip
    def test_whatever_stands_in_a_file_is_a_road_or_one_sentence(self, entry: Any) -> None:
        try:
            plane = read_ground("rig.yaml", entry, ["rgb", "nir"])
        except MsdepthError as error:
            assert_one_sentence(error, "rig.yaml: ground")
        else:
            assert plane.camera == "rgb" and 0 < plane.height_m <= 10 and plane.normal[1] > 0.7

    @settings(max_examples=60, deadline=None)
    @given(st.floats(0.3, 3), st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
    def test_a_frame_upside_down_above_or_tilted_is_refused(self, z_m: float, about_x: float, about_y: float) -> None:
        frame_from_camera = pose((about_x, about_y, 0), (0.0, 0.0, z_m))
        tilt_deg = math.degrees(math.acos(np.clip(-frame_from_camera[2, 1], -1, 1)))
        assume(abs(tilt_deg - 45) > 1e-3)
        if tilt_deg < 45:
            assert plane_of_frame("rgb", frame_from_camera, "ground.frame x").height_m == pytest.approx(z_m)
            frame_from_camera[2, 3] *= -1
        with pytest.raises(MsdepthError, match="^ground.frame x: ground plane of the rgb camera: "):
            plane_of_frame("rgb", frame_from_camera, "ground.frame x")

    def test_a_road_that_is_none_from_the_reference_camera_is_refused_there(self) -> None:
        steep = GroundPlane("nir", level_normal(30.0, 0.0), 1.4, "rig.yaml")
        with pytest.raises(MsdepthError, match="rig.yaml: ground plane of the rgb camera: it is tilted by 60 degrees"):
            steep.of_camera("rgb", pose((math.radians(-30), 0, 0), (0.0, 0.0, 0.0)))
        with pytest.raises(MsdepthError, match="the camera is -0.6 m above it"):
            steep.of_camera("rgb", pose((0, 0, 0), tuple(np.multiply(steep.normal, 2.0).tolist())))


def assert_one_sentence(error: MsdepthError, start: str) -> None:
    text = str(error)
    assert text.startswith(start)
    assert len(text) < 2000


class TestFile:
    def test_there_and_back(self, tmp_path: Path) -> None:
        plane = GroundPlane("nir", level_normal(8.0, 3.0), 1.4, "a test")
        rig(plane).save(tmp_path / "rig.yaml")
        read = Rig.load(tmp_path / "rig.yaml").ground
        assert read == dataclasses.replace(plane, origin=str(tmp_path / "rig.yaml"))

    @pytest.mark.parametrize(
        ("ground", "complaint"),
        [
            ({"camera": "left", "normal": [0, 1, 0], "height_m": 1.6}, "ground is of the camera 'left', but there"),
            ({"camera": "rgb", "normal": [0, -1, 0], "height_m": 1.6}, "does not point down"),
            ({"camera": "rgb", "normal": [0, 1, 0], "height_m": 1600}, "1600 m above it; it must be"),
            ({"camera": "rgb", "normal": [0, 1, 1], "height_m": 1.6}, "has length 1.414; give a unit vector"),
            ({"camera": "rgb", "height_m": 1.6}, r"ground must be like \{camera: rgb, normal: \[0, 1, 0\]"),
            (None, "ground must be like"),
        ],
    )
    def test_a_road_that_cannot_be_is_refused_with_the_file(self, tmp_path: Path, ground: Any, complaint: str) -> None:
        path = tmp_path / "rig.yaml"
        rig().save(path)
        path.write_text(path.read_text() + yaml.safe_dump({"ground": ground}))
        with pytest.raises(MsdepthError, match=complaint) as caught:
            Rig.load(path)
        assert str(caught.value).startswith(str(path))
