"""The `msdepth evaluate` command."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from msdepth_ros.bags.bag_list import bag_names, expand_bags
from msdepth_ros.core.arguments import DURATION_S, POSITIVE, START_S
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.folders import make_folder
from msdepth_ros.core.model.info import ModelInfo, read_model
from msdepth_ros.core.progress import ProgressBar
from msdepth_ros.evaluation.arguments import add_recording_arguments, recording_options
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.recordings import Checked, Recordings, check_recordings
from msdepth_ros.evaluation.run.bag_writer import bag_sink, require_room
from msdepth_ros.evaluation.run.local import Evaluation, LocalEvaluation
from msdepth_ros.results.compare import Comparison, parse_limit, refuse_incomparable
from msdepth_ros.results.frame import Summary
from msdepth_ros.results.summary import About

DESCRIPTION = (
    "Replays recordings through the node's own synchronizer, preprocessing and network at full speed, scores the depth "
    "where there is ground truth, and writes report.html, metrics.json and frames.parquet. Needs no ROS installation."
)
EXIT_OK, EXIT_FAILED_BAGS, EXIT_WORSE = 0, 1, 3
BAGS = "bags"
"""Folder below --out for what --write-bag writes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `msdepth evaluate`."""
    add = parser.add_argument
    add_recording_arguments(parser)
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--providers", help="what the model runs on: auto, or some of tensorrt,cuda,cpu")
    add("--sweep", action="store_true", help="evaluate every subset of the cameras")
    add("--inject", action="append", default=[], metavar="FAULT",
        help="for example white:rgb@5-7s; repeatable. Kinds: black, white, noise, blur, drop, freeze")  # fmt: skip
    add("--truth-tolerance", type=START_S, default=0.04, metavar="S",
        help="largest distance in time between a set and its ground truth (default: %(default)s)")  # fmt: skip
    add("--start", type=START_S, default=0.0, metavar="S", help="leave out the first S seconds")
    add("--duration", type=DURATION_S, metavar="S", help="evaluate S seconds")
    add("--every", type=POSITIVE, default=1, metavar="N", help="evaluate every Nth set")
    add("--compare", type=Path, metavar="JSON", help="metrics.json of another evaluation: what got better or worse")
    add("--fail-if", action="append", default=[], metavar="METRIC=LOSS", help="exit with 3 if a metric got worse by "
        "more, for example abs_rel=2%% or delta_1=0.01; repeatable")  # fmt: skip
    add("--write-bag", action="store_true", help="also write DIR/bags/NAME: inputs and results, for RViz or Foxglove")
    add("--cluster", metavar="WHERE", help="work in parallel with Ray: local, or ray://HOST:PORT")
    add(
        "--workers", type=POSITIVE, metavar="N", help="how many work at a time in a cluster (default: one for each CPU)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluates.

    Args:
        arguments: What `add_arguments` declared.

    Returns:
        0 if all went well, 1 if some recordings failed, 3 if something got worse than --fail-if allows.

    Raises:
        MsdepthError: Bad input, or no recording could be evaluated.
    """
    require_report_tools()
    from msdepth_ros.evaluation.finish import finish, read_against

    options = _options(arguments)
    against = read_against(arguments.compare, [parse_limit(text) for text in arguments.fail_if])
    progress = ProgressBar()
    with ExitStack() as stack:
        recordings = stack.enter_context(Recordings(options))
        checked = _check_input(arguments, options, recordings)
        if against is not None:
            refuse_incomparable(str(against.path), against.summary, checked.extent, against.limits)
        make_folder(arguments.out)
        evaluation, info = _open(arguments, options, checked.usable, recordings, progress, stack)
        started_s = time.perf_counter()
        try:
            evaluation.run()
        finally:
            progress.close()
        wall_s = time.perf_counter() - started_s
        _report_failures(evaluation.failed, len(checked.usable))
        evaluation.failed = {**checked.failed, **evaluation.failed}
        about = _about(evaluation, options, info, wall_s)
        summary, comparison = finish(arguments.out, evaluation, about, against)
        evaluation.close()
    _print(summary, comparison, arguments.out)
    if comparison is not None and comparison.failures:
        return EXIT_WORSE
    return EXIT_FAILED_BAGS if evaluation.failed else EXIT_OK


def _options(arguments: argparse.Namespace) -> EvaluateOptions:
    """What the arguments ask for.

    Raises:
        MsdepthError: Something is written wrongly, or makes no sense.
    """
    return replace(
        recording_options(arguments, providers=arguments.providers),
        truth_tolerance_s=arguments.truth_tolerance,
        sweep=arguments.sweep,
        faults=tuple(parse_fault(text) for text in arguments.inject),
        start_s=arguments.start,
        duration_s=arguments.duration,
        every=arguments.every,
    )


def require_report_tools() -> None:
    """Says what to install before anything is computed.

    Raises:
        MsdepthError: Something is missing.
    """
    missing = [name for name in ("jinja2", "plotly", "pyarrow") if importlib.util.find_spec(name) is None]
    if missing:
        raise MsdepthError(f"evaluate needs {', '.join(missing)}; pip install 'msdepth_ros[report]'")


def _check_input(arguments: argparse.Namespace, options: EvaluateOptions, recordings: Recordings) -> Checked:
    """Refuses, or names, what cannot be evaluated before anything else is done."""
    if arguments.cluster is None and arguments.workers is not None:
        raise MsdepthError("--workers: work in parallel needs --cluster local, or --cluster ray://HOST:PORT")
    if arguments.cluster is not None and arguments.write_bag:
        raise MsdepthError("--write-bag writes one file in order and does not go with --cluster; leave one of them out")
    read_model(options.model_path())
    paths = expand_bags(arguments.bags)
    checked = check_recordings(dict(zip(bag_names(paths), paths, strict=True)), recordings, options)
    _report_failures(checked.failed, len(paths))
    if arguments.write_bag:
        require_room(arguments.out / BAGS, checked.usable)
    return checked


def _open(
    arguments: argparse.Namespace,
    options: EvaluateOptions,
    bags: Mapping[str, Path],
    recordings: Recordings,
    progress: ProgressBar,
    stack: ExitStack,
) -> tuple[Evaluation, ModelInfo]:
    """What computes the evaluation, here or in a cluster, and the model."""
    if arguments.cluster is not None:
        return _open_fleet(arguments, options, bags, progress, stack)
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix=".records-", dir=arguments.out))
    engine = options.make_engine()
    engine.warm_up()
    sinks = bag_sink(arguments.out / BAGS, options) if arguments.write_bag else None
    return LocalEvaluation(bags, options, recordings, Path(scratch), engine, progress, sinks), engine.info


def _open_fleet(
    arguments: argparse.Namespace,
    options: EvaluateOptions,
    bags: Mapping[str, Path],
    progress: ProgressBar,
    stack: ExitStack,
) -> tuple[Evaluation, ModelInfo]:
    """Workers of a cluster."""
    from msdepth_ros.evaluation.workers.fleet import Fleet
    from msdepth_ros.evaluation.workers.ray_cluster import RayWorkers

    workers = stack.enter_context(RayWorkers(arguments.cluster, arguments.workers))
    return Fleet(bags, options, arguments.out, workers, progress), read_model(options.model_path())[1]


def _about(evaluation: Evaluation, options: EvaluateOptions, info: ModelInfo, wall_s: float) -> About:
    """What metrics.json says beside the numbers."""
    return About(
        model={"name": info.name, "version": info.version, "sha256": info.sha256},
        settings=options.describe(),
        failed_bags=evaluation.failed,
        notes=tuple(evaluation.notes),
        wall_s=wall_s,
        providers=evaluation.providers,
        workers=evaluation.workers,
        reused_sets=evaluation.reused_sets,
    )


def _report_failures(failed: Mapping[str, str], count: int) -> None:
    """Names the recordings that could not be evaluated; if there is no other, that is the end."""
    if len(failed) == count:
        raise MsdepthError("; ".join(failed.values()))
    for name, why in failed.items():
        print(f"msdepth: error: {name}: {why}", file=sys.stderr)


def _print(summary: Summary, comparison: Comparison | None, out: Path) -> None:
    """The end of the command on the terminal."""
    from msdepth_ros.evaluation.finish import comparison_table, table

    for note, count in summary.document["notes"].items():
        print(f"note: {note}" + (f" ({count} times)" if count > 1 else ""))
    where = " of all subsets" if len(summary.variants) > 1 else ""
    for problem, count in summary.document["problems"].items():
        print(f"problem in {count} sets{where}: {problem}")
    print(table(summary))
    if comparison is not None:
        print(comparison_table(comparison))
    timings = summary.document["timings"]
    speed = [f"{timings['sets_per_s']:.1f} sets/s{where}"]
    if timings["model_share"] is not None:
        speed.append(f"{100 * timings['model_share']:.0f} % of the time in the model")
    if timings["workers"] > 1:
        speed.append(f"{timings['workers']} workers")
    if timings["reused_sets"]:
        speed.append(f"{timings['reused_sets']} sets were finished before")
    print(f"{', '.join(speed)}; results in {out}")
