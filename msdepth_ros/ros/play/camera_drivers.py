"""Plays a recording as camera drivers would: raw images and camera_info, stamped with the moment of capture.

The moment of capture is the scheduled moment: the recorded intervals, shifted to now. An image leaves at that moment
or right after it, so its stamp is never in the future, and whatever the player is late counts as latency.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.read_ahead import ReadAhead
from msdepth_ros.core.arguments import COUNT, DURATION_S, SPEED, START_S, Parser
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.playback.camera_messages import (
    TRUTH,
    PlaybackConfig,
    Source,
    find_sources,
    parse_spectra,
    read_packets,
)
from msdepth_ros.results.instants import camera_period_ns, group_instants
from msdepth_ros.results.live import percentiles_ms
from msdepth_ros.ros.play.player import BUFFER_BYTES, Outlet, Player
from msdepth_ros.ros.play.schedule import Schedule
from msdepth_ros.ros.tool import run_tool


def outlets_for(sources: Sequence[Source]) -> list[Outlet]:
    """Topics of the cameras, best effort as drivers publish them, and of the ground truth, reliable."""
    from rclpy.qos import QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image

    outlets = []
    for source in sources:
        qos = QoSProfile(depth=5) if source.name == TRUTH else qos_profile_sensor_data
        outlets += [Outlet(source.live_info, CameraInfo, qos), Outlet(source.live_image, Image, qos)]
    return outlets


def summary(player: Player) -> dict[str, Any]:
    """What was published: instants, images of each camera, how late."""
    moments = [moment for moment in player.moments if moment[1] != TRUTH]
    period_ns = camera_period_ns(moments)
    return {
        "period_ns": period_ns,
        "instants": [instant._asdict() for instant in group_instants(moments, period_ns)],
        "published": dict(player.published),
        "late_ms": percentiles_ms(player.late_ms),
    }


def _parser() -> argparse.ArgumentParser:
    """Command line of the player."""
    parser = Parser(prog="player", description="Play a recording as camera drivers would.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder or file")
    parser.add_argument("--spectra", default=",".join(SPECTRA), help="cameras to play (default: %(default)s)")
    parser.add_argument("--prefix", default="", help="what precedes the topic names in the bag, e.g. /vehicle")
    parser.add_argument("--rate", type=SPEED, default=1.0, help="speed (default: %(default)s)")
    parser.add_argument("--duration", type=DURATION_S, metavar="S", help="play only the first S seconds")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.add_argument(
        "--wait-for-subscribers",
        type=COUNT,
        default=1,
        metavar="N",
        help="per image topic; 0 starts at once (default 1)",
    )
    parser.add_argument("--timeout", type=START_S, default=60.0, metavar="S", help="how long to wait for them")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write what was published, as JSON")
    return parser


def run(options: argparse.Namespace) -> None:
    """Play one recording.

    Args:
        options: The parsed command line.
    """
    import rclpy

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
    player = Player(node, outlets_for(sources), stop)
    cameras = [source.live_image for source in sources if source.name != TRUTH]
    try:
        with ReadAhead(read_packets(config), BUFFER_BYTES) as packets:
            packets.wait_until_filled()
            player.wait_for_subscribers(cameras, options.wait_for_subscribers, options.timeout)
            player.play(packets, Schedule(options.rate, stop))
        if options.summary:
            options.summary.write_text(json.dumps(summary(player)), encoding="utf-8")
    finally:
        node.destroy_node()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `player` process; returns the exit code."""
    return run_tool("player", _parser(), run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
