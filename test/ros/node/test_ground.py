"""The node and the road: from the rig file, parameters and tf, with models that take it and models that do not."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

import models
from msdepth_ros.core.camera.ground import GroundPlane, GroundSource, level_normal
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros.node.calibration import Calibration, FilePoses

STAMP_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000
DOWN = level_normal(6.0, 2.0)
SPECTRA = ("rgb", "nir", "thermal")
NO_TF = importlib.util.find_spec("tf2_ros") is None


def rig_with(ground: GroundPlane | None, rig_file: Path, folder: Path) -> Path:
    """A copy of the rig of the tests that says where the road is."""
    path = folder / "rig.yaml"
    dataclasses.replace(Rig.load(rig_file), ground=ground).save(path)
    return path


class Driver:
    """Starts the node with a toy model and tells what the road did to its depth."""

    def __init__(self, bench: Any, folder: Path) -> None:
        self.bench, self.folder, self.sent = bench, folder, 0

    def start(self, contract: int = 2, *, begin: bool = True, **parameters: Any) -> None:
        model = models.toy_model(self.folder / "toy.onnx", contract=contract, added_m=9.0)
        self.bench.start(begin=begin, model__path=str(model), **parameters)
        if begin:
            self.bench.listen("depth/image")
            self.bench.connect("rgb")

    def depth_m(self) -> float:
        """The mean depth of the next image of the rgb camera."""
        images = self.bench.received["depth/image"]
        before, self.sent = len(images), self.sent + 1
        self.bench.send("rgb", STAMP_NS + self.sent * PERIOD_NS)
        self.bench.until(lambda: len(images) > before)
        return float(np.frombuffer(bytes(images[-1].data), np.float32).mean())

    def said(self) -> str:
        return str(self.bench.status("inference").values["ground_plane"])

    def set(self, **values: Any) -> Any:
        changes = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
        return self.bench.node.set_parameters_atomically(changes)


@pytest.fixture
def driver(bench: Any, tmp_path: Path) -> Driver:
    return Driver(bench, tmp_path)


def added_m(plane: Any) -> float:
    return float(np.dot(models.PLANE_WEIGHTS, plane))


def test_height_and_angles_change_while_it_runs(driver: Driver) -> None:
    driver.start()
    unknown_m = driver.depth_m()
    assert driver.said() == "unknown"
    assert driver.bench.status("inference").values["model_contract"] == "2"
    assert driver.set(ground__height_m=1.5).successful
    assert driver.depth_m() - unknown_m == pytest.approx(added_m((0, 1, 0, 1.5)), abs=1e-4)
    assert driver.said() == "1.50 m below the rgb camera, normal 0.000 1.000 0.000, from ground.height_m"
    assert driver.set(ground__pitch_deg=6.0, ground__roll_deg=2.0).successful
    assert driver.depth_m() - unknown_m == pytest.approx(added_m((*DOWN, 1.5)), abs=1e-4)
    answer = driver.set(ground__pitch_deg=40.0, ground__roll_deg=40.0)
    assert not answer.successful and "ground.height_m: ground plane of the rgb camera: it is tilted" in answer.reason
    assert driver.depth_m() - unknown_m == pytest.approx(added_m((*DOWN, 1.5)), abs=1e-4)
    assert driver.set(ground__height_m=0.0).successful
    assert driver.depth_m() == pytest.approx(unknown_m, abs=1e-4)


def test_the_rig_file_says_it_until_a_parameter_does(driver: Driver, rig_file: Path) -> None:
    path = rig_with(GroundPlane("thermal", DOWN, 1.5, ""), rig_file, driver.folder)
    driver.start(calibration__file=str(path))
    first_m = driver.depth_m()
    height_m = 1.5 + 0.2 * DOWN[0]  # thermal stands 0.2 m to the right of rgb, and right is lower
    assert driver.said().startswith("1.51 m below the rgb camera") and driver.said().endswith(f"from {path}")
    assert driver.set(ground__height_m=2.0, ground__camera="rgb").successful is False  # the camera is read at start
    assert driver.set(ground__height_m=2.0).successful
    assert driver.depth_m() - first_m == pytest.approx(added_m((0, 1, 0, 2.0)) - added_m((*DOWN, height_m)), abs=1e-4)


def test_a_model_of_contract_1_runs_as_before(driver: Driver) -> None:
    driver.start(1)
    before_m = driver.depth_m()
    assert driver.set(ground__height_m=1.5).successful
    assert driver.depth_m() == pytest.approx(before_m)
    values = driver.bench.status("inference").values
    assert values["model_contract"] == "1" and values["ground_plane"].endswith("a model of contract 1 takes none")


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"ground__height_m": -1.0}, "parameter ground.height_m is -1.0; it must be"),
        ({"ground__height_m": 11.0}, "parameter ground.height_m is 11.0; it must be"),
        ({"ground__pitch_deg": 90.0}, "parameter ground.pitch_deg is 90.0; it must be"),
        ({"ground__height_m": 1.5, "ground__pitch_deg": 40.0, "ground__roll_deg": -40.0}, "it is tilted by 54 degrees"),
        ({"ground__height_m": 1.5, "ground__frame": "base"}, "ground.frame is 'base' and ground.height_m 1.5: set one"),
        ({"ground__height_m": 1.5, "ground__camera": "left"}, "parameter ground.camera is 'left', which is not in"),
        ({"ground__hight_m": 1.5}, "did you mean ground.height_m"),
    ],
)
def test_parameters_that_no_road_is_like_are_refused(driver: Driver, parameters: Any, complaint: str) -> None:
    with pytest.raises(MsdepthError, match=complaint):
        driver.start(**parameters)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{camera: rgb, normal: [0, -1, 0], height_m: 1.6}", "its normal 0.000, -1.000, 0.000 does not point down"),
        ("{camera: rgb, normal: [0, 1, 0], height_m: 1600}", "the camera is 1600 m above it"),
        ("{camera: left, normal: [0, 1, 0], height_m: 1.6}", "ground is of the camera 'left'"),
        ("1.6", "ground must be like"),
        # Fine for thermal, but rgb stands 0.2 m to the left of it, beyond the road's other side.
        ("{camera: thermal, normal: [-0.5, 0.8660254, 0], height_m: 0.05}", "rgb camera: the camera is -0.05 m above"),
    ],
)
def test_a_rig_file_that_no_road_is_like_is_refused(driver: Driver, rig_file: Path, text: str, complaint: str) -> None:
    path = rig_with(None, rig_file, driver.folder)
    path.write_text(f"{path.read_text()}\nground: {text}\n")
    driver.start(begin=False, calibration__file=str(path))
    assert driver.bench.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    status = driver.bench.status("inference")
    assert complaint in status.message and str(path) in status.message
    path.write_text(rig_with(None, rig_file, driver.folder).read_text())
    assert driver.bench.node.trigger_configure() == TransitionCallbackReturn.SUCCESS


@pytest.mark.skipif(not NO_TF, reason="tf2_ros is installed")
def test_a_frame_without_tf2_names_what_to_install(driver: Driver) -> None:
    driver.start(begin=False, ground__frame="base_footprint")
    assert driver.bench.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = driver.bench.status("inference").message
    assert "ground.frame is base_footprint, which needs tf2_ros; install ros-<distro>-tf2-ros-py, or set " in said


class Tree:
    """Frames that become known, as from tf."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], np.ndarray] = {}

    def lookup(self, target: str, source: str) -> np.ndarray:
        if (target, source) not in self.known:
            raise MsdepthError(f"no transform from {source} to {target}")
        return self.known[target, source]

    def close(self) -> None:
        pass


def footprint_from_camera(height_m: float) -> np.ndarray:
    """The pose of a frame on the road, z up, x ahead."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    matrix[2, 3] = height_m
    return matrix


def test_a_frame_on_the_road_is_followed(rig_file: Path) -> None:
    tree = Tree()
    source = GroundSource(frame="base_footprint")
    calibration = Calibration(reference="nir", poses=FilePoses(str(rig_file), SPECTRA), ground=source, tree=tree)
    first, _ = calibration.views(SPECTRA, 64, 32)
    assert not first.ground_plane.any()
    assert str(calibration.road()).startswith("unknown: ground.frame base_footprint: no frame_id of the nir camera yet")
    calibration.set_frame("nir", "front_nir")
    assert calibration.road().problem == "ground.frame base_footprint: no transform from front_nir to base_footprint"
    for height_m in (1.5, 1.45):  # a vehicle that is loaded
        tree.known["base_footprint", "front_nir"] = footprint_from_camera(height_m)
        views, _ = calibration.views(SPECTRA, 64, 32)
        np.testing.assert_allclose(views.ground_plane, [0, 1, 0, height_m], atol=1e-6)
        assert views.maps is first.maps and calibration.views(SPECTRA, 64, 32)[0] is views
        assert calibration.road().plane is not None and not calibration.road().problem
    tree.known["base_footprint", "front_nir"] = np.eye(4)
    assert not calibration.views(SPECTRA, 64, 32)[0].ground_plane.any()
    assert "ground.frame base_footprint: ground plane of the nir camera: its normal" in calibration.road().problem


def test_a_height_of_another_camera_waits_for_its_pose(messages: SimpleNamespace) -> None:
    class Poses(Tree):
        def view_from_reference(self, view: str, reference: str, frames: dict[str, str]) -> np.ndarray:
            return self.lookup(view, reference)

    poses = Poses()
    calibration = Calibration(reference="rgb", poses=poses, ground=GroundSource(height_m=1.5, camera="nir"))
    calibration.set_camera("rgb", messages.camera("rgb"))
    assert not calibration.views(("rgb",), 64, 32)[0].ground_plane.any()
    assert calibration.road().problem == "ground.height_m: no transform from rgb to nir"
    poses.known["nir", "rgb"] = np.eye(4)
    poses.known["nir", "rgb"][1, 3] = -0.3  # nir stands 0.3 m lower
    np.testing.assert_allclose(calibration.views(("rgb",), 64, 32)[0].ground_plane, [0, 1, 0, 1.8], atol=1e-6)


def test_the_log_tells_when_the_road_is_missed_and_when_it_is_back(driver: Driver, monkeypatch: Any) -> None:
    driver.start(watchdog__silence_s=0.1)
    lines: list[str] = []
    logger = SimpleNamespace(warning=lambda text, **_: lines.append(text), info=lines.append)
    monkeypatch.setattr(driver.bench.node, "get_logger", lambda: logger)
    calibration = driver.bench.node._equipment.calibration  # noqa: SLF001
    calibration._tree = tree = Tree()  # noqa: SLF001  as with tf, which is not everywhere
    calibration.set_ground(GroundSource(frame="base_footprint"))
    driver.depth_m()
    driver.bench.until(lambda: any("depth comes without the road: ground.frame base_footprint" in x for x in lines))
    assert "the road is not known" in driver.bench.status("inference").message
    tree.known["base_footprint", "rgb_optical_frame"] = footprint_from_camera(1.5)
    driver.bench.until(lambda: any("the road is known again: 1.50 m below" in line for line in lines))
    assert driver.bench.status("inference").message == "running"
    assert sum("road" in line for line in lines) == 2
