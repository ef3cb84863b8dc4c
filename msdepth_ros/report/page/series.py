"""Thousands of sets as a few hundred points over time, in one pass and in bounded memory."""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.results.frame import FrameRecord

_GAP = 2.5  # median steps without a set after which a curve breaks
_JUMP = 10.0  # mean steps without a set after which a new bucket begins, so that none spans a hole in the recording


@dataclass
class Bucket:
    """A few sets in a row.

    Attributes:
        start_ns: Stamp of the first.
        end_ns: Stamp of the last.
        jump: Whether time jumped before the first.
        sets: How many.
        sums: Sum of each curve.
        counts: How many sets had a value of it.
        worst: Largest value of `abs_rel` and `latency_ms`.
        present: In how many sets each spectrum was.
        keys: How many sets had each combination of spectra.
        health: How many sets had each word of trouble.
        failed: Sets without depth.
    """

    start_ns: int
    end_ns: int
    jump: bool = False
    sets: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    present: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    health: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def add(self, record: FrameRecord) -> None:
        """Takes one set."""
        self.end_ns = record.stamp_ns
        self.sets += 1
        values = {**record.view_confidence, "confidence": record.confidence}
        values |= {name: record.scores.get(name) for name in ("abs_rel", "delta_1")}
        values["latency_ms"] = record.timings.latency_ms if record.timings else None
        for name, value in values.items():
            if value is not None:
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] += 1
                self.worst[name] = max(value, self.worst.get(name, value))
        self.present.update(record.spectra)
        self.keys[spectra_key(record.spectra)] += 1
        self.health.update(record.health)
        self.failed += record.confidence is None

    def join(self, other: Bucket) -> None:
        """Takes all sets of the next bucket."""
        self.end_ns, self.sets, self.failed = other.end_ns, self.sets + other.sets, self.failed + other.failed
        for name in ("counts", "present", "keys", "health"):
            getattr(self, name).update(getattr(other, name))
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        for name, value in other.worst.items():
            self.worst[name] = max(value, self.worst.get(name, value))

    def mean(self, name: str) -> float | None:
        """Mean of a curve; None where no set has a value."""
        return self.sums[name] / self.counts[name] if self.counts[name] else None


class Series:
    """The sets of one bag and variant in order, joined to a bounded number of buckets.

    Args:
        limit: Most buckets; at more, every two neighbours become one.
    """

    def __init__(self, limit: int) -> None:
        """Starts empty."""
        self.buckets: list[Bucket] = []
        self._limit = max(2, limit)
        self._sets_per_bucket = 1
        self._steps, self._steps_ns = 0, 0

    def add(self, record: FrameRecord) -> None:
        """Takes the next set."""
        jump = self._jumps_to(record.stamp_ns)
        if (jump or self._full()) and len(self.buckets) >= self._limit:
            self._halve()
        if jump or self._full():
            self.buckets.append(Bucket(record.stamp_ns, record.stamp_ns, jump))
        self.buckets[-1].add(record)

    def _full(self) -> bool:
        """Whether the next set needs a new bucket."""
        return not self.buckets or self.buckets[-1].sets >= self._sets_per_bucket

    def _jumps_to(self, stamp_ns: int) -> bool:
        """Whether time jumps, back or far ahead."""
        if not self.buckets:
            return False
        step_ns = stamp_ns - self.buckets[-1].end_ns
        if step_ns <= 0 or (self._steps and step_ns * self._steps > _JUMP * self._steps_ns):
            return True
        self._steps, self._steps_ns = self._steps + 1, self._steps_ns + step_ns
        return False

    def _halve(self) -> None:
        """Joins neighbours; across a jump only where there are so many that nothing else would help."""
        for over_jumps in (False, True):
            joined: list[Bucket] = []
            for bucket in self.buckets:
                room = joined and joined[-1].sets + bucket.sets <= 2 * self._sets_per_bucket
                if room and (over_jumps or not bucket.jump):
                    joined[-1].join(bucket)
                else:
                    joined.append(bucket)
            self.buckets = joined
            if len(joined) <= 0.75 * self._limit:
                break
        self._sets_per_bucket *= 2

    @property
    def sets_per_bucket(self) -> int:
        """How many sets one point stands for."""
        return self._sets_per_bucket

    def step_ns(self) -> float:
        """Usual time from one bucket to the next."""
        steps = sorted(b.start_ns - a.start_ns for a, b in itertools.pairwise(self.buckets) if b.start_ns > a.start_ns)
        return steps[len(steps) // 2] if steps else 100_000_000

    def breaks(self) -> list[bool]:
        """For each bucket: whether time jumped since the one before it, so that no line may connect them."""
        longest = _GAP * self.step_ns()
        jumps = [b.jump or b.start_ns - a.start_ns > longest for a, b in itertools.pairwise(self.buckets)]
        return [False, *jumps][: len(self.buckets)]

    def ends_ns(self) -> list[float]:
        """For each bucket: when it ends, which is where the next one begins unless there is a gap."""
        jumps, following = [*self.breaks()[1:], True], [*self.buckets[1:], None]
        period = self._steps_ns / self._steps if self._steps else self.step_ns()
        return [
            bucket.end_ns + period if jump or after is None else after.start_ns
            for bucket, jump, after in zip(self.buckets, jumps, following, strict=True)
        ]


class Latencies:
    """The latency of every set of one variant: eight bytes each.

    Args:
        variant: The others are passed on alone.
    """

    def __init__(self, variant: str) -> None:
        """Starts empty."""
        self._variant = variant
        self.values_ms = array("d")

    def watch(self, records: Iterable[FrameRecord]) -> Iterator[FrameRecord]:
        """Gives records on as they come."""
        for record in records:
            if record.timings and record.variant == self._variant:
                self.values_ms.append(record.timings.latency_ms)
            yield record


def collect(records: Iterable[FrameRecord], limit: int) -> dict[tuple[str, str], Series]:
    """One series for each bag and variant, in the order in which they come.

    Args:
        records: In the order of `record_key`.
        limit: Most points of each.
    """
    found: dict[tuple[str, str], Series] = {}
    for record in records:
        key = (record.bag, record.variant)
        found.setdefault(key, Series(limit)).add(record)
    return found
