"""An evaluation in this process: one recording after the other, one network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import cpu_count
from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import BagPlan, plan_bag
from msdepth_ros.evaluation.recordings import Recording, Recordings
from msdepth_ros.evaluation.run.compute import ComputedSink, run
from msdepth_ros.report.frame_pictures import FramePictures, PictureKeeper, ShownPictures
from msdepth_ros.results.frame import FrameRecord
from msdepth_ros.results.parquet import FrameWriter, read_frames


class SinkOpener(Protocol):
    """Opens what takes everything that the node would publish of a recording."""

    def __call__(self, recording: Recording, plan: BagPlan, stack: ExitStack, /) -> ComputedSink:
        """Opens it; the stack closes it."""


class Progress(Protocol):
    """Is told how far an evaluation is."""

    def __call__(self, done: int, total: int, /) -> None:
        """Sets that are finished, and those planned so far."""

    def say(self, text: str, /) -> None:
        """What is being done while there is nothing to count."""


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

    def pictures(self) -> Iterable[FramePictures]:
        """The pictures that are worth showing, in any order."""

    def close(self) -> None:
        """Everything is written: removes what was kept on the way."""


class LocalEvaluation:
    """Evaluates recordings in this process.

    Args:
        bags: Recordings by name.
        options: What to do.
        recordings: Opens the recordings.
        folder: Where the records of each recording are kept until they are put together.
        engine: Made by `options.make_engine`, and warmed up.
        progress: Told after each set.
        sinks: Opens what takes everything the node would publish for the variant with all cameras.
    """

    def __init__(
        self,
        bags: Mapping[str, Path],
        options: EvaluateOptions,
        recordings: Recordings,
        folder: Path,
        engine: DepthEngine,
        progress: Progress,
        sinks: SinkOpener | None = None,
    ) -> None:
        """Nothing is started yet."""
        self._bags, self._options, self._recordings = bags, options, recordings
        self._folder, self._engine, self._progress, self._sinks = folder, engine, progress, sinks
        self._plans: dict[str, BagPlan] = {}
        self._shown = ShownPictures(())
        self._done = 0
        self.failed: dict[str, str] = {}
        self.notes: list[str] = []
        self.providers: tuple[str, ...] = engine.providers
        self.workers, self.reused_sets = 1, 0

    def run(self) -> None:
        """Computes every recording; afterwards `failed` tells which of them could not be."""
        for name, path in self._bags.items():
            try:
                self._plans[name] = self._plan_bag(name, path)
            except MsdepthError as error:
                self.failed[name] = str(error)
        total = sum(len(plan) for bag in self._plans.values() for plan in bag.plans)
        if total:
            self._progress(0, total)
        self._shown = ShownPictures(bag.pictures.variant for bag in self._plans.values())
        for name, bag in sorted(self._plans.items()):
            before = self._done
            try:
                self._run_bag(bag, total)
            except MsdepthError as error:
                self.failed[name] = str(error)
                del self._plans[name]
                total -= sum(len(plan) for plan in bag.plans) - (self._done - before)
                self._progress(self._done, total)
        self.failed = {name: self.failed[name] for name in self._bags if name in self.failed}
        self.notes = [note for name in self._bags if name in self._plans for note in self._plans[name].notes]

    def records(self) -> Iterator[FrameRecord]:
        """All records in the order of `record_key`."""
        for name in sorted(self._plans):
            for plan in sorted(self._plans[name].plans, key=lambda plan: (-len(plan.variant.split("+")), plan.variant)):
                yield from read_frames(self._part(plan))

    def pictures(self) -> Iterable[FramePictures]:
        """The pictures that are worth showing; they were taken on the way."""
        return self._shown

    def close(self) -> None:
        """Nothing to do: the folder is the caller's."""

    def _plan_bag(self, name: str, path: Path) -> BagPlan:
        """Plans one recording."""

        def tell(share: float) -> None:
            self._progress.say(f"looking at the images of {name}, {int(100 * share)} %")

        tell(0.0)
        recording = self._recordings.get(path)
        return plan_bag(recording, name, self._options, threads=cpu_count(), progress=tell)

    def _run_bag(self, bag: BagPlan, total: int) -> None:
        """Computes one recording."""
        recording, keeper = self._recordings.get(self._bags[bag.name]), PictureKeeper(bag.pictures)
        with ExitStack() as stack:
            writers = {plan.variant: stack.enter_context(FrameWriter(self._part(plan))) for plan in bag.plans}
            sink = self._sinks(recording, bag, stack) if self._sinks else None
            for record in run(recording, bag.plans, self._options, self._engine, pictures=keeper, sink=sink):
                writers[record.variant].add(record)
                self._done += 1
                self._progress(self._done, total)
        self._shown.add(keeper.pictures(), bag.pictures)

    def _part(self, plan: Plan) -> Path:
        """Where the records of a recording and a variant are kept."""
        place = list(self._bags).index(plan.bag)
        return self._folder / f"{place}-{plan.variant}.parquet"
