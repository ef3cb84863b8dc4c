"""What a worker of a fleet does: look at a recording, plan it, compute a piece of it."""

from __future__ import annotations

import functools
import itertools
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthEngine, default_model_path
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Window
from msdepth_ros.evaluation.plan.planner import plan_bag
from msdepth_ros.evaluation.recordings import Recording, Recordings
from msdepth_ros.evaluation.run.compute import run
from msdepth_ros.evaluation.workers.image_windows import look_at_window, unpack_looks, windows_of
from msdepth_ros.evaluation.workers.piece_content import pack_piece, pack_plan
from msdepth_ros.evaluation.workers.pieces import Piece, program_digest
from msdepth_ros.report.frame_pictures import PictureKeeper
from msdepth_ros.results.frame import record_key


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


def find_windows(task: Task, path: Path, images: int) -> list[Window]:
    """Cuts a recording into parts to look at."""
    return windows_of(_recording(task, path), images)


def look_packed(task: Task, path: Path, window_ns: Window) -> bytes:
    """Looks at a part of a recording."""
    return look_at_window(_recording(task, path), task.options, window_ns)


def plan_packed(task: Task, path: Path, name: str, looks: Sequence[bytes] = ()) -> bytes:
    """Plans a recording, with looks at all its parts if there are any."""
    taken = itertools.chain.from_iterable(map(unpack_looks, looks)) if looks else None
    return pack_plan(plan_bag(_recording(task, path), name, task.options, looks=taken))


def run_piece(task: Task, path: Path, piece: Piece) -> bytes:
    """Computes the records of a piece, and the pictures of some of them."""
    keeper = PictureKeeper(piece.pictures)
    records = run(_recording(task, path), piece.plans, task.options, _engine_of(task), pictures=keeper)
    return pack_piece(sorted(records, key=record_key), keeper.pictures())


def providers_of(task: Task) -> tuple[str, ...]:
    """What the network runs on."""
    return _engine_of(task).providers


def _recording(task: Task, path: Path) -> Recording:
    """A recording, which this worker opens once."""
    _check_program(task)
    return _recordings(task.options).get(path)


def _recordings(options: EvaluateOptions) -> Recordings:
    """What this worker has open for these options; those of others are closed."""
    held = _held()
    if held and held[0][0] != options:
        held.pop()[1].__exit__(None, None, None)
    if not held:
        held.append((options, Recordings(options)))
    return held[0][1]


@functools.lru_cache(maxsize=1)
def _held() -> list[tuple[EvaluateOptions, Recordings]]:
    """What this worker has open, at most one, until it ends."""
    return []


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
