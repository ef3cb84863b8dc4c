"""The `msdepth demo` command."""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdepth_ros.core.arguments import DURATION_S, SPEED, whole_number
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.folders import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


DESCRIPTION = "Play the sample drive through the live node."
ANSWERED_AT_LEAST = 0.99
_SAMPLE = "samples/city_drive"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `msdepth demo`."""
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder for the report (default: %(default)s)"
    )
    parser.add_argument("--bag", type=Path, help=f"the drive to play (default: {_SAMPLE} of the project)")
    parser.add_argument("--rig", type=Path, help="calibration of its cameras (default: rig.yaml in the bag)")
    parser.add_argument("--model", type=Path, help="model to run (default: the one that ships with the package)")
    parser.add_argument("--domain-id", type=whole_number(at_least=0, at_most=101),
                        help="ROS_DOMAIN_ID; others have no UDP ports (default: one of its own)")  # fmt: skip
    parser.add_argument("--duration", type=DURATION_S, metavar="S", help="play only the first S seconds")
    parser.add_argument("--rate", type=SPEED, default=1.0, help="playing speed (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Run the demo.

    Args:
        options: What `add_arguments` declared.

    Returns:
        0, or 1 if too few instants were answered or a process ended early.

    Raises:
        MsdepthError: Bad input.
    """
    from msdepth_ros.core.progress import StatusLine
    from msdepth_ros.demo.measure import ChildError, measure
    from msdepth_ros.ros.transport import require_rclpy

    require_rclpy()
    require_report_tools()
    bag, rig = find_inputs(options)
    make_folder(options.out)
    with _signals_as_exceptions(), tempfile.TemporaryDirectory(prefix="msdepth_demo_") as scratch:
        status = StatusLine()
        try:
            measure(options, bag, rig, Path(scratch), status)
        except KeyboardInterrupt:
            status.close()
            print("interrupted; the processes have ended", file=sys.stderr)
            return 130
        except ChildError as error:
            status.close()
            print(f"msdepth: error: {error}; logs are in {options.out / 'logs'}", file=sys.stderr)
            return 1
        status.close()
        return _conclude(options, bag, Path(scratch))


def require_report_tools() -> None:
    """Say before the drive, not after it, that the report cannot be written."""
    missing = [name for name in ("jinja2", "plotly", "rosbags") if importlib.util.find_spec(name) is None]
    if missing:
        raise MsdepthError(f"{', '.join(missing)} missing; pip install 'msdepth_ros[report]'")


def find_inputs(options: argparse.Namespace) -> tuple[Path, Path]:
    """Absolute paths of the bag and its rig, checked so far that an error comes before anything starts.

    Raises:
        MsdepthError: Something is missing; says what.
    """
    from msdepth_ros.bags.bag import Bag
    from msdepth_ros.core.camera.rig import Rig
    from msdepth_ros.core.model.info import default_model_path, read_model
    from msdepth_ros.playback.camera_messages import PlaybackConfig, find_sources
    from msdepth_ros.ros.transport import share_path

    try:
        bag = (options.bag or share_path(_SAMPLE)).resolve()
    except MsdepthError as error:
        raise MsdepthError(f"the sample drive is not installed here; give a bag with --bag ({error})") from error
    with Bag(bag) as opened:
        find_sources(opened, PlaybackConfig(bag))
    rig = (options.rig or (bag if bag.is_dir() else bag.parent) / "rig.yaml").resolve()
    if not rig.exists():
        raise MsdepthError(f"no calibration at {rig}; give the rig of this bag with --rig")
    Rig.load(rig)
    read_model(options.model or default_model_path())
    return bag, rig


def _conclude(options: argparse.Namespace, bag: Path, scratch: Path) -> int:
    """Write the report and the summary, and judge the run."""
    from msdepth_ros.report.live_page import Run, now_text, write_report
    from msdepth_ros.results.instants import Instant
    from msdepth_ros.results.live import NodeReport, SetRecord, summarise
    from msdepth_ros.results.moments import load_moments

    played = json.loads((scratch / "player.json").read_text(encoding="utf-8"))
    watched = json.loads((scratch / "monitor.json").read_text(encoding="utf-8"))
    instants = [Instant(entry["stamp_ns"], tuple(entry["spectra"])) for entry in played["instants"]]
    records = [SetRecord.from_json(values) for values in watched["records"]]
    node = NodeReport.from_json(watched["node"])
    summary = summarise(records, instants, period_ns=played["period_ns"], node=node)
    summary_path, report_path = options.out / "summary.json", options.out / "report.html"
    summary_path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    run_data = Run(
        title=bag.name,
        summary=summary,
        records=records,
        instants=instants,
        moments=load_moments(scratch / "moments.npz"),
        problems=watched["problems"],
        made=now_text(),
        notes=[_lateness(played["late_ms"])],
    )
    write_report(report_path, run_data)
    print(_headline(summary))
    for problem, count in watched["problems"].items():
        print(f"note: {problem} ({count} times)")
    print(f"report:  {report_path}\nsummary: {summary_path}")
    return judge(summary)


def _lateness(late_ms: dict[str, float | None]) -> str:
    """What the player itself adds to the latency."""
    return (
        f"The player sent images {late_ms['p50'] or 0:.1f} ms (median) and {late_ms['p99'] or 0:.1f} ms (p99) after "
        "their moment of capture; this is part of the latency."
    )


def _headline(summary: dict[str, Any]) -> str:
    """The outcome in one line."""

    def number(value: float | None, pattern: str) -> str:
        return "-" if value is None else format(value, pattern)

    latency = summary["latency_ms"]
    return (
        f"{summary['instants_answered']} of {summary['instants_published']} instants answered, "
        f"{number(summary['rate_hz'], '.1f')} Hz, latency p50 {number(latency['p50'], '.0f')} ms "
        f"p99 {number(latency['p99'], '.0f')} ms, model {number(summary['model_ms']['p50'], '.0f')} ms, "
        f"AbsRel {number(summary['abs_rel'], '.3f')}"
    )


def judge(summary: dict[str, Any]) -> int:
    """Exit code of a run: 1, with the reason on stderr, if fewer than 99 % of the instants were answered."""
    published, answered = summary["instants_published"], summary["instants_answered"]
    if published and answered >= ANSWERED_AT_LEAST * published:
        return 0
    print(
        f"msdepth: error: {answered} of {published} published instants were answered, {ANSWERED_AT_LEAST:.0%} are "
        "needed; the machine may be too busy, see the latency in the report and the node's log",
        file=sys.stderr,
    )
    return 1


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the processes are ended in either case."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main(argv: Sequence[str] | None = None) -> int:
    """`msdepth demo` as a program of its own; returns the exit code."""
    from msdepth_ros import cli

    return cli.main(["demo", *(sys.argv[1:] if argv is None else argv)])
