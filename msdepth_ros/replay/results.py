"""The data model of `msdepth evaluate`: what is planned, what one set gave, and what all of them give together.

Three steps share it. *Plan*: stamps alone decide which images form a set. *Run*: each planned set becomes one
`FrameRecord`, on any machine and in any order. *Summarise*: a pure function of all records in the order of
`record_key`, so that any division of the work merges to the same bits (see `summary`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.replay.moments import Moment

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta_1", "delta_2", "delta_3", "silog")
"""Metrics of one image, unscaled; each also as `<metric>_median_scaled`. Units as in `core.metrics.DepthMetrics`."""
_SHARES = ("delta_1", "delta_2", "delta_3")
HIGHER_IS_BETTER = (*_SHARES, *(f"{name}_median_scaled" for name in _SHARES), "coverage", "consistency")
"""Of all other metrics less is better."""
SCORES = (*METRICS, *(f"{name}_median_scaled" for name in METRICS), "coverage", "ause")
"""Everything that needs ground truth; keys of `FrameRecord.scores`."""
BAND_EDGES_M = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0)
"""Bands of true depth for the error by distance: [lower, upper)."""
BIN_COUNT = 15
"""Equal bins of confidence over [0,1] for the reliability diagram."""


class MessageRef(NamedTuple):
    """Which message of a bag: topic, time of recording, and which of those with the same time.

    Attributes:
        topic: In the bag.
        log_ns: When it was recorded.
        repeat: 0 for the first message of this topic with this time of recording.
        stamp_ns: The header's stamp; offsets of the synchronizer not applied.
    """

    topic: str
    log_ns: int
    repeat: int
    stamp_ns: int


class SetPlan(NamedTuple):
    """One set that the synchronizer made of a recording, before anything is decoded.

    Attributes:
        bag: Name of the recording, unique in this evaluation.
        variant: The cameras that take part, for example `rgb+thermal`.
        number: Number of the set in its bag and variant, from 0, before `--every`.
        stamp_ns: The set's stamp.
        inputs: The image of each spectrum in the set.
        truth: The ground truth nearest in time, None if there is none within the tolerance.
        wait_ms: From the recording of the set's newest image until the synchronizer let the set go.
        frozen: Spectra whose image repeats the one before it, byte by byte.
        snapshot: Give the pictures of this set, too.
        consistency: Also compare each spectrum's own depth with the fused one.
    """

    bag: str
    variant: str
    number: int
    stamp_ns: int
    inputs: Mapping[str, MessageRef]
    truth: MessageRef | None
    wait_ms: float
    frozen: tuple[str, ...] = ()
    snapshot: bool = False
    consistency: bool = False

    @property
    def refs(self) -> tuple[MessageRef, ...]:
        """Every message that the set needs."""
        return (*self.inputs.values(), *(() if self.truth is None else (self.truth,)))


@dataclass(frozen=True)
class Timings:
    """What differs from run to run; kept apart from everything that must not.

    Attributes:
        model_ms: Time in the network.
        compute_ms: Preprocessing and network.
        latency_ms: From the recording of the newest image to the depth: waiting for the set, and computing.
    """

    model_ms: float
    compute_ms: float
    latency_ms: float


@dataclass(frozen=True)
class FrameRecord:
    """One set: a row of frames.parquet.

    Attributes:
        bag: As planned.
        variant: As planned.
        number: As planned.
        stamp_ns: Of the depth.
        spectra: The cameras whose images went in, in canonical order.
        skew_ms: Newest minus oldest stamp in the set.
        scores: `SCORES` by name; empty without ground truth.
        truth_stamp_ns: Of the ground truth; None without.
        truth_pixels: Pixels that were scored.
        confidence: Mean of the fused confidence; None where there is no depth.
        view_confidence: Mean confidence of each spectrum in the set.
        consistency: By spectrum: share of the pixels it sees where its own depth alone is within a factor 1.25 of
            the fused one. Empty where it was not computed.
        band_counts: Scored pixels in each band of BAND_EDGES_M.
        band_abs_rel_sums: Sum of |depth - truth| / truth in each band.
        bin_counts: Scored pixels in each bin of confidence.
        bin_confidence_sums: Sum of the confidences in each bin.
        bin_correct_counts: Pixels in each bin whose depth is within a factor 1.25 of the truth.
        health: Words such as `rgb:black`, `nir:missing`, `thermal:frozen`, sorted.
        error: Why there is no depth, or why an image had to be left out; empty if all is well.
        timings: None where there is no depth.
    """

    bag: str
    variant: str
    number: int
    stamp_ns: int
    spectra: tuple[str, ...]
    skew_ms: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    truth_stamp_ns: int | None = None
    truth_pixels: int = 0
    confidence: float | None = None
    view_confidence: Mapping[str, float] = field(default_factory=dict)
    consistency: Mapping[str, float] = field(default_factory=dict)
    band_counts: tuple[int, ...] = ()
    band_abs_rel_sums: tuple[float, ...] = ()
    bin_counts: tuple[int, ...] = ()
    bin_confidence_sums: tuple[float, ...] = ()
    bin_correct_counts: tuple[int, ...] = ()
    health: tuple[str, ...] = ()
    error: str = ""
    timings: Timings | None = None


class Snapshot(NamedTuple):
    """The pictures of one set, kept for the report. `moment.record` holds what the pictures' captions need."""

    record: FrameRecord
    moment: Moment


class SetResult(NamedTuple):
    """What running one planned set gives; pictures only where the plan asks for them."""

    record: FrameRecord
    snapshot: Snapshot | None


@dataclass(frozen=True)
class Summary:
    """The content of metrics.json. Everything but `timings` is the same, bit by bit, in every run.

    `document` is laid out as:

    ```
    format: 1
    model: {name, version, sha256}                  settings: what decides the results (reference, limits, faults, ...)
    bags: [names]                                   variants: [names, the one with most cameras first]
    results: {variant: {
        all: RESULT, by_bag: {bag: RESULT}, by_spectra: {key of the spectra that were in the set: RESULT}}}
    failed_bags: {bag: why}     notes: {text: count}    problems: {text: sets where an image or truth was not usable}
    timings: {wall_s, sets_per_s, model_share, model_ms: {p50, p90, p99}, compute_ms: {...}, latency_ms: {...},
              latency_histogram: {edges_ms, counts}, providers, workers, reused_sets}
    ```

    RESULT is `{sets, sets_with_depth, sets_with_truth, truth_pixels, duration_s, rate_hz, scores: {name: mean over
    images or null}, ece, confidence, view_confidence: {spectrum: mean}, consistency: {spectrum: mean},
    range_bands: [{from_m, to_m, pixels, abs_rel}], reliability: [{from, to, pixels, confidence, observed}],
    health: {word: sets}}`.
    """

    document: Mapping[str, Any]

    @property
    def variants(self) -> Sequence[str]:
        """Names of the variants, the one with most cameras first."""
        names: list[str] = self.document["variants"]
        return names

    def result(self, variant: str | None = None) -> Mapping[str, Any]:
        """RESULT over all bags; of the first variant unless one is named."""
        result: Mapping[str, Any] = self.document["results"][variant or self.variants[0]]["all"]
        return result


def record_key(record: FrameRecord | SetPlan) -> tuple[str, int, str, int]:
    """Order of records wherever order matters: bag, variant (more cameras first), number of the set."""
    return (record.bag, -len(record.variant.split("+")), record.variant, record.number)


_REF = [("log_ns", np.int64), ("stamp_ns", np.int64), ("repeat", np.int32)]
_ROW = np.dtype(
    [("number", np.int64), ("stamp_ns", np.int64), ("wait_ms", np.float64), ("flags", np.uint16)]
    + [(name, np.dtype(_REF)) for name in (*SPECTRA, "truth")]
)
_SNAPSHOT, _CONSISTENCY = 1, 2
_PRESENT = 2  # the first of the bits for: spectra and truth present, then spectra frozen


class Plan(Sequence[SetPlan]):
    """The sets of one bag and one variant in order; a hundred bytes each, so that an hour costs a few megabytes.

    Args:
        bag: Name of the recording, unique in this evaluation.
        variant: The cameras that take part.
        topics: Topic of each spectrum, and of `truth`.
        rows: As `pack` makes them.
    """

    def __init__(self, bag: str, variant: str, topics: Mapping[str, str], rows: NDArray[Any]) -> None:
        """Take the rows as they are."""
        self.bag, self.variant, self.topics, self.rows = bag, variant, dict(topics), rows

    @classmethod
    def pack(cls, bag: str, variant: str, topics: Mapping[str, str], sets: Iterator[SetPlan] | list[SetPlan]) -> Plan:
        """Packs sets of this bag and variant."""
        return cls(bag, variant, topics, np.fromiter((_row(planned) for planned in sets), _ROW))

    def __len__(self) -> int:
        """Number of sets."""
        return len(self.rows)

    def __getitem__(self, item: Any) -> Any:  # noqa: ANN401  a set for an index, a plan for a slice
        """One set, or a part of the plan."""
        if isinstance(item, slice):
            return Plan(self.bag, self.variant, self.topics, self.rows[item])
        return self._unpack(self.rows[item])

    def has(self, name: str) -> NDArray[np.bool_]:
        """Which sets have an image of a spectrum, or a `truth`."""
        bit = _PRESENT + (*SPECTRA, "truth").index(name)
        return (self.rows["flags"] >> bit & 1).astype(bool)

    def pictures_of(self, numbers: Collection[int]) -> Plan:
        """The part of this plan that has these numbers, with the wish for pictures."""
        rows = self.rows[np.isin(self.rows["number"], list(numbers))].copy()
        rows["flags"] |= _SNAPSHOT
        return Plan(self.bag, self.variant, self.topics, rows)

    def _unpack(self, row: Any) -> SetPlan:  # noqa: ANN401  a record of a structured array
        flags = int(row["flags"])
        refs = {
            name: MessageRef(self.topics[name], *(int(row[name][key]) for key in ("log_ns", "repeat", "stamp_ns")))
            for bit, name in enumerate((*SPECTRA, "truth"), start=_PRESENT)
            if flags >> bit & 1
        }
        frozen = tuple(name for bit, name in enumerate(SPECTRA, start=_PRESENT + len(SPECTRA) + 1) if flags >> bit & 1)
        truth = refs.pop("truth", None)
        return SetPlan(
            self.bag, self.variant, int(row["number"]), int(row["stamp_ns"]), refs, truth, float(row["wait_ms"]),
            frozen, bool(flags & _SNAPSHOT), bool(flags & _CONSISTENCY),
        )  # fmt: skip


def _row(planned: SetPlan) -> tuple[Any, ...]:
    """A set as a row of a plan."""
    flags = _SNAPSHOT * planned.snapshot + _CONSISTENCY * planned.consistency
    refs = []
    for bit, name in enumerate((*SPECTRA, "truth"), start=_PRESENT):
        ref = planned.truth if name == "truth" else planned.inputs.get(name)
        flags |= (ref is not None) << bit
        refs.append((0, 0, 0) if ref is None else (ref.log_ns, ref.stamp_ns, ref.repeat))
    for bit, name in enumerate(SPECTRA, start=_PRESENT + len(SPECTRA) + 1):
        flags |= (name in planned.frozen) << bit
    return (planned.number, planned.stamp_ns, planned.wait_ms, flags, *refs)
