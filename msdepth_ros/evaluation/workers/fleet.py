"""An evaluation spread over worker processes, which gives the same to the last bit however many there are.

Each recording is looked at in parts and planned, its plan is cut into pieces, and each piece becomes records in some
worker. What is finished is kept on disk at once. All records are then read back in one order, so it does not matter who
finished when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.info import read_model
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Window
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.evaluation.workers.image_windows import IMAGES_PER_WINDOW
from msdepth_ros.evaluation.workers.piece_content import unpack_pictures, unpack_plan, unpack_records
from msdepth_ros.evaluation.workers.piece_store import PieceStore
from msdepth_ros.evaluation.workers.pieces import SETS_PER_PIECE, Piece, cut, identity_of, part_digest, program_digest
from msdepth_ros.evaluation.workers.ray_cluster import Done, RayWorkers
from msdepth_ros.evaluation.workers.tasks import (
    Task,
    find_windows,
    look_packed,
    plan_packed,
    providers_of,
    run_piece,
)
from msdepth_ros.report.frame_pictures import FramePictures, ShownPictures
from msdepth_ros.results.frame import FrameRecord

PIECES_FOLDER = "parts"


class _Stage(IntEnum):
    """What is done to a recording, one stage after the other."""

    CUT = 0
    LOOK = 1
    PLAN = 2
    COMPUTE = 3


class _Work(NamedTuple):
    """What a worker is doing: a stage of a recording, or a part of that."""

    bag: str
    stage: _Stage
    number: int = 0
    part: Piece | Window | None = None


class Progress(Protocol):
    """Is told how far the evaluation is."""

    def __call__(self, done: int, total: int) -> None:
        """Sets that are finished, and those planned so far."""


@dataclass
class _Bag:
    """One recording on its way."""

    path: Path
    identity: str
    variants: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    total_sets: int = 0
    done_sets: int = 0
    reused_sets: int = 0
    looks: list[str] = field(default_factory=list)
    """Digests of the looks at its parts, and how many of them are missing."""
    unseen: int = 0
    failure: tuple[int, int, str] | None = None
    """Stage and number of the first part that failed, and why."""


class Fleet:
    """Evaluates recordings in worker processes.

    Args:
        bags: Recordings by name.
        options: What to do; files that it names must be the same on all machines.
        folder: Where finished pieces are kept, below the evaluation's own folder.
        workers: Where the work is done.
        progress: Told after each piece.
        sets_per_piece: About how many; how the work is cut changes no number.
        images_per_window: The same of the looks that a plan needs.

    Raises:
        MsdepthError: The model cannot be read.
    """

    def __init__(
        self,
        bags: Mapping[str, Path],
        options: EvaluateOptions,
        folder: Path,
        workers: RayWorkers,
        progress: Progress | None = None,
        *,
        sets_per_piece: int = SETS_PER_PIECE,
        images_per_window: int = IMAGES_PER_WINDOW,
    ) -> None:
        """Nothing is started yet."""
        options = _anywhere(options)
        self._task = Task(options, read_model(options.model_path())[1].sha256, program_digest())
        self._paths = {name: path.absolute() for name, path in bags.items()}
        self._store = PieceStore(folder / PIECES_FOLDER)
        self._workers = workers
        self._progress = progress or _silent
        self._sets_per_piece, self._images_per_window = sets_per_piece, images_per_window
        self._bags: dict[str, _Bag] = {}
        self._ready: deque[_Work] = deque()
        self.failed: dict[str, str] = {}
        self.notes: list[str] = []
        self.providers: tuple[str, ...] = ()
        self.workers, self.reused_sets = workers.workers, 0

    def run(self) -> None:
        """Finishes every piece of every recording; afterwards `failed` tells which recordings could not be.

        Raises:
            MsdepthError: The cluster is lost, or pieces cannot be kept. What is finished stays on disk.
        """
        unplanned = deque(self._paths)
        try:
            while unplanned or self._ready or len(self._workers):
                while len(self._workers) < self._workers.window and (self._ready or unplanned):
                    self._submit(unplanned)
                if len(self._workers):
                    self._take(self._workers.next_done())
            self._workers.submit("providers", providers_of, self._task)
            self.providers = tuple(self._workers.next_done().value or ())
        except BaseException:  # an interrupt, too: nobody will take what is still under way
            self._workers.forget()
            raise
        # In the order of the recordings, not in that in which workers finished.
        self.failed = {name: bag.failure[2] for name, bag in self._bags.items() if bag.failure}
        good = [bag for bag in self._bags.values() if not bag.failure]
        self.notes = [note for bag in good for note in bag.notes]
        self.reused_sets = sum(bag.reused_sets for bag in good)

    def records(self) -> Iterator[FrameRecord]:
        """Records of all recordings that did not fail, in the order of `record_key`; one piece in memory at a time."""
        for name in sorted(set(self._bags) - set(self.failed)):
            bag = self._bags[name]
            for variant in bag.variants:
                for digest in bag.pieces:
                    yield from unpack_records(self._kept(digest), variant)

    def pictures(self) -> Iterable[FramePictures]:
        """The pictures that are worth showing; they were taken on the way."""
        names = sorted(set(self._bags) - set(self.failed))
        ranges = {name: unpack_plan(self._kept(self._bags[name].identity)).pictures for name in names}
        shown = ShownPictures(of.variant for of in ranges.values())
        for name, of in ranges.items():
            pieces = self._bags[name].pieces
            shown.add([one for piece in pieces for one in unpack_pictures(self._kept(piece), of.variant)], of)
        return shown

    def close(self) -> None:
        """Removes the pieces, unless recordings failed: the next run then needs the others' again."""
        if not self.failed:
            self._store.clear()

    def _submit(self, unplanned: deque[str]) -> None:
        """Has the next thing done: what is ready, or the next recording."""
        if not self._ready:
            self._begin(unplanned.popleft())
            return
        work = self._ready.popleft()
        bag, submit = self._bags[work.bag], self._workers.submit
        if work.stage is _Stage.CUT:
            submit(work, find_windows, self._task, bag.path, self._images_per_window)
        elif work.stage is _Stage.PLAN:
            submit(work, plan_packed, self._task, bag.path, work.bag, [self._kept(digest) for digest in bag.looks])
        else:
            submit(work, look_packed if work.stage is _Stage.LOOK else run_piece, self._task, bag.path, work.part)

    def _begin(self, name: str) -> None:
        """Takes a plan that was kept, or has one made."""
        bag = self._bags[name] = _Bag(self._paths[name], "")
        try:
            bag.identity = identity_of(bag.path, self._task.options, self._task.model_sha256, name)
        except MsdepthError as error:
            bag.failure = (_Stage.CUT, 0, str(error))
            return
        kept = self._store.read(bag.identity)
        if kept is None:
            self._ready.append(_Work(name, _Stage.CUT))
        else:
            self._add(name, unpack_plan(kept))

    def _look(self, name: str, windows: Sequence[Window]) -> None:
        """Has the parts of a recording looked at; whoever plans a short one looks at it as well."""
        bag = self._bags[name]
        if len(windows) > 1:
            bag.looks = [part_digest(bag.identity, window) for window in windows]
        for number, (digest, window) in enumerate(zip(bag.looks, windows, strict=False)):
            if self._store.read(digest) is None:
                bag.unseen += 1
                self._ready.append(_Work(name, _Stage.LOOK, number, window))
        if not bag.unseen:
            self._ready.append(_Work(name, _Stage.PLAN))

    def _add(self, name: str, plan: BagPlan) -> None:
        """Cuts a plan; what is finished already is not done again."""
        bag = self._bags[name]
        pieces = cut(plan, bag.identity, sets=self._sets_per_piece)
        bag.variants = sorted((part.variant for part in plan.plans), key=lambda text: (-len(text.split("+")), text))
        bag.pieces = [piece.digest for piece in pieces]
        bag.notes = plan.notes
        bag.total_sets = sum(piece.sets for piece in pieces)
        for number, piece in enumerate(pieces):
            if self._store.read(piece.digest) is None:
                self._ready.append(_Work(name, _Stage.COMPUTE, number, piece))
            else:
                bag.reused_sets += piece.sets
        bag.done_sets = bag.reused_sets
        self._tell()

    def _take(self, done: Done) -> None:
        """Keeps what a worker has finished."""
        work: _Work = done.key
        bag = self._bags[work.bag]
        if done.error:
            # Of several parts that fail, the first in the recording counts, whichever fails first.
            bag.failure = min(filter(None, (bag.failure, (work.stage, work.number, done.error))))
            self._ready = deque(other for other in self._ready if other.bag != work.bag)
        elif work.stage is _Stage.CUT:
            self._look(work.bag, done.value)
        elif work.stage is _Stage.LOOK:
            self._store.write(bag.looks[work.number], done.value)
            bag.unseen -= 1
            if not bag.unseen and bag.failure is None:
                self._ready.append(_Work(work.bag, _Stage.PLAN))
        elif work.stage is _Stage.PLAN:
            self._store.write(bag.identity, done.value)
            self._add(work.bag, unpack_plan(done.value))
        elif isinstance(work.part, Piece):
            self._store.write(work.part.digest, done.value)
            bag.done_sets += work.part.sets
        self._tell()

    def _tell(self) -> None:
        """Shows how far it is."""
        good = [bag for bag in self._bags.values() if not bag.failure]
        self._progress(sum(bag.done_sets for bag in good), sum(bag.total_sets for bag in good))

    def _kept(self, digest: str) -> bytes:
        """A piece that was finished in this run."""
        data = self._store.read(digest)
        if data is None:
            raise MsdepthError(f"{self._store.folder}: a finished piece has gone or is damaged; evaluate again")
        return data


def _anywhere(options: EvaluateOptions) -> EvaluateOptions:
    """The same options for a process that was started in another folder."""
    settings = options.settings
    if settings.model_path:  # else each machine takes the one that ships, and its digest is compared
        settings = replace(settings, model_path=str(Path(settings.model_path).absolute()))
    rig = options.rig_file()
    return replace(options, settings=settings, rig=None if rig is None else rig.absolute())


def _silent(done: int, total: int) -> None:
    """Tells nobody."""
