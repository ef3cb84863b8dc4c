"""Which sets a report shows in pictures, and their pictures, small."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.report.tiles import Tile, moment_tiles
from msdepth_ros.results.frame import FrameRecord, Snapshot, record_key

SPREAD, EXTREMES = 56, 4
_WINDOW_NS = 1_000_000_000
_APART, _APART_NS = 0.03, 1_000_000_000  # of a drive, and of a short one: four worst sets should be four events
_STATES = 12
_SETTLED = 3  # the first sets after a change still show what was before

RecordKey = tuple[str, int, str, int]


class FramePictures(NamedTuple):
    """The pictures of one set, encoded: about a hundred kilobytes.

    Attributes:
        record: Its numbers.
        tiles: Its pictures.
    """

    record: FrameRecord
    tiles: tuple[Tile, ...]

    @property
    def size(self) -> int:
        """Bytes on the page."""
        return sum(len(tile.image) for tile in self.tiles)


class Candidate(NamedTuple):
    """A set that may be among the worst or the best.

    Attributes:
        key: Of its record.
        stamp_ns: Of its depth.
        badness: AbsRel, or 1 minus the mean confidence where nothing is scored.
        scored: Whether there is ground truth.
    """

    key: RecordKey
    stamp_ns: int
    badness: float
    scored: bool


def encode(snapshot: Snapshot) -> FramePictures:
    """The pictures of one set as they go onto the page, each input with what is wrong with it."""
    trouble: dict[str, list[str]] = {}
    for word in snapshot.record.health:
        spectrum, _, what = word.partition(":")
        trouble.setdefault(f"input-{spectrum}", []).append(what)
    for name in trouble.keys() - {f"input-{spectrum}" for spectrum in snapshot.record.spectra}:
        trouble[name].append("not used")
    tiles = moment_tiles(snapshot.moment)
    noted = (replace(t, note=", ".join(trouble[t.name])) if t.name in trouble and t.image else t for t in tiles)
    return FramePictures(snapshot.record, tuple(noted))


def candidate(record: FrameRecord) -> Candidate | None:
    """How bad a set is; None if there is no depth."""
    scored = "abs_rel" in record.scores
    if not scored and record.confidence is None:
        return None
    badness = record.scores["abs_rel"] if scored else 1.0 - (record.confidence or 0.0)
    return Candidate(record_key(record), record.stamp_ns, badness, scored)


def extremes(candidates: Iterable[Candidate], count: int = EXTREMES) -> tuple[list[RecordKey], list[RecordKey]]:
    """The worst and the best sets, each list beginning with the most extreme, apart in time.

    Sets without ground truth count only if none has any. No set is in both lists.

    Args:
        candidates: In any order; a set may come more than once.
        count: How many of each at most.
    """
    known = list(dict.fromkeys(candidates))
    usable = [one for one in known if one.scored] or known
    if not usable:
        return [], []
    span_ns = max(one.stamp_ns for one in usable) - min(one.stamp_ns for one in usable)
    apart_ns = int(max(_APART * span_ns, min(_APART_NS, span_ns / 10)))
    worst = _apart(sorted(usable, key=lambda one: (-one.badness, one.key)), count, apart_ns)
    rest = [one for one in usable if one.key not in worst]
    return worst, _apart(sorted(rest, key=lambda one: (one.badness, one.key)), count, apart_ns)


def _apart(ranked: list[Candidate], count: int, apart_ns: int) -> list[RecordKey]:
    """The first of a ranking, leaving out what is close in time to one that was taken."""
    taken: list[Candidate] = []
    for one in ranked:
        near = any(one.key[0] == t.key[0] and abs(one.stamp_ns - t.stamp_ns) < apart_ns for t in taken)
        if not near and len(taken) < count:
            taken.append(one)
    return [one.key for one in taken]


def choose(
    records: Iterable[FrameRecord], variant: str, *, spread: int = SPREAD, count: int = EXTREMES
) -> set[RecordKey]:
    """The sets that are worth pictures: spread over everything, in each state of the cameras, the worst and the best.

    A pure function of the records, which are read once and not kept.

    Args:
        records: In the order of `record_key`.
        variant: Only its sets count: that of the headline, `Summary.variants[0]`. A recording of fewer cameras may
            come first.
        spread: How many to spread over all.
        count: How many of the worst, and of the best.
    """
    even: list[RecordKey] = []
    step, seen = 1, 0
    windows: dict[tuple[str, int, bool], tuple[Candidate, Candidate]] = {}
    states: dict[tuple[str, tuple[str, ...]], tuple[int, RecordKey]] = {}
    for record in records:
        one = candidate(record)
        if record.variant != variant or one is None:
            continue
        if seen % step == 0:
            even.append(one.key)
        seen += 1
        if len(even) >= 2 * spread:
            even, step = even[::2], 2 * step
        window = (record.bag, record.stamp_ns // _WINDOW_NS, one.scored)
        worst, best = windows.get(window, (one, one))
        windows[window] = (max(worst, one, key=_rank), min(best, one, key=_rank))
        _remember_state(states, record, one.key)
    worst_keys, best_keys = extremes((one for pair in windows.values() for one in pair), count)
    share = max(1.0, len(even) / spread)
    spread_keys = {even[int(index * share)] for index in range(min(spread, len(even)))}
    return spread_keys | {key for _, key in states.values()} | set(worst_keys) | set(best_keys)


def _rank(one: Candidate) -> tuple[float, RecordKey]:
    """Order of candidates, the same for any order of the records."""
    return (one.badness, one.key)


def _remember_state(
    states: dict[tuple[str, tuple[str, ...]], tuple[int, RecordKey]], record: FrameRecord, key: RecordKey
) -> None:
    """Keeps one settled set of each combination of spectra and trouble."""
    state = (spectra_key(record.spectra), record.health)
    count, kept = states.get(state, (0, key))
    if count or len(states) < _STATES:
        states[state] = (min(count + 1, _SETTLED), key if count < _SETTLED else kept)
