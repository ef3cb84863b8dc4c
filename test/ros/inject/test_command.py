"""The injector as a process between cameras and whoever listens to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

SPECTRA = ("rgb", "thermal")


class Street:
    """Cameras before an injector, and what comes out of it."""

    def __init__(self, messages: Any) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo, Image
        from std_msgs.msg import String

        self._messages = messages
        self.node = rclpy.create_node("street")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.seen: dict[str, list[Any]] = {f"{name}/{kind}": [] for name in SPECTRA for kind in ("image", "info")}
        self.events: list[dict[str, Any]] = []
        self._cameras = {}
        for name in SPECTRA:
            self._cameras[name] = (
                self.node.create_publisher(Image, f"{name}/image", qos_profile_sensor_data),
                self.node.create_publisher(CameraInfo, f"{name}/camera_info", qos_profile_sensor_data),
            )
            for kind, topic, key in ((Image, "image", "image"), (CameraInfo, "camera_info", "info")):
                self.node.create_subscription(
                    kind, f"bad/{name}/{topic}", self.seen[f"{name}/{key}"].append, qos_profile_sensor_data
                )
        self.commands = self.node.create_publisher(String, "injector/inject", 10)
        self.node.create_subscription(
            String, "injector/events", lambda one: self.events.append(json.loads(one.data)), 10
        )
        self._process: subprocess.Popen[str] | None = None
        self._stamp_ns = 1_000_000_000

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "msdepth_ros.ros.inject.command", "--prefix", "bad", "--spectra"]
        command += [",".join(SPECTRA), "--wait-for-subscribers", "1", *arguments]
        self._process = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True)
        self.until(lambda: all(image.get_subscription_count() for image, _ in self._cameras.values()), 30.0)
        self.spin(0.3)

    def drive(self, count: int, period_s: float = 0.05) -> None:
        """Publishes so many images of each camera, a tenth of a second apart by their stamps."""
        for _ in range(count):
            self._stamp_ns += 100_000_000
            for name, (image, info) in self._cameras.items():
                info.publish(self._messages.camera_info(name, self._stamp_ns))
                image.publish(self._messages.image(name, self._stamp_ns))
            self.spin(period_s)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"not within {timeout_s} s"
            self._executor.spin_once(timeout_sec=0.05)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        assert self._process is not None
        self._process.send_signal(number)
        output, _ = self._process.communicate(timeout=20)
        return self._process.returncode, output

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def street(ros: None, messages: Any) -> Iterator[Street]:
    made = Street(messages)
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_faults_everything_passes_unchanged(street: Street, messages: Any, number: signal.Signals) -> None:
    street.start()
    street.drive(5)
    street.until(lambda: all(len(seen) == 5 for seen in street.seen.values()))
    assert street.seen["thermal/image"][-1] == messages.image("thermal", 1_500_000_000)
    assert street.seen["rgb/info"][0] == messages.camera_info("rgb", 1_100_000_000)
    assert street.events == []
    code, output = street.end(number)
    assert (code, output) == (0, "")


def test_a_fault_hits_its_camera_only_and_is_told(street: Street) -> None:
    street.start("black:rgb", "nan_calibration:thermal")
    street.drive(4)
    street.until(lambda: len(street.seen["rgb/image"]) == 4 and len(street.seen["thermal/info"]) == 4)
    assert all(set(image.data) == {0} for image in street.seen["rgb/image"])
    assert all(np.frombuffer(image.data, np.uint16).max() > 0 for image in street.seen["thermal/image"])
    assert all(np.isnan(info.k).all() for info in street.seen["thermal/info"][1:])
    street.until(lambda: len(street.events) == 2)
    assert {(event["span"], event["phase"]) for event in street.events} == {
        ("black:rgb@0-s", "begin"),
        ("nan_calibration:thermal@0-s", "begin"),
    }
    assert street.events[0]["stamp_ns"] == 1_100_000_000
    assert "black of rgb begins" in street.end()[1]


def test_a_schedule_begins_with_the_first_image_and_ends(street: Street) -> None:
    street.start("drop:rgb@0-0.5s")
    street.spin(0.7)  # waiting does not count
    street.drive(3)
    assert street.seen["rgb/image"] == []
    street.until(lambda: len(street.seen["thermal/image"]) == 3)
    street.spin(0.5)
    street.drive(2)
    street.until(lambda: len(street.seen["rgb/image"]) == 2)
    street.until(lambda: [event["phase"] for event in street.events] == ["begin", "end"])
    assert street.events[1]["stamp_ns"] == 1_400_000_000  # the first good image


def test_commands_are_taken_while_it_runs(street: Street) -> None:
    from std_msgs.msg import String

    street.start()
    street.until(street.commands.get_subscription_count)
    street.commands.publish(String(data="freeze:thermal dead:rgb"))
    street.spin(0.3)
    street.drive(3)
    street.until(lambda: len(street.events) == 2)
    assert street.node.count_publishers("bad/rgb/image") == 0
    street.commands.publish(String(data="nothing:rgb"))  # is refused, and changes nothing
    street.commands.publish(String(data=""))
    street.spin(0.3)
    street.drive(1)
    street.until(lambda: len(street.events) == 4)
    street.until(lambda: street.node.count_publishers("bad/rgb/image") == 1)


def test_late_images_are_sent_when_they_are_due(street: Street) -> None:
    street.start("delay=0.5:rgb")
    begin = time.monotonic()
    street.drive(1)
    street.until(lambda: street.seen["rgb/image"])
    assert time.monotonic() - begin >= 0.5
    assert len(street.seen["thermal/image"]) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["black:uv"], "fault 'black:uv': write KIND:SPECTRUM@START-ENDs"),
        (["--spectra", "rgb", "black:nir"], "faults of nir, which --spectra does not name"),
        (["--spectra", "uv"], "give a comma-separated choice of rgb, nir, thermal"),
    ],
)
def test_bad_input_is_one_line(domain: None, arguments: list[str], complaint: str) -> None:
    command = [sys.executable, "-m", "msdepth_ros.cli", "inject", *arguments]
    result = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
