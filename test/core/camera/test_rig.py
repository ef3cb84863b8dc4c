"""Tests of rigs: poses, Kalibr files, and what a network size needs of a rig."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError

MS2_RIG = Path(__file__).resolve().parents[4] / "shared" / "data" / "ms2_sample" / "rig.yaml"
GOOD = """
cam0: {label: rgb, camera_model: pinhole, intrinsics: [100, 101, 31.5, 15.5], distortion_model: radtan,
       distortion_coeffs: [-0.1, 0.01, 0.001, 0.002], resolution: [64, 32]}
cam1: {rostopic: /front/NIR/image_raw, camera_model: pinhole, intrinsics: [90, 90, 30, 14],
       distortion_model: equidistant, distortion_coeffs: [0.01, 0, 0, 0], resolution: [60, 30],
       T_cn_cnm1: [[1, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}
cam2: {label: thermal, intrinsics: [80, 80, 20, 10], resolution: [40, 20],
       T_cn_cnm1: [[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, 0.25], [0, 0, 0, 1]]}
"""


def k(f: float) -> np.ndarray:
    return np.array([[f, 0.0, 31.5], [0.0, f, 15.5], [0.0, 0.0, 1.0]])


def pose(rotation: tuple[float, float, float], translation: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.array(rotation, np.float64))[0]
    matrix[:3, 3] = translation
    return matrix


def rig() -> Rig:
    cameras = {
        "rgb": CameraModel("rgb", 64, 32, k(100.0), "plumb_bob", (-0.1, 0.01, 0.001, 0.002)),
        "nir": CameraModel("nir", 60, 30, k(90.0), "equidistant", (0.01, 0.0, 0.0, 0.0)),
        "thermal": CameraModel("thermal", 40, 20, k(80.0)),
    }
    poses = {
        "rgb": np.eye(4),
        "nir": pose((0.01, -0.02, 0.03), (-0.1, 0.01, 0.02)),
        "thermal": pose((0.15, 0.01, 0.0), (0.01, 0.3, 0.6)),
    }
    return Rig(cameras, poses)


def write(folder: Path, text: str) -> Path:
    path = folder / "rig.yaml"
    path.write_text(text)
    return path


class TestPoses:
    def test_a_camera_seen_from_itself_is_exactly_the_identity(self) -> None:
        for label in rig().spectra:
            assert np.array_equal(rig().view_from_reference(label, label), np.eye(4))

    def test_there_and_back_is_the_identity(self) -> None:
        there, back = rig().view_from_reference("nir", "thermal"), rig().view_from_reference("thermal", "nir")
        np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)

    def test_maps_points_from_the_reference_to_the_view(self) -> None:
        point_rig = np.array([1.0, 2.0, 10.0, 1.0])
        poses = rig().camera_from_rig
        np.testing.assert_allclose(
            rig().view_from_reference("thermal", "nir") @ poses["nir"] @ point_rig, poses["thermal"] @ point_rig
        )

    def test_subset_keeps_relative_poses_and_starts_at_its_first_camera(self) -> None:
        subset = rig().subset(["thermal", "nir"])
        assert list(subset.cameras) == ["thermal", "nir"] and subset.spectra == ("nir", "thermal")
        np.testing.assert_array_equal(subset.camera_from_rig["thermal"], np.eye(4))
        np.testing.assert_allclose(
            subset.view_from_reference("nir", "thermal"), rig().view_from_reference("nir", "thermal"), atol=1e-12
        )

    def test_a_camera_the_rig_lacks_is_named(self) -> None:
        small = rig().subset(["rgb", "nir"])
        for call in (
            lambda: small.camera("thermal"),
            lambda: small.subset(["rgb", "thermal"]),
            lambda: small.view_from_reference("rgb", "thermal"),
            lambda: small.views(32, 16, "thermal"),
        ):
            with pytest.raises(MsdepthError, match=r"no camera 'thermal', only rgb, nir; add"):
                call()

    def test_a_camera_without_pose_is_refused(self) -> None:
        with pytest.raises(MsdepthError, match="give one pose each"):
            Rig({"rgb": rig().cameras["rgb"]}, {})
        with pytest.raises(MsdepthError, match="no cameras"):
            Rig({}, {})

    @pytest.mark.parametrize(
        ("matrix", "message"),
        [
            (np.diag([1.0, 1.0, -1.0, 1.0]), "not rigid"),
            (np.diag([2.0, 1.0, 1.0, 1.0]), "not rigid"),
            (np.diag([1.0, 1.0, 1.0, 2.0]), "not rigid"),
            (np.full((4, 4), np.nan), "finite"),
            (np.eye(3), "4 x 4"),
            (pose((0, 0, 0), (-53.7, 1.1, 22.9)), "metres, this looks like millimetres"),
        ],
    )
    def test_a_pose_that_is_not_rigid_is_refused(self, matrix: np.ndarray, message: str) -> None:
        with pytest.raises(MsdepthError, match=f"^nir: .*{message}"):
            Rig({"nir": CameraModel("nir", 64, 32, k(100.0))}, {"nir": matrix})


class TestViews:
    def test_holds_what_the_network_needs(self) -> None:
        views = rig().views(32, 16, "nir")
        assert views.reference == "nir" and list(views.maps) == ["rgb", "nir", "thermal"]
        for label, view in views.maps.items():
            assert (view.width, view.height) == (32, 16)
            matrix = views.view_from_reference[label]
            assert matrix.dtype == np.float32
            np.testing.assert_allclose(matrix, rig().view_from_reference(label, "nir"), atol=1e-6)
        assert views.reference_intrinsics.dtype == np.float32
        np.testing.assert_allclose(views.reference_intrinsics, views.maps["nir"].intrinsics, rtol=1e-6)

    def test_cameras_of_no_spectrum_are_left_out(self) -> None:
        cameras = rig().cameras | {"rgb_right": rig().cameras["rgb"]}
        poses = rig().camera_from_rig | {"rgb_right": pose((0, 0, 0), (-0.3, 0, 0))}
        assert list(Rig(cameras, poses).views(32, 16, "rgb").maps) == ["rgb", "nir", "thermal"]

    def test_results_come_back_at_the_reference_sensor(self) -> None:
        views = rig().subset(["thermal", "rgb"]).views(20, 16, "thermal")
        depth = views.depth_to_sensor(np.full((16, 20), 3.0, np.float32))
        confidence = views.confidence_to_sensor(np.full((16, 20), 0.5, np.float32))
        assert depth.shape == confidence.shape == (20, 40)
        # The thermal image is 40 x 20: its columns are cropped to the stretch limit.
        cropped = np.isnan(depth)
        assert cropped.any() and np.array_equal(confidence == 0.0, cropped)
        assert np.all(depth[~cropped] == 3.0) and np.all(confidence[~cropped] == 0.5)


class TestFiles:
    def test_reads_kalibr_chain(self, tmp_path: Path) -> None:
        loaded = Rig.load(write(tmp_path, GOOD))
        assert list(loaded.cameras) == ["rgb", "nir", "thermal"]
        assert [camera.distortion_model for camera in loaded.cameras.values()] == ["plumb_bob", "equidistant", "none"]
        assert loaded.cameras["rgb"].distortion == (-0.1, 0.01, 0.001, 0.002)
        assert (loaded.cameras["nir"].width, loaded.cameras["nir"].height) == (60, 30)
        # The chain: 10 m ahead of rgb; nir is 0.1 m to its right; thermal is rolled by 90 degrees and moved.
        point = loaded.view_from_reference("thermal", "rgb") @ [0.0, 0.0, 10.0, 1.0]
        assert point.tolist() == pytest.approx([0.5, -0.1, 10.25, 1.0])

    def test_save_and_load_give_the_same_rig(self, tmp_path: Path) -> None:
        rig().save(tmp_path / "saved.yaml")
        loaded = Rig.load(tmp_path / "saved.yaml")
        assert loaded.cameras == rig().cameras
        for label, matrix in rig().camera_from_rig.items():
            np.testing.assert_allclose(loaded.camera_from_rig[label], matrix, atol=1e-12)
        loaded.save(tmp_path / "again.yaml")
        assert (tmp_path / "again.yaml").read_text().splitlines()[0] == "cam0:"

    def test_unwritable_place_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(MsdepthError, match=r"nowhere/rig.yaml: cannot write the rig"):
            rig().save(tmp_path / "nowhere" / "rig.yaml")

    def test_the_ms2_rig(self) -> None:
        if not MS2_RIG.exists():
            pytest.skip(f"the real MS2 calibration is not at {MS2_RIG}")
        loaded = Rig.load(MS2_RIG)
        assert loaded.spectra == ("rgb", "nir", "thermal")
        views = loaded.views(640, 256, "rgb")
        rgb = views.maps["rgb"].intrinsics
        assert rgb[0, 0] == pytest.approx(764.51387058 * 640 / 1224)
        assert rgb[1, 1] / rgb[0, 0] == pytest.approx(1.275)
        # Multiplied by hand through nir: the thermal camera is behind the others, and pitched by 9.5 degrees.
        point = views.view_from_reference["thermal"] @ np.array([0.0, 0.0, 10.0, 1.0], np.float32)
        assert point.tolist() == pytest.approx([-0.0103, -1.4046, 10.4166, 1.0], abs=1e-3)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("label: rgb", "label: 5", r"cam0: label must be a name"),
            ("label: rgb", "label: thermal", r"2 cameras are labelled 'thermal'"),
            ("/front/NIR/image_raw", "/cam1/image_raw", r"cam1: rostopic '/cam1/image_raw' does not tell the spectrum"),
            ("/front/NIR/image_raw", "/rgb_nir/image", r"cam1: rostopic '/rgb_nir/image' does not tell the spectrum"),
            (
                "camera_model: pinhole, intrinsics: [100",
                "camera_model: omni, intrinsics: [100",
                r"cam0: camera_model 'o",
            ),
            ("[100, 101, 31.5, 15.5]", "[100, 101, 31.5]", r"cam0: intrinsics must be 4 numbers"),
            ("[100, 101, 31.5, 15.5]", "[100, a, 31.5, 15.5]", r"cam0: intrinsics must be 4 numbers"),
            ("[100, 101, 31.5, 15.5]", "[100, .nan, 31.5, 15.5]", r"cam0: intrinsics must be 4 numbers, all finite"),
            ("[100, 101, 31.5, 15.5]", "[0, 101, 31.5, 15.5]", r"rgb: focal lengths fx = 0"),
            ("resolution: [64, 32]", "resolution: [64.5, 32]", r"cam0: resolution must be two whole numbers"),
            ("resolution: [64, 32]", "resolution: [0, 32]", r"rgb: width is 0 px"),
            ("resolution: [64, 32]", "size: [64, 32]", r"cam0: resolution is missing"),
            ("distortion_model: radtan", "distortion_model: fov", r"rgb: unknown distortion model 'fov'"),
            ("[-0.1, 0.01, 0.001, 0.002]", "[-0.1, 0.01, 0.001]", r"rgb: distortion model 'plumb_bob' takes 4 or 5"),
            ("[-0.1, 0.01, 0.001, 0.002]", "-0.1", r"cam0: distortion_coeffs must be a list of numbers"),
            ("T_cn_cnm1: [[0,", "T_cam_imu: [[0,", r"cam2: T_cn_cnm1 is missing; it must be 4 x 4 numbers"),
            ("[1, 0, 0, 0], [0, 0, 1, 0.25]", "[1, 0, 0, 0], [0, 0, 2, 0.25]", r"thermal: its pose is not rigid"),
            ("[1, 0, 0, -0.1]", "[1, 0, 0, -53.7]", r"nir: 54 m .* looks like millimetres"),
        ],
    )
    def test_bad_files_are_refused_with_file_and_camera(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        assert old in GOOD
        path = write(tmp_path, GOOD.replace(old, new))
        with pytest.raises(MsdepthError, match=rf"^{path}: {message}"):
            Rig.load(path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "holds no mapping"),
            ("[1, 2]", "holds no mapping"),
            ("cameras: 3", "no cam0, cam1"),
            ("cam0: [1, 2]", "cam0: not a mapping"),
            ("cam0: {label: [", "not valid YAML"),
            ("cam0: !!python/object/apply:os.getcwd []", "not valid YAML"),
            ("cam0: \x00", "not valid YAML"),
        ],
    )
    def test_what_is_no_camchain_is_refused(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(MsdepthError, match=message):
            Rig.load(write(tmp_path, text))

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(MsdepthError, match="absent.yaml: cannot read the rig: No such file"):
            Rig.load(tmp_path / "absent.yaml")
        with pytest.raises(MsdepthError, match="cannot read the rig: Is a directory"):
            Rig.load(tmp_path)
        (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8")
        with pytest.raises(MsdepthError, match="binary.yaml: not valid YAML"):
            Rig.load(tmp_path / "binary.yaml")

    def test_a_rig_of_unknown_cameras_only_is_refused(self, tmp_path: Path) -> None:
        text = GOOD.replace("label: rgb", "label: left").replace("rostopic: /front/NIR/image_raw", "label: right")
        with pytest.raises(MsdepthError, match="no camera is labelled rgb, nir, thermal, only left, right, up"):
            Rig.load(write(tmp_path, text.replace("label: thermal", "label: up")))

    @given(
        key=st.sampled_from(
            ["label", "rostopic", "camera_model", "intrinsics", "resolution", "distortion_model", "distortion_coeffs"]
            + ["T_cn_cnm1"]
        ),
        value=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=20,
        ),
    )
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_value_gives_a_rig_or_the_one_error(self, tmp_path: Path, key: str, value: object) -> None:
        document = yaml.safe_load(GOOD)
        document["cam1"][key] = value
        path = write(tmp_path, yaml.safe_dump(document))
        try:
            assert "rgb" in Rig.load(path).cameras
        except MsdepthError as error:
            assert str(error).startswith(str(path))

    @given(
        f=st.floats(10, 5000),
        rotation=st.tuples(*[st.floats(-3, 3)] * 3),
        translation=st.tuples(*[st.floats(-5, 5)] * 3),
        coefficients=st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    )
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_round_trip_of_any_rig(
        self,
        tmp_path: Path,
        f: float,
        rotation: tuple[float, float, float],
        translation: tuple[float, float, float],
        coefficients: list[float],
    ) -> None:
        cameras = {
            "nir": CameraModel("nir", 64, 32, k(f), "rational_polynomial", tuple(coefficients)),
            "rgb": CameraModel("rgb", 60, 30, k(90.0)),
        }
        original = Rig(cameras, {"nir": np.eye(4), "rgb": pose(rotation, translation)})
        original.save(tmp_path / "rig.yaml")
        loaded = Rig.load(tmp_path / "rig.yaml")
        assert loaded.cameras == original.cameras
        np.testing.assert_array_equal(loaded.camera_from_rig["rgb"], original.camera_from_rig["rgb"])


@pytest.mark.parametrize(
    ("topic", "label"),
    [
        ("/omnirig/rgb/image_raw", "rgb"),
        ("/omnirig/flir_thermal/image_raw", "thermal"),
        ("/rgb_nir/thermal/image", "thermal"),
        ("/leftNir2/image", "nir"),
    ],
)
def test_a_topic_names_a_spectrum_by_whole_words(tmp_path: Path, topic: str, label: str) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(f"cam0: {{intrinsics: [100, 100, 31.5, 15.5], resolution: [64, 32], rostopic: {topic}}}\n")
    assert list(Rig.load(path).cameras) == [label]


@pytest.mark.parametrize("topic", ["/omnirig/flir_boson/image_raw", "/rgb_nir/stream0/image", "/cam0/image_raw"])
def test_a_part_of_a_word_names_no_spectrum(tmp_path: Path, topic: str) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(f"cam0: {{intrinsics: [100, 100, 31.5, 15.5], resolution: [64, 32], rostopic: {topic}}}\n")
    with pytest.raises(MsdepthError, match=f"rostopic '{topic}' does not tell the spectrum; add a line `label:`"):
        Rig.load(path)
