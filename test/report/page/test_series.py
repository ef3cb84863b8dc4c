"""Thousands of sets as a few hundred points: nothing is lost, memory is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import TICK_NS, record
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.report.page.series import Latencies, Series, collect
from msdepth_ros.results.frame import FrameRecord


def series(records: list[FrameRecord], limit: int = 100) -> Series:
    found = Series(limit)
    for one in records:
        found.add(one)
    return found


def test_few_sets_are_a_point_each() -> None:
    found = series([record(n, abs_rel=0.1 * n) for n in range(5)])
    assert [bucket.mean("abs_rel") for bucket in found.buckets] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert found.sets_per_bucket == 1


@given(st.integers(1, 700), st.integers(2, 60))
def test_means_are_those_of_all_sets_and_there_are_never_too_many_points(count: int, limit: int) -> None:
    errors = np.random.default_rng(count).uniform(0, 1, count)
    found = series([record(n, abs_rel=error) for n, error in enumerate(errors)], limit)
    assert len(found.buckets) <= limit
    assert sum(bucket.sets for bucket in found.buckets) == count
    assert sum(bucket.sums["abs_rel"] for bucket in found.buckets) == pytest.approx(errors.sum())
    assert max(bucket.worst["abs_rel"] for bucket in found.buckets) == errors.max()
    assert all(bucket.sets <= found.sets_per_bucket for bucket in found.buckets)
    assert sum(bucket.sets < found.sets_per_bucket for bucket in found.buckets) <= 2


def test_trouble_of_one_set_is_not_lost_among_many() -> None:
    records = [record(n, health=("rgb:black",) if n == 637 else ()) for n in range(1000)]
    found = series(records, 10)
    assert sum(bucket.health["rgb:black"] for bucket in found.buckets) == 1


def test_a_gap_and_a_jump_back_break_the_curve() -> None:
    ticks = [0, 1, 2, 50, 51, 10, 11]
    stamps = [record(n, stamp_ns=tick * TICK_NS) for n, tick in enumerate(ticks)]
    found = series(stamps)
    assert found.breaks() == [False, False, False, True, False, True, False]
    ends = [end / TICK_NS for end in found.ends_ns()]
    assert ends == [1, 2, 3, 51, 52, 11, 12]


def test_no_point_spans_a_hole_in_the_recording() -> None:
    ticks = [n if n < 500 else n + 3000 for n in range(1000)]
    found = series([record(n, stamp_ns=tick * TICK_NS) for n, tick in enumerate(ticks)], 12)
    assert len(found.buckets) <= 12
    assert max(bucket.end_ns - bucket.start_ns for bucket in found.buckets) < 300 * TICK_NS
    assert found.breaks().count(True) == 1
    before = found.breaks().index(True) - 1
    assert found.ends_ns()[before] == 500 * TICK_NS


def test_even_a_clock_that_jumps_all_the_time_gives_a_bounded_number_of_points() -> None:
    found = series([record(n, stamp_ns=(n * 7919 % 1000) * TICK_NS) for n in range(1000)], 20)
    assert len(found.buckets) <= 20
    assert sum(bucket.sets for bucket in found.buckets) == 1000


def test_values_that_are_missing_are_not_zero() -> None:
    found = series([record(0, abs_rel=None), record(1, confidence=None)])
    assert [bucket.mean("abs_rel") for bucket in found.buckets] == [None, None]
    assert [bucket.mean("confidence") for bucket in found.buckets] == [0.7, None]
    assert [bucket.failed for bucket in found.buckets] == [0, 1]


def test_recordings_and_variants_are_kept_apart_and_every_latency_of_one_variant_counts() -> None:
    records = [record(n, bag=bag, variant=variant, latency_ms=50 if variant == ("rgb",) else 40)
               for bag in ("a", "b") for variant in (("rgb", "nir"), ("rgb",)) for n in range(3)]  # fmt: skip
    latencies = Latencies("rgb+nir")
    found = collect(latencies.watch(records), 10)
    assert list(found) == [("a", "rgb+nir"), ("a", "rgb"), ("b", "rgb+nir"), ("b", "rgb")]
    assert all(sum(bucket.sets for bucket in one.buckets) == 3 for one in found.values())
    assert list(latencies.values_ms) == [40.0] * 6
