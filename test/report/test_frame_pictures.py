"""Which sets a report shows in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from evaluations import START_NS, moment, pictures, record, summary
from hypothesis import given, settings
from hypothesis import strategies as st

from msdepth_ros.core.spectra import SPECTRA, in_canonical_order, spectra_key
from msdepth_ros.report.frame_pictures import (
    FramePictures,
    PictureKeeper,
    PictureRange,
    ShownPictures,
    Why,
    apart,
    candidate,
    choose_ahead,
    extremes,
)
from msdepth_ros.results.frame import FrameRecord, record_key

ALL = spectra_key(SPECTRA)
cameras = st.lists(st.sampled_from(SPECTRA), min_size=1, unique=True).map(in_canonical_order)
drives = st.dictionaries(st.sampled_from("abcd"), cameras, min_size=1)
"""Recordings by name, each with the cameras that it has."""


def numbers(keys: object) -> list[int]:
    return sorted(key[3] for key in keys)  # type: ignore[attr-defined]


def taken(records: Sequence[FrameRecord], *parts: range) -> list[FramePictures]:
    """The pictures that are taken of a recording, computed whole or in parts."""
    first_ns, last_ns = records[0].stamp_ns, records[-1].stamp_ns
    of = PictureRange(records[0].variant, first_ns, apart(last_ns - first_ns))
    ahead = choose_ahead([(one.spectra, one.health) for one in records])
    found = []
    for part in parts or [range(len(records))]:
        keeper = PictureKeeper(of, lambda made, why: FramePictures(made.record, (), why))  # encoding takes long
        for number in part:
            keeper.take(records[number], ahead[number], partial(moment, records[number], (2, 4)))
        found += keeper.pictures()
    shown = ShownPictures([of.variant])
    shown.add(found, of)
    return list(shown)


def shown(records: Sequence[FrameRecord], *parts: range) -> list[int]:
    return numbers(record_key(one.record) for one in taken(records, *parts))


def test_few_sets_are_all_shown_and_many_are_spread() -> None:
    assert shown([record(n) for n in range(20)]) == list(range(20))
    chosen = shown([record(n, abs_rel=0.1) for n in range(1000)])
    assert 56 <= len(chosen) <= 56 + 8 + 1
    assert chosen[0] < 5 and chosen[-1] > 940
    assert max(b - a for a, b in zip(chosen, chosen[1:], strict=False)) < 40


def test_the_worst_and_the_best_are_among_them_and_not_neighbours() -> None:
    errors = {500: 0.9, 501: 0.95, 502: 0.9, 777: 0.8, 33: 0.01}
    records = [record(n, abs_rel=errors.get(n, 0.1 + n * 1e-6)) for n in range(1000)]
    assert {501, 777, 33} <= set(shown(records))
    worst, best = extremes(c for c in map(candidate, records) if c)
    assert [key[3] for key in worst[:2]] == [501, 777]
    assert best[0][3] == 33
    assert all(abs(a - b) >= 29 for a in numbers(worst) for b in numbers(worst) if a != b)


@given(st.lists(st.floats(0.0, 1.0), min_size=150, max_size=150), st.sets(st.integers(1, 149), max_size=6))
@settings(max_examples=15, deadline=None)
def test_where_a_recording_is_cut_changes_no_picture(errors: list[float], cuts: set[int]) -> None:
    records = [record(n, abs_rel=error) for n, error in enumerate(errors)]
    edges = [0, *sorted(cuts), len(records)]
    assert shown(records, *map(range, edges, edges[1:])) == shown(records)


def test_pictures_of_many_recordings_are_as_few_as_those_of_one() -> None:
    many = ShownPictures([ALL] * 200)
    for bag in range(200):
        some = [FramePictures(record(n, bag=f"drive{bag:03}"), (), Why.SPREAD) for n in range(2)]
        many.add(some, PictureRange(ALL, START_NS, 10**8))
    assert len(list(many)) <= 56 + 8


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

    chosen = shown([one(n) for n in range(1000)])
    assert 302 in chosen
    assert 800 in chosen


def test_only_one_variant_is_shown_and_sets_without_depth_are_not() -> None:
    full = [record(n, confidence=None if n == 2 else 0.5) for n in range(4)]
    rest = [record(n, variant=("rgb",)) for n in range(4)]
    assert [(one.record.variant, one.record.number) for one in taken([*full, *rest])] == [(ALL, n) for n in (0, 1, 3)]


@given(drives, st.integers(1, 40))
def test_recordings_of_different_cameras_show_the_pictures_of_the_headline(
    drives: dict[str, tuple[str, ...]], length: int
) -> None:
    records = {bag: [record(n, bag=bag, variant=one) for n in range(length)] for bag, one in sorted(drives.items())}
    shown = ShownPictures(map(spectra_key, drives.values()))
    for some in records.values():
        pictures = [FramePictures(one, (), Why.SPREAD) for one in some]
        shown.add(pictures, PictureRange(some[0].variant, START_NS, 10**8))
    total = summary([one for some in records.values() for one in some])
    of_headline = {bag for bag, spectra in drives.items() if spectra_key(spectra) == total.variants[0]}
    assert {one.record.variant for one in shown} == {total.variants[0]}
    assert {one.record.bag for one in shown} == of_headline
    assert len(list(shown)) >= min(56, length * len(of_headline))


def test_nothing_comes_of_nothing() -> None:
    assert choose_ahead([]) == []
    assert extremes([]) == ([], [])


@given(st.permutations(range(30)), st.integers(0, 5))
def test_the_order_of_candidates_does_not_matter(order: list[int], count: int) -> None:
    found = [candidate(record(n, abs_rel=0.1 * (n % 7))) for n in range(30)]
    candidates = [one for one in found if one]
    worst, best = extremes([candidates[n] for n in order], count)
    assert (worst, best) == extremes(candidates, count)
    assert not set(worst) & set(best)
    assert len(worst) <= count


def test_pictures_are_small_say_what_is_wrong() -> None:
    one = record(3, spectra=("rgb", "nir"), health=("nir:frozen", "thermal:missing"))
    found = pictures(one)
    tiles = {tile.name: tile for tile in found.tiles}
    assert tiles["input-nir"].note == "frozen"
    assert tiles["input-thermal"].absent == "no thermal image"
    assert tiles["depth"].image.startswith("data:image/webp;base64,")
    assert 1000 < found.size < 400_000


@pytest.mark.parametrize("bad", [0.0, 5.0])
def test_candidates_tell_how_bad_a_set_is(bad: float) -> None:
    one = candidate(record(1, abs_rel=bad))
    assert one is not None and one.badness == bad and one.scored
    assert candidate(record(1, confidence=None)) is None
