"""The data model of `msdepth evaluate`: what one set gave, and what all of them give together.

Three steps share it. *Plan*: which images form a set, and which of them are used (see `evaluation.plan`). *Run*: each
planned set becomes one `FrameRecord`, on any machine and in any order. *Summarise*: a pure function of all records in
the order of `record_key`, so that any division of the work merges to the same bits (see `summary`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta_1", "delta_2", "delta_3", "silog")
"""Metrics of one image, unscaled; each also as `<metric>_median_scaled`. Units as in `core.metrics.DepthMetrics`."""
_SHARES = ("delta_1", "delta_2", "delta_3")
HIGHER_IS_BETTER = (*_SHARES, *(f"{name}_median_scaled" for name in _SHARES), "coverage", "consistency", "answered")
"""Of all other metrics less is better."""
SCORES = (*METRICS, *(f"{name}_median_scaled" for name in METRICS), "coverage", "ause")
"""Everything that needs ground truth; keys of `FrameRecord.scores`."""
BAND_EDGES_M = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0)
"""Bands of true depth for the error by distance: [lower, upper)."""
BIN_COUNT = 15
"""Equal bins of confidence over [0,1] for the reliability diagram."""


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
        spectra: The cameras whose images went into the network, in canonical order.
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
        health: Words such as `rgb:black`, `nir:missing`, `thermal:frozen`, sorted: what is wrong with the images of the
            set. Those that were used all the same are in `spectra`.
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

    @property
    def abs_rel(self) -> float | None:
        """Unscaled AbsRel; None without truth."""
        return self.scores.get("abs_rel")


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
              latency_histogram: {edges_ms, counts}, by_variant: {variant: {model_ms, compute_ms, latency_ms}},
              providers, workers, reused_sets}
    ```

    Latency and the times beside it are those of the first variant, since fewer cameras take less; speed is that of all.

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


class Named(Protocol):
    """What tells one set of an evaluation from the others: a record has it, and so has a planned set."""

    @property
    def bag(self) -> str:
        """Name of the recording."""

    @property
    def variant(self) -> str:
        """The cameras that take part, for example `rgb+thermal`."""

    @property
    def number(self) -> int:
        """Place of the set in its recording and variant."""


def record_key(record: Named) -> tuple[str, int, str, int]:
    """Order of records wherever order matters: bag, variant (more cameras first), number of the set."""
    return (record.bag, -len(record.variant.split("+")), record.variant, record.number)
