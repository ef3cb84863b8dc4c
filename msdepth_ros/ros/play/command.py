"""The `msdepth play` command: publishes a recording over ROS 2, as `ros2 bag play` does or as camera drivers would.

As camera drivers would means raw images and camera_info, stamped with the moment of capture. That is the scheduled
moment: the recorded intervals, shifted to now. An image leaves at that moment or right after it, so its stamp is never
in the future, and whatever the player is late counts as latency.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.qos import RecordedQos
from msdepth_ros.bags.read_ahead import ReadAhead
from msdepth_ros.core.arguments import COUNT, DURATION_S, SPEED, START_S, Parser, number
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.progress import StatusLine
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.playback.camera_messages import (
    TRUTH,
    Packet,
    PlaybackConfig,
    find_sources,
    parse_spectra,
    read_packets,
)
from msdepth_ros.playback.recorded_messages import CLOCK_TOPIC, RecordedConfig, Track, find_tracks, read_recorded
from msdepth_ros.results.instants import camera_period_ns, group_instants
from msdepth_ros.results.live import percentiles_ms
from msdepth_ros.ros.play.keyboard import Keys
from msdepth_ros.ros.play.player import Outlet, Player
from msdepth_ros.ros.play.schedule import Schedule
from msdepth_ros.ros.tool import run_tool

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

DESCRIPTION = (
    "Publishes a recording over ROS 2: every topic whose message type is installed, with the QoS it was recorded with. "
    "Space pauses and goes on, Ctrl-C ends."
)
AS_DRIVERS = "--as-drivers"
_BUFFER_BYTES = 128 << 20
_DRIVERS_BUFFER_BYTES = 768 << 20  # about half a minute of three cameras at 10 Hz
_CLOCK_HZ = 40.0
_CLOCK_RATE = number(above=0.0, at_most=1000.0)
_SHOW_HZ = 10.0
_NS = 1_000_000_000


class _Programme(NamedTuple):
    """What is played.

    Attributes:
        packets: The messages.
        outlets: Topics to publish on.
        awaited: Those that subscribers are waited for on.
        begin_ns: When the recording began.
        length_s: How long it is.
    """

    packets: Iterator[Packet]
    outlets: list[Outlet]
    awaited: list[str]
    begin_ns: int
    length_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `msdepth play`."""
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="recording: folder, or .mcap or .db3 file")
    add("--rate", type=SPEED, default=1.0, help="speed (default: %(default)s)")
    add("--loop", action="store_true", help="start again at the end")
    add("--duration", type=DURATION_S, metavar="S", help="play only S seconds")
    add("--start-paused", action="store_true", help="wait for the space key")
    add("--wait-for-subscribers", type=COUNT, metavar="N", help="start when every topic has N (default: 0; as drivers, "
        "every image topic 1)")  # fmt: skip
    add("--timeout", type=START_S, default=60.0, metavar="S", help="how long to wait for them (default: %(default)s)")
    add("--summary", type=Path, metavar="FILE", help="write what was published, as JSON")
    recorded = parser.add_argument_group("as recorded").add_argument
    recorded("--start", type=START_S, default=0.0, metavar="S", help="leave out the first S seconds; latched topics "
             "are kept")  # fmt: skip
    recorded("--topics", nargs="+", metavar="TOPIC", help="play only these (default: all)")
    recorded("--raw", action="store_true", help="decode JPEG and PNG: TOPIC/compressed is published on TOPIC, raw")
    recorded("--clock", type=_CLOCK_RATE, nargs="?", const=_CLOCK_HZ, metavar="HZ", help="publish the recording's "
             "time on /clock (default rate: %(const)s), for nodes with use_sim_time")  # fmt: skip
    recorded("--restamp", action="store_true", help="move all stamps to now; by default they stay as recorded")
    drivers = parser.add_argument_group("as camera drivers would").add_argument
    drivers(AS_DRIVERS, action="store_true", help="only raw images with camera_info, stamped now, and ground truth")
    drivers("--spectra", default=",".join(SPECTRA), help="cameras to play (default: %(default)s)")
    drivers("--prefix", default="", help="what precedes the topic names in the bag, e.g. /vehicle")


def main(argv: Sequence[str] | None = None, name: str = "msdepth") -> int:
    """Entry point of `msdepth play`; returns the exit code.

    Args:
        argv: Options, and those of ROS; of the process by default.
        name: Of the program, for its messages.
    """
    return run_tool(name, _parser(name), run, argv)


def _parser(name: str = "msdepth") -> argparse.ArgumentParser:
    """Command line of `msdepth play`, or of its older name."""
    parser = Parser(prog=f"{name} play" if name == "msdepth" else name, description=DESCRIPTION)
    add_arguments(parser)
    return parser


def player() -> int:
    """Entry point of `player`, an older name of `msdepth play --as-drivers`."""
    return main([AS_DRIVERS, *sys.argv[1:]], "player")


def run(arguments: argparse.Namespace) -> None:
    """Plays one recording, until its end or Ctrl-C.

    Args:
        arguments: What `add_arguments` declared.

    Raises:
        MsdepthError: Bad input, or a damaged recording.
    """
    import rclpy

    drivers = arguments.as_drivers
    programme = _as_drivers(arguments) if drivers else _as_recorded(arguments)
    node = rclpy.create_node("player" if drivers else "msdepth_play")
    try:
        stop = _stop_by_signal()
        player = Player(node, programme.outlets, stop, restamp=drivers or arguments.restamp)
        shown = not drivers or sys.stderr.isatty()
        ticker = _Ticker(node, player, arguments.clock, programme.begin_ns, programme.length_s, shown=shown)
        schedule = Schedule(arguments.rate, stop, ticker, 1 / ticker.rate_hz, paused=arguments.start_paused)
        _play(programme, player, schedule, arguments)
        ticker.close()
        if arguments.summary:
            arguments.summary.write_text(json.dumps(summary(player)), encoding="utf-8")
    finally:
        node.destroy_node()
    late = percentiles_ms(player.late_ms)
    print(f"published {sum(player.published.values())} messages, the median {late['p50'] or 0:.1f} ms after it was due")


def summary(player: Player) -> dict[str, Any]:
    """What was published: instants, messages of each camera or topic, how late."""
    moments = [moment for moment in player.moments if moment[1] != TRUTH]
    period_ns = camera_period_ns(moments)
    return {
        "period_ns": period_ns,
        "instants": [instant._asdict() for instant in group_instants(moments, period_ns)],
        "published": dict(player.published),
        "late_ms": percentiles_ms(player.late_ms),
    }


def _as_recorded(arguments: argparse.Namespace) -> _Programme:
    """Every topic as it was recorded."""
    config = _config(arguments)
    with Bag(config.bag) as bag:
        for remark in bag.remarks:
            print(f"note: {remark}", file=sys.stderr)
        tracks = find_tracks(bag, config)
        begin_ns, length_s = bag.start_ns, bag.duration_ns / _NS
    outlets = _outlets(tracks, arguments)
    topics = [outlet.topic for outlet in outlets]
    packets = read_recorded(config, [track for track in tracks if track.live in topics])
    return _Programme(packets, outlets, topics, begin_ns, length_s)


def _as_drivers(arguments: argparse.Namespace) -> _Programme:
    """The cameras, best effort as drivers publish them, and the ground truth, reliable."""
    from rclpy.qos import QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image

    if arguments.start or arguments.topics or arguments.raw or arguments.restamp or arguments.clock is not None:
        raise MsdepthError(f"{AS_DRIVERS} does not go with --start, --topics, --raw, --clock and --restamp")
    duration_ns = None if arguments.duration is None else int(arguments.duration * 1e9)
    spectra, prefix = parse_spectra(arguments.spectra), arguments.prefix.rstrip("/")
    config = PlaybackConfig(arguments.bag, spectra, prefix, duration_ns, arguments.loop)
    with Bag(config.bag) as bag:
        sources = find_sources(bag, config)
        begin_ns, length_s = bag.start_ns, bag.duration_ns / _NS
    outlets = []
    for source in sources:
        qos = QoSProfile(depth=5) if source.name == TRUTH else qos_profile_sensor_data
        outlets += [Outlet(source.live_info, CameraInfo, qos), Outlet(source.live_image, Image, qos)]
    cameras = [source.live_image for source in sources if source.name != TRUTH]
    return _Programme(read_packets(config), outlets, cameras, begin_ns, length_s)


def _play(programme: _Programme, player: Player, schedule: Schedule, arguments: argparse.Namespace) -> None:
    """Publishes while keys are listened to."""
    wanted = arguments.wait_for_subscribers
    count = int(arguments.as_drivers) if wanted is None else wanted
    room = _DRIVERS_BUFFER_BYTES if arguments.as_drivers else _BUFFER_BYTES
    with Keys({" ": schedule.toggle_pause}) as keys, ReadAhead(programme.packets, room) as ahead:
        if arguments.start_paused and not keys.listening:
            raise MsdepthError("--start-paused needs a terminal whose space key goes on; start it in one")
        ahead.wait_until_filled()
        if count:
            player.wait_for_subscribers(programme.awaited, count, arguments.timeout)
        elif not arguments.as_drivers:
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
        shown: Whether somebody reads where playing is.
    """

    def __init__(
        self, node: Node, player: Player, clock_hz: float | None, begin_ns: int, length_s: float, *, shown: bool
    ) -> None:
        self.rate_hz = clock_hz or _SHOW_HZ
        self._player, self._begin_ns, self._length_s = player, begin_ns, length_s
        self._line = StatusLine(sys.stderr) if shown else None
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
        if self._line is not None:
            self._line.show(f"{where}, paused: space goes on" if paused else where)

    def close(self) -> None:
        """Leaves the line."""
        if self._line is not None:
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


if __name__ == "__main__":
    raise SystemExit(main())
