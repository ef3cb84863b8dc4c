"""Ten thousand mutated messages on every topic of the running node: no crash, no hang, no growth, nothing uncounted."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from fuzz import mutants

import models
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.ros.node.inputs import _calibration_fields

COUNT = int(os.environ.get("MSDEPTH_FUZZ_COUNT", "10000"))
"""Messages on each topic."""
WARM_UP = 2000
LONGEST_S = 1.0


def rss_bytes() -> int:
    """Memory of this process."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("needs /proc")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Victim:
    """The subscriptions of one camera of an active node, called as the executor calls them."""

    def __init__(self, node: Any, spectrum: str) -> None:
        self.statistics = node._equipment.statistics
        self._spectrum = spectrum
        self.camera = next(camera for camera in node._pipeline.inputs if camera.spectrum == spectrum)
        self._image, self._info = (subscription.callback for subscription in self.camera._subscriptions[:2])
        self.uncounted = 0

    @property
    def counted(self) -> int:
        """Messages that were taken or rejected."""
        return self._seen.received + self._seen.rejected

    @property
    def rejected(self) -> int:
        """Messages that were rejected."""
        return self._seen.rejected

    @property
    def reason(self) -> str:
        """Why the last one was rejected."""
        return self._seen.last_rejection

    @property
    def _seen(self) -> Any:
        return self.statistics.snapshot().cameras[self._spectrum]

    def take_image(self, message: Any) -> None:
        """Every image counts, one way or the other."""
        before = self.counted
        self._image(message)
        self.uncounted += self.counted != before + 1

    def take_info(self, message: Any) -> None:
        """Every camera_info is in use afterwards, or counted as rejected."""
        before = self.rejected
        self._info(message)
        self.uncounted += self.camera._last_info != _calibration_fields(message) and self.rejected != before + 1


def bombard(victim: Victim, take: Callable[[Any], None], messages: Any, note: Callable[[str, Any], None]) -> None:
    """Sends everything, and notes and checks what came of it."""
    begin_bytes, slowest_s, number = 0, 0.0, 0
    for number, message in enumerate(messages, start=1):
        if number == WARM_UP:
            begin_bytes = rss_bytes()
        began_s = time.monotonic()
        take(message)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
    growth = rss_bytes() / begin_bytes - 1.0 if begin_bytes else 0.0
    facts = {"messages": number, "rejected": victim.rejected, "uncounted": victim.uncounted, "growth": growth}
    for name, value in (facts | {"slowest_ms": 1e3 * slowest_s}).items():
        note(name, value)
    seen = victim.statistics.snapshot()
    assert "errors" not in seen.counts, seen.last_error
    assert victim.uncounted == 0
    assert slowest_s < LONGEST_S
    assert victim.rejected > COUNT // 10
    assert growth < 0.05


@pytest.fixture
def start(bench: Any, tmp_path: Path) -> Callable[..., Any]:
    """An active node with the toy network."""
    model = str(models.toy_model(tmp_path / "toy.onnx"))
    return lambda **parameters: bench.start(model__path=model, **parameters)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_images(start: Any, messages: Any, record_property: Any, spectrum: str) -> None:
    victim = Victim(start(), spectrum)
    record_property("topic", f"{spectrum}/image")
    bombard(victim, victim.take_image, mutants(messages.image(spectrum, 1), COUNT, 1), record_property)
    assert taken(victim, messages.image(spectrum, 2))


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_camera_infos(start: Any, messages: Any, record_property: Any, spectrum: str) -> None:
    victim = Victim(start(), spectrum)
    record_property("topic", f"{spectrum}/camera_info")
    bombard(victim, victim.take_info, mutants(messages.camera_info(spectrum), COUNT, 2), record_property)
    victim.take_info(messages.camera_info(spectrum))
    assert taken(victim, messages.image(spectrum, 2))


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_compressed_images(start: Any, messages: Any, record_property: Any, spectrum: str) -> None:
    from sensor_msgs.msg import CompressedImage

    width, height = messages.sizes[spectrum]
    generator = np.random.default_rng(3)
    shape = (height, width, 3) if spectrum == "rgb" else (height, width)
    pixels = cv2.GaussianBlur(generator.integers(0, 256, shape, np.uint8), (7, 7), 0)
    kind, pixels = (".png", pixels.astype(np.uint16)) if spectrum == "thermal" else (".jpg", pixels)
    data = array("B", cv2.imencode(kind, pixels)[1].tobytes())
    good = CompressedImage(format=kind[1:], data=data)
    good.header.frame_id, good.header.stamp.sec = f"{spectrum}_optical_frame", 1
    victim = Victim(start(image_transport="compressed"), spectrum)
    record_property("topic", f"{spectrum}/image/compressed")
    bombard(victim, victim.take_image, mutants(good, COUNT, 3), record_property)
    assert taken(victim, good)


def taken(victim: Victim, good: Any) -> bool:
    """Whether a good image is still taken."""
    before = victim.rejected
    victim.take_image(good)
    return victim.rejected == before


def test_images_and_camera_infos_in_turn(start: Any, messages: Any) -> None:
    """A camera_info may be possible and wrong: then the images are, too, until a good one comes."""
    victim = Victim(start(), "thermal")
    images = mutants(messages.image("thermal", 1), COUNT // 4, 4)
    infos = mutants(messages.camera_info("thermal"), COUNT // 4, 5)
    for image, info in zip(images, infos, strict=False):
        victim.take_info(info)
        victim.take_image(image)
    seen = victim.statistics.snapshot()
    assert "errors" not in seen.counts, seen.last_error
    assert victim.uncounted == 0
    victim.take_info(messages.camera_info("thermal"))
    assert taken(victim, messages.image("thermal", 2))


def test_a_small_file_that_claims_to_be_huge_is_not_decoded(start: Any, messages: Any) -> None:
    from sensor_msgs.msg import CompressedImage

    data = array("B", cv2.imencode(".png", np.zeros((6000, 6000), np.uint16))[1].tobytes())
    victim = Victim(start(image_transport="compressed"), "thermal")
    before = rss_bytes()
    message = CompressedImage(format="png", data=data)
    message.header.stamp.sec = 1
    victim.take_image(message)
    assert victim.rejected == 1
    assert "6000 x 6000, its camera_info" in victim.reason
    assert rss_bytes() - before < 20_000_000


def test_bytes_that_are_no_message_are_dropped_before_the_node(start: Any, bench: Any, messages: Any) -> None:
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    victim = Victim(start(), "nir")
    bench.connect("nir")
    good = bytes(serialize_message(messages.image("nir", 1)))
    size = len(messages.image("nir", 1).data)
    endless = good.replace(size.to_bytes(4, "little"), (2**32 - 1).to_bytes(4, "little"))
    assert endless != good
    publisher = bench.publisher(Image, "/nir/image")
    for payload in (endless, b"", good[:4], good[:40], np.random.default_rng(6).bytes(5000)):
        publisher.publish(payload)
        bench.spin(0.1)
    bench.send("nir", 2)
    bench.until(lambda: victim.counted == 1)
    assert victim.rejected == 0
