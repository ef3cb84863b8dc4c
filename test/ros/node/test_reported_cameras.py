"""What people's cameras really do, on the running node: it is used all the same, or somebody is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image

STAMP_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000


def keep_sending(bench: Any, said: Callable[[], bool], send: Callable[[int], None], most: int = 60) -> None:
    """Sends instant after instant until something is said."""
    for number in range(most):
        if said():
            return
        send(number)
        bench.spin(0.05)
    assert said()


@pytest.mark.parametrize(("spectrum", "encoding"), [("rgb", "rgb16"), ("nir", "mono16")])
def test_12_bits_in_16_are_told(bench: Any, messages: SimpleNamespace, spectrum: str, encoding: str) -> None:
    from msdepth_ros.ros.messages import array_to_image

    bench.start()
    bench.connect(spectrum)

    def send(number: int) -> None:
        width, height = messages.sizes[spectrum]
        shape = (height, width, 3) if spectrum == "rgb" else (height, width)
        pixels = np.random.default_rng(number).integers(0, 4096, shape).astype(np.uint16)
        header = messages.image(spectrum, STAMP_NS + number * PERIOD_NS).header
        bench.publisher(Image, f"/{spectrum}/image").publish(array_to_image(header, pixels, encoding))

    def status() -> Any:
        return bench.status(f"camera {spectrum}")

    keep_sending(bench, lambda: f"set {spectrum}.bits" in status().message, send)
    assert "never use more than 12 bits" in status().message
    assert status().level == b"\1"
    assert "bits" in status().values["faults"].split(",")


def test_stated_bits_are_not_doubted(bench: Any, messages: SimpleNamespace) -> None:
    from msdepth_ros.ros.messages import array_to_image

    bench.start(nir__bits=12)
    bench.connect("nir")
    width, height = messages.sizes["nir"]
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 4096, (height, width)).astype(np.uint16)
        header = messages.image("nir", STAMP_NS + number * PERIOD_NS).header
        bench.publisher(Image, "/nir/image").publish(array_to_image(header, pixels, "mono16"))
        bench.spin(0.05)
    bench.until(lambda: int(bench.status("camera nir").values["received"]) > 6)
    assert "bits" not in bench.status("camera nir").values["faults"].split(",")


def test_a_stamp_of_zero_is_told(bench: Any) -> None:
    bench.start()
    bench.connect("rgb")
    keep_sending(bench, lambda: bench.status("camera rgb").values["rejected"] != "0", lambda _: bench.send("rgb", 0))
    status = bench.status("camera rgb")
    assert "header.stamp is 0: the driver does not fill it in" in status.message
    assert "unstamped" in status.values["faults"].split(",")


def test_the_frame_of_the_images_counts(bench: Any, messages: SimpleNamespace) -> None:
    bench.start()
    bench.connect("rgb")
    for number in range(6):
        info = messages.camera_info("rgb", STAMP_NS)
        info.header.frame_id = "rgb_link"
        bench.tell("rgb", info)
        bench.send("rgb", STAMP_NS + number * PERIOD_NS)
        bench.spin(0.1)
    bench.until(lambda: bench.status("camera rgb").values["received"] != "0")
    bench.tell("rgb", info)
    bench.spin(0.3)
    assert bench.status("output").values["frame_id"] == "rgb_optical_frame"
    message = bench.status("camera rgb").message
    assert "images name frame 'rgb_optical_frame', their camera_info 'rgb_link'" in message
    assert "frame" in bench.status("camera rgb").values["faults"].split(",")


def test_a_body_frame_is_told(bench: Any, messages: SimpleNamespace) -> None:
    bench.start()
    bench.connect("nir")

    def send(number: int) -> None:
        image = messages.image("nir", STAMP_NS + number * PERIOD_NS)
        image.header.frame_id = "nir_link"
        bench.publisher(Image, "/nir/image").publish(image)

    keep_sending(bench, lambda: "is no optical frame by its name" in bench.status("camera nir").message, send)


def test_two_calibrations_in_turn_are_told_with_their_publisher(bench: Any, messages: SimpleNamespace) -> None:
    bench.start()
    bench.connect("rgb")
    for number in range(4):
        info = messages.camera_info("rgb", STAMP_NS)
        info.k[0] *= 1.2 if number % 2 else 1.0
        bench.tell("rgb", info)
        bench.spin(0.1)
    message = bench.status("camera rgb").message
    assert "camera_info changes (K); /rgb/camera_info is published by /peer" in message


def test_a_camera_info_that_does_not_fit_gives_way_to_one_that_does(bench: Any, messages: SimpleNamespace) -> None:
    bench.start()
    bench.connect("rgb")
    small = messages.camera_info("rgb", STAMP_NS)
    small.width, small.height = 99, 33
    bench.node._equipment.calibration._file_cameras.clear()  # noqa: SLF001  else the rig file refuses it first
    bench.tell("rgb", messages.camera_info("rgb", STAMP_NS))
    bench.tell("rgb", small)
    bench.spin(0.2)
    keep_sending(
        bench, lambda: bench.status("camera rgb").values["received"] != "0",
        lambda number: bench.send("rgb", STAMP_NS + number * PERIOD_NS),
    )  # fmt: skip


def test_transports_by_camera(bench: Any, messages: SimpleNamespace) -> None:
    bench.start(**{"image_transport.rgb": "compressed"})
    topics = {name: bench.status(f"camera {name}").values["topic"] for name in ("rgb", "nir", "thermal")}
    assert topics == {"rgb": "/rgb/image/compressed", "nir": "/nir/image", "thermal": "/thermal/image"}
    bench.listen("depth/image")
    pixels = np.random.default_rng(0).integers(0, 255, (64, 160, 3)).astype(np.uint8)
    message = CompressedImage(format="bgr8; jpeg compressed bgr8", data=cv2.imencode(".jpg", pixels)[1].tobytes())
    publisher = bench.publisher(CompressedImage, "/rgb/image/compressed")
    bench.publisher(Image, "/nir/image")
    bench.until(publisher.get_subscription_count)
    bench.until(lambda: bench.peer.count_publishers("/fused_depth/depth/image"))

    def send(number: int) -> None:
        message.header = messages.image("rgb", STAMP_NS + number * PERIOD_NS).header
        publisher.publish(message)
        bench.send("nir", STAMP_NS + number * PERIOD_NS)

    keep_sending(bench, lambda: "sets_rgb+nir" in bench.status("synchronizer").values, send)


@pytest.mark.parametrize(("asked", "published", "advice"), [
    ("compressed", "/thermal/image", "/thermal/image has one: set image_transport.thermal to raw"),
    ("raw", "/thermal/image/compressed", "compressed has one: set image_transport.thermal to compressed"),
])  # fmt: skip
def test_the_advice_names_what_is_published(bench: Any, asked: str, published: str, advice: str) -> None:
    bench.start(image_transport=asked)
    bench.publisher(Image if asked == "compressed" else CompressedImage, published)
    bench.until(lambda: advice in bench.status("camera thermal").message)


def test_one_topic_is_not_that_of_two_cameras(bench: Any) -> None:
    node = bench.start("-r", "rgb/image:=/cam", "-r", "nir/image:=/cam", begin=False)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() != TransitionCallbackReturn.SUCCESS
    statuses = node._diagnostics.statuses()  # noqa: SLF001
    assert any("/cam is that of rgb and nir; one topic is one camera's" in status.message for status in statuses)


def test_two_rigs_have_names_of_their_own(bench: Any) -> None:
    node = bench.start("-r", "__ns:=/front")
    statuses = node._diagnostics.statuses()  # noqa: SLF001  the topic says the same
    assert {status.name.partition(": ")[0] for status in statuses} == {"front/fused_depth"}
    assert {status.hardware_id for status in statuses} == {"front/fused_depth"}


@pytest.mark.parametrize("command", [
    ["msdepth_ros.ros.node.fused_depth"], ["msdepth_ros.cli", "play", "samples/city_drive"],
    ["msdepth_ros.cli", "inject", "black:rgb@1-2s"],
])  # fmt: skip
def test_without_a_folder_for_logs_one_line_says_so(ros: None, command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROS_LOG")}
    result = subprocess.run(
        [sys.executable, "-m", *command], env={**environment, "HOME": "/dev/null"}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    said = [line for line in result.stderr.splitlines() if "error: " in line]
    assert (result.returncode, len(said)) == (2, 1), result.stderr
    assert "set ROS_LOG_DIR to" in said[0]
    assert "Traceback" not in result.stderr
