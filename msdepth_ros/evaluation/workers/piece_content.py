"""Plans, records and pictures as bytes, to be sent and kept, with every bit of their numbers."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.report.frame_pictures import FramePictures, PictureRange, Why
from msdepth_ros.report.tiles import Tile
from msdepth_ros.results.frame import FrameRecord
from msdepth_ros.results.parquet import FrameWriter, read_frames

_SIZE_BYTES = 8
_PICTURES = "pictures"


def pack_piece(records: Iterable[FrameRecord], pictures: Iterable[FramePictures]) -> bytes:
    """Records in the order of `record_key`, each variant to be read alone, and the pictures of some of them."""
    parts: dict[str, bytes] = {}
    for variant, group in itertools.groupby(records, key=lambda record: record.variant):
        file = io.BytesIO()
        with FrameWriter(file) as writer:
            for record in group:
                writer.add(record)
        parts[variant] = file.getvalue()
    shown = [[one.record.number, one.why, [asdict(tile) for tile in one.tiles]] for one in pictures]
    parts[_PICTURES] = json.dumps(shown).encode()
    header = json.dumps({name: len(part) for name, part in parts.items()}).encode()
    return len(header).to_bytes(_SIZE_BYTES, "big") + header + b"".join(parts.values())


def unpack_records(data: bytes, variant: str) -> Iterator[FrameRecord]:
    """The records of one variant, in the order in which they were packed."""
    part = _part(data, variant)
    return read_frames(io.BytesIO(part)) if part else iter(())


def unpack_pictures(data: bytes, variant: str) -> list[FramePictures]:
    """The pictures, all of which are of one variant."""
    records = {record.number: record for record in unpack_records(data, variant)}
    return [
        FramePictures(records[number], tuple(Tile(**tile) for tile in tiles), Why(why))
        for number, why, tiles in json.loads(_part(data, _PICTURES))
    ]


def _part(data: bytes, wanted: str) -> bytes:
    """One part of a piece; empty where it has none of this name."""
    start = _SIZE_BYTES + int.from_bytes(data[:_SIZE_BYTES], "big")
    lengths: Mapping[str, int] = json.loads(data[_SIZE_BYTES:start])
    for name, length in lengths.items():
        if name == wanted:
            return data[start : start + length]
        start += length
    return b""


def pack_plan(plan: BagPlan) -> bytes:
    """The whole plan of one recording."""
    parts = [[part.variant, part.topics] for part in plan.plans]
    about = {"name": plan.name, "notes": plan.notes, "plans": parts, "pictures": asdict(plan.pictures)}
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
    return BagPlan(name, plans, about["notes"], PictureRange(**about["pictures"]))
