"""The pictures of an evaluation's page: the worst and the best moments, a typical one, and the frames to browse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from msdepth_ros.report.frame_pictures import Candidate, FramePictures, candidate, extremes
from msdepth_ros.report.page.render import MomentView
from msdepth_ros.report.page.texts import shown
from msdepth_ros.results.frame import FrameRecord, record_key

_WORTH_SAYING = ("abs_rel", "delta_1", "rmse")
_FACTS = {"abs_rel": "AbsRel {}", "delta_1": "{} within a factor 1.25", "rmse": "RMSE {} m"}


class Gallery:
    """Chooses what to show of the pictures that there are.

    Args:
        pictures: Any order and mixture, taken one at a time; a set that comes twice counts once.
        budget_bytes: Most for all of them together; the frames to browse are thinned until they fit.
    """

    def __init__(self, pictures: Iterable[FramePictures], budget_bytes: int) -> None:
        """Rank them."""
        found: dict[Any, FramePictures] = {}
        for one in pictures:
            found.setdefault(record_key(one.record), one)
        self._frames = [found[key] for key in sorted(found)]
        known = [one for one in (candidate(frame.record) for frame in self._frames) if one is not None]
        self.worst, self.best = ([found[key] for key in keys] for keys in extremes(known))
        self.typical = _typical(known, found)
        always = [*self.worst, *self.best, *([self.typical] if self.typical else []), *self._frames[:1]]
        self.frames = _thinned(self._frames, budget_bytes - sum(frame.size for frame in always))
        self.left_out = len(self._frames) - len(self.frames)


def _typical(known: Sequence[Candidate], found: Mapping[Any, FramePictures]) -> FramePictures | None:
    """The set in the middle of the ranking."""
    ranked = sorted((one for one in known), key=lambda one: (not one.scored, one.badness, one.key))
    scored = [one for one in ranked if one.scored] or ranked
    return found[scored[len(scored) // 2].key] if scored else None


def _thinned(frames: Sequence[FramePictures], budget_bytes: int) -> list[FramePictures]:
    """As many frames as have room, spread over all of them."""
    chosen, step = list(frames), 1
    while sum(frame.size for frame in chosen) > budget_bytes:
        step += 1
        chosen = list(frames[::step])
        if len(chosen) == 1:
            break
    return chosen


def title_of(record: FrameRecord, starts_ns: Mapping[str, int]) -> str:
    """When a set was, with its recording where there are several.

    Args:
        record: The set.
        starts_ns: Stamp of the first set of each recording.
    """
    seconds = (record.stamp_ns - starts_ns.get(record.bag, record.stamp_ns)) * 1e-9
    return f"{record.bag}, {seconds:.1f} s" if len(starts_ns) > 1 else f"{seconds:.1f} s"


def facts_of(record: FrameRecord) -> str:
    """A set in a line."""
    facts = [_FACTS[name].format(shown(name, record.scores[name])) for name in _WORTH_SAYING if name in record.scores]
    if record.confidence is not None:
        facts.append(f"confidence {record.confidence:.2f}")
    facts += [word.replace(":", " ") for word in record.health]
    return " · ".join(facts)


def moment_view(frame: FramePictures, name: str, starts_ns: Mapping[str, int], badge: str = "") -> MomentView:
    """A set as an article of the page.

    Args:
        frame: The set.
        name: Unique on the page.
        starts_ns: Stamp of the first set of each recording.
        badge: What is remarkable about it, its first word `Worst` or `Best`.
    """
    record = frame.record
    state = badge.partition(" ")[0].lower()
    return MomentView(name, title_of(record, starts_ns), facts_of(record), record.spectra, frame.tiles, badge, state)


def frame_data(frames: Sequence[FramePictures], starts_ns: Mapping[str, int]) -> list[dict[str, Any]]:
    """What the frame browser needs, as plain values."""
    wanted = ("name", "alt", "image", "absent", "note")
    return [
        {
            "title": title_of(frame.record, starts_ns),
            "bag": frame.record.bag,
            "seconds": round((frame.record.stamp_ns - starts_ns.get(frame.record.bag, 0)) * 1e-9, 3),
            "facts": facts_of(frame.record),
            "spectra": list(frame.record.spectra),
            "tiles": [{key: value for key, value in asdict(tile).items() if key in wanted} for tile in frame.tiles],
        }
        for frame in frames
    ]
