"""Every promise of the synchronizer, on simulated cameras with their own rates, delays and losses."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.sync.synchronizer import FrameSet, SpectralSynchronizer, SynchronizerConfig

MS = 1_000_000
PERIOD = 100 * MS
CONFIG = SynchronizerConfig()
START = 1_700_000_000_000 * MS


class Arrival(NamedTuple):
    """One image on its way: when it arrives, and with what stamp."""

    now_ns: int
    spectrum: str
    stamp_ns: int


class Departure(NamedTuple):
    """One set and when it left."""

    now_ns: int
    frame_set: FrameSet


def camera(
    spectrum: str,
    ticks: Iterable[int],
    *,
    period_ns: int = PERIOD,
    phase_ns: int = 0,
    delay_ns: int = 0,
    clock_ns: int = 0,
) -> list[Arrival]:
    """Makes the images of one camera: captured at tick * period + phase, `delay_ns` later here, clock off by some."""
    captured = [START + tick * period_ns + phase_ns for tick in ticks]
    return [Arrival(moment + delay_ns, spectrum, moment + clock_ns) for moment in captured]


def play(sync: SpectralSynchronizer, arrivals: Iterable[Arrival], until_ns: int | None = None) -> list[Departure]:
    """Delivers the images in order of arrival and polls exactly when the synchronizer asks for it."""
    departures: list[Departure] = []

    def poll_until(limit_ns: int) -> None:
        while (moment := sync.next_deadline_ns()) is not None and moment < limit_ns:
            departures.extend(Departure(moment, ready) for ready in sync.poll(moment))

    for arrival in sorted(arrivals, key=lambda one: one.now_ns):
        poll_until(arrival.now_ns)
        ready = sync.add(arrival.spectrum, arrival.stamp_ns, arrival, arrival.now_ns)
        departures.extend(Departure(arrival.now_ns, one) for one in ready)
    poll_until(2**63 if until_ns is None else until_ns)
    return departures


def spectra_of(departures: list[Departure]) -> list[tuple[str, ...]]:
    """The spectra of each set, in order."""
    return [departure.frame_set.spectra for departure in departures]


def live_synchronizer(config: SynchronizerConfig = CONFIG, ticks: int = 3) -> SpectralSynchronizer:
    """A synchronizer that has seen a few complete sets, the last one at START - PERIOD."""
    sync = SpectralSynchronizer(config)
    play(sync, [one for name in config.spectra for one in camera(name, range(-ticks, 0))])
    assert sync.live(START) == config.spectra
    assert sync.pending_count == 0
    return sync


def counted(sync: SpectralSynchronizer, spectrum: str) -> dict[str, int]:
    """A copy of one spectrum's counts, to compare with later ones."""
    return asdict(sync.statistics.spectra[spectrum])


# The set as a whole.


@given(st.permutations(SPECTRA), st.lists(st.integers(0, 59 * MS), min_size=3, max_size=3))
def test_complete_set_leaves_with_its_last_image(order: list[str], delays: list[int]) -> None:
    sync = live_synchronizer()
    arrivals = [one for name, delay in zip(order, delays, strict=True) for one in camera(name, [0], delay_ns=delay)]
    departures = play(sync, arrivals)
    assert spectra_of(departures) == [SPECTRA]
    assert departures[0].now_ns == START + max(delays)
    assert departures[0].frame_set.stamp_ns == START


@given(st.sampled_from(SPECTRA), st.integers(0, 40 * MS), st.integers(0, 100 * MS))
def test_incomplete_set_leaves_exactly_at_the_deadline(missing: str, gap: int, deadline: int) -> None:
    sync = live_synchronizer(SynchronizerConfig(deadline_ns=deadline))
    first, second = [name for name in SPECTRA if name != missing]
    arrivals = camera(first, [0]) + camera(second, [0], delay_ns=min(gap, deadline))
    departures = play(sync, arrivals)
    if gap < deadline:
        assert spectra_of(departures) == [(first, second)]
    assert departures[0].now_ns == START + deadline


def test_nothing_leaves_one_nanosecond_before_the_deadline() -> None:
    sync = live_synchronizer()
    assert sync.add("rgb", START, "image", START) == []
    assert sync.next_deadline_ns() == START + CONFIG.deadline_ns
    assert sync.poll(START + CONFIG.deadline_ns - 1) == []
    assert [one.spectra for one in sync.poll(START + CONFIG.deadline_ns)] == [("rgb",)]
    assert sync.next_deadline_ns() is None


def test_reference_gives_the_stamp_wherever_it_lies() -> None:
    sync = live_synchronizer()
    sync.add("thermal", START - 30 * MS, "t", START)
    sync.add("rgb", START, "r", START)
    (done,) = sync.add("nir", START + 30 * MS, "n", START)
    assert done.stamp_ns == START
    assert {name: item.item for name, item in done.items.items()} == {"rgb": "r", "nir": "n", "thermal": "t"}
    assert tuple(done.items) == SPECTRA


def test_without_the_reference_the_earliest_stamp_counts() -> None:
    sync = live_synchronizer()
    departures = play(sync, camera("thermal", [0], phase_ns=7 * MS) + camera("nir", [0], phase_ns=12 * MS))
    assert spectra_of(departures) == [("nir", "thermal")]
    assert departures[0].frame_set.stamp_ns == START + 7 * MS


@pytest.mark.parametrize("pair", [("rgb", "nir"), ("nir", "rgb"), ("nir", "thermal"), ("thermal", "nir")])
@given(tolerance=st.integers(0, 49 * MS))
def test_spread_equal_to_the_tolerance_matches_and_one_nanosecond_more_does_not(
    pair: tuple[str, str], tolerance: int
) -> None:
    config = SynchronizerConfig(spectra=tuple(name for name in SPECTRA if name in pair), tolerance_ns=tolerance)
    for excess in (0, 1):
        sync = live_synchronizer(config)
        departures = play(sync, camera(pair[0], [0]) + camera(pair[1], [0], phase_ns=tolerance + excess))
        assert len(departures) == 1 + excess
        assert {name for one in spectra_of(departures) for name in one} == set(pair)


def test_of_two_images_the_nearer_one_joins() -> None:
    sync = live_synchronizer()
    sync.add("thermal", START - 30 * MS, "far", START)
    sync.add("thermal", START + 10 * MS, "near", START + 1)
    sync.add("nir", START, "n", START + 2)
    (done,) = sync.add("rgb", START, "r", START + 3)
    assert done.items["thermal"].item == "near"
    assert sync.pending_count == 0
    assert sync.statistics.spectra["thermal"].surplus == 1


# Cameras that come and go.


@given(st.sampled_from(SPECTRA), st.integers(0, 30 * MS))
def test_lost_camera_costs_no_latency_once_stale(lost: str, delay: int) -> None:
    arrivals = []
    for name in SPECTRA:
        ticks = range(4) if name == lost else range(20)
        arrivals += camera(name, ticks, delay_ns=delay if name == "nir" else 0)
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    for departure in departures:
        age = departure.now_ns - (START + 3 * PERIOD)
        if age > CONFIG.stale_after_ns + CONFIG.deadline_ns + delay:
            newest = max(item.received_ns for item in departure.frame_set.items.values())
            assert departure.now_ns == newest
            assert lost not in departure.frame_set.spectra
    by_stamp = {departure.frame_set.stamp_ns for departure in departures}
    assert {START + tick * PERIOD for tick in range(1, 20)} <= by_stamp


def test_waiting_set_leaves_when_the_camera_it_waits_for_becomes_stale() -> None:
    config = SynchronizerConfig(stale_after_ns=120 * MS)
    sync = live_synchronizer(config)
    play(sync, camera("rgb", [0]) + camera("nir", [0]), until_ns=START + 1)
    silent_since = START - PERIOD
    assert sync.next_deadline_ns() == silent_since + config.stale_after_ns + 1
    assert sync.poll(silent_since + config.stale_after_ns) == []
    assert [one.spectra for one in sync.poll(silent_since + config.stale_after_ns + 1)] == [("rgb", "nir")]


@given(st.sampled_from(SPECTRA), st.integers(0, 55 * MS))
def test_camera_that_returns_is_waited_for_again(lost: str, delay: int) -> None:
    arrivals = []
    for name in SPECTRA:
        ticks = [*range(4), *range(14, 20)] if name == lost else range(20)
        arrivals += camera(name, ticks, delay_ns=delay if name == lost else 0)
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    assert spectra_of(departures)[-5:] == [SPECTRA] * 5
    assert departures[-1].now_ns == START + 19 * PERIOD + delay


def test_camera_never_seen_is_not_waited_for() -> None:
    departures = play(SpectralSynchronizer(CONFIG), camera("rgb", range(5)) + camera("thermal", range(5)))
    assert spectra_of(departures) == [("rgb",)] + [("rgb", "thermal")] * 4
    assert all(one.now_ns == one.frame_set.stamp_ns for one in departures)


def test_first_image_of_all_leaves_at_once() -> None:
    sync = SpectralSynchronizer(CONFIG)
    assert [one.spectra for one in sync.add("thermal", START, "t", START)] == [("thermal",)]


@pytest.mark.parametrize("period", [PERIOD, 33 * MS])
def test_start_gives_one_set_for_each_instant(period: int) -> None:
    arrivals = camera("rgb", range(10), period_ns=period) + camera("nir", range(10), period_ns=period, phase_ns=MS)
    arrivals += camera("thermal", range(10), period_ns=period, phase_ns=12 * MS)
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    assert spectra_of(departures) == [("rgb",)] + [SPECTRA] * 9


@pytest.mark.parametrize("late", SPECTRA)
def test_camera_late_by_30_ms_each_time_delays_by_30_ms_and_is_in_every_set(late: str) -> None:
    arrivals = [one for name in SPECTRA for one in camera(name, range(10), delay_ns=30 * MS if name == late else 0)]
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    assert spectra_of(departures)[1:] == [SPECTRA] * 9
    assert {one.now_ns - one.frame_set.stamp_ns for one in departures[1:]} == {30 * MS}


def test_camera_always_later_than_the_deadline_is_counted_late_and_stops_costing_latency() -> None:
    sync = SpectralSynchronizer(CONFIG)
    arrivals = [
        one for name in SPECTRA for one in camera(name, range(20), delay_ns=75 * MS if name == "thermal" else 0)
    ]
    departures = play(sync, arrivals)
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(20)]
    assert sync.statistics.spectra["thermal"].late == 20
    assert all(one.now_ns == one.frame_set.stamp_ns for one in departures[-10:])


# Rates that differ.


def test_thermal_at_15_hz_joins_every_set_of_10_hz_cameras_and_makes_none_of_its_own() -> None:
    sync = SpectralSynchronizer(CONFIG)
    arrivals = camera("rgb", range(40)) + camera("nir", range(40), delay_ns=5 * MS)
    arrivals += camera("thermal", range(60), period_ns=66_666_667, delay_ns=10 * MS)
    departures = play(sync, arrivals)
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(40)]
    assert spectra_of(departures)[2:] == [SPECTRA] * 38
    counts = sync.statistics.spectra["thermal"]
    assert counts.used + counts.surplus + counts.late == counts.received == 60
    assert counts.surplus >= 18


def test_thermal_at_60_hz_makes_no_sets_of_its_own() -> None:
    arrivals = camera("rgb", range(20)) + camera("nir", range(20))
    arrivals += camera("thermal", range(120), period_ns=16_666_667)
    departures = play(SpectralSynchronizer(CONFIG), arrivals, until_ns=START + 19 * PERIOD + 1)
    steady = [one.frame_set.stamp_ns for one in departures if one.frame_set.stamp_ns > START + PERIOD]
    assert steady == [START + tick * PERIOD for tick in range(2, 20)]


def test_fast_camera_takes_over_where_the_reference_is_lost() -> None:
    arrivals = camera("rgb", range(10)) + camera("thermal", range(60), period_ns=33 * MS)
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    tail = [one for one in departures if one.frame_set.stamp_ns > START + 9 * PERIOD + CONFIG.stale_after_ns]
    assert len(tail) > 10
    assert all(one.now_ns == one.frame_set.stamp_ns for one in tail[3:])


def test_slow_camera_is_not_waited_for_when_none_of_its_images_is_due() -> None:
    arrivals = camera("rgb", range(40)) + camera("thermal", range(20), period_ns=2 * PERIOD)
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(40)]
    steady = departures[4:]
    assert all(one.now_ns == one.frame_set.stamp_ns for one in steady)
    assert spectra_of(steady) == [("rgb", "thermal"), ("rgb",)] * 18


@settings(max_examples=30)
@given(st.integers(10, 60), st.integers(5, 60), st.integers(0, 50 * MS), st.integers(0, 50 * MS))
def test_every_reference_image_leaves_whatever_the_rates(
    reference_hz: int, other_hz: int, phase: int, delay: int
) -> None:
    count = 2 * reference_hz
    arrivals = camera("rgb", range(count), period_ns=1000 * MS // reference_hz)
    arrivals += camera(
        "nir", range(2 * other_hz), period_ns=1000 * MS // other_hz, phase_ns=phase, delay_ns=min(delay, 40 * MS)
    )
    departures = play(SpectralSynchronizer(CONFIG), arrivals)
    used = [one for one in departures if "rgb" in one.frame_set.spectra]
    assert len(used) >= count - 2


def test_reference_images_in_quick_succession_each_begin_a_set() -> None:
    sync = live_synchronizer()
    departures = play(sync, camera("rgb", range(2)) + camera("rgb", [1], phase_ns=30 * MS))
    assert [one.frame_set.stamp_ns - START for one in departures] == [0, PERIOD, PERIOD + 30 * MS]


# Promises that hold for anything that arrives.

wild_arrivals = st.lists(
    st.tuples(st.integers(0, 200 * MS), st.sampled_from(SPECTRA), st.integers(-150 * MS, 150 * MS)), max_size=60
)


durations = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 600 * MS))
wild_configs = st.builds(
    SynchronizerConfig,
    spectra=st.lists(st.sampled_from(SPECTRA), min_size=1, max_size=3, unique=True).map(tuple),
    reference=st.sampled_from(SPECTRA),
    tolerance_ns=durations,
    deadline_ns=durations,
    stale_after_ns=durations,
    reset_after_ns=durations,
    capacity=st.sampled_from([1, 2, 16]),
)


clock_jumps = st.lists(
    st.tuples(st.integers(0, 50 * MS), st.sampled_from(SPECTRA), st.sampled_from([0, 0, 0, 0, -900 * MS, 400 * MS])),
    max_size=60,
)
"""Cameras that agree, but for one or another whose clock jumps: images of the reference are held back."""


def wild(steps: list[tuple[int, str, int]]) -> list[Arrival]:
    """Turns drawn steps into arrivals whose stamps wander around the time of arrival."""
    now, arrivals = START, []
    for step, name, offset in steps:
        now += step
        arrivals.append(Arrival(now, name, now + offset))
    return arrivals


@given(wild_arrivals)
def test_each_image_leaves_at_most_once_and_every_one_is_accounted_for(steps: list[tuple[int, str, int]]) -> None:
    sync = SpectralSynchronizer(CONFIG)
    departures = play(sync, wild(steps))
    used = [id(item.item) for one in departures for item in one.frame_set.items.values()]
    assert len(used) == len(set(used))
    counts = sync.statistics.spectra.values()
    assert sum(one.used for one in counts) == len(used)
    assert sum(one.used + one.dropped for one in counts) == sum(one.received for one in counts) == len(steps)
    assert sync.pending_count == 0


@given(wild_arrivals)
def test_stamps_rise_and_members_are_within_tolerance(steps: list[tuple[int, str, int]]) -> None:
    sync = SpectralSynchronizer(CONFIG)
    departures = play(sync, wild(steps))
    stamps = [one.frame_set.stamp_ns for one in departures]
    assert sync.statistics.resets == 0
    assert all(earlier < later for earlier, later in pairwise(stamps))
    for _, frame_set in departures:
        assert all(abs(item.stamp_ns - frame_set.stamp_ns) <= CONFIG.tolerance_ns for item in frame_set.items.values())


@given(wild_arrivals)
def test_nothing_waits_longer_than_the_deadline(steps: list[tuple[int, str, int]]) -> None:
    for departure in play(SpectralSynchronizer(CONFIG), wild(steps)):
        for item in departure.frame_set.items.values():
            assert departure.now_ns - item.received_ns <= CONFIG.deadline_ns


@given(wild_configs, wild_arrivals | clock_jumps)
def test_any_allowed_configuration_gives_back_what_waits(
    config: SynchronizerConfig, steps: list[tuple[int, str, int]]
) -> None:
    sync = SpectralSynchronizer(config)
    departures = play(sync, [arrival for arrival in wild(steps) if arrival.spectrum in config.spectra])
    assert sync.pending_count == 0 and sync.next_deadline_ns() is None
    counts = sync.statistics.spectra.values()
    assert sum(one.used + one.dropped for one in counts) == sum(one.received for one in counts)
    for departure in departures:
        for item in departure.frame_set.items.values():
            assert departure.now_ns - item.received_ns <= config.deadline_ns


@given(wild_configs, st.lists(st.tuples(durations, wild_arrivals | clock_jumps), min_size=1, max_size=4))
def test_there_is_a_time_to_poll_exactly_while_something_waits_also_when_the_deadline_changes(
    config: SynchronizerConfig, parts: list[tuple[int, list[tuple[int, str, int]]]]
) -> None:
    sync, now_ns = SpectralSynchronizer(config), START

    def check() -> None:
        moment_ns = sync.next_deadline_ns()
        assert (moment_ns is not None) == (sync.pending_count > 0)
        assert moment_ns is None or now_ns <= moment_ns <= now_ns + sync.config.deadline_ns

    for deadline_ns, steps in parts:
        sync.config = replace(config, deadline_ns=deadline_ns)
        check()
        for step_ns, name, offset_ns in [step for step in steps if step[1] in config.spectra]:
            now_ns += step_ns
            sync.add(name, now_ns + offset_ns, object(), now_ns)
            check()


@given(wild_arrivals)
def test_same_input_gives_the_same_sets(steps: list[tuple[int, str, int]]) -> None:
    arrivals = wild(steps)
    first, second = (play(SpectralSynchronizer(CONFIG), arrivals) for _ in range(2))
    assert first == second


@given(st.randoms(use_true_random=False), st.sampled_from([1, 2, 16]))
def test_memory_is_bounded_without_polls(source: random.Random, capacity: int) -> None:
    config = SynchronizerConfig(capacity=capacity, deadline_ns=10**15)
    sync = live_synchronizer(config)
    for tick in range(100):
        name = source.choice(["nir", "thermal"])
        stamp = START + tick * 45 * MS
        sync.add(name, stamp, object(), stamp)
        assert sync.pending_count <= capacity * len(SPECTRA)


# Order, duplicates.


@given(st.permutations([(name, tick) for name in SPECTRA for tick in range(2)]))
def test_arrivals_in_any_order_within_the_deadline_give_complete_sets(order: list[tuple[str, int]]) -> None:
    config = SynchronizerConfig(deadline_ns=400 * MS)
    sync = live_synchronizer(config, ticks=1)
    arrivals = [
        Arrival(START + PERIOD + index * MS, name, START + tick * PERIOD) for index, (name, tick) in enumerate(order)
    ]
    departures = play(sync, arrivals)
    stamps = [one.frame_set.stamp_ns for one in departures]
    assert stamps == sorted(set(stamps))
    assert departures[-1].frame_set.stamp_ns == START + PERIOD
    later_complete = max(index for index, (_, tick) in enumerate(order) if tick == 1)
    earlier_complete = max(index for index, (_, tick) in enumerate(order) if tick == 0)
    if earlier_complete < later_complete:
        assert spectra_of(departures) == [SPECTRA, SPECTRA]


def test_older_set_leaves_before_a_complete_newer_one() -> None:
    sync = live_synchronizer(SynchronizerConfig(deadline_ns=400 * MS))
    sync.add("rgb", START, "r0", START)
    for name in SPECTRA:
        ready = sync.add(name, START + PERIOD, "1", START + PERIOD)
    before = counted(sync, "nir")
    assert [(one.stamp_ns, one.spectra) for one in ready] == [(START, ("rgb",)), (START + PERIOD, SPECTRA)]
    assert sync.add("nir", START, "n0", START + PERIOD) == []
    assert counted(sync, "nir")["late"] == before["late"] + 1


def test_older_set_without_the_reference_leaves_too_if_it_is_of_another_instant() -> None:
    sync = live_synchronizer(SynchronizerConfig(deadline_ns=400 * MS))
    sync.add("nir", START, "n0", START)
    for name in SPECTRA:
        ready = sync.add(name, START + PERIOD, "1", START + PERIOD)
    assert [(one.stamp_ns, one.spectra) for one in ready] == [(START, ("nir",)), (START + PERIOD, SPECTRA)]


def test_image_joins_the_nearer_of_two_references() -> None:
    sync = live_synchronizer(SynchronizerConfig(deadline_ns=400 * MS))
    for tick in range(2):
        sync.add("rgb", START + tick * 67 * MS, tick, START + 67 * MS)
        sync.add("nir", START + tick * 67 * MS, tick, START + 67 * MS)
    ready = sync.add("thermal", START + 40 * MS, 0, START + 67 * MS)
    assert [(one.stamp_ns - START, one.spectra) for one in ready] == [(0, ("rgb", "nir")), (67 * MS, SPECTRA)]


@given(st.sampled_from(SPECTRA), st.integers(0, 40 * MS), st.integers(1, 30 * MS))
def test_image_after_its_set_left_is_late_and_makes_no_second_set(name: str, phase: int, wait: int) -> None:
    sync = live_synchronizer()
    others = [one for other in SPECTRA if other != name for one in camera(other, [0])]
    play(sync, others)
    before = counted(sync, name)
    stamp = START + phase
    departures = play(sync, [Arrival(START + CONFIG.deadline_ns + wait, name, stamp)])
    assert departures == []
    assert counted(sync, name)["late"] == before["late"] + 1
    assert sync.pending_count == 0


@given(st.sampled_from(SPECTRA), st.integers(1, 5))
def test_duplicates_are_counted_and_change_nothing(name: str, repeats: int) -> None:
    sync = live_synchronizer()
    arrivals = [one for other in SPECTRA for one in camera(other, range(3))]
    copies = [one._replace(now_ns=one.now_ns + 1) for one in arrivals if one.spectrum == name] * repeats
    departures = play(sync, arrivals + copies)
    assert spectra_of(departures) == [SPECTRA] * 3
    assert sync.statistics.spectra[name].duplicates == 3 * repeats


def test_camera_that_repeats_one_stamp_forever_becomes_stale() -> None:
    sync = live_synchronizer()
    stuck = [Arrival(START + tick * PERIOD, "thermal", START) for tick in range(12)]
    departures = play(sync, camera("rgb", range(12)) + camera("nir", range(12)) + stuck)
    assert spectra_of(departures) == [SPECTRA] + [("rgb", "nir")] * 11
    assert departures[-1].now_ns == departures[-1].frame_set.stamp_ns


# Clocks that jump.


@settings(max_examples=40)
@given(st.permutations(SPECTRA), st.integers(7, 30), st.integers(CONFIG.reset_after_ns + PERIOD + 1, 10**14))
def test_backward_jump_costs_at_most_one_set(order: list[str], length: int, jump: int) -> None:
    sync = SpectralSynchronizer(CONFIG)
    play(sync, [one for name in order for one in camera(name, range(length))])
    again = [
        Arrival(START + (length + tick) * PERIOD + index * MS, name, START + (length + tick) * PERIOD - jump)
        for tick in range(4)
        for index, name in enumerate(order)
    ]
    departures = play(sync, again)
    assert spectra_of(departures)[-3:] == [SPECTRA] * 3
    assert departures[-3].frame_set.stamp_ns == START + (length + 1) * PERIOD - jump
    assert sync.statistics.resets == 1


@pytest.mark.parametrize("alive", [("rgb",), ("thermal",), ("nir", "thermal")])
def test_backward_jump_with_few_cameras(alive: tuple[str, ...]) -> None:
    sync = SpectralSynchronizer(CONFIG)
    play(sync, [one for name in alive for one in camera(name, range(20))])
    again = [one for name in alive for one in camera(name, range(20, 25), clock_ns=-20 * PERIOD)]
    departures = play(sync, again)
    assert spectra_of(departures)[-4:] == [alive] * 4
    assert sync.statistics.resets == 1


def test_backward_jump_while_the_reference_is_lost() -> None:
    sync = SpectralSynchronizer(CONFIG)
    play(sync, [one for name in SPECTRA for one in camera(name, range(20))])
    pair = ("nir", "thermal")
    again = [one for name in pair for one in camera(name, range(20, 25), clock_ns=-20 * PERIOD)]
    departures = play(sync, again)
    assert spectra_of(departures)[-4:] == [pair] * 4
    assert departures[-4].frame_set.stamp_ns == START + PERIOD


def test_one_delayed_reference_image_does_not_make_the_others_look_early() -> None:
    sync = SpectralSynchronizer(CONFIG)
    arrivals = camera("rgb", range(5)) + camera("rgb", [5], delay_ns=150 * MS) + camera("rgb", range(8, 10))
    departures = play(sync, arrivals + camera("nir", range(10)) + camera("thermal", range(10)))
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(10)]
    assert sync.statistics.spectra["nir"].ahead == 0


def test_images_that_wait_across_a_jump_never_leave() -> None:
    sync = live_synchronizer()
    sync.add("rgb", START, "old", START)
    ready = sync.add("rgb", START - 3600_000 * MS, "new", START + 10 * MS)
    ready += sync.add("nir", START - 3600_000 * MS, "new, too", START + 11 * MS)
    ready += sync.poll(START + 1000 * MS)
    assert [item.item for one in ready for item in one.items.values()] == ["new", "new, too"]
    assert sync.statistics.spectra["rgb"].reset == 1


def test_steady_clock_set_back_begins_anew() -> None:
    sync = live_synchronizer()
    departures = play(sync, [one for name in SPECTRA for one in camera(name, range(-50, -47))])
    assert spectra_of(departures)[-2:] == [SPECTRA] * 2


def test_small_step_back_of_the_steady_clock_is_ignored() -> None:
    sync = live_synchronizer()
    sync.add("rgb", START, "r", START + 5 * MS)
    sync.add("nir", START, "n", START + 4 * MS)
    assert [one.spectra for one in sync.add("thermal", START, "t", START + 5 * MS)] == [SPECTRA]
    assert sync.statistics.resets == 0


@pytest.mark.parametrize("jump_ms", [700, 5000, 3_600_000])
def test_forward_jump_costs_at_most_one_set(jump_ms: int) -> None:
    sync = SpectralSynchronizer(CONFIG)
    arrivals = []
    for delay, name in enumerate(("thermal", "rgb", "nir")):
        arrivals += camera(name, range(10), delay_ns=delay * MS)
        arrivals += camera(name, range(10, 20), delay_ns=delay * MS, clock_ns=jump_ms * MS)
    departures = play(sync, arrivals)
    assert spectra_of(departures)[-9:] == [SPECTRA] * 9
    assert sync.statistics.resets == 0


@pytest.mark.parametrize("clock_ms", [3_600_000, 700, 300, 130])
@pytest.mark.parametrize("bad", ["nir", "thermal"])
def test_one_camera_with_a_fast_clock_does_not_silence_the_others(bad: str, clock_ms: int) -> None:
    sync = SpectralSynchronizer(CONFIG)
    good = tuple(name for name in SPECTRA if name != bad)
    arrivals = [one for name in good for one in camera(name, range(30), delay_ns=2 * MS)]
    departures = play(sync, arrivals + camera(bad, range(30), clock_ns=clock_ms * MS))
    stamps = [one.frame_set.stamp_ns for one in departures if one.frame_set.spectra == good]
    assert stamps[-20:] == [START + tick * PERIOD for tick in range(10, 30)]
    assert sync.statistics.spectra[bad].ahead >= 20
    assert departures[-1].now_ns == departures[-1].frame_set.stamp_ns + 2 * MS


@pytest.mark.parametrize("clock_ms", [-3_600_000, -700, -300])
def test_one_camera_with_a_slow_clock_does_not_silence_the_others(clock_ms: int) -> None:
    sync = SpectralSynchronizer(CONFIG)
    arrivals = camera("rgb", range(30)) + camera("nir", range(30))
    departures = play(sync, arrivals + camera("thermal", range(30), clock_ns=clock_ms * MS))
    stamps = [one.frame_set.stamp_ns for one in departures if one.frame_set.spectra == ("rgb", "nir")]
    assert stamps[-20:] == [START + tick * PERIOD for tick in range(10, 30)]
    assert departures[-1].now_ns == departures[-1].frame_set.stamp_ns


@pytest.mark.parametrize("clock_ms", [-5000, -300, 300, 5000])
def test_a_reference_with_a_wrong_clock_does_not_silence_the_others(clock_ms: int) -> None:
    sync = SpectralSynchronizer(CONFIG)
    good = ("nir", "thermal")
    arrivals = [one for name in good for one in camera(name, range(70))]
    arrivals += camera("rgb", range(20), delay_ns=MS) + camera("rgb", range(50, 70), delay_ns=MS)
    departures = play(sync, arrivals + camera("rgb", range(20, 50), delay_ns=MS, clock_ns=clock_ms * MS))
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(70)]
    assert spectra_of(departures)[1:50] == [SPECTRA] * 19 + [good] * 30
    assert spectra_of(departures)[51:] == [SPECTRA] * 19
    assert all(departure.now_ns <= departure.frame_set.stamp_ns + CONFIG.deadline_ns for departure in departures)
    waited = [one.now_ns - one.frame_set.stamp_ns for one in departures[27:50]]
    assert waited == [0] * 23
    counts = sync.statistics.spectra["rgb"]
    assert (counts.ahead if clock_ms > 0 else counts.late) >= 30


def test_a_delayed_reference_is_left_out_and_the_others_go_on() -> None:
    sync = SpectralSynchronizer(CONFIG)
    arrivals = [one for name in ("nir", "thermal") for one in camera(name, range(60))]
    departures = play(sync, arrivals + camera("rgb", range(20)) + camera("rgb", range(20, 60), delay_ns=400 * MS))
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(60)]
    assert sync.statistics.spectra["nir"].dropped + sync.statistics.spectra["thermal"].dropped <= 1  # the very first
    assert sync.statistics.spectra["rgb"].late >= 40


def test_two_delayed_cameras_do_not_outvote_the_reference() -> None:
    sync = SpectralSynchronizer(CONFIG)
    late = [one for name in ("nir", "thermal") for one in camera(name, range(60), delay_ns=400 * MS)]
    departures = play(sync, camera("rgb", range(60)) + late)
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(60)]
    assert spectra_of(departures)[10:] == [("rgb",)] * 50


def test_one_glitched_stamp_costs_no_more_than_two_sets() -> None:
    for bad in SPECTRA:
        for glitch in (3_600_000 * MS, -3_600_000 * MS):
            arrivals = [one for name in SPECTRA for one in camera(name, range(20))]
            spoiled = [
                one._replace(stamp_ns=one.stamp_ns + glitch)
                if one.spectrum == bad and one.stamp_ns == START + 10 * PERIOD
                else one
                for one in arrivals
            ]
            departures = play(SpectralSynchronizer(CONFIG), spoiled)
            complete = [one for one in departures if one.frame_set.spectra == SPECTRA]
            assert len(complete) >= 17, (bad, glitch)
            assert spectra_of(departures)[-7:] == [SPECTRA] * 7, (bad, glitch)


@pytest.mark.parametrize("rate", [0.5, 2.0, 5.0])
def test_recording_played_slower_or_faster_keeps_its_sets_when_the_reference_is_lost(rate: float) -> None:
    config = SynchronizerConfig(deadline_ns=round(60 * MS / max(rate, 1.0)))
    arrivals = camera("rgb", range(10)) + camera("nir", range(30)) + camera("thermal", range(30))
    played = [one._replace(now_ns=START + round((one.now_ns - START) / rate)) for one in arrivals]
    departures = play(SpectralSynchronizer(config), played)
    assert [one.frame_set.stamp_ns for one in departures] == [START + tick * PERIOD for tick in range(30)]


# What the caller may get wrong.


@pytest.mark.parametrize(
    "wrong",
    [
        {"spectra": ()},
        {"spectra": ("rgb", "rgb")},
        {"spectra": ("radar",)},
        {"reference": "lidar"},
        {"tolerance_ns": -1},
        {"deadline_ns": -1},
        {"capacity": 0},
    ],
)
def test_configuration_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(MsdepthError, match=r"synchronizer|spectrum"):
        SynchronizerConfig(**wrong)  # type: ignore[arg-type]


def test_spectrum_that_is_not_configured_is_refused() -> None:
    sync = SpectralSynchronizer(SynchronizerConfig(spectra=("rgb", "nir")))
    with pytest.raises(MsdepthError, match="thermal"):
        sync.add("thermal", START, "t", START)


def test_reference_without_images_is_allowed() -> None:
    sync = SpectralSynchronizer(SynchronizerConfig(spectra=("nir", "thermal"), reference="rgb"))
    departures = play(sync, camera("nir", range(4)) + camera("thermal", range(4), delay_ns=MS))
    assert spectra_of(departures)[1:] == [("nir", "thermal")] * 3


def test_statistics_tell_complete_from_partial_and_show_the_skew() -> None:
    sync = live_synchronizer()
    play(sync, camera("rgb", range(2)) + camera("nir", range(2)) + camera("thermal", [0], phase_ns=-9 * MS))
    statistics = sync.statistics
    assert (statistics.complete, statistics.partial) == (4, 1)
    assert statistics.spectra["thermal"].skew_ns == -9 * MS
