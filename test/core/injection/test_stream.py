"""Faults of the stream: which images are sent, when, and with which stamp; the same for the same seed."""

from __future__ import annotations

import pytest

from msdepth_ros.core.injection.faults import STREAM_KINDS
from msdepth_ros.core.injection.stream import FaultStream, Outgoing

PERIOD_NS = 100_000_000


def play(faults: dict[str, float], count: int = 40, *, begin: int = 0, seed: int = 1) -> list[Outgoing[int]]:
    """Sends numbered images, faulty from one of them on; returns what came out, as it would be sent."""
    stream: FaultStream[int] = FaultStream("rgb", seed)
    out: list[Outgoing[int]] = []
    for number in range(count):
        out += stream.take(number, number * PERIOD_NS, number * PERIOD_NS, faults if number >= begin else {})
    return sorted(out, key=lambda one: one.due_ns)  # a stable sort, as a queue of sent images is


def contents(sent: list[Outgoing[int]]) -> list[int]:
    return [one.content for one in sent]


def test_nothing_happens_without_a_fault() -> None:
    sent = play({})
    assert contents(sent) == list(range(40))
    assert all(one.due_ns == one.stamp_ns == one.content * PERIOD_NS for one in sent)


def test_faults_of_the_picture_are_not_its_business() -> None:
    assert play({"black": 0.0, "truncate": 0.5}) == play({})


def test_drop_takes_all_or_a_share() -> None:
    assert contents(play({"drop": 1.0}, begin=3)) == [0, 1, 2]
    assert 60 < len(play({"drop": 0.5}, 200)) < 140


def test_the_dead_send_nothing() -> None:
    assert contents(play({"dead": 0.0}, begin=3)) == [0, 1, 2]


def test_delay_is_constant_and_leaves_the_stamp() -> None:
    assert {one.due_ns - one.stamp_ns for one in play({"delay": 0.4})} == {400_000_000}


def test_jitter_varies_within_its_amount_and_keeps_the_order() -> None:
    sent = play({"jitter": 0.3})
    late = [one.due_ns - one.stamp_ns for one in sent]
    assert contents(sent) == list(range(40))
    assert 0 <= min(late) < max(late) <= 300_000_000
    assert len(set(late)) > 10


def test_reorder_swaps_neighbours() -> None:
    assert contents(play({"reorder": 0.0}, 6)) == [1, 0, 3, 2, 5, 4]


def test_an_image_held_back_is_not_lost_when_the_fault_ends() -> None:
    stream: FaultStream[int] = FaultStream("rgb")
    assert stream.take(0, 0, 0, {"reorder": 0.0}) == []
    assert contents(stream.take(1, PERIOD_NS, PERIOD_NS, {})) == [1, 0]


def test_duplicates_are_equal() -> None:
    sent = play({"duplicate": 0.0}, 3)
    assert contents(sent) == [0, 0, 1, 1, 2, 2]
    assert sent[0] == sent[1]


def test_freeze_repeats_the_last_good_picture_under_new_stamps() -> None:
    sent = play({"freeze": 0.0}, 6, begin=3)
    assert contents(sent) == [0, 1, 2, 2, 2, 2]
    assert [one.stamp_ns // PERIOD_NS for one in sent] == list(range(6))


def test_a_freeze_from_the_beginning_repeats_the_first_picture() -> None:
    assert contents(play({"freeze": 0.0}, 3)) == [0, 0, 0]


def test_stamps_jump_and_jump_back() -> None:
    stream: FaultStream[int] = FaultStream("rgb")
    stamps = [
        stream.take(number, number, number, {"stamp_jump": -5.0} if number == 1 else {})[0].stamp_ns
        for number in range(3)
    ]
    assert stamps == [0, 1 - 5_000_000_000, 2]


@pytest.mark.parametrize("kind", STREAM_KINDS)
def test_the_same_seed_gives_the_same_stream(kind: str) -> None:
    faults = {kind: 0.5 if kind == "drop" else STREAM_KINDS[kind].amount}
    assert play(faults, seed=3) == play(faults, seed=3)


def test_another_seed_loses_other_images() -> None:
    assert play({"drop": 0.5}, seed=3) != play({"drop": 0.5}, seed=4)
