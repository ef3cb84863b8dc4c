"""Which sets a report shows in pictures."""

from __future__ import annotations

import pickle

import pytest
from evaluations import record, snapshot, summary
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.spectra import SPECTRA, in_canonical_order, spectra_key
from msdepth_ros.report.frame_pictures import candidate, choose, encode, extremes
from msdepth_ros.results.frame import FrameRecord, record_key

ALL = spectra_key(SPECTRA)
cameras = st.lists(st.sampled_from(SPECTRA), min_size=1, unique=True).map(in_canonical_order)
drives = st.dictionaries(st.sampled_from("abcd"), st.lists(cameras, min_size=1, unique=True), min_size=1)
"""Recordings by name, each with the subsets of the cameras it was evaluated with."""


def numbers(keys: object) -> list[int]:
    return sorted(key[3] for key in keys)  # type: ignore[attr-defined]


def test_few_sets_are_all_shown_and_many_are_spread() -> None:
    assert numbers(choose([record(n) for n in range(20)], ALL, spread=24)) == list(range(20))
    chosen = numbers(choose([record(n, abs_rel=0.1) for n in range(1000)], ALL, spread=24, count=1))
    assert 20 <= len(chosen) <= 28
    assert chosen[0] < 5 and chosen[-1] > 940
    assert max(b - a for a, b in zip(chosen, chosen[1:], strict=False)) < 90


def test_the_worst_and_the_best_are_among_them_and_not_neighbours() -> None:
    errors = {500: 0.9, 501: 0.95, 502: 0.9, 777: 0.8, 33: 0.01}
    records = [record(n, abs_rel=errors.get(n, 0.1 + n * 1e-6)) for n in range(1000)]
    assert {501, 777, 33} <= set(numbers(choose(records, ALL, spread=8)))
    worst, best = extremes(c for c in map(candidate, records) if c)
    assert [key[3] for key in worst[:2]] == [501, 777]
    assert best[0][3] == 33
    assert all(abs(a - b) >= 29 for a in numbers(worst) for b in numbers(worst) if a != b)


def test_without_truth_the_least_confident_are_the_worst() -> None:
    records = [record(n, abs_rel=None, confidence=0.2 if n == 40 else 0.9 if n == 70 else 0.5) for n in range(100)]
    worst, best = extremes(c for c in map(candidate, records) if c)
    assert (worst[0][3], best[0][3]) == (40, 70)


def test_sets_with_truth_are_ranked_before_those_without() -> None:
    records = [record(n, abs_rel=0.1 if n < 50 else None, confidence=0.01 if n > 90 else 0.6) for n in range(100)]
    worst, _ = extremes(c for c in map(candidate, records) if c)
    assert all(key[3] < 50 for key in worst)


def test_every_state_of_the_cameras_is_shown_once_it_has_settled() -> None:
    def one(n: int) -> FrameRecord:
        return record(n, health=("rgb:black",)) if 300 <= n < 310 else record(n, spectra=("rgb",) if n == 800 else None)

    chosen = numbers(choose([one(n) for n in range(1000)], ALL, spread=4, count=0))
    assert 303 in chosen or 302 in chosen
    assert 800 in chosen


def test_only_the_variant_of_the_headline_is_shown_and_sets_without_depth_are_not() -> None:
    full = [record(n, confidence=None if n == 2 else 0.5) for n in range(4)]
    rest = [record(n, variant=("rgb",)) for n in range(4)]
    assert choose([*full, *rest], ALL) == {record_key(full[n]) for n in (0, 1, 3)}


@given(drives, st.integers(1, 40))
def test_recordings_of_different_cameras_show_the_pictures_of_the_headline(
    variants: dict[str, list[tuple[str, ...]]], length: int
) -> None:
    every = [record(n, bag=bag, variant=one) for bag, some in variants.items() for one in some for n in range(length)]
    records = sorted(every, key=record_key)
    total = summary(records)
    pictured = choose(records, total.variants[0])
    assert {variant for _, _, variant, _ in pictured} == {total.variants[0]}
    assert {bag for bag, _, _, _ in pictured} == set(total.document["results"][total.variants[0]]["by_bag"])


def test_nothing_comes_of_nothing() -> None:
    assert choose([], ALL) == set()
    assert extremes([]) == ([], [])


@given(st.permutations(range(30)), st.integers(0, 5))
def test_the_order_of_candidates_does_not_matter(order: list[int], count: int) -> None:
    found = [candidate(record(n, abs_rel=0.1 * (n % 7))) for n in range(30)]
    candidates = [one for one in found if one]
    worst, best = extremes([candidates[n] for n in order], count)
    assert (worst, best) == extremes(candidates, count)
    assert not set(worst) & set(best)
    assert len(worst) <= count


def test_pictures_are_small_say_what_is_wrong_and_travel() -> None:
    one = record(3, spectra=("rgb", "nir"), health=("nir:frozen", "thermal:missing"))
    pictures = encode(snapshot(one))
    tiles = {tile.name: tile for tile in pictures.tiles}
    assert tiles["input-nir"].note == "frozen"
    assert tiles["input-thermal"].absent == "no thermal image"
    assert tiles["depth"].image.startswith("data:image/webp;base64,")
    assert 1000 < pictures.size < 400_000
    assert pickle.loads(pickle.dumps(pictures)) == pictures


@pytest.mark.parametrize("bad", [0.0, 5.0])
def test_candidates_tell_how_bad_a_set_is(bad: float) -> None:
    one = candidate(record(1, abs_rel=bad))
    assert one is not None and one.badness == bad and one.scored
    assert candidate(record(1, confidence=None)) is None
