"""The verdicts of the fault matrix, on sightings made by hand: each of its bars can be missed."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from fault_bench.expectations import KILL, NAMED_AS, Bars, Trial, full, short
from fault_bench.judge import (
    Depth,
    Episode,
    Scored,
    Sightings,
    Words,
    judge_accuracy,
    judge_clean,
    judge_latency,
    judge_restart,
    judge_trial,
)

from msdepth_ros.core.injection.faults import KINDS
from msdepth_ros.core.spectra import SPECTRA

MS = 1_000_000
BEGIN_MS, END_MS, UNTIL_MS = 5_000, 8_000, 10_000
EPISODE = Episode(BEGIN_MS * MS, END_MS * MS, END_MS * MS)
TRIAL = Trial("black", ("rgb",))


def drive(*, said_ms: int = BEGIN_MS + 400, word: str = "black", back_ms: int = END_MS, lag_ms: int = 50) -> Sightings:
    """Depth each tenth of a second; rgb is missing from the begin of its fault until it is back."""
    seen = Sightings()
    for stamp_ms in range(0, UNTIL_MS, 100):
        seen.depths.append(Depth((stamp_ms + lag_ms) * MS, stamp_ms * MS))
        seen.used[stamp_ms * MS] = {"nir", "thermal"}
        if not BEGIN_MS <= stamp_ms < back_ms:
            seen.used[stamp_ms * MS].add("rgb")
    for at_ms in range(0, UNTIL_MS, 200):
        words = frozenset({word}) if said_ms <= at_ms < END_MS + 300 else frozenset()
        seen.words.append(Words(at_ms * MS, {"rgb": words, "nir": frozenset(), "thermal": frozenset()}))
    return seen


def verdict(seen: Sightings) -> dict:
    return judge_trial(TRIAL, EPISODE, seen, UNTIL_MS * MS, Bars())


def test_a_good_run_passes_and_says_what_was_seen() -> None:
    row = verdict(drive())
    assert row.keys() == {"fault", "camera", "expected", "seen", "passed"}
    assert (row["fault"], row["camera"], row["passed"]) == ("black", "rgb", True)
    assert row["seen"]["named"] == {"rgb": ["black"]}
    assert row["seen"]["named_after_s"] == {"rgb": 0.4}
    assert row["seen"]["frames_to_recover"] == {"rgb": 1}
    assert row["seen"]["largest_gap_s"] == pytest.approx(0.1)


def test_late_wrong_or_missing_words_fail() -> None:
    assert not verdict(drive(said_ms=BEGIN_MS + 1200))["passed"]
    assert not verdict(drive(word="noisy"))["passed"]
    assert not verdict(drive(said_ms=UNTIL_MS))["passed"]


def test_a_camera_must_be_back_within_three_depth_images() -> None:
    assert verdict(drive(back_ms=END_MS + 200))["passed"]
    late = verdict(drive(back_ms=END_MS + 300))
    assert late["seen"]["frames_to_recover"] == {"rgb": 4}
    assert not late["passed"]
    never = verdict(drive(back_ms=UNTIL_MS))
    assert never["seen"]["frames_to_recover"] == {"rgb": None}
    assert not never["passed"]


def test_depth_must_go_on() -> None:
    seen = drive()
    seen.depths = [depth for depth in seen.depths if not 6_000 <= depth.stamp_ns // MS < 7_500]
    assert verdict(seen)["seen"]["largest_gap_s"] == pytest.approx(1.6)
    assert not verdict(seen)["passed"]
    seen.depths = []
    assert not verdict(seen)["passed"]


def test_a_word_about_another_camera_fails_unless_it_is_excused() -> None:
    seen = drive()
    seen.words.append(Words(6_000 * MS, {"rgb": frozenset({"black"}), "nir": frozenset({"slow"})}))
    row = verdict(seen)
    assert row["seen"]["false_alarms"] == ["nir: slow"]
    assert not row["passed"]
    assert judge_trial(TRIAL, EPISODE, seen, UNTIL_MS * MS, Bars().for_a_busy_machine(2.0))["passed"]


def test_where_nothing_needs_to_be_said_silence_passes() -> None:
    assert judge_trial(Trial("wiper", ("rgb",)), EPISODE, drive(said_ms=UNTIL_MS), UNTIL_MS * MS, Bars())["passed"]


def test_depth_stamped_ahead_during_the_fault_is_no_recovery() -> None:
    seen = drive(back_ms=UNTIL_MS)
    seen.depths.insert(55, Depth(6_000 * MS, 12_000 * MS))
    seen.used[12_000 * MS] = {"rgb"}
    assert verdict(seen)["seen"]["frames_to_recover"] == {"rgb": None}


def test_clean_time_has_no_word_and_some_diagnostics() -> None:
    assert all(row["passed"] for row in judge_clean(0, 4_000 * MS, drive(), Bars()))
    rows = {row["camera"]: row["passed"] for row in judge_clean(0, 6_000 * MS, drive(), Bars())}
    assert rows == {"rgb": False, "nir": True, "thermal": True}
    assert not any(row["passed"] for row in judge_clean(0, 4_000 * MS, Sightings(), Bars()))


def test_latency_is_compared_after_the_cameras_silence_is_known() -> None:
    seen = drive()
    lost = {Trial("drop", ("rgb",)): EPISODE, Trial("black", ("nir",)): EPISODE}
    seen.depths = [
        Depth(depth.arrival_ns + (60 * MS if BEGIN_MS <= depth.stamp_ns // MS < BEGIN_MS + 300 else 0), depth.stamp_ns)
        for depth in seen.depths
    ]
    (row,) = judge_latency(lost, (0, BEGIN_MS * MS), seen, Bars())
    assert row["seen"] == {"clean_ms": 50.0, "ms": 50.0}
    assert row["passed"]
    seen.depths = [Depth(depth.arrival_ns + (15 * MS if depth.stamp_ns > BEGIN_MS * MS else 0), depth.stamp_ns)
                   for depth in seen.depths]  # fmt: skip
    assert not judge_latency(lost, (0, BEGIN_MS * MS), seen, Bars())[0]["passed"]


def test_accuracy_is_compared_picture_by_picture_with_that_without_the_camera() -> None:
    lost, black, later = Trial("drop", ("rgb",)), Trial("black", ("rgb",)), Episode(20_000 * MS, 0, 23_000 * MS)
    without = [Scored((BEGIN_MS + 200 * number) * MS, number, 0.2 + 0.1 * number) for number in range(4)]
    faulty = [Scored((20_000 + 200 * number) * MS, number, 0.21 + 0.1 * number) for number in range(2)]
    episodes = {lost: EPISODE, black: later, Trial("black", ("nir",)): EPISODE}
    row, unknown = judge_accuracy(episodes, [*without, *faulty], Bars())
    assert (row["fault"], row["camera"], row["passed"]) == ("accuracy: black", "rgb", True)
    assert row["seen"] == {"ratio": 1.04, "abs_rel": 0.26, "without": 0.25, "pictures": 2}
    worse = [one._replace(abs_rel=1.2 * one.abs_rel) for one in faulty]
    assert not judge_accuracy(episodes, [*without, *worse], Bars())[0]["passed"]
    assert (unknown["camera"], unknown["seen"], unknown["passed"]) == ("nir", {"pictures": 0}, False)


def test_a_restart_takes_until_the_first_depth() -> None:
    seen = drive()
    assert judge_restart([4_120 * MS, 5_125 * MS], seen, Bars())["seen"] == {"first_depth_s": [0.03, 0.03]}
    assert judge_restart([4_120 * MS, 5_125 * MS], seen, Bars())["passed"]
    never = judge_restart([4_120 * MS, UNTIL_MS * MS], seen, Bars())
    assert (never["seen"], never["passed"]) == ({"first_depth_s": [0.03, None]}, False)
    assert not judge_restart([], seen, Bars())["passed"]


def test_every_fault_is_tried_on_every_camera_and_the_worst_on_pairs() -> None:
    trials = full()
    assert len(trials) == len(set(trials)) == 3 * (len(KINDS) + 1) + 6 * 3
    assert {trial.kind for trial in short()} == {*KINDS, KILL} == set(NAMED_AS)
    assert {name for trial in short() for name in trial.spectra} == set(SPECTRA)
