"""Faulty cameras for a node under test: takes camera topics, applies a schedule of faults, publishes what is left."""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msdepth_ros.core.arguments import COUNT, SEED, Parser
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.injection.faults import KINDS, FaultSpan, parse_span, tour
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.playback.camera_messages import parse_spectra
from msdepth_ros.ros.tool import run_tool

if TYPE_CHECKING:
    from rclpy.node import Node

WORST = ("drop", "dead", "black", "freeze", "truncate", "stamp_jump")
"""The faults that leave least of a camera: a second one at the same time is the hardest test."""
SCHEDULES = {"tour": tuple(KINDS), "worst": WORST}
_S = 1_000_000_000
_IDLE_S = 0.1


class Injector:
    """All cameras, the queue of what is sent later, and the topics by which it is told and tells.

    Args:
        node: our own ROS node.
        options: the parsed command line.
        spans: the schedule; it begins with the first image.
    """

    def __init__(self, node: Node, options: argparse.Namespace, spans: Sequence[FaultSpan]) -> None:
        """Creates the publishers."""
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from std_msgs.msg import String

        from msdepth_ros.ros.inject.faulty_camera import FaultyCamera

        self._spans, self._begun, self._zero_s = list(spans), False, time.monotonic()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._events = node.create_publisher(
            String, "~/events", QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        )  # who listens late gets those of before
        self._logger, self._String = node.get_logger(), String
        self.cameras = {
            spectrum: FaultyCamera(
                node, spectrum, prefix=options.prefix, image_transport=options.image_transport, seed=options.seed,
                arrived=self._begin, tell=self._tell, send_at=self._send_at,
            )
            for spectrum in parse_spectra(options.spectra)
        }  # fmt: skip
        missing = {span.spectrum for span in spans} - set(self.cameras)
        if missing:
            raise MsdepthError(f"faults of {', '.join(sorted(missing))}, which --spectra does not name; add it there")
        node.create_subscription(String, "~/inject", self._on_command, 10)

    def step(self) -> float:
        """Sends what is due.

        Returns:
            Seconds until there is something to do again, a tenth at most.
        """
        while self._queue and self._queue[0][0] <= time.monotonic_ns():
            heapq.heappop(self._queue)[2]()
        if not self._queue:
            return _IDLE_S
        return min(_IDLE_S, max(0.0, (self._queue[0][0] - time.monotonic_ns()) / _S))

    def _begin(self) -> None:
        """Lets the schedule begin with the first image of any camera."""
        if self._begun:
            return
        self._begun, self._zero_s = True, time.monotonic()
        for span in self._spans:
            self.cameras[span.spectrum].add(span, time.monotonic_ns())

    def _send_at(self, due_ns: int, send: Callable[[], None]) -> None:
        if due_ns <= time.monotonic_ns() and not self._queue:
            send()
        else:
            heapq.heappush(self._queue, (due_ns, next(self._count), send))

    def _on_command(self, message: Any) -> None:  # noqa: ANN401
        """Takes faults, separated by blanks, that begin when this arrives; nothing at all ends all faults."""
        try:
            spans = [parse_span(word) for word in message.data.split()]
            unknown = {span.spectrum for span in spans} - set(self.cameras)
            if unknown:
                raise MsdepthError(f"this injector has no camera {', '.join(sorted(unknown))}; see --spectra")
        except MsdepthError as error:
            self._logger.error(str(error))
            return
        for span in spans:
            self.cameras[span.spectrum].add(span, time.monotonic_ns())
        if not spans:
            for camera in self.cameras.values():
                camera.clear()

    def _tell(self, span: FaultSpan, phase: str, stamp_ns: int) -> None:
        """Tells of the first image with a fault, or of the first without it any more."""
        event = {"span": str(span), "phase": phase, "stamp_ns": stamp_ns, "time_ns": time.time_ns()}
        self._events.publish(self._String(data=json.dumps(event)))
        verb = "begins" if phase == "begin" else "ends"
        print(f"{time.monotonic() - self._zero_s:7.2f} s  {span.kind} of {span.spectrum} {verb}", flush=True)


def _parser() -> argparse.ArgumentParser:
    """Command line of the injector."""
    kinds = "; ".join(
        f"{name}{f' (={kind.amount:g} {kind.unit})' if kind.unit else ''}: {kind.meaning}"
        for name, kind in KINDS.items()
    )
    parser = Parser(
        prog="msdepth inject",
        description="Stand between cameras and the node, and make the cameras fail: <spectrum>/image and "
        "<spectrum>/camera_info in, the same below a prefix out. Faults are also taken while it runs, as text on "
        "~/inject (an empty one ends all), and told on ~/events.",
        epilog=f"KIND is one of: {kinds}.",
    )
    parser.add_argument("faults", nargs="*", metavar="KIND[=AMOUNT]:SPECTRUM[@START-ENDs]", help="seconds from the "
                        "first image; without a time, for good")  # fmt: skip
    parser.add_argument("--schedule", choices=SCHEDULES, help="one fault after the other, on one camera after the "
                        "other, 3 s each with 3 s between them: all of them, or the worst")  # fmt: skip
    parser.add_argument("--spectra", default=",".join(SPECTRA), help="cameras to stand before (default: %(default)s)")
    parser.add_argument("--prefix", default="faulty", help="what precedes the topics out (default: %(default)s)")
    parser.add_argument("--image-transport", choices=("raw", "compressed"), default="raw", help="(default: raw)")
    parser.add_argument("--seed", type=SEED, default=0, help="the same seed makes the same faults (default: 0)")
    parser.add_argument("--wait-for-subscribers", type=COUNT, default=0, metavar="N", help="take no image before every "
                        "image topic out has so many (default: 0)")  # fmt: skip
    return parser


def run(options: argparse.Namespace) -> None:
    """Inject until SIGINT or SIGTERM.

    Args:
        options: the parsed command line.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    spans = [parse_span(text) for text in options.faults]
    if options.schedule:
        spans += tour(SCHEDULES[options.schedule], parse_spectra(options.spectra))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    node = rclpy.create_node("injector")
    executor = SingleThreadedExecutor()
    try:
        injector = Injector(node, options, spans)
        executor.add_node(node)
        waiting = list(injector.cameras.values())
        while not stop.is_set():
            executor.spin_once(timeout_sec=injector.step())
            if waiting and all(camera.subscribers() >= options.wait_for_subscribers for camera in waiting):
                while waiting:
                    waiting.pop().listen()
    finally:
        executor.shutdown()
        node.destroy_node()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `msdepth inject`; returns the exit code."""
    return run_tool("msdepth inject", _parser(), run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
