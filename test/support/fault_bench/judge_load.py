"""Verdicts about the node under load: memory, latency, and sets that got lost. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fault_bench.expectations import Bars
from fault_bench.judge import row

WARM_UP = 0.1
"""Share of the time that is left out of trends: buffers of every size have been made then."""
_WINDOWS = 30
_TEN_MINUTES_S = 600.0


class Sample(NamedTuple):
    """The memory of the node at some time since the begin, seconds."""

    elapsed_s: float
    rss_bytes: int


class Load(NamedTuple):
    """What was seen.

    Attributes:
        samples: of the memory.
        latencies: of each depth image when it came and its age then, both ns.
        counts: of the node: images ``received``; sets ``formed`` (of them ``partial``), ``published``, ``dropped`` (of
            them ``dropped_while_idle``), ``skipped``, ``unusable``, ``errors``.
        instants: that the cameras took, all cameras together at one.
        images: that the cameras took.
        words: said of cameras.
    """

    samples: Sequence[Sample]
    latencies: Sequence[tuple[int, int]]
    counts: Mapping[str, int]
    instants: int
    images: int
    words: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.samples[-1].elapsed_s - self.samples[0].elapsed_s


def judge_soak(load: Load, bars: Bars) -> list[dict[str, Any]]:
    """The verdicts on cameras that are faster than usual, for long."""
    return [_memory("soak: memory", load, WARM_UP, bars), _trend(load, bars), _sets(load, bars)]


def judge_overload(load: Load, slow_s: float, bars: Bars) -> list[dict[str, Any]]:
    """The verdicts on a network that takes three camera periods.

    Args:
        load: what was seen.
        slow_s: what the network takes, seconds.
        bars: what must be reached.
    """
    ages_ms = np.array([age_ns for _, age_ns in load.latencies][1:]) * 1e-6
    limit_ms = 2e3 * slow_s
    expected = {"latency_ms": limit_ms, "unaccounted": 1, "dropped": "counted"}
    seen = {
        "latency_ms_p50": _percentile(ages_ms, 50), "latency_ms_max": _percentile(ages_ms, 100),
        "sets": load.counts["formed"], "published": load.counts["published"], "dropped": load.counts["dropped"],
        "unaccounted": unaccounted(load.counts),
    }  # fmt: skip
    newest = len(ages_ms) > 0 and ages_ms.max() < limit_ms
    passed = newest and load.counts["dropped"] > 0 and seen["unaccounted"] <= 1
    return [row("overload", "", expected, seen, passed), _memory("overload: memory", load, 0.5, bars)]


def unaccounted(counts: Mapping[str, int]) -> int:
    """Sets of which nobody knows what became of them; one may be in the works."""
    ends = ("published", "dropped", "skipped", "unusable", "errors")
    return abs(counts["formed"] - sum(counts[name] for name in ends))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line through points, by least squares."""
    x, y = np.array(points, np.float64).T
    return float(np.polyfit(x - x.mean(), y, 1)[0])


def _memory(name: str, load: Load, warm_up: float, bars: Bars) -> dict[str, Any]:
    late = [one for one in load.samples if one.elapsed_s >= warm_up * load.seconds]
    slope_mb = slope([(one.elapsed_s, one.rss_bytes) for one in late]) * _TEN_MINUTES_S * 1e-6
    seen = {
        "mb_per_10_min": round(slope_mb, 2), "first_mb": round(late[0].rss_bytes * 1e-6, 2),
        "last_mb": round(late[-1].rss_bytes * 1e-6, 2), "minutes": round(load.seconds / 60, 1),
    }  # fmt: skip
    expected = {"mb_per_10_min": bars.rss_mb_per_10_min}
    return row(name, "", expected, seen, slope_mb <= bars.rss_mb_per_10_min)


def _trend(load: Load, bars: Bars) -> dict[str, Any]:
    """Latency: the median of each of thirty parts, and the straight line through them."""
    begin_ns, end_ns = load.latencies[0][0], load.latencies[-1][0]
    begin_ns += round(WARM_UP * (end_ns - begin_ns))
    parts: list[list[float]] = [[] for _ in range(_WINDOWS)]
    for arrival_ns, age_ns in load.latencies:
        if arrival_ns >= begin_ns:
            parts[min(_WINDOWS - 1, (arrival_ns - begin_ns) * _WINDOWS // (end_ns - begin_ns))].append(age_ns * 1e-6)
    medians = [(float(number), statistics.median(part)) for number, part in enumerate(parts) if part]
    usual_ms = statistics.median(median for _, median in medians)
    share = slope(medians) * (_WINDOWS - 1) / usual_ms
    ages_ms = np.array([age for part in parts for age in part])
    seen = {
        "growth": round(share, 3), "p50_ms": round(usual_ms, 1), "p99_ms": _percentile(ages_ms, 99),
        "first_ms": round(medians[0][1], 1), "last_ms": round(medians[-1][1], 1),
    }  # fmt: skip
    return row("soak: latency", "", {"growth": bars.latency_growth}, seen, share <= bars.latency_growth)


def _sets(load: Load, bars: Bars) -> dict[str, Any]:
    """No set is lost that the node was fast enough to do.

    Each instant of the cameras makes a set; each set is published, or dropped for a newer one that came while the
    network still worked on an earlier set. A set is lost where an instant made none, where it was dropped although
    nothing was computed when it came, where computing it failed, or where nobody knows.
    """
    counts = load.counts
    lost = max(0, load.instants - counts["formed"]) + counts["dropped_while_idle"] + counts["errors"]
    lost += counts["unusable"] + counts["skipped"] + max(0, unaccounted(counts) - 1)
    seen = {
        "instants": load.instants, "sets": counts["formed"], "published": counts["published"],
        "dropped_while_busy": counts["dropped"] - counts["dropped_while_idle"], "lost": lost,
        "partial": counts["partial"], "images": load.images, "images_lost": load.images - counts["received"],
        "said": list(load.words),
    }  # fmt: skip
    allowed = round(bars.lost_share * load.instants)
    return row("soak: sets", "", {"lost": allowed}, seen, lost <= allowed)


def _percentile(values: np.ndarray[Any, Any], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 1) if len(values) else None
