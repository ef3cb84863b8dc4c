"""Plans and records as bytes: to send them between processes, and to keep them, with every bit of their numbers."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.results.frame import FrameRecord
from msdepth_ros.results.parquet import FrameWriter, read_frames

_SIZE_BYTES = 8


def pack_records(records: Iterable[FrameRecord]) -> bytes:
    """Records in the order of `record_key`; those of each variant can be read alone."""
    parts: dict[str, bytes] = {}
    for variant, group in itertools.groupby(records, key=lambda record: record.variant):
        file = io.BytesIO()
        with FrameWriter(file) as writer:
            for record in group:
                writer.add(record)
        parts[variant] = file.getvalue()
    header = json.dumps({name: len(part) for name, part in parts.items()}).encode()
    return len(header).to_bytes(_SIZE_BYTES, "big") + header + b"".join(parts.values())


def unpack_records(data: bytes, variant: str) -> Iterator[FrameRecord]:
    """The records of one variant, in the order in which they were packed."""
    start = _SIZE_BYTES + int.from_bytes(data[:_SIZE_BYTES], "big")
    lengths: Mapping[str, int] = json.loads(data[_SIZE_BYTES:start])
    for name, length in lengths.items():
        if name == variant:
            yield from read_frames(io.BytesIO(data[start : start + length]))
        start += length


def pack_plan(plan: BagPlan) -> bytes:
    """The whole plan of one recording."""
    parts = [[part.variant, part.topics] for part in plan.plans]
    about = {"name": plan.name, "path": str(plan.path), "notes": plan.notes, "plans": parts}
    arrays: dict[str, NDArray[Any]] = {str(index): part.rows for index, part in enumerate(plan.plans)}
    file = io.BytesIO()
    np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]  # as in moments
    return file.getvalue()


def unpack_plan(data: bytes) -> BagPlan:
    """Undoes `pack_plan`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        about = json.loads(str(archive["about"]))
        rows = [archive[str(index)] for index in range(len(about["plans"]))]
    name = about["name"]
    plans = [Plan(name, variant, topics, part) for (variant, topics), part in zip(about["plans"], rows, strict=True)]
    return BagPlan(name, Path(about["path"]), plans, about["notes"])
