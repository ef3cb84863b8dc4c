"""Moments of a run kept in full, for the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.images import DecodedImage
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.results.live import SetRecord

_AFTER_CHANGE_NS = 150_000_000  # a camera that just left or came back shows in the second set, not always in the first


class Pictured(Protocol):
    """What the captions of pictures need of a record."""

    @property
    def stamp_ns(self) -> int:
        """Of the depth."""

    @property
    def spectra(self) -> tuple[str, ...]:
        """The spectra whose images were used."""

    @property
    def abs_rel(self) -> float | None:
        """Unscaled AbsRel; None without truth."""


RecordT = TypeVar("RecordT", bound=Pictured)


@dataclass(frozen=True)
class Moment(Generic[RecordT]):
    """Everything about one set.

    Attributes:
        record: Its numbers.
        inputs: The images that went in, and those that were there but not used.
        depth_m: float32 [H,W], metres, NaN unknown.
        confidences: uint8 [H,W] in 1/255, keyed `confidence` (fused) and by spectrum.
        truth_m: float32 [h,w], metres, NaN unknown; None without truth.
        depth_at_truth_m: The depth on the truth's pixels; None without truth.
        fx_over_fy: Of the depth's camera; a network view is stretched, and this undoes it for the eye.
    """

    record: RecordT
    inputs: dict[str, DecodedImage]
    depth_m: NDArray[np.float32]
    confidences: dict[str, NDArray[np.uint8]]
    truth_m: NDArray[np.float32] | None = None
    depth_at_truth_m: NDArray[np.float32] | None = None
    fx_over_fy: float = 1.0


class MomentKeeper:
    """Keeps a bounded number of moments: evenly spread in time, and after each change of the set of spectra.

    Args:
        limit: How many to keep at most; when there are more, the spacings double and every moment too close to
            the one before it goes.
        spacing_ns: Least time between two moments at first; it is shorter where the spectra changed.
    """

    def __init__(self, limit: int, spacing_ns: int) -> None:
        """Start with nothing."""
        self.moments: list[Moment[SetRecord]] = []
        self._limit = limit
        self._spacing_ns = spacing_ns
        self._change_spacing_ns = min(_AFTER_CHANGE_NS, spacing_ns)

    def wants(self, record: SetRecord) -> bool:
        """Whether the set of this record is to be kept."""
        return self._limit > 0 and (not self.moments or self._apart(self.moments[-1].record, record))

    def keep(self, moment: Moment[SetRecord]) -> None:
        """Take a moment, and let others go if there are too many."""
        self.moments.append(moment)
        while len(self.moments) > self._limit:
            self._spacing_ns *= 2
            self._change_spacing_ns *= 2
            kept = self.moments[:1]
            for candidate in self.moments[1:]:
                if self._apart(kept[-1].record, candidate.record):
                    kept.append(candidate)
            self.moments = kept

    def _apart(self, before: SetRecord, after: SetRecord) -> bool:
        """Whether two records in a row are both worth keeping."""
        changed = before.spectra != after.spectra
        return after.stamp_ns - before.stamp_ns >= (self._change_spacing_ns if changed else self._spacing_ns)


def choose_moments(moments: list[Moment[SetRecord]], limit: int) -> list[Moment[SetRecord]]:
    """A few moments that show most: each set of spectra at least once, then evenly spread in time.

    Args:
        moments: All that were kept, in order of time.
        limit: How many to show.
    """
    chosen: list[int] = []
    for index, moment in enumerate(moments):
        if all(moments[other].record.spectra != moment.record.spectra for other in chosen) and len(chosen) < limit:
            chosen.append(index)
    while len(chosen) < min(limit, len(moments)):
        rest = [index for index in range(len(moments)) if index not in chosen]
        times = [moments[index].record.stamp_ns for index in chosen]
        chosen.append(max(rest, key=lambda index: min(abs(moments[index].record.stamp_ns - time) for time in times)))
    return [moments[index] for index in sorted(chosen)]


def save_moments(path: Path, moments: list[Moment[SetRecord]]) -> None:
    """Write moments to one NumPy archive."""
    arrays: dict[str, NDArray[Any]] = {}
    for index, moment in enumerate(moments):
        about = {
            "record": moment.record.to_json(),
            "encodings": {name: image.encoding for name, image in moment.inputs.items()},
            "fx_over_fy": moment.fx_over_fy,
        }
        arrays[f"{index}/about"] = np.array(json.dumps(about))
        arrays[f"{index}/depth_m"] = moment.depth_m
        arrays.update({f"{index}/input/{name}": image.pixels for name, image in moment.inputs.items()})
        arrays.update({f"{index}/confidence/{name}": image for name, image in moment.confidences.items()})
        if moment.truth_m is not None:
            arrays[f"{index}/truth_m"] = moment.truth_m
        if moment.depth_at_truth_m is not None:
            arrays[f"{index}/depth_at_truth_m"] = moment.depth_at_truth_m
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes no keywords for arrays


def load_moments(path: Path) -> list[Moment[SetRecord]]:
    """Read what `save_moments` wrote."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise MsdepthError(f"moments {path} cannot be read: {error}; run again") from error
    return [_moment(arrays, str(index)) for index in range(sum(name.endswith("/about") for name in arrays))]


def _moment(arrays: dict[str, NDArray[Any]], index: str) -> Moment[SetRecord]:
    """One moment out of an archive."""
    about = json.loads(str(arrays[f"{index}/about"]))

    def named(kind: str) -> dict[str, NDArray[Any]]:
        start = f"{index}/{kind}/"
        return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}

    return Moment(
        record=SetRecord.from_json(about["record"]),
        inputs={name: DecodedImage(pixels, about["encodings"][name]) for name, pixels in named("input").items()},
        depth_m=arrays[f"{index}/depth_m"],
        confidences=named("confidence"),
        truth_m=arrays.get(f"{index}/truth_m"),
        depth_at_truth_m=arrays.get(f"{index}/depth_at_truth_m"),
        fx_over_fy=about["fx_over_fy"],
    )
