"""msdepth play --as-drivers, by its older name player, on real ROS 2: what it publishes and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bags import SIZES, THERMAL_LATE_NS, pixels_of, write_bag

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

INSTANTS = 8
TOPICS = {name: f"/{name}/image" for name in ("rgb", "nir", "thermal")} | {"ground_truth": "/ground_truth/depth"}


def start_player(*arguments: str) -> subprocess.Popen[str]:
    entry = "from msdepth_ros.ros.play import command; raise SystemExit(command.player())"
    return subprocess.Popen(
        [sys.executable, "-c", entry, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


class Listener:
    """Subscribes as the node does, and notes when each message came."""

    def __init__(self) -> None:
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from rclpy.qos import QoSProfile, qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo, Image

        self.node = Node("listener")
        self.images: dict[str, list[tuple[int, Image]]] = defaultdict(list)
        self.infos: dict[str, list[CameraInfo]] = defaultdict(list)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        for name, topic in TOPICS.items():
            qos = QoSProfile(depth=10) if name == "ground_truth" else qos_profile_sensor_data
            self.node.create_subscription(Image, topic, self._take(name), qos)
            self.node.create_subscription(CameraInfo, f"/{name}/camera_info", self.infos[name].append, qos)

    def _take(self, name: str):
        return lambda message: self.images[name].append((time.time_ns(), message))

    def spin_while(self, process: subprocess.Popen[str], timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while process.poll() is None and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        for _ in range(20):
            self.executor.spin_once(timeout_sec=0.01)


@pytest.fixture
def listener(ros: None) -> Iterator[Listener]:
    made = Listener()
    yield made
    made.executor.shutdown()
    made.node.destroy_node()


def stamp_ns(message: object) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_every_image_arrives_raw_at_the_recorded_rate_stamped_with_its_capture(
    listener: Listener, tmp_path: Path
) -> None:
    folder = write_bag(tmp_path / "drive", instants=INSTANTS, missing={"nir": {3, 4}})
    player = start_player(str(folder), "--timeout", "20", "--summary", str(tmp_path / "summary.json"))
    listener.spin_while(player)
    assert player.wait(5) == 0, player.stderr.read()
    summary = json.loads((tmp_path / "summary.json").read_text())

    there = {"rgb": range(8), "thermal": range(8), "ground_truth": range(8), "nir": (0, 1, 2, 5, 6, 7)}
    for name, indices in there.items():
        got = listener.images[name]
        assert len(got) == len(indices) == summary["published"][name]
        for (received_ns, image), index in zip(got, indices, strict=True):
            assert 0 < received_ns - stamp_ns(image) < 1_000_000_000
            expected = pixels_of(name, index)
            assert (image.width, image.height) == SIZES[name]
            np.testing.assert_array_equal(np.asarray(image.data).view(expected.dtype), expected.ravel())
        assert [stamp_ns(info) for info in listener.infos[name]] == [stamp_ns(image) for _, image in got]
    rgb = [stamp_ns(image) for _, image in listener.images["rgb"]]
    np.testing.assert_allclose(np.diff(rgb), 100_000_000, atol=1000)
    thermal = stamp_ns(listener.images["thermal"][0][1])
    assert thermal - rgb[0] == pytest.approx(THERMAL_LATE_NS, abs=1000)
    assert stamp_ns(listener.images["ground_truth"][2][1]) == rgb[2]

    assert len(summary["instants"]) == INSTANTS
    assert summary["instants"][3] == {"stamp_ns": rgb[3], "spectra": ["rgb", "thermal"]}
    assert summary["late_ms"]["p50"] >= 0


def test_a_rate_of_two_halves_the_intervals(listener: Listener, tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", instants=6)
    player = start_player(str(folder), "--rate", "2", "--timeout", "20", "--duration", "0.5")
    listener.spin_while(player)
    rgb = [stamp_ns(image) for _, image in listener.images["rgb"]]
    assert len(rgb) == 5
    np.testing.assert_allclose(np.diff(rgb), 50_000_000, atol=1000)


def test_a_loop_goes_on_until_it_is_told_to_end(listener: Listener, tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", instants=3)
    player = start_player(str(folder), "--loop", "--timeout", "20", "--summary", str(tmp_path / "s.json"))
    end = time.monotonic() + 20
    while len(listener.images["rgb"]) < 7 and time.monotonic() < end:
        listener.executor.spin_once(timeout_sec=0.05)
    player.send_signal(signal.SIGINT)
    assert player.wait(5) == 0
    rgb = [stamp_ns(image) for _, image in listener.images["rgb"]]
    np.testing.assert_allclose(np.diff(rgb), 100_000_000, atol=1000)
    assert json.loads((tmp_path / "s.json").read_text())["published"]["rgb"] >= 7


def test_without_subscribers_it_gives_up_and_names_the_topics(domain: None, tmp_path: Path) -> None:
    player = start_player(str(write_bag(tmp_path / "drive")), "--timeout", "0.5")
    _, errors = player.communicate(timeout=20)
    assert player.returncode == 2
    assert "/rgb/image has 0" in errors
    assert "ROS_DOMAIN_ID" in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(("arguments", "reason"), [
    ([], "no messages on /thermal/image/compressed"),
    (["--spectra", "rgb,sonar"], "choice of rgb, nir, thermal"),
    (["--rate", "0"], "--rate: '0' must be"),
])  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(domain: None, tmp_path: Path, arguments: list[str], reason: str) -> None:
    folder = write_bag(tmp_path / "drive", cameras=("rgb", "nir"))
    player = start_player(str(folder), *arguments)
    _, errors = player.communicate(timeout=20)
    assert player.returncode == 2
    assert errors.startswith("player: error:")
    assert reason in errors
    assert len(errors.strip().splitlines()) == 1
