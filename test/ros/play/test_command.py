"""msdepth play on real ROS 2: what arrives, when, with which stamps and QoS, and the space key."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import PERIOD_NS, START_NS, pixels_of, stamps_of, write_bag
from mcap_files import IMAGES, channel, image_message, mcap, message, schema, write

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

NAMES = ("rgb", "nir", "thermal")


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "msdepth_ros.cli", "play", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


class Listener:
    """Subscribes with best effort, which fits every publisher, and notes when each message came."""

    def __init__(self) -> None:
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from rclpy.qos import qos_profile_sensor_data
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        self.node = Node("listener")
        self.got: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        topics = {f"/{name}/image/compressed": CompressedImage for name in NAMES}
        topics |= {f"/{name}/image": Image for name in NAMES} | {"/rgb/camera_info": CameraInfo, "/clock": Clock}
        for topic, kind in topics.items():
            self.node.create_subscription(kind, topic, self._take(topic), qos_profile_sensor_data)

    def _take(self, topic: str):
        return lambda message: self.got[topic].append((time.time_ns(), message))

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def spin_until(self, condition, timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)
        assert condition()

    def spin_while(self, process: subprocess.Popen[str]) -> str:
        self.spin_until(lambda: process.poll() is not None)
        self.spin_for(0.3)
        errors = process.stderr.read()
        assert process.returncode == 0, errors
        return errors


@pytest.fixture
def listener(ros: None) -> Iterator[Listener]:
    made = Listener()
    yield made
    made.executor.shutdown()
    made.node.destroy_node()


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_everything_arrives_as_recorded(listener: Listener, tmp_path: Path) -> None:
    topics = [*(f"/{name}/image/compressed" for name in NAMES), "/rgb/camera_info"]
    play = start(write_bag(tmp_path / "drive", instants=8), "--wait-for-subscribers", 1, "--topics", *topics)
    listener.spin_while(play)
    for name in NAMES:
        got = listener.got[f"/{name}/image/compressed"]
        assert [stamp_ns(image) for _, image in got] == [stamps_of(name, index) for index in range(8)]
        assert got[0][1].format.endswith("png")
    times = [received_ns for received_ns, _ in listener.got["/rgb/image/compressed"]]
    assert (times[-1] - times[0]) * 1e-9 == pytest.approx(0.7, abs=0.25)
    assert len(listener.got["/rgb/camera_info"]) == 8
    assert not listener.got["/clock"]
    assert re.search(r"published 32 messages, the median \d+\.\d ms", play.stdout.read())


def test_decoded_and_moved_to_now_at_twice_the_rate(listener: Listener, tmp_path: Path) -> None:
    topics = [f"/{name}/image/compressed" for name in NAMES]
    folder = write_bag(tmp_path / "drive", instants=6)
    play = start(folder, "--raw", "--restamp", "--rate", 2, "--wait-for-subscribers", 1, "--topics", *topics,
                 "--ros-args", "-r", "__node:=replay", "--log-level", "warn")  # fmt: skip
    listener.spin_until(lambda: "replay" in listener.node.get_node_names())
    listener.spin_while(play)
    for name in NAMES:
        for index, (_, image) in enumerate(listener.got[f"/{name}/image"]):
            expected = pixels_of(name, index)
            np.testing.assert_array_equal(np.asarray(image.data).view(expected.dtype), expected.ravel())
    stamps = [stamp_ns(image) for _, image in listener.got["/rgb/image"]]
    np.testing.assert_allclose(np.diff(stamps), PERIOD_NS / 2, atol=1000)
    for received_ns, image in listener.got["/rgb/image"]:
        assert 0 <= received_ns - stamp_ns(image) < 10**9
    assert not listener.got["/rgb/image/compressed"]
    assert not listener.got["/rgb/camera_info"]


def test_the_clock_is_that_of_the_recording_and_jumps_back_in_a_loop(listener: Listener, tmp_path: Path) -> None:
    play = start(write_bag(tmp_path / "drive", instants=5), "--clock", 50, "--loop")
    listener.spin_until(lambda: len(listener.got["/rgb/image/compressed"]) > 11)
    play.send_signal(signal.SIGINT)
    listener.spin_while(play)
    times = np.array([m.clock.sec * 10**9 + m.clock.nanosec for _, m in listener.got["/clock"]])
    assert times.min() >= START_NS
    assert times.max() <= START_NS + 6 * PERIOD_NS
    # which loop the first message that arrives belongs to is a matter of discovery
    jumps = np.diff(times)[np.diff(times) < 0]
    assert len(jumps) >= 2
    np.testing.assert_allclose(jumps, -5 * PERIOD_NS, atol=0.5 * PERIOD_NS)
    assert np.median(np.diff(times)) == pytest.approx(20e6, rel=0.5)
    stamps = [stamp_ns(image) for _, image in listener.got["/rgb/image/compressed"]]
    assert stamps[5] == stamps[0]


def test_qos_is_that_of_the_recording(listener: Listener, tmp_path: Path) -> None:
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    folder = write_bag(tmp_path / "drive")
    text = (folder / "metadata.yaml").read_text()
    times = "{sec: 0, nsec: 0}"
    profile = (
        "offered_qos_profiles:\n          - {history: keep_last, depth: 4, reliability: best_effort, "
        f"durability: transient_local, deadline: {times}, lifespan: {times}, liveliness: automatic, "
        f"liveliness_lease_duration: {times}, avoid_ros_namespace_conventions: false}}"
    )
    (folder / "metadata.yaml").write_text(text.replace("offered_qos_profiles: []", profile))
    play = start(folder, "--loop", "--topics", "/rgb/image/compressed")
    listener.spin_until(lambda: listener.got["/rgb/image/compressed"])
    offered = listener.node.get_publishers_info_by_topic("/rgb/image/compressed")[0].qos_profile
    play.send_signal(signal.SIGINT)
    listener.spin_while(play)
    assert offered.reliability == ReliabilityPolicy.BEST_EFFORT
    assert offered.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_space_pauses_and_goes_on(listener: Listener, tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    play = start(write_bag(tmp_path / "drive"), "--loop", "--start-paused", stdin=terminal)
    images = listener.got["/rgb/image/compressed"]
    try:
        listener.spin_until(lambda: listener.node.count_publishers("/rgb/image/compressed"))
        listener.spin_for(2.5)
        assert not images
        os.write(main, b" ")
        listener.spin_until(lambda: len(images) > 3)
        os.write(main, b" ")
        listener.spin_for(0.5)
        count = len(images)
        listener.spin_for(1.0)
        assert len(images) == count
        os.write(main, b" ")
        listener.spin_until(lambda: len(images) > count + 3)
    finally:
        play.send_signal(signal.SIGINT)
        listener.spin_while(play)
        os.close(main)
        os.close(terminal)


def test_a_type_that_is_not_installed_is_named_and_the_rest_is_played(listener: Listener, tmp_path: Path) -> None:
    custom = [schema(9, "made_up_msgs/msg/Thing", "uint8 value\n"), channel(9, 9, "/thing"),
              message(9, START_NS, b"\0\1\0\0\7")]  # fmt: skip
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, *custom, image_message(START_NS)]))
    errors = listener.spin_while(start(path, "--wait-for-subscribers", 1))
    assert "note: not played: /thing (made_up_msgs/msg/Thing is not installed)" in errors
    assert len(listener.got["/rgb/image/compressed"]) == 1
    refused = start(path, "--topics", "/thing")
    assert "cannot play /thing" in refused.communicate(timeout=30)[1]
    assert refused.returncode == 2


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--rate", "0"], "--rate: '0' must be"), (["--start", "-1"], "--start: '-1' must be"),
    (["--clock", "--restamp"], "does not go with --restamp"), (["--clock", "0"], "above 0 and of at most 1000"),
    (["--start-paused"], "needs a terminal"), (["--topics", "/sonar"], "no messages on /sonar"),
    (["--wait-for-subscribers", "3", "--timeout", "0.2"], "has 0"),
    (["--as-drivers", "--raw"], "--as-drivers does not go with"),
])  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(domain: None, tmp_path: Path, arguments: list[str], reason: str) -> None:
    play = start(write_bag(tmp_path / "drive"), *arguments, stdin=subprocess.DEVNULL)
    _, errors = play.communicate(timeout=30)
    assert play.returncode == 2
    assert errors.startswith("msdepth: error:")
    assert reason in errors
    assert len(errors.strip().splitlines()) == 1
