"""Plays a recording as camera drivers would: raw images and camera_info, stamped with the moment of capture.

The moment of capture is the scheduled moment: the recorded intervals, shifted to now. An image leaves at that moment
or right after it, so its stamp is never in the future, and whatever the player is late counts as latency.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.nodes.tool import run_tool
from msdepth_ros.replay.bag import Bag
from msdepth_ros.replay.instants import camera_period_ns, group_instants
from msdepth_ros.replay.playback import (
    TRUTH,
    Packet,
    PlaybackConfig,
    Source,
    check_rate,
    find_sources,
    parse_spectra,
    read_packets,
    stamped,
)
from msdepth_ros.replay.read_ahead import ReadAhead
from msdepth_ros.replay.records import percentiles_ms

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.publisher import Publisher

_BUFFER_BYTES = 768 << 20  # about half a minute of three cameras at 10 Hz
_SETTLE_S = 1.0  # a subscriber that we have found may not have found us yet
_LEAD_NS = 50_000_000
_ACCOUNT = 1_000_000  # images remembered for the summary: nine hours of three cameras at 10 Hz


class Player:
    """Publishers for the cameras of a recording, and the account of what they published.

    Args:
        node: The ROS node.
        sources: Cameras to publish.
        stop: Set to end playing early.
    """

    def __init__(self, node: Node, sources: Sequence[Source], stop: threading.Event) -> None:
        """Create the publishers."""
        from rclpy.qos import QoSProfile, qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo, Image

        self._node = node
        self._stop = stop
        self._images: dict[str, Publisher[Any]] = {}
        self._infos: dict[str, Publisher[Any]] = {}
        for source in sources:
            qos: QoSProfile = QoSProfile(depth=5) if source.name == TRUTH else qos_profile_sensor_data
            self._images[source.name] = node.create_publisher(Image, source.live_image, qos)
            self._infos[source.name] = node.create_publisher(CameraInfo, source.live_info, qos)
        self._stamps: deque[tuple[int, str]] = deque(maxlen=_ACCOUNT)
        self._published: Counter[str] = Counter()
        self._late_ms: deque[float] = deque(maxlen=_ACCOUNT)

    def wait_for_subscribers(self, count: int, timeout_s: float) -> None:
        """Wait until every camera's images have subscribers.

        Args:
            count: How many on each image topic.
            timeout_s: How long to wait.

        Raises:
            MsdepthError: They did not come in time.
        """
        cameras = {name: publisher for name, publisher in self._images.items() if name != TRUTH}
        give_up = time.monotonic() + timeout_s
        while count and not self._stop.is_set():
            found = {publisher.topic_name: publisher.get_subscription_count() for publisher in cameras.values()}
            if min(found.values()) >= count:
                self._stop.wait(_SETTLE_S)
                return
            if time.monotonic() > give_up:
                seen = ", ".join(f"{topic} has {number}" for topic, number in found.items())
                raise MsdepthError(
                    f"after {timeout_s:g} s not every image topic has {count} subscribers: {seen}. Is the node active, "
                    "in the same ROS_DOMAIN_ID and with the same Fast DDS profile, and subscribed to these topics?"
                )
            self._stop.wait(0.05)

    def play(self, packets: ReadAhead, rate: float) -> None:
        """Publish everything at the recorded times.

        Args:
            packets: Prepared images.
            rate: Speed; 2 plays twice as fast.
        """
        begin_ns: int | None = None
        first_ns = 0
        for packet in packets:
            if begin_ns is None:
                begin_ns, first_ns = time.time_ns() + _LEAD_NS, packet.stamp_ns
            due_ns = begin_ns + int((packet.stamp_ns - first_ns) / rate)
            if self._stop.wait(max(0, due_ns - time.time_ns()) * 1e-9):
                return
            self._publish(packet, due_ns)

    def _publish(self, packet: Packet, stamp_ns: int) -> None:
        """Publish one image with its camera_info, which goes first so that it is there when the image is."""
        name = packet.source.name
        self._infos[name].publish(stamped(packet.info, stamp_ns))
        self._images[name].publish(stamped(packet.image, stamp_ns))
        self._published[name] += 1
        self._late_ms.append((time.time_ns() - stamp_ns) * 1e-6)
        if name != TRUTH:
            self._stamps.append((stamp_ns, name))

    def summary(self) -> dict[str, Any]:
        """What was published: instants, images of each camera, how late."""
        period_ns = camera_period_ns(self._stamps)
        return {
            "period_ns": period_ns,
            "instants": [instant._asdict() for instant in group_instants(self._stamps, period_ns)],
            "published": dict(self._published),
            "late_ms": percentiles_ms(self._late_ms),
        }


def _parser() -> argparse.ArgumentParser:
    """Command line of the player."""
    parser = argparse.ArgumentParser(prog="player", description="Play a recording as camera drivers would.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder or file")
    parser.add_argument("--spectra", default=",".join(SPECTRA), help="cameras to play (default: %(default)s)")
    parser.add_argument("--prefix", default="", help="what precedes the topic names in the bag, e.g. /vehicle")
    parser.add_argument("--rate", type=float, default=1.0, help="speed (default: %(default)s)")
    parser.add_argument("--duration", type=float, metavar="S", help="play only the first S seconds")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.add_argument(
        "--wait-for-subscribers", type=int, default=1, metavar="N", help="per image topic; 0 starts at once (default 1)"
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="how long to wait for them")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write what was published, as JSON")
    return parser


def run(options: argparse.Namespace) -> None:
    """Play one recording.

    Args:
        options: The parsed command line.
    """
    import rclpy

    rate = check_rate(options.rate)
    config = PlaybackConfig(
        bag=options.bag,
        spectra=parse_spectra(options.spectra),
        prefix=options.prefix.rstrip("/"),
        duration_ns=None if options.duration is None else int(options.duration * 1e9),
        loop=options.loop,
    )
    with Bag(config.bag) as bag:
        sources = find_sources(bag, config)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    node = rclpy.create_node("player")
    player = Player(node, sources, stop)
    try:
        with ReadAhead(read_packets(config), _BUFFER_BYTES) as packets:
            packets.wait_until_filled()
            player.wait_for_subscribers(options.wait_for_subscribers, options.timeout)
            player.play(packets, rate)
        if options.summary:
            options.summary.write_text(json.dumps(player.summary()), encoding="utf-8")
    finally:
        node.destroy_node()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `player` process; returns the exit code."""
    return run_tool("player", _parser(), run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
