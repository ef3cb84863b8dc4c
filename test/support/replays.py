"""Recordings planned and computed in this process, each opened for the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import BagPlan, plan_bag
from msdepth_ros.evaluation.recordings import Recording, Recordings
from msdepth_ros.evaluation.run.compute import run
from msdepth_ros.results.frame import FrameRecord

ResultT = TypeVar("ResultT")


def opened(path: Path, options: EvaluateOptions, use: Callable[[Recording], ResultT]) -> ResultT:
    """What a function makes of an open recording."""
    with Recordings(options) as recordings:
        return use(recordings.get(path))


def plan(path: Path, name: str, options: EvaluateOptions, **arguments: Any) -> BagPlan:
    """See `plan_bag`."""
    return opened(path, options, lambda recording: plan_bag(recording, name, options, **arguments))


def compute(
    path: Path, plans: Sequence[Plan], options: EvaluateOptions, engine: DepthEngine, **arguments: Any
) -> list[FrameRecord]:
    """See `run`."""
    return opened(path, options, lambda recording: list(run(recording, plans, options, engine, **arguments)))
