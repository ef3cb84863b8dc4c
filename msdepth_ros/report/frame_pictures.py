"""Which sets a report shows in pictures, chosen while they are computed, and their pictures, small.

Three reasons to show a set: it is one of those spread evenly over the recording, it is one of a state of the cameras
(both are known from the plan), or it is among the worst or the best (known once it is scored). What is chosen depends
on the plan and the records alone, not on how the work is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

from msdepth_ros.core.spectra import key_order, spectra_key
from msdepth_ros.report.tiles import Tile, moment_tiles
from msdepth_ros.results.frame import FrameRecord, record_key
from msdepth_ros.results.moments import Moment

SPREAD, EXTREMES = 56, 4
_STATES = 12
_SETTLED = 3  # the first sets after a change still show what was before
_APART, _APART_NS = 0.03, 1_000_000_000  # of a drive, and of a short one: four worst sets should be four events
_WINDOWS = 4 * EXTREMES  # each of the worst rules out two neighbouring windows at most

_SIGNS = (1, -1)
"""The worst sets, and the best."""

RecordKey = tuple[str, int, str, int]


PictureT = TypeVar("PictureT")


class Why(IntEnum):
    """Why a set is shown in pictures."""

    NOT = 0
    SPREAD = 1
    STATE = 2
    EXTREME = 3


class FramePictures(NamedTuple):
    """The pictures of one set, encoded: about a hundred kilobytes.

    Attributes:
        record: Its numbers.
        tiles: Its pictures.
        why: Why it is shown.
    """

    record: FrameRecord
    tiles: tuple[Tile, ...]
    why: Why

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


def encode(moment: Moment[FrameRecord], why: Why = Why.SPREAD) -> FramePictures:
    """The pictures of one set as they go onto the page, each input with what is wrong with it."""
    record = moment.record
    trouble: dict[str, list[str]] = {}
    for word in record.health:
        spectrum, _, what = word.partition(":")
        trouble.setdefault(f"input-{spectrum}", []).append(what)
    for name in trouble.keys() - {f"input-{spectrum}" for spectrum in record.spectra}:
        trouble[name].append("not used")
    tiles = moment_tiles(moment)
    noted = (replace(t, note=", ".join(trouble[t.name])) if t.name in trouble and t.image else t for t in tiles)
    return FramePictures(record, tuple(noted), why)


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
    stamps: dict[str, list[int]] = {}
    for one in usable:
        stamps.setdefault(one.key[0], []).append(one.stamp_ns)
    apart_ns = apart(max(max(some) - min(some) for some in stamps.values()))
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


def apart(span_ns: int) -> int:
    """How far apart in time two of the worst sets of a drive of this length are, nanoseconds."""
    return max(1, int(max(_APART * span_ns, min(_APART_NS, span_ns / 10))))


def choose_ahead(states: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> list[Why]:
    """Which sets of a recording are shown whatever their scores: spread over it, and one of each state of the cameras.

    Args:
        states: Of each set in order: the spectra that are used, and what is wrong with the images.
    """
    shown = [index for index, (used, _) in enumerate(states) if used]
    share = max(1.0, len(shown) / SPREAD)
    chosen = [Why.NOT] * len(states)
    first: dict[object, list[int]] = {}
    for index in shown:
        members = first.setdefault(states[index], [])
        if len(members) < _SETTLED:
            members.append(index)
    for members in list(first.values())[:_STATES]:
        chosen[members[-1]] = Why.STATE
    for number in range(min(SPREAD, len(shown))):
        chosen[shown[int(number * share)]] = Why.SPREAD
    return chosen


@dataclass(frozen=True)
class PictureRange:
    """Whose pictures are taken: one variant of one recording.

    Attributes:
        variant: That with all cameras of the recording.
        first_ns: Stamp of its first set.
        apart_ns: Of the worst sets, and of the best, at least this far apart in time are shown.
    """

    variant: str
    first_ns: int
    apart_ns: int

    def window(self, stamp_ns: int) -> int:
        """Number of the window of time that a stamp is in."""
        return (stamp_ns - self.first_ns) // self.apart_ns


class PictureKeeper:
    """Takes the pictures of sets while they are scored, one after the other.

    Of the scored ones it keeps the worst and the best of each window of time, and of these windows enough to choose
    the worst and the best of the whole. Nothing of this depends on where a recording is cut.

    Args:
        of: Whose pictures.
        encode: Makes what is kept of them.
    """

    def __init__(self, of: PictureRange, encode: Encode = encode) -> None:
        """Nothing is taken yet."""
        self._of, self._encode = of, encode
        self._chosen: list[FramePictures] = []
        self._open: dict[int, tuple[Candidate, Moment[FrameRecord]]] = {}
        self._kept: dict[int, list[tuple[Candidate, FramePictures]]] = {sign: [] for sign in _SIGNS}
        self._window = -1

    def take(self, record: FrameRecord, why: Why, develop: Develop) -> None:
        """Takes the pictures of a set, if it is one to show.

        Args:
            record: Of the set.
            why: What `choose_ahead` said.
            develop: Makes the pictures, called once at most.
        """
        one = candidate(record)
        if record.variant != self._of.variant or one is None:
            return
        if self._of.window(one.stamp_ns) != self._window:
            self._close()
            self._window = self._of.window(one.stamp_ns)
        signs = [s for s in _SIGNS if s not in self._open or _rank(one, s) < _rank(self._open[s][0], s)]
        if not signs and why is Why.NOT:
            return
        moment = develop()
        self._open |= dict.fromkeys(signs, (one, moment))
        if why is not Why.NOT:
            self._chosen.append(self._encode(moment, why))

    def pictures(self) -> list[FramePictures]:
        """Everything that was taken."""
        self._close()
        found = {record_key(one.record): one for kept in self._kept.values() for _, one in kept}
        found |= {record_key(one.record): one for one in self._chosen}
        return [found[key] for key in sorted(found)]

    def _close(self) -> None:
        """Ends a window of time: its worst and its best set are kept if they are among those of all."""
        for sign, (one, moment) in self._open.items():
            kept = self._kept[sign]
            if len(kept) < _WINDOWS or _rank(one, sign) < _rank(kept[-1][0], sign):
                kept.append((one, self._encode(moment, Why.EXTREME)))
                self._kept[sign] = _first(kept, sign, _WINDOWS)
        self._open.clear()


class Develop(Protocol):
    """Makes the pictures of the set at hand."""

    def __call__(self) -> Moment[FrameRecord]:
        """The pictures."""


class Encode(Protocol):
    """Makes pictures small."""

    def __call__(self, moment: Moment[FrameRecord], why: Why, /) -> FramePictures:
        """The pictures of a set as they go onto the page."""


class ShownPictures:
    """The pictures of an evaluation, chosen recording by recording, so that there are never many.

    All are of the headline's variant, `Summary.variants[0]`: a recording that lacks one of its cameras is not shown.

    Args:
        variants: Of each recording to come, the one with all its cameras.
    """

    def __init__(self, variants: Iterable[str]) -> None:
        """Nothing is chosen yet."""
        self._recordings = Counter(variants)
        self._choose_of("")

    def _choose_of(self, variant: str) -> None:
        """Begins with another variant."""
        self._variant, self._added = variant, 0
        self._spread: list[FramePictures] = []
        self._states: dict[object, FramePictures] = {}
        self._extremes: dict[int, list[tuple[Candidate, FramePictures]]] = {sign: [] for sign in _SIGNS}

    def add(self, pictures: Sequence[FramePictures], of: PictureRange) -> None:
        """Chooses among the pictures of the next recording, in the order of `record_key`."""
        if of.variant != self._variant:
            # The recording with the most cameras may have failed, so what is the headline shows only now.
            if self._variant and key_order(self._variant) < key_order(of.variant):
                return
            self._choose_of(of.variant)
        number, self._added = self._added, self._added + 1
        recordings = self._recordings[of.variant]
        share = (number + 1) * SPREAD // recordings - number * SPREAD // recordings
        spread = [one for one in pictures if one.why is Why.SPREAD]
        step = max(1.0, len(spread) / max(1, share))
        self._spread += [spread[int(place * step)] for place in range(min(share, len(spread)))]
        for one in pictures:
            state = (spectra_key(one.record.spectra), one.record.health)
            if one.why is Why.STATE and len(self._states) < _STATES:
                self._states.setdefault(state, one)
        known = [(found, one) for one in pictures if (found := candidate(one.record)) is not None]
        for sign, kept in self._extremes.items():
            windows: dict[int, tuple[Candidate, FramePictures]] = {}
            for entry in _first(known, sign, len(known)):
                windows.setdefault(of.window(entry[0].stamp_ns), entry)
            keys = _apart([one for one, _ in windows.values()], EXTREMES, of.apart_ns)
            self._extremes[sign] = _first([*kept, *(e for e in windows.values() if e[0].key in keys)], sign, EXTREMES)

    def __iter__(self) -> Iterator[FramePictures]:
        """All that were chosen, each once."""
        extreme = [one for kept in self._extremes.values() for _, one in kept]
        found = [*self._spread, *self._states.values(), *extreme]
        return iter({record_key(one.record): one for one in found}.values())


def _rank(one: Candidate, sign: int) -> tuple[bool, float, RecordKey]:
    """Order of candidates, scored ones first: the worst first for sign 1, the best first for -1."""
    return (not one.scored, -sign * one.badness, one.key)


def _first(entries: Iterable[tuple[Candidate, PictureT]], sign: int, count: int) -> list[tuple[Candidate, PictureT]]:
    """The first so many of a ranking."""
    return sorted(entries, key=lambda entry: _rank(entry[0], sign))[:count]
