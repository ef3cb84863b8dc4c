"""An evaluation spread over worker processes, which gives the same to the last bit however many there are.

Each recording is planned, its plan is cut into pieces, and each piece becomes records in some worker. What is finished
is kept on disk at once. All records are then read back in one order, so it does not matter who finished when.
"""

from __future__ import annotations

import functools
import platform
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2

from msdepth_ros.core.engine import DepthEngine, default_model_path
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model_info import read_model
from msdepth_ros.replay.cluster import Done, RayWorkers
from msdepth_ros.replay.options import EvaluateOptions
from msdepth_ros.replay.pictures import FramePictures, RecordKey, encode
from msdepth_ros.replay.piece_content import pack_plan, pack_records, unpack_plan, unpack_records
from msdepth_ros.replay.piece_store import PieceStore
from msdepth_ros.replay.pieces import SETS_PER_PIECE, Piece, cut, identity_of, program_digest
from msdepth_ros.replay.planning import BagPlan, plan_bag
from msdepth_ros.replay.results import FrameRecord, Plan, record_key
from msdepth_ros.replay.runner import run

PIECES_FOLDER = "parts"


class Task(NamedTuple):
    """What every worker must know.

    Attributes:
        options: What to do.
        model_sha256: Of the model that the one who asks has.
        program: Digest of the program that the one who asks runs.
    """

    options: EvaluateOptions
    model_sha256: str
    program: str


class Progress(Protocol):
    """Is told how far the evaluation is."""

    def __call__(self, done: int, total: int) -> None:
        """Sets that are finished, and those planned so far."""


class _Bag(NamedTuple):
    """One recording on its way."""

    name: str
    path: Path
    identity: str
    variants: tuple[str, ...]
    digests: tuple[str, ...]


class Fleet:
    """Evaluates recordings in worker processes.

    Args:
        bags: Recordings by name.
        options: What to do; files that it names must be the same on all machines.
        folder: Where finished pieces are kept, below the evaluation's own folder.
        workers: Where the work is done.
        progress: Told after each piece.
        sets_per_piece: About how many; how the work is cut changes no number.

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
    ) -> None:
        """Nothing is started yet."""
        path = Path(options.settings.model_path) if options.settings.model_path else default_model_path()
        self._task = Task(options, read_model(path)[1].sha256, program_digest())
        self._paths = bags
        self._store = PieceStore(folder / PIECES_FOLDER)
        self._workers = workers
        self._progress = progress or _silent
        self._sets_per_piece = sets_per_piece
        self._identities: dict[str, str] = {}
        self._bags: dict[str, _Bag] = {}
        self._ready: deque[tuple[str, Piece, Path]] = deque()
        self._done_sets = self._total_sets = 0
        self.failed: dict[str, str] = {}
        self.notes: list[str] = []
        self.reused_sets = 0

    def run(self) -> None:
        """Finishes every piece of every recording; afterwards `failed` tells which recordings could not be.

        Raises:
            MsdepthError: The cluster is lost, or pieces cannot be kept. What is finished stays on disk.
        """
        unplanned = deque(self._paths.items())
        try:
            while unplanned or self._ready or len(self._workers):
                while len(self._workers) < self._workers.window and (self._ready or unplanned):
                    self._submit(unplanned)
                if len(self._workers):
                    self._take(self._workers.next_done())
        except BaseException:  # an interrupt, too: nobody will take what is still under way
            self._workers.cancel()
            raise
        self.notes.sort()

    def records(self) -> Iterator[FrameRecord]:
        """Records of all recordings that did not fail, in the order of `record_key`; one piece in memory at a time."""
        for name in sorted(set(self._bags) - set(self.failed)):
            bag = self._bags[name]
            for variant in bag.variants:
                for digest in bag.digests:
                    yield from unpack_records(self._kept(digest), variant)

    def pictures(self, keys: Collection[RecordKey]) -> Iterator[FramePictures]:
        """The pictures of some sets, in any order: these sets are computed again, each on its own.

        Args:
            keys: Of records that `records` gave.
        """
        waiting = deque(sorted(keys))
        plan: BagPlan | None = None
        while waiting or len(self._workers):
            while waiting and len(self._workers) < self._workers.window:
                key = waiting.popleft()
                if plan is None or plan.name != key[0]:
                    plan = unpack_plan(self._kept(self._bags[key[0]].identity))
                part = next(part for part in plan.plans if part.variant == key[2]).pictures_of([key[3]])
                self._workers.submit(key, run_pictures, self._task, plan.path, part)
            done = self._workers.next_done()
            if done.error:
                self.notes.append(f"{done.key[0]}: no pictures of set {done.key[3]}: {done.error}")
            else:
                yield from done.value

    def clear(self) -> None:
        """Removes the pieces, unless recordings failed: the next run then needs the others' again."""
        if not self.failed:
            self._store.clear()

    def _submit(self, unplanned: deque[tuple[str, Path]]) -> None:
        """Has the next thing done: a piece, or the plan of the next recording."""
        if self._ready:
            name, piece, path = self._ready.popleft()
            self._workers.submit((name, piece), run_piece, self._task, path, piece)
        else:
            self._plan(*unplanned.popleft())

    def _plan(self, name: str, path: Path) -> None:
        """Takes a plan that was kept, or has one made."""
        try:
            identity = identity_of(path, self._task.options, self._task.model_sha256, name)
        except MsdepthError as error:
            self._fail(name, str(error))
            return
        self._identities[name] = identity
        kept = self._store.read(identity)
        if kept is None:
            self._workers.submit((name, None), plan_packed, self._task, path, name)
        else:
            self._add(unpack_plan(kept)._replace(path=path))

    def _add(self, plan: BagPlan) -> None:
        """Cuts a plan; what is finished already is not done again."""
        identity = self._identities[plan.name]
        pieces = cut(plan.plans, identity, sets=self._sets_per_piece)
        variants = sorted((part.variant for part in plan.plans), key=lambda name: (-len(name.split("+")), name))
        digests = tuple(piece.digest for piece in pieces)
        self._bags[plan.name] = _Bag(plan.name, plan.path, identity, tuple(variants), digests)
        self.notes += plan.notes
        for piece in pieces:
            self._total_sets += piece.sets
            if self._store.read(piece.digest) is None:
                self._ready.append((plan.name, piece, plan.path))
            else:
                self.reused_sets += piece.sets
                self._done_sets += piece.sets
        self._progress(self._done_sets, self._total_sets)

    def _take(self, done: Done) -> None:
        """Keeps what a worker has finished."""
        name, piece = done.key
        if done.error:
            self._fail(name, done.error)
        elif piece is None:
            self._store.write(self._identities[name], done.value)
            self._add(unpack_plan(done.value))
        else:
            self._store.write(piece.digest, done.value)
            self._done_sets += piece.sets
            self._progress(self._done_sets, self._total_sets)

    def _fail(self, name: str, error: str) -> None:
        """Gives a recording up; the first reason counts."""
        if name not in self.failed:
            self.failed[name] = error
        self._ready = deque(item for item in self._ready if item[0] != name)

    def _kept(self, digest: str) -> bytes:
        """A piece that was finished in this run."""
        data = self._store.read(digest)
        if data is None:
            raise MsdepthError(f"{self._store.folder}: a finished piece has gone or is damaged; evaluate again")
        return data


def plan_packed(task: Task, path: Path, name: str) -> bytes:
    """Plans a recording; runs in a worker."""
    _check_program(task)
    return pack_plan(plan_bag(path, name, task.options))


def run_piece(task: Task, path: Path, piece: Piece) -> bytes:
    """Computes the records of a piece; runs in a worker."""
    engine = _engine_of(task)
    records = [result.record for result in run(path, piece.plans, task.options, engine)]
    return pack_records(sorted(records, key=record_key))


def run_pictures(task: Task, path: Path, part: Plan) -> list[FramePictures]:
    """Computes some sets for their pictures; runs in a worker."""
    results = run(path, [part], task.options, _engine_of(task))
    return [encode(result.snapshot) for result in results if result.snapshot is not None]


def _engine_of(task: Task) -> DepthEngine:
    """This worker's network, which must be the same as everybody's."""
    _check_program(task)
    settings = task.options.settings
    providers = settings.providers if isinstance(settings.providers, str) else tuple(settings.providers)
    engine = _engine(settings.model_path, providers, settings.model_cache_dir)
    if engine.info.sha256 != task.model_sha256:
        raise MsdepthError(
            f"{platform.node()}: model {engine.info.path} is not the one of the machine that asks; copy it there"
        )
    return engine


@functools.lru_cache(maxsize=1)
def _engine(model: str, providers: str | Sequence[str], cache_dir: str) -> DepthEngine:
    """Loads a network once in a process, on one thread: there are as many workers as there are CPUs."""
    cv2.setNumThreads(1)
    engine = DepthEngine(model or default_model_path(), providers=providers, cache_dir=cache_dir or None, threads=1)
    engine.warm_up()
    return engine


def _check_program(task: Task) -> None:
    """Refuses to mix numbers of different programs."""
    if program_digest() != task.program:
        raise MsdepthError(
            f"{platform.node()} has another version of msdepth_ros, NumPy, OpenCV, rosbags or ONNX Runtime than the "
            "machine that asks; install the same ones there"
        )


def _silent(done: int, total: int) -> None:
    """Tells nobody."""
