"""Cut the plans of a recording into pieces of work, and name each by everything that decides its result."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import msdepth_ros
from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.files import files_of
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.report.frame_pictures import PictureRange

SETS_PER_PIECE = 200
"""Some ten seconds of work: long beside the start of a piece, short beside what a lost worker or an interrupt costs."""
MOST_PIECES = 100
"""Of one recording."""
_EDGE_BYTES = 65536
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "rosbags")
_DECIDING = ("core", "bags", "results", "scoring", "evaluation")
"""Folders of this package whose code decides the numbers; of report/ only what makes pictures does."""


class Piece(NamedTuple):
    """A part of one recording, in every variant.

    Attributes:
        digest: Of everything that decides its result.
        plans: One for each variant that has sets here.
        sets: How many sets all of them have together.
        pictures: Whose pictures are taken.
    """

    digest: str
    plans: tuple[Plan, ...]
    sets: int
    pictures: PictureRange


def cut(plan: BagPlan, identity: str, *, sets: int = SETS_PER_PIECE) -> list[Piece]:
    """Cuts the plans of one recording at common times, so that a piece decodes each image once.

    Where it cuts depends on the plans alone, not on who works.

    Args:
        plan: Of the recording.
        identity: Of the recording, the options, the model and the program (see `identity_of`).
        sets: About how many sets a piece has at most, over all variants; more where there would be too many pieces.
    """
    times = [_progress(part) for part in plan.plans]
    together = np.sort(np.concatenate([np.zeros(0, np.int64), *times]))
    count = min(MOST_PIECES, -(-len(together) // sets)) or 1
    step = -(-len(together) // count) or 1  # equal pieces, so that the last one does not leave workers idle
    edges = np.unique(together[step::step])
    parts = []
    for part, time in zip(plan.plans, times, strict=True):
        stops = [0, *np.searchsorted(time, edges).tolist(), len(part)]
        parts.append([part[begin:end] for begin, end in zip(stops, stops[1:], strict=False)])
    pieces = []
    for members in zip(*parts, strict=True):
        some: tuple[Plan, ...] = tuple(part for part in members if len(part))
        if some:
            pieces.append(Piece(_digest(identity, some), some, sum(map(len, some)), plan.pictures))
    return pieces


def identity_of(path: Path, options: EvaluateOptions, model_sha256: str, name: str) -> str:
    """Digest of what decides the plan and, with it, the result of a recording.

    Args:
        path: The recording. Its place does not count, its files do: name, size, time of change, and both ends.
        options: Files that they name count by their content.
        model_sha256: Of the model file.
        name: What the recording is called in this evaluation; its records say so.

    Raises:
        MsdepthError: The recording or the rig file cannot be read.
    """
    plain = dataclasses.asdict(options)
    plain["settings"].pop("model_path", None)
    rig = options.rig_file()
    plain["rig"] = rig and _sha256(rig, whole=True)
    files = files_of(path)
    if not files:
        with Bag(path):
            raise MsdepthError(f"bag {path} holds no file; give the folder that holds the recording")
    about = {
        "bag": [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns, _sha256(file, whole=False)) for file in files
        ],
        "name": name,
        "options": plain,
        "model": model_sha256,
        "program": program_digest(),
    }
    return hashlib.sha256(json.dumps(about, default=str, sort_keys=True).encode()).hexdigest()


@functools.cache
def program_digest() -> str:
    """Digest of this package's sources and of the libraries that the numbers depend on."""
    root = Path(msdepth_ros.__file__).parent
    digest = hashlib.sha256()
    below = [path for folder in _DECIDING for path in (root / folder).rglob("*.py")]
    for path in sorted([*root.glob("*.py"), *root.glob("report/*.py"), *below]):
        digest.update(f"{path.relative_to(root)} {_sha256(path, whole=True)}\n".encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    """Version of an installed distribution; a machine may have another build under another name."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _progress(plan: Plan) -> NDArray[np.int64]:
    """When the recording was far enough for each set; never decreasing, whatever the stamps do."""
    newest = np.max([plan.rows[name]["log_ns"] for name in SPECTRA], axis=0) if len(plan) else np.zeros(0, np.int64)
    return np.maximum.accumulate(newest.astype(np.int64))


def _digest(identity: str, plans: Sequence[Plan]) -> str:
    """Name of a piece."""
    digest = hashlib.sha256(identity.encode())
    for plan in plans:
        about: Any = [plan.bag, plan.variant, sorted(plan.topics.items()), plan.rows.dtype.descr]
        digest.update(json.dumps(about).encode())
        digest.update(plan.rows.tobytes())
    return digest.hexdigest()[:32]


def part_digest(identity: str, part: Any) -> str:  # noqa: ANN401  whatever names a part
    """Name of a part of a recording's work that is not a piece."""
    return hashlib.sha256(f"{identity} {part}".encode()).hexdigest()[:32]


def _sha256(path: Path, *, whole: bool) -> str:
    """Digest of a file, or of both its ends."""
    try:
        with path.open("rb") as file:
            data = file.read(-1 if whole else _EDGE_BYTES)
            if not whole and path.stat().st_size > _EDGE_BYTES:
                file.seek(-_EDGE_BYTES, 2)
                data += file.read()
    except OSError as error:
        raise MsdepthError(f"{path} cannot be read: {error.strerror}") from error
    return hashlib.sha256(data).hexdigest()
