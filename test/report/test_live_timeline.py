"""The timeline of a live run."""

from __future__ import annotations

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.live_timeline import alive_intervals, timeline
from msdepth_ros.results.live import SetRecord

TICK_NS = 100_000_000


def record(tick: int, spectra: tuple[str, ...] = SPECTRA) -> SetRecord:
    stamp_ns = tick * TICK_NS
    return SetRecord(stamp_ns, stamp_ns, stamp_ns + 42_000_000, spectra, 0.125, 0.9, 0.7, dict.fromkeys(spectra, 0.5))


def test_alive_intervals_end_one_period_after_the_last_set() -> None:
    records = [record(t) for t in (0, 1, 2)] + [record(3, ("rgb",))] + [record(t) for t in (6, 7)]
    assert alive_intervals(records, "nir", TICK_NS) == [(0, 3 * TICK_NS), (6 * TICK_NS, 8 * TICK_NS)]
    assert alive_intervals(records, "rgb", TICK_NS) == [(0, 4 * TICK_NS), (6 * TICK_NS, 8 * TICK_NS)]
    assert alive_intervals([], "rgb", TICK_NS) == []


def test_each_combination_of_spectra_has_its_curve_and_each_camera_its_lane() -> None:
    records = [record(t) for t in range(3)] + [record(3, ("rgb",))]
    figure = timeline(records, [], unanswered_ns=[5 * TICK_NS], period_ns=TICK_NS)
    names = [trace.name for trace in figure.data]
    assert {"rgb in the set", "nir in the set", "thermal in the set", "instant without depth"} <= set(names)
    assert {"rgb+nir+thermal", "fused", "latency"} <= set(names)
    nir = next(trace for trace in figure.data if trace.name == "nir in the set")
    assert (nir.base, nir.x) == ((0.0,), (0.3,))
