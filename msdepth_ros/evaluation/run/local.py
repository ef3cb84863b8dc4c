"""An evaluation in this process: one recording after the other, one network."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import cpu_count
from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import BagPlan, plan_bag
from msdepth_ros.evaluation.run.compute import Computed, run
from msdepth_ros.report.frame_pictures import FramePictures, RecordKey, encode
from msdepth_ros.results.frame import FrameRecord
from msdepth_ros.results.parquet import FrameWriter, read_frames

Sink = Callable[[Computed], None]


class Evaluation(Protocol):
    """Whoever turns recordings into records: this process or a fleet."""

    failed: dict[str, str]
    """Why recordings could not be evaluated, by name."""
    notes: list[str]
    """What is worth telling."""
    providers: tuple[str, ...]
    """What the model runs on; known after `run`."""
    workers: int
    """How many work at a time."""
    reused_sets: int
    """Sets that an earlier run had finished; known after `run`."""

    def run(self) -> None:
        """Computes everything."""

    def records(self) -> Iterator[FrameRecord]:
        """All records in the order of `record_key`; may be asked for several times."""

    def pictures(self, keys: Collection[RecordKey]) -> Iterator[FramePictures]:
        """The pictures of some sets."""

    def close(self) -> None:
        """Everything is written: removes what was kept on the way."""


class LocalEvaluation:
    """Evaluates recordings in this process.

    Args:
        bags: Recordings by name.
        options: What to do.
        folder: Where the records of each recording are kept until they are put together.
        engine: Made by `options.make_engine`, and warmed up.
        progress: Called with the sets done and the sets planned so far.
        sinks: Opens, for a plan, what takes everything the node would publish for the variant with all cameras.
        say: Called with what is being done while there is nothing to count.
    """

    def __init__(
        self,
        bags: Mapping[str, Path],
        options: EvaluateOptions,
        folder: Path,
        engine: DepthEngine,
        progress: Callable[[int, int], None],
        sinks: Callable[[BagPlan, ExitStack], Sink] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing is started yet."""
        self._bags, self._options, self._folder, self._engine = bags, options, folder, engine
        self._progress, self._sinks, self._say = progress, sinks, say
        self._plans: dict[str, BagPlan] = {}
        self._done = 0
        self.failed: dict[str, str] = {}
        self.notes: list[str] = []
        self.providers: tuple[str, ...] = engine.providers
        self.workers, self.reused_sets = 1, 0

    def run(self) -> None:
        """Computes every recording; afterwards `failed` tells which of them could not be."""
        for name, path in self._bags.items():
            tell = functools.partial(self._tell_looking, name)
            tell(0.0)
            try:
                self._plans[name] = plan_bag(path, name, self._options, threads=cpu_count(), tell=tell)
            except MsdepthError as error:
                self.failed[name] = str(error)
        total = sum(len(plan) for bag in self._plans.values() for plan in bag.plans)
        if total:
            self._progress(0, total)
        for name, bag in list(self._plans.items()):
            before = self._done
            try:
                self._run_bag(bag, total)
                self.notes += bag.notes
            except MsdepthError as error:
                self.failed[name] = str(error)
                del self._plans[name]
                total -= sum(len(plan) for plan in bag.plans) - (self._done - before)
                self._progress(self._done, total)

    def records(self) -> Iterator[FrameRecord]:
        """All records in the order of `record_key`."""
        for name in sorted(self._plans):
            for plan in sorted(self._plans[name].plans, key=lambda plan: (-len(plan.variant.split("+")), plan.variant)):
                yield from read_frames(self._part(plan))

    def pictures(self, keys: Collection[RecordKey]) -> Iterator[FramePictures]:
        """The pictures of some sets: these are computed again."""
        for (name, _, variant), group in itertools.groupby(sorted(keys), key=lambda key: key[:3]):
            bag = self._plans[name]
            numbers = {key[3] for key in group}
            plan = next(plan for plan in bag.plans if plan.variant == variant).pictures_of(numbers)
            for result in run(bag.path, [plan], self._options, self._engine):
                if result.snapshot is not None:
                    yield encode(result.snapshot)

    def close(self) -> None:
        """Nothing to do: the folder is the caller's."""

    def _tell_looking(self, name: str, share: float) -> None:
        """Says how much of a recording has been looked at."""
        if self._say:
            self._say(f"looking at the images of {name}, {int(100 * share)} %")

    def _run_bag(self, bag: BagPlan, total: int) -> None:
        """Computes one recording."""
        with ExitStack() as stack:
            writers = {plan.variant: stack.enter_context(FrameWriter(self._part(plan))) for plan in bag.plans}
            sink = self._sinks(bag, stack) if self._sinks else None
            for result in run(bag.path, bag.plans, self._options, self._engine, sink=sink):
                writers[result.record.variant].add(result.record)
                self._done += 1
                self._progress(self._done, total)

    def _part(self, plan: Plan) -> Path:
        """Where the records of a recording and a variant are kept."""
        place = list(self._bags).index(plan.bag)
        return self._folder / f"{place}-{plan.variant}.parquet"
