"""Verdicts about what was seen: pure, so that they can be tested by hand-made sightings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fault_bench.expectations import KILL, LOST, NAMED_AS, Bars, Trial
from msdepth_ros.core.spectra import SPECTRA

S = 1_000_000_000
SAME_SET_NS = 100_000_000  # images of one instant lie closer together
SETTLED_NS = S // 2  # after this long nobody waits for a camera any more


class Depth(NamedTuple):
    """One depth image: when it came, wall clock, and its stamp."""

    arrival_ns: int
    stamp_ns: int


class Words(NamedTuple):
    """One message of /diagnostics: when it came, and the fault words of each camera."""

    arrival_ns: int
    cameras: Mapping[str, frozenset[str]]


class Episode(NamedTuple):
    """When a fault began and ended.

    Attributes:
        begin_ns: wall clock, when the first faulty image was sent.
        end_ns: wall clock, when the first good one was sent again.
        end_stamp_ns: the stamp of that one.
    """

    begin_ns: int
    end_ns: int
    end_stamp_ns: int


@dataclass
class Sightings:
    """What the watcher saw."""

    depths: list[Depth] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    used: dict[int, set[str]] = field(default_factory=dict)
    """Cameras that contributed to the depth of a stamp."""


def row(fault: str, camera: str, expected: Mapping[str, Any], seen: Mapping[str, Any], passed: bool) -> dict[str, Any]:
    """One object of faults.json."""
    return {"fault": fault, "camera": camera, "expected": dict(expected), "seen": dict(seen), "passed": bool(passed)}


def judge_trial(trial: Trial, episode: Episode, sightings: Sightings, until_ns: int, bars: Bars) -> dict[str, Any]:
    """The verdict on one fault.

    Args:
        trial: what was done.
        episode: when.
        sightings: all that was seen.
        until_ns: when watching ended.
        bars: what must be reached.
    """
    wanted = sorted(word.value for word in NAMED_AS[trial.kind])
    during = [one for one in sightings.words if episode.begin_ns <= one.arrival_ns <= until_ns]
    named = {name: sorted({word for one in during for word in one.cameras.get(name, ())}) for name in trial.spectra}
    after_s = {name: first_named_s(during, name, wanted, episode.begin_ns) for name in trial.spectra}
    frames = {name: frames_to_recover(sightings, name, episode) for name in trial.spectra}
    gap_s = largest_gap_s(sightings.depths, episode.begin_ns, until_ns)
    others = [(name, word) for one in during for name, words in one.cameras.items() for word in words - bars.excused
              if name not in trial.spectra]  # fmt: skip
    false = sorted({f"{name}: {word}" for name, word in others})
    late = [name for name, seconds in after_s.items() if wanted and (seconds is None or seconds > bars.named_within_s)]
    lost = [name for name, count in frames.items() if count is None or count > bars.frames]
    expected = {
        "named": wanted, "named_within_s": bars.named_within_s if wanted else None, "largest_gap_s": bars.gap_s,
        "frames_to_recover": bars.frames, "false_alarms": [],
    }  # fmt: skip
    seen = {
        "named": named, "named_after_s": after_s, "largest_gap_s": gap_s, "frames_to_recover": frames,
        "false_alarms": false,
    }  # fmt: skip
    return row(trial.kind, "+".join(trial.spectra), expected, seen, not (late or lost or false or gap_s > bars.gap_s))


def first_named_s(words: Sequence[Words], spectrum: str, wanted: Sequence[str], begin_ns: int) -> float | None:
    """Seconds from the fault's begin until diagnostics named one of the words for a camera; None if never."""
    for one in words:
        if one.cameras.get(spectrum, frozenset()) & set(wanted):
            return round((one.arrival_ns - begin_ns) / S, 3)
    return None


def frames_to_recover(sightings: Sightings, spectrum: str, episode: Episode) -> int | None:
    """Which depth image after the end is the first to use the camera again, counted from 1; None if none does."""
    after = [
        one.stamp_ns
        for one in sightings.depths
        if one.arrival_ns > episode.end_ns and one.stamp_ns > episode.end_stamp_ns - SAME_SET_NS
    ]
    for number, stamp_ns in enumerate(after, start=1):
        if spectrum in sightings.used.get(stamp_ns, ()):
            return number
    return None


def largest_gap_s(depths: Sequence[Depth], begin_ns: int, until_ns: int) -> float:
    """The longest time without a depth image, seconds."""
    before = [one.arrival_ns for one in depths if one.arrival_ns <= begin_ns]
    times = [max(before, default=begin_ns)]
    times += [one.arrival_ns for one in depths if begin_ns < one.arrival_ns <= until_ns]
    gaps = [later - earlier for earlier, later in zip(times, [*times[1:], until_ns], strict=True)]
    return round(max(gaps) / S, 3)


def median_latency_ms(depths: Sequence[Depth], begin_ns: int, end_ns: int) -> float | None:
    """Median time from stamp to arrival of what came within some time, ms; None if nothing came."""
    values = [one.arrival_ns - one.stamp_ns for one in depths if begin_ns <= one.arrival_ns <= end_ns]
    return round(statistics.median(values) * 1e-6, 1) if values else None


def judge_clean(begin_ns: int, end_ns: int, sightings: Sightings, bars: Bars) -> list[dict[str, Any]]:
    """The verdicts on a time without faults: no word about any camera."""
    rows = []
    for name in SPECTRA:
        during = [one for one in sightings.words if begin_ns <= one.arrival_ns <= end_ns]
        said = sorted({word for one in during for word in one.cameras.get(name, ())})
        seen = {"named": said, "seconds": round((end_ns - begin_ns) / S, 1), "diagnostics": len(during)}
        rows.append(row("none", name, {"named": []}, seen, bool(during) and bars.excused >= set(said)))
    return rows


def judge_latency(
    episodes: Mapping[Trial, Episode], clean: tuple[int, int], sightings: Sightings, bars: Bars
) -> list[dict[str, Any]]:
    """The verdicts on the latency while one camera is lost, once nobody waits for it any more."""
    usual_ms = median_latency_ms(sightings.depths, *clean)
    rows = []
    for trial, episode in episodes.items():
        if trial.kind != LOST or len(trial.spectra) != 1:
            continue
        begin_ns = episode.begin_ns + SETTLED_NS
        without_ms = median_latency_ms(sightings.depths, begin_ns, episode.end_ns)
        passed = usual_ms is not None and without_ms is not None and without_ms <= bars.latency_ratio * usual_ms
        expected, seen = {"latency_ratio": bars.latency_ratio}, {"clean_ms": usual_ms, "ms": without_ms}
        rows.append(row("latency without", trial.spectra[0], expected, seen, passed))
    return rows


class Scored(NamedTuple):
    """One depth image and its error: its stamp; which picture of the drive it shows; AbsRel."""

    stamp_ns: int
    picture: int
    abs_rel: float


def judge_accuracy(episodes: Mapping[Trial, Episode], scored: Sequence[Scored], bars: Bars) -> list[dict[str, Any]]:
    """The verdicts on the error with a faulty camera, compared with the error without that camera.

    Only pictures that were seen in both cases are compared, each as often as the others.
    """
    by_picture: dict[Trial, dict[int, float]] = {}
    for trial, episode in episodes.items():
        if len(trial.spectra) == 1:
            during = [one for one in scored if episode.begin_ns <= one.stamp_ns < episode.end_stamp_ns]
            by_picture[trial] = {
                picture: statistics.fmean(one.abs_rel for one in during if one.picture == picture)
                for picture in {one.picture for one in during}
            }
    rows = []
    for trial, faulty in by_picture.items():
        without = by_picture.get(Trial(LOST, trial.spectra), {})
        both = sorted(faulty.keys() & without.keys())
        if trial.kind == LOST:
            continue
        if not both:
            seen = {"pictures": 0}  # no depth to be scored
            rows.append(row(f"accuracy: {trial.kind}", trial.spectra[0], {"ratio": bars.accuracy_ratio}, seen, False))
            continue
        mine, removed = (statistics.fmean(errors[picture] for picture in both) for errors in (faulty, without))
        seen = {"ratio": round(mine / removed, 3), "abs_rel": round(mine, 4), "without": round(removed, 4),
                "pictures": len(both)}  # fmt: skip
        passed = mine <= bars.accuracy_ratio * removed
        rows.append(row(f"accuracy: {trial.kind}", trial.spectra[0], {"ratio": bars.accuracy_ratio}, seen, passed))
    return rows


def judge_restart(started_ns: Sequence[int], sightings: Sightings, bars: Bars) -> dict[str, Any]:
    """The verdict on a node that was killed and started again, each of these times."""
    last_ns = max((one.arrival_ns for one in sightings.depths), default=0) + 1
    ends_ns = [*started_ns[1:], last_ns][: len(started_ns)]
    seconds = []
    for begin_ns, end_ns in zip(started_ns, ends_ns, strict=True):
        first_ns = min((one.arrival_ns for one in sightings.depths if begin_ns < one.arrival_ns < end_ns), default=None)
        seconds.append(None if first_ns is None else round((first_ns - begin_ns) / S, 2))
    passed = bool(seconds) and all(one is not None and one <= bars.restart_s for one in seconds)
    return row(f"{KILL} node", "", {"first_depth_s": bars.restart_s}, {"first_depth_s": seconds}, passed)
