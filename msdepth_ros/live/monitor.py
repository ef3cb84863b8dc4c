"""Watches the node as RViz would, and measures it: rate, latency, spectra of each set, error against the truth.

Messages stay serialized in the executor's thread, which only notes when they came; a second thread decodes and
scores. What is measured and how a set's members are found is described in `msdepth_ros.live.recorder`.
"""

from __future__ import annotations

import argparse
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdepth_ros.core.arguments import COUNT, Parser
from msdepth_ros.core.spectra import SPECTRA, spectra_key
from msdepth_ros.live.recorder import Recorder, RecorderConfig
from msdepth_ros.playback.camera_messages import TRUTH, parse_spectra
from msdepth_ros.results.live import SetRecord, mean_or_none, percentiles_ms, rate_hz
from msdepth_ros.results.moments import save_moments
from msdepth_ros.ros.tool import run_tool

if TYPE_CHECKING:
    from rclpy.node import Node

_RECENT_SETS = 20  # the live rate looks at this many
_STATUS_EVERY_S = 0.5
_SWITCH_INTERVAL_S = 0.0005  # scoring must not hold up the thread that notes arrival times

Inbox = queue.SimpleQueue[tuple[str, bytes, int]]


def subscribe(node: Node, target: str, spectra: Sequence[str], inbox: Inbox) -> None:
    """Subscribe to the node's outputs, its inputs and the ground truth; every message goes into the inbox.

    Args:
        node: Our own ROS node.
        target: Name of the node to watch.
        spectra: The cameras.
        inbox: Receives channel, serialized message and time of arrival.
    """
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image

    def into(channel: str) -> Callable[[bytes], None]:
        return lambda payload: inbox.put((channel, payload, time.time_ns()))

    reliable = QoSProfile(depth=10)
    wanted: list[tuple[Any, str, str, QoSProfile]] = [
        (Image, f"{target}/depth/image", "depth", reliable),
        (CameraInfo, f"{target}/depth/camera_info", "depth_info", reliable),
        (Image, f"{target}/depth/confidence", "confidence", reliable),
        (Image, f"{TRUTH}/depth", "truth", reliable),
        (CameraInfo, f"{TRUTH}/camera_info", "truth_info", reliable),
        (DiagnosticArray, "/diagnostics", "diagnostics", reliable),
    ]
    for spectrum in spectra:
        wanted.append((Image, f"{target}/confidence/{spectrum}", f"confidence/{spectrum}", reliable))
        wanted.append((Image, f"{spectrum}/image", f"input/{spectrum}", qos_profile_sensor_data))
    for kind, topic, channel, qos in wanted:
        node.create_subscription(kind, topic, into(channel), qos, raw=True)


def status_of(records: Sequence[SetRecord]) -> dict[str, Any]:
    """The numbers of the live status line."""
    recent = records[-_RECENT_SETS:]
    return {
        "sets": len(records),
        "rate_hz": rate_hz([record.received_ns for record in recent]),
        "latency_ms": percentiles_ms(record.latency_ms for record in records),
        "spectra": spectra_key(records[-1].spectra) if records else None,
        "abs_rel": mean_or_none(record.abs_rel for record in records),
    }


def status_text(status: dict[str, Any]) -> str:
    """One line for people."""

    def number(value: float | None, pattern: str) -> str:
        return "-" if value is None else format(value, pattern)

    latency = status["latency_ms"]
    return (
        f"{status['sets']:4d} sets  {number(status['rate_hz'], '4.1f')} Hz  "
        f"latency p50 {number(latency['p50'], '.0f')} ms  p99 {number(latency['p99'], '.0f')} ms  "
        f"{status['spectra'] or 'waiting for depth':<16}  AbsRel {number(status['abs_rel'], '.3f')}"
    )


def work(inbox: Inbox, recorder: Recorder, stop: threading.Event, *, as_json: bool) -> None:
    """Body of the scoring thread: take messages, score sets, print the status.

    Args:
        inbox: Filled by the subscriptions.
        recorder: Makes the records.
        stop: Set when no more messages come; what is in the inbox is still scored.
        as_json: Print the status as a line of JSON instead of text.
    """
    next_status = time.monotonic() + _STATUS_EVERY_S
    while not (stop.is_set() and inbox.empty()):
        try:
            recorder.add(*inbox.get(timeout=0.1))
        except queue.Empty:
            recorder.poll(time.time_ns())
        if time.monotonic() >= next_status:
            next_status += _STATUS_EVERY_S
            status = {**status_of(recorder.records), "trouble": recorder.trouble}
            print(json.dumps(status) if as_json else status_text(status), flush=True)
    recorder.flush()


def save(folder: Path, recorder: Recorder) -> None:
    """Write everything that was measured: `monitor.json` and `moments.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_moments(folder / "moments.npz", recorder.moments.moments)
    result = {
        "records": [record.to_json() for record in recorder.records],
        "node": recorder.node.to_json(),
        "problems": recorder.problems,
    }
    (folder / "monitor.json").write_text(json.dumps(result), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    """Command line of the monitor."""
    parser = Parser(prog="monitor", description="Measure a running fused_depth node; Ctrl-C ends it.")
    parser.add_argument("--node", default="fused_depth", help="name of the node to watch (default: %(default)s)")
    parser.add_argument("--spectra", default=",".join(SPECTRA), help="cameras of the node (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write monitor.json and moments.npz there at the end")
    parser.add_argument("--moments", type=COUNT, default=24, metavar="N", help="moments to keep in full (default 24)")
    parser.add_argument("--json", action="store_true", help="print the status as JSON lines")
    return parser


def run(options: argparse.Namespace) -> None:
    """Watch until SIGINT or SIGTERM.

    Args:
        options: The parsed command line.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    spectra = parse_spectra(options.spectra)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    inbox: Inbox = queue.SimpleQueue()
    recorder = Recorder(RecorderConfig(spectra=spectra, moments=options.moments if options.out else 0))
    node = rclpy.create_node("monitor")
    subscribe(node, options.node, spectra, inbox)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    worker = threading.Thread(target=work, args=(inbox, recorder, stop), kwargs={"as_json": options.json})
    worker.start()
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
    finally:
        stop.set()
        worker.join()
        executor.shutdown()
        node.destroy_node()
    if options.out:
        save(options.out, recorder)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `monitor` process; returns the exit code."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    return run_tool("monitor", _parser(), run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
