"""Which moments are kept and shown, and that they survive a file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.bags.images import DecodedImage
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.results.live import SetRecord
from msdepth_ros.results.moments import Moment, MomentKeeper, choose_moments, load_moments, save_moments

TICK_NS = 100_000_000


def moment(tick: int, spectra: tuple[str, ...] = SPECTRA) -> Moment:
    record = SetRecord(tick * TICK_NS, tick * TICK_NS, tick * TICK_NS, spectra)
    return Moment(record, {}, np.zeros((1, 1), np.float32), {})


def keep(keeper: MomentKeeper, candidates: list[Moment]) -> list[float]:
    for candidate in candidates:
        if keeper.wants(candidate.record):
            keeper.keep(candidate)
    return [m.record.stamp_ns / TICK_NS for m in keeper.moments]


def test_moments_are_evenly_spread() -> None:
    assert keep(MomentKeeper(100, 5 * TICK_NS), [moment(t) for t in range(20)]) == [0, 5, 10, 15]


def test_a_change_of_spectra_is_kept_soon_after_it() -> None:
    candidates = [moment(t, SPECTRA if t < 7 else ("rgb",)) for t in range(10)]
    assert keep(MomentKeeper(100, 5 * TICK_NS), candidates) == [0, 5, 7]


@given(st.integers(1, 12), st.lists(st.sampled_from([SPECTRA, ("rgb",), ("nir", "thermal")]), max_size=120))
def test_never_more_than_the_limit_and_always_the_first(limit: int, spectra: list[tuple[str, ...]]) -> None:
    ticks = keep(MomentKeeper(limit, 2 * TICK_NS), [moment(t, s) for t, s in enumerate(spectra)])
    assert len(ticks) <= limit
    assert ticks == sorted(ticks)
    assert not spectra or ticks[0] == 0


def test_a_long_run_stays_evenly_spread() -> None:
    ticks = keep(MomentKeeper(10, TICK_NS), [moment(t) for t in range(1000)])
    gaps = np.diff(ticks)
    assert len(ticks) > 5
    assert gaps.max() <= 2 * gaps.min()
    assert ticks[-1] > 800


def test_the_choice_shows_every_combination_and_spreads_the_rest() -> None:
    moments = [moment(t, ("rgb",) if t == 13 else SPECTRA) for t in range(0, 40)]
    chosen = [m.record.stamp_ns / TICK_NS for m in choose_moments(moments, 4)]
    assert {0, 13, 39} < set(chosen)
    assert len(chosen) == 4
    assert choose_moments(moments[:3], 12) == moments[:3]
    assert choose_moments([], 12) == []


def test_moments_survive_a_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    before = Moment(
        record=SetRecord(1, 2, 3, ("rgb", "thermal"), 0.5, 1.0, 0.25, {"rgb": 0.5}),
        inputs={"thermal": DecodedImage(generator.integers(0, 2**14, (4, 6)).astype(np.uint16), "mono16")},
        depth_m=np.array([[1.0, np.nan, np.inf]], np.float32),
        confidences={"confidence": np.array([[3, 4]], np.uint8)},
        truth_m=np.array([[np.nan, 2.0]], np.float32),
    )
    save_moments(tmp_path / "m.npz", [before, moment(9)])
    first, second = load_moments(tmp_path / "m.npz")
    assert (first.record, first.inputs["thermal"].encoding) == (before.record, "mono16")
    np.testing.assert_array_equal(first.inputs["thermal"].pixels, before.inputs["thermal"].pixels)
    np.testing.assert_array_equal(first.depth_m, before.depth_m)
    np.testing.assert_array_equal(first.truth_m, before.truth_m)
    assert first.depth_at_truth_m is None
    assert second.record.stamp_ns == 9 * TICK_NS


def test_no_moments_are_a_file_too_and_a_broken_file_is_an_error(tmp_path: Path) -> None:
    save_moments(tmp_path / "none.npz", [])
    assert load_moments(tmp_path / "none.npz") == []
    (tmp_path / "bad.npz").write_bytes(b"PK")
    with pytest.raises(MsdepthError, match="cannot be read"):
        load_moments(tmp_path / "bad.npz")
