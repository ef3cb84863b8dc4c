"""The figures of an evaluation show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import TICK_NS, record, summary
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.report.page.curves import by_range, drive, latency_histogram, ranking, reliability
from msdepth_ros.report.page.series import Series
from msdepth_ros.results.frame import BAND_EDGES_M, BIN_COUNT, FrameRecord


def series(records: list[FrameRecord], limit: int = 100) -> Series:
    found = Series(limit)
    for one in records:
        found.add(one)
    return found


def test_the_error_by_distance_is_that_of_the_summary() -> None:
    result = summary([record(n, abs_rel=0.1) for n in range(3)]).result()
    errors, shares = by_range({"rgb+nir+thermal": result}).data
    assert len(errors.x) == len(BAND_EDGES_M) - 1
    np.testing.assert_allclose(errors.y, [band["abs_rel"] for band in result["range_bands"]], rtol=1e-6)
    assert sum(shares.y) == pytest.approx(100)


def test_a_band_without_pixels_is_a_gap() -> None:
    result = summary([record(0)]).result()
    bands = [{**band, "abs_rel": None} if band["from_m"] == 60 else band for band in result["range_bands"]]
    errors = by_range({"rgb": {**result, "range_bands": bands}}, shares=False).data[0]
    assert np.isnan(errors.y[-1]) and np.isfinite(errors.y[:-1]).all()
    assert errors.text[-1] == ""


def test_the_reliability_diagram_has_the_bins_with_pixels() -> None:
    result = summary([record(0)]).result()
    perfect, observed, _ = reliability({"rgb": result}).data
    assert (list(perfect.x), list(perfect.y)) == ([0, 1], [0, 1])
    assert len(observed.x) == BIN_COUNT
    np.testing.assert_allclose(observed.y, [0.05 * n for n in range(BIN_COUNT)], rtol=1e-6, atol=1e-9)


@given(st.lists(st.floats(0.5, 5000, allow_nan=False), min_size=1, max_size=300))
def test_the_histogram_counts_every_set(values_ms: list[float]) -> None:
    bars = latency_histogram(values_ms, {"p50": float(np.median(values_ms)), "p90": None}).data[0]
    assert sum(bars.y) == len(values_ms)
    assert 1 <= len(bars.x) <= 60


def test_one_very_slow_set_does_not_squeeze_the_others() -> None:
    bars = latency_histogram([20.0 + n % 30 for n in range(5000)] + [9000.0], {}).data[0]
    assert max(bars.x) < 60
    assert sum(bars.y) == 5001
    assert "9000 ms" in bars.customdata[-1]


def test_lanes_tell_missing_from_partly_missing_and_from_trouble() -> None:
    def one(n: int) -> FrameRecord:
        spectra = ("rgb",) if 20 <= n < 40 else ("rgb", "nir") if n % 2 and n < 60 else None
        return record(n, spectra=spectra, health=("nir:frozen",) if n >= 90 else ())

    figure = drive(series([one(n) for n in range(100)], 25), scored=True)
    lanes = {trace.name: list(zip(trace.base, trace.x, strict=True)) for trace in figure.data if trace.type == "bar"}
    assert lanes["thermal in some sets"] == [(0.0, 2.0), (4.0, 2.0)]
    assert lanes["nir in all sets"] == [(0.0, 2.0), (4.0, 4.8)]
    assert lanes["nir frozen"] == [(8.8, 1.2)]
    assert not any(name.endswith("missing") for name in lanes)


def test_lanes_tell_trouble_that_is_used_from_trouble_that_is_left_out() -> None:
    def one(n: int) -> FrameRecord:
        return record(n, spectra=None if n < 10 else ("nir",) if n < 20 else ("rgb", "nir"), health=("rgb:frozen",))

    lanes = {trace.name: trace for trace in drive(series(map(one, range(30))), scored=True).data if trace.type == "bar"}
    assert {"rgb frozen", "rgb frozen: not used", "nir in all sets"} <= lanes.keys()
    assert lanes["rgb frozen: not used"].base == (1.0,)
    assert lanes["rgb frozen"].marker.color != lanes["rgb frozen: not used"].marker.color
    few = [trace.name for trace in drive(series(map(one, range(30)), 2), scored=True).data if trace.type == "bar"]
    assert "rgb frozen: used in some sets" in few


def test_sets_without_depth_are_marked_and_break_no_curve_into_zeros() -> None:
    records = [record(n, confidence=None if n == 5 else 0.5) for n in range(10)]
    figure = drive(series(records), scored=True)
    crosses = next(trace for trace in figure.data if trace.name == "no depth")
    assert list(crosses.x) == [0.5]
    fused = next(trace for trace in figure.data if trace.name == "fused")
    assert np.isnan(fused.y[5]) and (fused.y[:5] == 0.5).all()


def test_curves_break_where_time_jumps() -> None:
    records = [record(n, stamp_ns=tick * TICK_NS) for n, tick in enumerate([0, 1, 2, 90, 91])]
    fused = next(trace for trace in drive(series(records), scored=False).data if trace.name == "fused")
    assert len(fused.x) == 6
    assert np.isnan(fused.y[3])


def test_the_best_subset_is_on_top() -> None:
    bars = ranking({"rgb": 0.2, "nir": None, "rgb+nir": 0.1}, "AbsRel").data[0]
    assert list(bars.y) == ["rgb", "rgb+nir"]  # Plotly draws from the bottom
