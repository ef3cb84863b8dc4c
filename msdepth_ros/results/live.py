"""What was seen of each frame set, and the summary of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.results.instants import Instant, count_answered


@dataclass(frozen=True)
class SetRecord:
    """One depth image that arrived.

    Attributes:
        stamp_ns: Header stamp of the depth.
        newest_ns: Stamp of the newest image in the set.
        received_ns: When the depth arrived.
        spectra: The spectra that made the set.
        abs_rel: Unscaled AbsRel against the truth of the instant; None without truth.
        coverage: Share of the pixels with truth that have a depth; None without truth.
        confidence: Mean of the fused confidence; None if it did not arrive.
        view_confidence: Mean confidence of each spectrum in the set.
    """

    stamp_ns: int
    newest_ns: int
    received_ns: int
    spectra: tuple[str, ...]
    abs_rel: float | None = None
    coverage: float | None = None
    confidence: float | None = None
    view_confidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def latency_ms(self) -> float:
        """Time from the newest image's stamp to the arrival of the depth."""
        return (self.received_ns - self.newest_ns) * 1e-6

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SetRecord:
        """Undo `to_json`."""
        return cls(**{**values, "spectra": tuple(values["spectra"])})


@dataclass(frozen=True)
class NodeReport:
    """What the node says of itself in its diagnostics.

    Attributes:
        model: Name and version of the model.
        providers: Execution providers in use.
        model_ms_p50: Median time of one inference.
        dropped: Messages and sets that were dropped.
    """

    model: str = "unknown"
    providers: tuple[str, ...] = ()
    model_ms_p50: float | None = None
    dropped: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> NodeReport:
        """Undo `to_json`."""
        return cls(**{**values, "providers": tuple(values["providers"])})


def percentiles_ms(values: Iterable[float]) -> dict[str, float | None]:
    """p50, p90 and p99; None for each if there are no values."""
    array = np.asarray(list(values), dtype=np.float64)
    return {f"p{q}": round(float(np.percentile(array, q)), 3) if array.size else None for q in (50, 90, 99)}


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there."""
    present = [value for value in values if value is not None]
    return round(float(np.mean(present)), 5) if present else None


def rate_hz(received_ns: Sequence[int]) -> float | None:
    """Rate of arrivals over their whole span; None for fewer than two."""
    span_ns = max(received_ns) - min(received_ns) if received_ns else 0
    return round((len(received_ns) - 1) * 1e9 / span_ns, 3) if span_ns else None


def summarise(
    records: Sequence[SetRecord], instants: Sequence[Instant], *, period_ns: int, node: NodeReport
) -> dict[str, Any]:
    """The content of `summary.json`.

    Args:
        records: Every depth image that arrived.
        instants: What the player published.
        period_ns: Time between two instants.
        node: The node's own account.
    """
    groups: dict[str, list[SetRecord]] = {}
    for record in records:
        groups.setdefault(spectra_key(record.spectra), []).append(record)
    return {
        "instants_published": len(instants),
        "instants_answered": count_answered(instants, (record.stamp_ns for record in records), period_ns),
        "rate_hz": rate_hz([record.received_ns for record in records]),
        "latency_ms": percentiles_ms(record.latency_ms for record in records),
        "model_ms": {"p50": node.model_ms_p50},
        "abs_rel": mean_or_none(record.abs_rel for record in records),
        "abs_rel_by_spectra": {key: mean_or_none(r.abs_rel for r in group) for key, group in sorted(groups.items())},
        "sets_by_spectra": dict(sorted(Counter(spectra_key(record.spectra) for record in records).items())),
        "dropped": node.dropped,
        "model": node.model,
        "providers": list(node.providers),
    }
