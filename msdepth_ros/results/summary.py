"""What all records say together: the content of metrics.json, a pure function of the records in their order."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError, kind_of
from msdepth_ros.core.spectra import SPECTRA, key_order, spectra_key
from msdepth_ros.results.frame import BAND_EDGES_M, BIN_COUNT, SCORES, FrameRecord, Summary, record_key

FORMAT = 1
LATENCY_EDGES_MS = tuple(float(edge) for edge in (*range(0, 100, 5), *range(100, 300, 20), *range(300, 1001, 100)))
MAX_PROBLEMS = 20
"""Different problems that a summary names; of more it gives the number of sets."""
_OTHERS = "others"
_TIMINGS = ("model_ms", "compute_ms", "latency_ms")


@dataclass(frozen=True)
class About:
    """What a summary says beside its numbers.

    Attributes:
        model: name, version and sha256.
        settings: What decides the results.
        failed_bags: Why, by name.
        notes: Worth telling: what was left out, and why.
        wall_s: Time of the run, without the pictures of the report; None where it is not known.
        providers: What the model ran on.
        workers: How many worked at a time.
        reused_sets: Sets that an earlier run, which was interrupted, had finished.
    """

    model: Mapping[str, str]
    settings: Mapping[str, Any]
    failed_bags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    wall_s: float | None = None
    providers: tuple[str, ...] = ()
    workers: int = 1
    reused_sets: int = 0


def summarise(records: Iterable[FrameRecord], about: About) -> Summary:
    """Adds up records.

    Args:
        records: In the order of `record_key`; read once.
        about: What to say beside the numbers.

    Raises:
        MsdepthError: The records are not in order, so that the sums would depend on who made them.
    """
    totals = _Totals()
    for record in records:
        totals.add(record)
    cells = totals.cells
    order = sorted(cells, key=key_order)
    return Summary(
        {
            "format": FORMAT,
            "model": dict(about.model),
            "settings": dict(about.settings),
            "bags": list(totals.bags),
            "variants": order,
            "results": {name: _results(cells[name]) for name in order},
            "failed_bags": dict(sorted(about.failed_bags.items())),
            "notes": dict(sorted(Counter(about.notes).items())),
            "problems": dict(totals.problems),
            "timings": _timings({name: totals.timings[name] for name in order}, totals.sets, about),
        }
    )


def write_metrics(path: Path, summary: Summary) -> None:
    """Writes metrics.json.

    Raises:
        MsdepthError: It cannot be written.
    """
    try:
        path.write_text(json.dumps(summary.document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise MsdepthError(f"{path}: cannot be written ({error.strerror}); name another folder with --out") from error


def read_metrics(path: Path) -> Summary:
    """Reads metrics.json.

    Raises:
        MsdepthError: It is not one.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MsdepthError(f"{path}: cannot be read as metrics.json: {error}; give that of an evaluation") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or "results" not in document:
        raise MsdepthError(f"{path}: is no metrics.json of format {FORMAT}; give that of `msdepth evaluate`")
    return Summary(document)


class _Totals:
    """Sums over all records."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, dict[str, _Cell]]] = {}
        self.timings: dict[str, dict[str, array[float]]] = {}
        self.bags: dict[str, None] = {}
        self.sets = 0
        self.problems: Counter[str] = Counter()
        self._first_of_kind: dict[str, str] = {}
        self._last: FrameRecord | None = None

    def add(self, record: FrameRecord) -> None:
        """Takes one record."""
        if self._last is not None and not record_key(self._last) < record_key(record):
            raise MsdepthError(f"records out of order: {record_key(record)} after {record_key(self._last)}")
        self._last = record
        self.sets += 1
        self.bags[record.bag] = None
        if record.error:
            first = self._first_of_kind.setdefault(kind_of(record.error), record.error)
            known = first in self.problems or len(self.problems) < MAX_PROBLEMS
            self.problems[first if known else _OTHERS] += 1
        variant = self.cells.setdefault(record.variant, {"all": {}, "by_bag": {}, "by_spectra": {}})
        keys = {"all": "all", "by_bag": record.bag, "by_spectra": spectra_key(record.spectra)}
        for group, key in keys.items():
            variant[group].setdefault(key, _Cell()).add(record)
        timings = self.timings.setdefault(record.variant, {name: array("d") for name in _TIMINGS})
        for name in _TIMINGS if record.timings else ():
            timings[name].append(getattr(record.timings, name))


class _Cell:
    """Sums over the records of one group."""

    def __init__(self) -> None:
        self.sets = self.with_depth = self.with_truth = self.pixels = 0
        self.scores = np.zeros(len(SCORES))
        self.band_counts = np.zeros(len(BAND_EDGES_M) - 1, np.int64)
        self.band_sums = np.zeros(len(BAND_EDGES_M) - 1)
        self.bins = np.zeros((3, BIN_COUNT))
        self.means: dict[str, dict[str, tuple[int, float]]] = {"confidence": {}, "view_confidence": {}}
        self.means["consistency"] = {}
        self.health: Counter[str] = Counter()
        self.spans: dict[str, tuple[int, int]] = {}

    def add(self, record: FrameRecord) -> None:
        """Takes one record."""
        self.sets += 1
        self.health.update(record.health)
        first, last = self.spans.get(record.bag, (record.stamp_ns, record.stamp_ns))
        self.spans[record.bag] = (min(first, record.stamp_ns), max(last, record.stamp_ns))
        if record.confidence is not None:
            self.with_depth += 1
            self._add_mean("confidence", {"fused": record.confidence})
        self._add_mean("view_confidence", record.view_confidence)
        self._add_mean("consistency", record.consistency)
        if record.scores:
            self.with_truth += 1
            self.pixels += record.truth_pixels
            self.scores += [record.scores[name] for name in SCORES]
            self.band_counts += record.band_counts
            self.band_sums += record.band_abs_rel_sums
            self.bins += [record.bin_counts, record.bin_confidence_sums, record.bin_correct_counts]

    def _add_mean(self, kind: str, values: Mapping[str, float]) -> None:
        """Adds values to means by name."""
        means = self.means[kind]
        for name, value in values.items():
            count, total = means.get(name, (0, 0.0))
            means[name] = (count + 1, total + value)

    def result(self) -> dict[str, Any]:
        """The numbers of this group."""
        means = {
            kind: {name: values[name][1] / values[name][0] for name in ("fused", *SPECTRA) if name in values}
            for kind, values in self.means.items()
        }
        duration_s = sum(last - first for first, last in self.spans.values()) * 1e-9
        between = self.with_depth - len(self.spans)
        return {
            "sets": self.sets,
            "sets_with_depth": self.with_depth,
            "sets_with_truth": self.with_truth,
            "truth_pixels": self.pixels,
            "duration_s": duration_s,
            "rate_hz": between / duration_s if duration_s > 0 and between > 0 else None,
            "scores": {
                name: float(total / self.with_truth) if self.with_truth else None
                for name, total in zip(SCORES, self.scores, strict=True)
            },
            "ece": _ece(self.bins),
            "confidence": means["confidence"].get("fused"),
            "view_confidence": means["view_confidence"],
            "consistency": means["consistency"],
            "range_bands": self._bands(),
            "reliability": _reliability(self.bins),
            "health": dict(sorted(self.health.items())),
        }

    def _bands(self) -> list[dict[str, Any]]:
        """Error by distance."""
        rows = zip(BAND_EDGES_M, BAND_EDGES_M[1:], self.band_counts.tolist(), self.band_sums.tolist(), strict=False)
        return [
            {"from_m": low, "to_m": high, "pixels": count, "abs_rel": total / count if count else None}
            for low, high, count, total in rows
        ]


def _ece(bins: NDArray[np.float64]) -> float | None:
    """Expected calibration error of pooled bins: counts, sums of confidence, correct ones."""
    counts, stated, correct = bins
    total = float(counts.sum())
    return float(np.abs(stated - correct).sum() / total) if total else None


def _reliability(bins: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Stated and observed confidence of each bin."""
    rows = []
    for index, (count, stated, correct) in enumerate(bins.T.tolist()):
        row = {"from": index / BIN_COUNT, "to": (index + 1) / BIN_COUNT, "pixels": int(count)}
        known = {"confidence": stated / count, "observed": correct / count} if count else {}
        rows.append({**row, "confidence": None, "observed": None, **known})
    return rows


def _results(groups: Mapping[str, Mapping[str, _Cell]]) -> dict[str, Any]:
    """One variant."""
    return {
        "all": groups["all"]["all"].result(),
        "by_bag": {name: cell.result() for name, cell in groups["by_bag"].items()},
        "by_spectra": {name: groups["by_spectra"][name].result() for name in sorted(groups["by_spectra"])},
    }


def _timings(timings: Mapping[str, Mapping[str, array[float]]], sets: int, about: About) -> dict[str, Any]:
    """What differs from run to run; sets without depth have no times, but count for the rate.

    Args:
        timings: Of each variant, the one with most cameras first; latency and the rest are that one's.
        sets: How many there are.
        about: How they were made.
    """
    by_variant = {variant: {name: _percentiles(values) for name, values in found.items()}
                  for variant, found in timings.items()}  # fmt: skip
    first = next(iter(timings), "")
    latency = np.array(timings[first]["latency_ms"]) if first else np.empty(0)
    edges = [*LATENCY_EDGES_MS, np.inf]
    model_s = 1e-3 * sum(float(np.sum(np.array(found["model_ms"]))) for found in timings.values())
    wall_s = about.wall_s
    return {
        "wall_s": wall_s,
        "sets_per_s": max(0, sets - about.reused_sets) / wall_s if wall_s else None,
        "model_share": model_s / (wall_s * about.workers) if wall_s and not about.reused_sets else None,
        **by_variant.get(first, {name: _percentiles(array("d")) for name in _TIMINGS}),
        "by_variant": by_variant,
        "latency_histogram": {
            "edges_ms": list(LATENCY_EDGES_MS),
            "counts": np.histogram(latency, edges)[0].tolist(),
        },
        "providers": list(about.providers),
        "workers": about.workers,
        "reused_sets": about.reused_sets,
    }


def _percentiles(values: array[float]) -> dict[str, float | None]:
    """p50, p90 and p99."""
    return {f"p{q}": float(np.percentile(np.array(values), q)) if len(values) else None for q in (50, 90, 99)}
