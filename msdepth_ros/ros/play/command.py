"""The `msdepth play` command: publishes a recording over ROS 2 as `ros2 bag play` does, where that is not installed."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.qos import RecordedQos
from msdepth_ros.bags.read_ahead import ReadAhead
from msdepth_ros.core.arguments import COUNT, DURATION_S, SPEED, START_S, number
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.progress import StatusLine
from msdepth_ros.playback.recorded_messages import CLOCK_TOPIC, RecordedConfig, Track, find_tracks, read_recorded
from msdepth_ros.results.live import percentiles_ms
from msdepth_ros.ros.play.keyboard import Keys
from msdepth_ros.ros.play.player import Outlet, Player
from msdepth_ros.ros.play.schedule import Schedule
from msdepth_ros.ros.tool import ros_session

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

DESCRIPTION = (
    "Publishes a recording over ROS 2: every topic whose message type is installed, with the QoS it was recorded with. "
    "Space pauses and goes on, Ctrl-C ends."
)
_BUFFER_BYTES = 128 << 20
_CLOCK_HZ = 40.0
_CLOCK_RATE = number(above=0.0, at_most=1000.0)
_SHOW_HZ = 10.0
_NS = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `msdepth play`."""
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="recording: folder, or .mcap or .db3 file")
    add("--rate", type=SPEED, default=1.0, help="speed (default: %(default)s)")
    add("--loop", action="store_true", help="start again at the end")
    add(
        "--start", type=START_S, default=0.0, metavar="S", help="leave out the first S seconds; latched topics are kept"
    )
    add("--duration", type=DURATION_S, metavar="S", help="play only S seconds")
    add("--start-paused", action="store_true", help="wait for the space key")
    add("--topics", nargs="+", metavar="TOPIC", help="play only these (default: all)")
    add("--raw", action="store_true", help="decode JPEG and PNG: TOPIC/compressed is published on TOPIC, raw")
    add("--clock", type=_CLOCK_RATE, nargs="?", const=_CLOCK_HZ, metavar="HZ", help="publish the recording's time on "
        "/clock (default rate: %(const)s), for nodes with use_sim_time")  # fmt: skip
    add("--restamp", action="store_true", help="move all stamps to now; by default they stay as recorded")
    add("--wait-for-subscribers", type=COUNT, default=0, metavar="N", help="start when every topic has N (default: 0)")
    add("--timeout", type=START_S, default=60.0, metavar="S", help="how long to wait for them (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Plays one recording.

    Args:
        arguments: What `add_arguments` declared.

    Returns:
        0, also if it was ended by Ctrl-C.

    Raises:
        MsdepthError: Bad input, or a damaged recording.
    """
    config = _config(arguments)
    with Bag(config.bag) as bag:
        for remark in bag.remarks:
            print(f"note: {remark}", file=sys.stderr)
        tracks = find_tracks(bag, config)
        begin_ns, length_s = bag.start_ns, bag.duration_ns / _NS
    with ros_session([]):
        import rclpy

        node = rclpy.create_node("msdepth_play")
        try:
            outlets = _outlets(tracks, arguments)
            topics = {outlet.topic for outlet in outlets}
            stop = _stop_by_signal()
            player = Player(node, outlets, stop, restamp=arguments.restamp)
            ticker = _Ticker(node, player, arguments.clock, begin_ns, length_s)
            schedule = Schedule(arguments.rate, stop, ticker, 1 / ticker.rate_hz, paused=arguments.start_paused)
            _play(config, [track for track in tracks if track.live in topics], player, schedule, arguments)
            ticker.close()
        finally:
            node.destroy_node()
    late = percentiles_ms(player.late_ms)
    print(f"published {sum(player.published.values())} messages, the median {late['p50'] or 0:.1f} ms after it was due")
    return 0


def _play(
    config: RecordedConfig, tracks: list[Track], player: Player, schedule: Schedule, arguments: argparse.Namespace
) -> None:
    """Publishes while keys are listened to."""
    packets = read_recorded(config, tracks)
    with Keys({" ": schedule.toggle_pause}) as keys, ReadAhead(packets, _BUFFER_BYTES) as ahead:
        if arguments.start_paused and not keys.listening:
            raise MsdepthError("--start-paused needs a terminal whose space key goes on; start it in one")
        ahead.wait_until_filled()
        if arguments.wait_for_subscribers:
            topics = [track.live for track in tracks]
            player.wait_for_subscribers(topics, arguments.wait_for_subscribers, arguments.timeout)
        else:
            player.settle()
        player.play(ahead, schedule)
        player.drain()


class _Ticker:
    """Shows where playing is, and publishes /clock if it is wanted.

    Args:
        node: The ROS node.
        player: Knows what a loop has added to the time.
        clock_hz: How often to publish; None does not.
        begin_ns: When the recording began.
        length_s: How long it is.
    """

    def __init__(self, node: Node, player: Player, clock_hz: float | None, begin_ns: int, length_s: float) -> None:
        self.rate_hz = clock_hz or _SHOW_HZ
        self._player, self._begin_ns, self._length_s = player, begin_ns, length_s
        self._line = StatusLine(sys.stderr)
        self._next_s = 0.0
        self._clock: Any = None
        if clock_hz is not None:
            from rclpy.qos import QoSProfile
            from rosgraph_msgs.msg import Clock

            self._clock = node.create_publisher(Clock, CLOCK_TOPIC, QoSProfile(depth=1))

    def __call__(self, recording_ns: int, paused: bool) -> None:
        """One moment of the recording, loops counted on."""
        at_ns = recording_ns - self._player.loop_ns
        if self._clock is not None and time.monotonic() >= self._next_s:
            from rosgraph_msgs.msg import Clock

            self._next_s = time.monotonic() + 0.9 / self.rate_hz  # messages, too, end a wait
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(at_ns, _NS)
            self._clock.publish(message)
        where = f"{(at_ns - self._begin_ns) / _NS:.1f} of {self._length_s:.1f} s"
        self._line.show(f"{where}, paused: space goes on" if paused else where)

    def close(self) -> None:
        """Leaves the line."""
        self._line.close()


def _config(arguments: argparse.Namespace) -> RecordedConfig:
    """What to play."""
    if arguments.clock is not None and arguments.restamp:
        raise MsdepthError("--clock tells the recording's time and does not go with --restamp")
    return RecordedConfig(
        bag=arguments.bag,
        topics=tuple(dict.fromkeys(arguments.topics)) if arguments.topics else None,
        raw=arguments.raw,
        start_ns=round(arguments.start * _NS),
        duration_ns=None if arguments.duration is None else max(1, round(arguments.duration * _NS)),
        loop=arguments.loop,
    )


def _outlets(tracks: list[Track], arguments: argparse.Namespace) -> list[Outlet]:
    """Topics to publish on; those whose type is not installed are named and left out, unless they were asked for.

    Raises:
        MsdepthError: A topic that was asked for cannot be played, or none can.
    """
    outlets, reasons = [], []
    for track in tracks:
        if track.topic == CLOCK_TOPIC and arguments.clock is not None:
            reasons.append(f"{CLOCK_TOPIC} (--clock publishes it)")
            continue
        message_class = find_message_class(track.msgtype)
        if message_class is None:
            reasons.append(f"{track.topic} ({track.msgtype} is not installed)")
        else:
            outlets.append(Outlet(track.live, message_class, qos_profile(track.qos)))
    if reasons and (arguments.topics or not outlets):
        raise MsdepthError(f"cannot play {', '.join(reasons)}; install the message package, or leave the topic out")
    for reason in reasons:
        print(f"note: not played: {reason}", file=sys.stderr)
    return outlets


def find_message_class(msgtype: str) -> Any:
    """The class of a message type such as `sensor_msgs/msg/Image`; None if its package is not installed."""
    package, _, name = msgtype.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def qos_profile(recorded: RecordedQos) -> QoSProfile:
    """How rclpy offers a topic as it was recorded."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        depth=recorded.depth,
        reliability=ReliabilityPolicy.RELIABLE if recorded.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if recorded.latched else DurabilityPolicy.VOLATILE,
    )


def _stop_by_signal() -> threading.Event:
    """Set by Ctrl-C and by the wish to end."""
    stop = threading.Event()
    for wish in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wish, lambda *_: stop.set())
    return stop
