"""Gathers the messages of planned sets while a recording is read once, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from msdepth_ros.bags.bag import Payload
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.evaluation.plan.planned_sets import MessageRef, Plan, SetPlan

_GAP_NS = 1_000_000_000
Key = tuple[str, int, int]
"""Topic, time of recording, and which of the messages with the same time."""


def key_of(ref: MessageRef) -> Key:
    """Where a message is."""
    return ref[:3]


class Gathered(NamedTuple):
    """A set and its messages; one that could not be found is not among them."""

    planned: SetPlan
    payloads: dict[Key, Payload]


class Collector:
    """Holds what is needed of a recording for the sets that are open, and no more.

    Sets come out in an order that depends on the plans alone: by the time of recording of their last message, never
    before an earlier set of the same variant.

    Args:
        plans: Of one recording, any variants.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        """Order the sets by what they need first and last."""
        self._plans = plans
        spans = [_spans(plan) for plan in plans]
        first = np.concatenate([span[0] for span in spans] or [np.zeros(0, np.int64)])
        last = np.concatenate([np.maximum.accumulate(span[1]) for span in spans] or [np.zeros(0, np.int64)])
        self._offsets = np.cumsum([0, *(len(plan) for plan in plans)])
        self._first, self._last = first, last
        self._needed = np.concatenate([span[1] for span in spans] or [np.zeros(0, np.int64)])
        self._to_open = np.argsort(first, kind="stable")
        self._to_leave = np.lexsort((np.arange(len(last)), last))
        self._opened = self._left = 0
        self._open: dict[int, SetPlan] = {}
        self._uses: Counter[Key] = Counter()
        self._payloads: dict[Key, Payload] = {}
        self._same_time: dict[str, tuple[int, int]] = {}
        self.count = len(first)

    @property
    def topics(self) -> list[str]:
        """Every topic that some set needs."""
        return list(dict.fromkeys(topic for plan in self._plans for topic in _needed_topics(plan)))

    def windows_ns(self) -> list[tuple[int, int]]:
        """Parts of the recording to read: first time, and the first one not to read; long gaps are left out."""
        windows: list[tuple[int, int]] = []
        for place in self._to_open:
            begin_ns, end_ns = int(self._first[place]), int(self._needed[place]) + 1
            if windows and begin_ns - windows[-1][1] <= _GAP_NS:
                windows[-1] = (windows[-1][0], max(end_ns, windows[-1][1]))
            else:
                windows.append((begin_ns, end_ns))
        return windows

    def offer(self, payload: Payload) -> Iterator[Gathered]:
        """Takes the next message of the recording; gives the sets that are complete now.

        Args:
            payload: Give all messages of `topics` in `windows_ns`, in order of recording.
        """
        while self._opened < self.count and self._first[self._to_open[self._opened]] <= payload.log_ns:
            self._open_next()
        last_ns, repeat = self._same_time.get(payload.topic, (-1, 0))
        repeat = repeat + 1 if last_ns == payload.log_ns else 0
        self._same_time[payload.topic] = (payload.log_ns, repeat)
        key = (payload.topic, payload.log_ns, repeat)
        if key in self._uses:
            self._payloads[key] = payload
        yield from self._complete(payload.log_ns)

    def rest(self) -> Iterator[Gathered]:
        """Gives the sets that are left, with what was found of them."""
        while self._opened < self.count:
            self._open_next()
        while self._left < self.count:
            yield self._leave()

    def _open_next(self) -> None:
        """Begins to look for the messages of one more set."""
        place = int(self._to_open[self._opened])
        plan = int(np.searchsorted(self._offsets, place, side="right")) - 1
        planned: SetPlan = self._plans[plan][place - int(self._offsets[plan])]
        self._open[place] = planned
        self._uses.update(key_of(ref) for ref in planned.refs)
        self._opened += 1

    def _complete(self, now_ns: int) -> Iterator[Gathered]:
        """The next sets, as long as all their messages are there, or cannot come any more."""
        while self._left < self.count:
            place = int(self._to_leave[self._left])
            planned = self._open.get(place)
            if planned is None:
                return
            if any(key_of(ref) not in self._payloads for ref in planned.refs) and now_ns <= self._last[place]:
                return
            yield self._leave()

    def _leave(self) -> Gathered:
        """Gives the next set and forgets what no other needs."""
        planned = self._open.pop(int(self._to_leave[self._left]))
        self._left += 1
        keys = [key_of(ref) for ref in planned.refs]
        found = {key: self._payloads[key] for key in keys if key in self._payloads}
        for key in keys:
            self._uses[key] -= 1
            if not self._uses[key]:
                del self._uses[key]
                self._payloads.pop(key, None)
        return Gathered(planned, found)


def _needed_topics(plan: Plan) -> list[str]:
    """Topics that sets of a plan use."""
    return [plan.topics[name] for name in (*SPECTRA, "truth") if plan.needs(name).any()]


def _spans(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """When the first and the last message that each set needs were recorded; its newest one if it needs none."""
    first = np.full(len(plan), np.iinfo(np.int64).max)
    last, newest = np.zeros(len(plan), np.int64), np.zeros(len(plan), np.int64)
    for name in (*SPECTRA, "truth"):
        there, log_ns = plan.needs(name), plan.rows[name]["log_ns"]
        first = np.where(there, np.minimum(first, log_ns), first)
        last = np.where(there, np.maximum(last, log_ns), last)
        newest = np.maximum(newest, log_ns)
    return np.where(last > 0, first, newest), np.where(last > 0, last, newest)
