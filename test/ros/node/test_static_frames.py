"""Frames of the rig and of the road on /tf_static."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.parameter import Parameter

from msdepth_ros.core.camera.ground import GroundPlane, GroundSource, level_normal
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.camera.transforms import rigid_matrix
from msdepth_ros.ros.node.calibration import Calibration, FilePoses
from msdepth_ros.ros.node.static_frames import transform_stamped

SPECTRA = ("rgb", "nir", "thermal")
STAMP_NS = 1_700_000_000_000_000_000
NO_TF2 = importlib.util.find_spec("tf2_msgs") is None


def from_file(rig_file: Path, ground: GroundSource = GroundSource(), **more: Any) -> Calibration:  # noqa: B008
    return Calibration(reference="rgb", poses=FilePoses(str(rig_file), SPECTRA), ground=ground, **more)


def matrix_of(link: Any) -> np.ndarray:
    """The pose that a message says, parent from child."""
    t, q = link.transform.translation, link.transform.rotation
    return rigid_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


def test_cameras_join_as_they_name_their_frames(rig_file: Path) -> None:
    calibration = from_file(rig_file)
    assert calibration.frames_below_reference() == {}
    calibration.set_frame("thermal", "front_thermal")
    frames = calibration.frames_below_reference()
    assert list(frames) == ["front_thermal"]
    np.testing.assert_allclose(frames["front_thermal"][:3, 3], [0.2, 0, 0])  # to the right of rgb
    calibration.set_frame("rgb", "front_rgb")
    calibration.set_frame("nir", "front_rgb")  # a driver that names all cameras alike
    assert list(calibration.frames_below_reference()) == ["front_thermal"]


def test_the_road_has_a_frame_where_it_is_not_from_tf(rig_file: Path) -> None:
    calibration = from_file(rig_file, GroundSource(height_m=1.5, pitch_deg=10.0))
    calibration.set_frame("rgb", "front_rgb_optical_frame")
    frames = calibration.frames_below_reference()
    assert list(frames) == ["front_rgb_ground"]
    np.testing.assert_allclose(frames["front_rgb_ground"][:3, 3], 1.5 * np.array(level_normal(10.0, 0.0)), atol=1e-12)
    calibration.set_frame("rgb", "front")
    assert list(calibration.frames_below_reference()) == ["front_ground"]
    assert from_file(rig_file, GroundSource(frame="base_footprint")).frames_below_reference() == {}


def test_frames_that_tf_knows_are_left_to_it() -> None:
    poses: Any = SimpleNamespace(view_from_reference=lambda *_: np.eye(4), close=lambda: None)
    calibration = Calibration(reference="rgb", poses=poses)
    for spectrum in SPECTRA:
        calibration.set_frame(spectrum, f"{spectrum}_optical_frame")
    assert calibration.frames_below_reference() == {}
    calibration.set_ground(GroundSource(height_m=1.5))
    assert list(calibration.frames_below_reference()) == ["rgb_ground"]


def test_a_message_says_the_same_pose() -> None:
    pose = GroundPlane("rgb", level_normal(20.0, -30.0), 1.6, "a test").road_pose()
    link = transform_stamped("rgb_optical_frame", "rgb_ground", pose)
    assert (link.header.frame_id, link.child_frame_id) == ("rgb_optical_frame", "rgb_ground")
    np.testing.assert_allclose(matrix_of(link), pose, atol=1e-12)


def frames_heard(bench: Any) -> list[Any]:
    """Links on /tf_static, as whoever comes late hears them."""
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from tf2_msgs.msg import TFMessage

    links: list[Any] = []
    qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    bench.peer.create_subscription(TFMessage, "/tf_static", lambda message: links.extend(message.transforms), qos)
    return links


def show(bench: Any) -> None:
    """Lets the cameras name their frames."""
    bench.connect(*SPECTRA)
    for spectrum in SPECTRA:
        bench.send(spectrum, STAMP_NS)
    bench.until(lambda: bench.node._equipment.calibration.reference_is_named)  # noqa: SLF001


@pytest.mark.skipif(NO_TF2, reason="tf2_msgs is not installed: it comes with a ROS 2 distribution")
def test_who_comes_late_hears_the_rig_and_the_road(bench: Any, rig_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    road = GroundPlane("thermal", level_normal(6.0, 2.0), 1.5, "")
    dataclasses.replace(Rig.load(rig_file), ground=road).save(path)
    bench.start(calibration__file=str(path))
    show(bench)
    bench.spin(1.2)
    links = frames_heard(bench)
    bench.until(lambda: len(links) >= 3)
    found = {link.child_frame_id: matrix_of(link) for link in links}
    assert {link.header.frame_id for link in links} == {"rgb_optical_frame"}
    assert set(found) == {"nir_optical_frame", "thermal_optical_frame", "rgb_ground"}
    np.testing.assert_allclose(found["nir_optical_frame"], Rig.load(path).view_from_reference("rgb", "nir"), atol=1e-9)
    np.testing.assert_allclose(found["rgb_ground"][:3, 3] @ road.normal, 1.5 + 0.2 * road.normal[0], atol=1e-9)
    heard = len(links)
    bench.spin(1.2)
    assert len(links) == heard  # said once
    assert bench.node.set_parameters_atomically([Parameter("ground.height_m", value=2.0)]).successful
    bench.until(lambda: len(links) == heard + 3)
    np.testing.assert_allclose(matrix_of(links[-1])[:3, 3], [0, 2.0, 0], atol=1e-9)
    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    assert bench.peer.count_publishers("/tf_static") == 0


@pytest.mark.skipif(NO_TF2, reason="tf2_msgs is not installed: it comes with a ROS 2 distribution")
def test_it_can_be_left_to_others(bench: Any) -> None:
    bench.start(publish_tf=False, ground__height_m=1.5)
    show(bench)
    links = frames_heard(bench)
    bench.spin(1.5)
    assert links == []


@pytest.mark.skipif(not NO_TF2, reason="tf2_msgs is installed")
def test_without_tf2_msgs_the_log_says_so_once(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.start()
    lines: list[str] = []
    logger = SimpleNamespace(info=lines.append, warning=lambda *_, **__: None)
    monkeypatch.setattr(bench.node, "get_logger", lambda: logger)
    show(bench)
    bench.until(lambda: lines)
    bench.spin(1.2)
    assert lines == ["publish_tf needs tf2_msgs, which is not installed: no frames on /tf_static"]
