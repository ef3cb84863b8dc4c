"""The monitor on real ROS 2, beside somebody who publishes what the node would."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bags import SIZES, TYPES, camera_info, pixels_of, raw_image

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from msdepth_ros.live.monitor import status_of, status_text
from msdepth_ros.results.moments import load_moments

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
ENCODINGS = {"rgb": "bgr8", "nir": "mono8", "thermal": "mono16"}
SETS = 6
ANSWER_S = 0.02


class FakeNode:
    """Publishes inputs, truth and, a moment later, the outputs of a node that overestimates depth by a tenth."""

    def __init__(self) -> None:
        from rclpy.node import Node
        from rclpy.qos import QoSProfile, qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo, Image

        self.node = Node("fused_depth")
        reliable = QoSProfile(depth=5)
        outputs = ("depth/image", "depth/confidence", *(f"confidence/{name}" for name in ENCODINGS))
        self.publishers = {f"fused_depth/{name}": (Image, reliable) for name in outputs}
        self.publishers["fused_depth/depth/camera_info"] = (CameraInfo, reliable)
        self.publishers |= {f"{name}/image": (Image, qos_profile_sensor_data) for name in ENCODINGS}
        self.publishers |= {"ground_truth/depth": (Image, reliable), "ground_truth/camera_info": (CameraInfo, reliable)}
        self.live = {name: self.node.create_publisher(kind, f"/{name}", qos)
                     for name, (kind, qos) in self.publishers.items()}  # fmt: skip

    def image(self, topic: str, stamp_ns: int, pixels: np.ndarray, encoding: str) -> None:
        message = raw_image(stamp_ns, "rgb_optical_frame", pixels, encoding)
        self.live[topic].publish(bytes(TYPES.serialize_cdr(message, IMAGE)))

    def info(self, topic: str, stamp_ns: int, size: tuple[int, int]) -> None:
        self.live[topic].publish(bytes(TYPES.serialize_cdr(camera_info(stamp_ns, "rgb_optical_frame", size), INFO)))

    def publish_set(self, index: int, spectra: tuple[str, ...]) -> None:
        stamp_ns = time.time_ns()
        truth = pixels_of("ground_truth", index)
        self.info("ground_truth/camera_info", stamp_ns, SIZES["ground_truth"])
        self.image("ground_truth/depth", stamp_ns, truth, "16UC1")
        for name in spectra:
            self.image(f"{name}/image", stamp_ns, pixels_of(name, index), ENCODINGS[name])
        time.sleep(ANSWER_S)
        self.image("fused_depth/depth/image", stamp_ns, truth.astype(np.float32) * np.float32(1.1e-3), "32FC1")
        self.info("fused_depth/depth/camera_info", stamp_ns, SIZES["ground_truth"])
        level = np.full(truth.shape, 0.5, np.float32)
        self.image("fused_depth/depth/confidence", stamp_ns, level, "32FC1")
        for name in ENCODINGS:
            self.image(f"fused_depth/confidence/{name}", stamp_ns, level * (name in spectra), "32FC1")


@pytest.fixture
def fake_node(ros: None) -> Iterator[FakeNode]:
    made = FakeNode()
    yield made
    made.node.destroy_node()


def test_it_measures_what_it_hears_and_writes_it_down(fake_node: FakeNode, tmp_path: Path) -> None:
    monitor = subprocess.Popen(
        [sys.executable, "-m", "msdepth_ros.live.monitor", "--json", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 20
    while not all(publisher.get_subscription_count() for publisher in fake_node.live.values()):
        assert time.monotonic() < end, "the monitor did not subscribe to everything"
        time.sleep(0.05)
    time.sleep(0.5)
    for index in range(SETS):
        fake_node.publish_set(index, ("rgb", "nir", "thermal") if index < 4 else ("rgb", "thermal"))
        time.sleep(0.1)
    time.sleep(1.2)
    monitor.send_signal(signal.SIGINT)
    output, errors = monitor.communicate(timeout=20)
    assert monitor.returncode == 0, errors

    last = json.loads(output.splitlines()[-1])
    assert (last["sets"], last["spectra"]) == (SETS, "rgb+thermal")
    assert last["abs_rel"] == pytest.approx(0.1, abs=1e-3)
    result = json.loads((tmp_path / "monitor.json").read_text())
    records = result["records"]
    assert [record["spectra"] for record in records] == [["rgb", "nir", "thermal"]] * 4 + [["rgb", "thermal"]] * 2
    for record in records:
        assert record["newest_ns"] == record["stamp_ns"]
        assert ANSWER_S * 1e9 <= record["received_ns"] - record["stamp_ns"] < 1e9
        assert record["abs_rel"] == pytest.approx(0.1, abs=1e-5)
    moments = load_moments(tmp_path / "moments.npz")
    np.testing.assert_array_equal(moments[0].inputs["thermal"].pixels, pixels_of("thermal", 0))
    assert "nir" not in moments[-1].inputs


def test_the_status_line_says_what_it_waits_for_before_the_first_depth() -> None:
    assert "waiting for depth" in status_text(status_of([]))


def test_an_unknown_spectrum_is_refused(domain: None) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "msdepth_ros.live.monitor", "--spectra", "radar"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "monitor: error: spectra 'radar'" in result.stderr
