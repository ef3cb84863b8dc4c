"""A camera that fails on purpose: its topics come in, and go out with the faults of a schedule.

Messages stay serialized unless a fault is about what is in them, so that a camera without a fault costs next to
nothing. What happens to the stream is in `msdepth_ros.core.injection.stream`, what happens to a picture in
`msdepth_ros.core.injection.faults`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from msdepth_ros.core.injection.faults import FaultSpan
from msdepth_ros.core.injection.stream import FaultStream
from msdepth_ros.ros.inject.faulty_messages import faulty_camera_info, faulty_image, stamp_of, with_stamp

_S = 1_000_000_000


class Timed(NamedTuple):
    """A fault with its times on the steady clock, nanoseconds; end is infinite for good."""

    span: FaultSpan
    begin_ns: int
    end_ns: float


class FaultyCamera:
    """One camera: its topics in and out, and the faults that it has.

    Args:
        node: our own ROS node.
        spectrum: of the camera.
        prefix: what precedes the topics that go out.
        image_transport: raw or compressed.
        seed: of what is left to chance.
        arrived: called first with each image.
        tell: called with each begin and end of a fault.
        send_at: called with a time and what to do then.
    """

    def __init__(
        self,
        node: Node,
        spectrum: str,
        *,
        prefix: str,
        image_transport: str,
        seed: int,
        arrived: Callable[[], None],
        tell: Callable[[FaultSpan, str, int], None],
        send_at: Callable[[int, Callable[[], None]], None],
    ) -> None:
        """Creates the publishers; `listen` begins."""
        self.spectrum = spectrum
        self._node, self._seed = node, seed
        self._arrived, self._tell, self._send_at = arrived, tell, send_at
        self._kind: type = Image if image_transport == "raw" else CompressedImage
        self._image = f"{spectrum}/image" + ("" if image_transport == "raw" else "/compressed")
        self._prefix = prefix
        self._stream: FaultStream[bytes] = FaultStream(spectrum, seed)
        self._schedule: list[Timed] = []
        self._told: set[Timed] = set()
        self._publishers: dict[str, Any] = {}
        self._live()

    def listen(self) -> None:
        """Subscribes to the camera."""
        for kind, topic, callback in (
            (CameraInfo, f"{self.spectrum}/camera_info", self._on_info),
            (self._kind, self._image, self._on_image),
        ):
            self._node.create_subscription(kind, topic, callback, qos_profile_sensor_data, raw=True)

    def subscribers(self) -> int:
        """How many listen to the images that go out."""
        return int(self._publishers["image"].get_subscription_count()) if self._publishers else 0

    def add(self, span: FaultSpan, zero_ns: int) -> None:
        """Takes a fault into the schedule; its times count from a moment of the steady clock."""
        end_ns = math.inf if math.isinf(span.end_s) else zero_ns + span.end_s * _S
        self._schedule.append(Timed(span, zero_ns + round(span.start_s * _S), end_ns))

    def clear(self) -> None:
        """Ends all faults with the next image."""
        self._schedule = [timed for timed in self._schedule if timed in self._told]
        self._schedule = [timed._replace(end_ns=0) for timed in self._schedule]
        self._told = set(self._schedule)

    def _live(self) -> None:
        """Makes the publishers, if they are not there."""
        if not self._publishers:
            make = self._node.create_publisher
            image, info = f"{self._prefix}/{self._image}", f"{self._prefix}/{self.spectrum}/camera_info"
            self._publishers["image"] = make(self._kind, image, qos_profile_sensor_data)
            self._publishers["info"] = make(CameraInfo, info, qos_profile_sensor_data)

    def _die(self) -> None:
        """Takes the publishers away, as when a driver ends."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def _faults(self, now_ns: int, stamp_ns: int | None = None) -> dict[str, float]:
        """Amounts by kind of the faults of this moment; with an image's stamp, begins and ends are told."""
        active = [timed for timed in self._schedule if timed.begin_ns <= now_ns < timed.end_ns]
        if stamp_ns is not None:
            for timed in active:
                if timed not in self._told:
                    self._told.add(timed)
                    self._tell(timed.span, "begin", stamp_ns)
            for timed in [one for one in self._schedule if now_ns >= one.end_ns]:
                self._schedule.remove(timed)
                self._told.discard(timed)
                self._tell(timed.span, "end", stamp_ns)
        return {timed.span.kind: timed.span.amount for timed in active}

    def _on_info(self, payload: bytes) -> None:
        if self._publishers:
            self._publishers["info"].publish(faulty_camera_info(payload, self._faults(time.monotonic_ns())))

    def _on_image(self, payload: bytes) -> None:
        self._arrived()
        now_ns, stamp_ns = time.monotonic_ns(), stamp_of(payload)
        faults = self._faults(now_ns, stamp_ns)
        self._die() if "dead" in faults else self._live()
        for one in self._stream.take(payload, stamp_ns, now_ns, faults):
            content = one.content if one.stamp_ns == stamp_of(one.content) else with_stamp(one.content, one.stamp_ns)
            message = faulty_image(content, self._kind, faults, self._seed + one.number)
            self._send_at(one.due_ns, lambda message=message: self._send(message))

    def _send(self, message: bytes) -> None:
        """Publishes, unless the publisher has gone in the meantime."""
        if self._publishers:
            self._publishers["image"].publish(message)
