"""Publishes prepared messages when they are due."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.playback.camera_messages import Packet, put_stamp
from msdepth_ros.ros.play.schedule import Schedule

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rclpy.qos import QoSProfile

_SETTLE_S = 1.0  # a subscriber that we have found may not have found us yet
_DRAIN_S = 2.0
_LAST_S = 0.3  # best effort acknowledges nothing
_ACCOUNT = 1_000_000  # messages remembered: nine hours of three cameras at 10 Hz


class Outlet(NamedTuple):
    """A topic to publish on.

    Attributes:
        topic: Its name.
        message_class: Of rclpy.
        qos: How to offer it.
    """

    topic: str
    message_class: Any
    qos: QoSProfile


class Player:
    """Publishers, and the account of what they published.

    Args:
        node: The ROS node.
        outlets: Topics to publish on.
        stop: Set to end playing early.
        restamp: Give every stamp the distance from now that it had from the time at which it is due.
    """

    def __init__(self, node: Node, outlets: Sequence[Outlet], stop: threading.Event, *, restamp: bool = True) -> None:
        self._stop, self._restamp = stop, restamp
        self._publishers: dict[str, Publisher[Any]] = {
            outlet.topic: node.create_publisher(outlet.message_class, outlet.topic, outlet.qos) for outlet in outlets
        }
        self.loop_ns = 0
        self.published: Counter[str] = Counter()
        self.moments: deque[tuple[int, str]] = deque(maxlen=_ACCOUNT)
        self.late_ms: deque[float] = deque(maxlen=_ACCOUNT)

    def wait_for_subscribers(self, topics: Collection[str], count: int, timeout_s: float) -> None:
        """Waits until topics have subscribers.

        Args:
            topics: Those that matter.
            count: How many on each; 0 does not wait.
            timeout_s: How long to wait.

        Raises:
            MsdepthError: They did not come in time.
        """
        publishers = [publisher for topic, publisher in self._publishers.items() if topic in topics]
        give_up = time.monotonic() + timeout_s
        while count and not self._stop.is_set():
            found = {publisher.topic_name: publisher.get_subscription_count() for publisher in publishers}
            if min(found.values()) >= count:
                self.settle()
                return
            if time.monotonic() > give_up:
                seen = ", ".join(f"{topic} has {number}" for topic, number in found.items())
                raise MsdepthError(
                    f"after {timeout_s:g} s not every topic has {count} subscribers: {seen}. Is the node active, "
                    "in the same ROS_DOMAIN_ID and with the same Fast DDS profile, and subscribed to these topics?"
                )
            self._stop.wait(0.05)

    def settle(self) -> None:
        """Gives subscribers the time to find the publishers."""
        self._stop.wait(_SETTLE_S)

    def play(self, packets: Iterable[Packet], schedule: Schedule) -> None:
        """Publishes everything at the recorded times.

        Args:
            packets: Prepared messages.
            schedule: Says when they are due.
        """
        for packet in packets:
            due_ns = schedule.wait_until(packet.stamp_ns)
            if due_ns is None:
                return
            self.loop_ns = packet.loop_ns
            self._publish(packet, due_ns, schedule.rate)

    def drain(self) -> None:
        """Gives what was published last the time to arrive: it is lost when the publisher ends before."""
        from rclpy.duration import Duration

        end = time.monotonic() + _DRAIN_S
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, end - time.monotonic())))
        self._stop.wait(_LAST_S)

    def _publish(self, packet: Packet, due_ns: int, rate: float) -> None:
        """Publishes the messages of one packet."""
        for topic, data, stamps in packet.messages:
            for place, later_ns in stamps if self._restamp else ():
                put_stamp(data, due_ns + int(later_ns / rate), place)
            self._publishers[topic].publish(bytes(data))
        self.published[packet.name] += 1
        self.late_ms.append((time.time_ns() - due_ns) * 1e-6)
        self.moments.append((due_ns, packet.name))
