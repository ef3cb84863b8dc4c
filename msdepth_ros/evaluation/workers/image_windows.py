"""Looks at a recording in parts: cut for several workers, and as bytes to send and to keep."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator

import numpy as np

from msdepth_ros.core.health.image import ImageFacts
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Look, Window, look_at_all
from msdepth_ros.evaluation.recordings import Recording

IMAGES_PER_WINDOW = 2000
"""Some seconds of work."""
MOST_WINDOWS = 100
"""Of one recording."""

_LOOK = np.dtype(
    [("topic", np.uint8), ("log_ns", np.int64), ("stamp_ns", np.int64), ("reason", np.int32)]
    + [("seen", np.bool_), ("facts", np.float64, len(ImageFacts._fields))]  # a digest of 32 bits is exact there
)


def windows_of(recording: Recording, images: int = IMAGES_PER_WINDOW) -> list[Window]:
    """Cuts what is to be evaluated of a recording into times with about equally many images.

    Args:
        recording: The recording.
        images: About how many in each window at most; more where there would be too many windows.
    """
    begin_ns, end_ns = recording.window_ns
    topics = [camera.image for camera in recording.sources.cameras.values()]
    times = np.sort(np.concatenate([recording.bag.times_ns(topic) for topic in topics]))
    first = 0 if begin_ns is None else np.searchsorted(times, begin_ns)
    times = times[first : len(times) if end_ns is None else np.searchsorted(times, end_ns)]
    count = min(MOST_WINDOWS, -(-len(times) // images)) or 1
    step = -(-len(times) // count) or 1
    edges = np.unique(times[step::step]).tolist()
    return list(zip([begin_ns, *edges], [*edges, end_ns], strict=True))


def look_at_window(recording: Recording, options: EvaluateOptions, window_ns: Window) -> bytes:
    """Looks at one part of a recording.

    Raises:
        MsdepthError: The recording is damaged.
    """
    return pack_looks(look_at_all(recording, options, window_ns=window_ns))


def pack_looks(looks: Iterable[Look]) -> bytes:
    """Looks as bytes, with every bit of their numbers."""
    topics: dict[str, int] = {}
    reasons: dict[str, int] = {}

    def row(look: Look) -> tuple[object, ...]:
        topic = topics.setdefault(look.topic, len(topics))
        reason = reasons.setdefault(look.reason, len(reasons))
        facts = look.facts or (0,) * len(ImageFacts._fields)
        return (topic, look.log_ns, look.stamp_ns, reason, look.facts is not None, tuple(facts))

    rows = np.fromiter(map(row, looks), _LOOK)
    file = io.BytesIO()
    np.savez_compressed(file, rows=rows, about=np.array(json.dumps([list(topics), list(reasons)])))
    return file.getvalue()


def unpack_looks(data: bytes) -> Iterator[Look]:
    """Undoes `pack_looks`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        rows, (topics, reasons) = archive["rows"], json.loads(str(archive["about"]))
    for row in rows:
        *numbers, digest, peak = row["facts"].tolist()
        facts = ImageFacts._make([*numbers, int(digest), int(peak)]) if row["seen"] else None
        place = topics[int(row["topic"])], int(row["log_ns"]), int(row["stamp_ns"])
        yield Look(*place, facts, reasons[int(row["reason"])])
