"""Intrinsics from camera_info, poses from the rig file or tf."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros.node.calibration import Calibration, FilePoses, TfPoses

ALL = ("rgb", "nir", "thermal")


class Tree:
    """Poses that become known one by one, as from tf."""

    def __init__(self) -> None:
        self.known: dict[str, np.ndarray] = {}

    def view_from_reference(self, view: str, reference: str, frames: dict[str, str]) -> np.ndarray:
        if view not in self.known:
            raise MsdepthError(f"no transform to {view}")
        return self.known[view]

    def close(self) -> None:
        pass


def from_file(rig_file: Path, reference: str = "rgb") -> Calibration:
    return Calibration(reference=reference, poses=FilePoses(str(rig_file), ALL))


def test_the_file_serves_alone(rig_file: Path) -> None:
    calibration = from_file(rig_file)
    views, missing = calibration.views(ALL, 640, 256)
    assert missing == {}
    assert set(views.maps) == set(ALL)
    np.testing.assert_allclose(views.view_from_reference["thermal"][:3, 3], [-0.2, 0, 0], atol=1e-6)
    assert calibration.output_frame == "rgb_optical_frame"


def test_camera_info_wins_over_the_file(rig_file: Path, messages: SimpleNamespace) -> None:
    calibration = from_file(rig_file)
    before, _ = calibration.views(ALL, 640, 256)
    old = messages.camera("rgb")
    k = old.k * [[0.8, 1, 1], [1, 0.8, 1], [1, 1, 1]]
    calibration.set_camera("rgb", CameraModel("rgb", old.width, old.height, k))
    after, _ = calibration.views(ALL, 640, 256)
    assert after.reference_intrinsics[0, 0] == pytest.approx(0.8 * before.reference_intrinsics[0, 0])
    assert from_file(rig_file).views(ALL, 640, 256)[0] is not after


def test_views_are_made_once(rig_file: Path, messages: SimpleNamespace) -> None:
    calibration = from_file(rig_file)
    first, _ = calibration.views(ALL, 640, 256)
    calibration.set_camera("nir", messages.camera("nir"))  # the same values again
    assert calibration.views(("rgb",), 640, 256)[0] is first


def test_a_camera_info_of_another_size_is_refused(rig_file: Path, messages: SimpleNamespace) -> None:
    with pytest.raises(MsdepthError, match="camera_info is for 150 x 60, the rig file for 160 x 64"):
        from_file(rig_file).set_camera("rgb", messages.camera("nir"))


def test_output_frame_is_the_one_the_reference_camera_states(rig_file: Path) -> None:
    calibration = from_file(rig_file, "nir")
    calibration.set_frame("rgb", "other")
    assert calibration.output_frame == "nir_optical_frame"
    calibration.set_frame("nir", "front_nir")
    calibration.set_frame("nir", "")
    assert calibration.output_frame == "front_nir"


def test_without_the_reference_there_is_no_frame(messages: SimpleNamespace) -> None:
    calibration = Calibration(reference="rgb", poses=Tree())
    calibration.set_camera("nir", messages.camera("nir"))
    with pytest.raises(MsdepthError, match="no camera_info of the reference camera rgb"):
        calibration.views(("nir",), 640, 256)


def test_cameras_join_as_their_poses_become_known(messages: SimpleNamespace) -> None:
    tree = Tree()
    calibration = Calibration(reference="rgb", poses=tree)
    for spectrum in ALL:
        calibration.set_camera(spectrum, messages.camera(spectrum))
    views, missing = calibration.views(("rgb", "nir"), 640, 256)
    assert set(views.maps) == {"rgb"}
    assert missing == {"nir": "no transform to nir"}
    tree.known["nir"] = np.eye(4)
    views, missing = calibration.views(("rgb", "nir"), 640, 256)
    assert set(views.maps) == {"rgb", "nir"}
    assert missing == {}


@pytest.mark.skipif(importlib.util.find_spec("tf2_ros") is not None, reason="tf2_ros is installed")
def test_missing_tf2_is_named() -> None:
    with pytest.raises(MsdepthError, match="needs tf2_ros; install"):
        TfPoses(SimpleNamespace())


@pytest.mark.skipif(
    importlib.util.find_spec("tf2_ros") is None, reason="tf2_ros is not installed: it comes with a ROS 2 distribution"
)
def test_poses_come_from_the_tf_tree(bench: Any) -> None:
    from geometry_msgs.msg import TransformStamped
    from tf2_ros import StaticTransformBroadcaster

    poses = TfPoses(bench.peer)
    frames = {"rgb": "rgb_optical_frame", "nir": "nir_optical_frame"}
    with pytest.raises(MsdepthError, match="no frame_id of the nir camera"):
        poses.view_from_reference("nir", "rgb", {"rgb": "rgb_optical_frame"})
    with pytest.raises(MsdepthError, match="no transform from rgb_optical_frame to nir_optical_frame"):
        poses.view_from_reference("nir", "rgb", frames)
    stamped = TransformStamped(child_frame_id="nir_optical_frame")
    stamped.header.frame_id = "rgb_optical_frame"
    stamped.transform.translation.x = 0.5  # nir stands half a metre to the right of rgb
    stamped.transform.rotation.z = stamped.transform.rotation.w = np.sqrt(0.5)
    broadcaster = StaticTransformBroadcaster(bench.peer)
    broadcaster.sendTransform(stamped)

    def known() -> bool:
        try:
            poses.view_from_reference("nir", "rgb", frames)
        except MsdepthError:
            return False
        return True

    bench.until(known)
    nir_from_rgb = poses.view_from_reference("nir", "rgb", frames)
    # A point at nir's origin is at zero; one metre along rgb's x is along nir's -y, which is turned by 90 degrees.
    np.testing.assert_allclose(nir_from_rgb @ [0.5, 0, 0, 1], [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(nir_from_rgb @ [1.5, 0, 0, 1], [0, -1, 0, 1], atol=1e-9)
    poses.close()
