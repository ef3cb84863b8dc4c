"""One spectrum's images on their way into a set: what waits, how often they come, and what became of them."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from msdepth_ros.core.sync.sets import Item

HISTORY_LENGTH = 8
RECENT_STAMPS = 32


@dataclass
class SpectrumCounts:
    """What became of one spectrum's images.

    Attributes:
        received: All that arrived.
        used: Left in a set.
        late: Arrived after their set, or a later one, had left.
        surplus: Not needed: their camera is faster than the reference, or a nearer image took their place.
        duplicates: Their stamp had been seen before.
        ahead: Stamped further ahead of the reference than it could catch up with in time.
        overflow: Pushed out by newer ones because nobody polled.
        reset: Waited while the clock jumped back.
        skew_ns: Stamp minus the set's stamp, of the last one used.
    """

    received: int = 0
    used: int = 0
    late: int = 0
    surplus: int = 0
    duplicates: int = 0
    ahead: int = 0
    overflow: int = 0
    reset: int = 0
    skew_ns: int = 0

    @property
    def dropped(self) -> int:
        """All that arrived and will never be in a set."""
        return self.late + self.surplus + self.duplicates + self.ahead + self.overflow + self.reset


class SynchronizerStatistics(NamedTuple):
    """Counts since the start.

    Attributes:
        complete: Sets that left with every spectrum that was live.
        partial: Sets that left with a live spectrum missing.
        resets: Backward jumps of the clock.
        spectra: What became of each spectrum's images.
    """

    complete: int
    partial: int
    resets: int
    spectra: Mapping[str, SpectrumCounts]


class Stream:
    """The pending items of one spectrum by stamp, and the pace at which they come.

    Attributes:
        capacity: How many items may wait.
        pending: The items that wait.
        counts: What became of all items.
        heard_ns: When the last new one came.
        seen_ns: When the last one came that was in time, or would have been had it been waited for.
    """

    def __init__(self, capacity: int) -> None:
        """Starts empty.

        Args:
            capacity: How many items may wait, at least 1.
        """
        self.capacity = capacity
        self.pending: dict[int, Item] = {}
        self.counts = SpectrumCounts()
        self.seen_ns: int | None = None
        self.heard_ns: int | None = None
        self._history: list[tuple[int, int]] = []
        self._recent: deque[int] = deque(maxlen=max(RECENT_STAMPS, 2 * capacity))

    @property
    def newest_ns(self) -> int | None:
        """The newest stamp of the present timeline; None before the first item."""
        return self._history[-1][0] if self._history else None

    def is_live(self, now_ns: int, within_ns: int) -> bool:
        """Whether an image worth waiting for came no longer than `within_ns` ago."""
        return self.seen_ns is not None and now_ns - self.seen_ns <= within_ns

    def is_heard(self, now_ns: int, within_ns: int) -> bool:
        """Whether any new image came no longer than `within_ns` ago."""
        return self.heard_ns is not None and now_ns - self.heard_ns <= within_ns

    def note(self, stamp_ns: int, now_ns: int) -> bool:
        """Remembers an arrival; returns whether its stamp is a new one."""
        if stamp_ns in self._recent:
            return False
        self._recent.append(stamp_ns)
        self.heard_ns = now_ns
        insort(self._history, (stamp_ns, now_ns))
        del self._history[:-HISTORY_LENGTH]
        return True

    def insert(self, item: Item) -> None:
        """Lets an item wait; the oldest one makes room where there is none."""
        self.pending[item.stamp_ns] = item
        if len(self.pending) > self.capacity:
            del self.pending[min(self.pending)]
            self.counts.overflow += 1

    def period_ns(self) -> int | None:
        """Returns the shortest recent time between two stamps; None until there are two.

        The shortest, because a lost image makes one gap longer and a faster rate has to count at once.
        """
        stamps = [stamp_ns for stamp_ns, _ in self._history]
        return min((later - earlier for earlier, later in pairwise(stamps)), default=None)

    def is_due(self, stamp_ns: int, tolerance_ns: int) -> bool:
        """Whether an image within tolerance of this stamp may still come, judged by the pace so far."""
        newest_ns, period_ns = self.newest_ns, self.period_ns()
        if newest_ns is None or period_ns is None or newest_ns > stamp_ns:
            return True
        return newest_ns + period_ns <= stamp_ns + tolerance_ns

    def expected_stamp_ns(self, now_ns: int) -> int | None:
        """Estimates the stamp of an image that would arrive now; None where that is unknown.

        The recent arrival with the least delay decides, so that one delayed image does not make the others look
        early. A recording that is played faster than it was made has stamps that run faster than the clock.
        """
        if not self._history:
            return None
        (first_stamp_ns, first_ns), (last_stamp_ns, last_ns) = self._history[0], self._history[-1]
        stamp_span_ns, arrival_span_ns = last_stamp_ns - first_stamp_ns, last_ns - first_ns
        if len(self._history) > 1 and arrival_span_ns <= 0:
            return None
        if stamp_span_ns <= arrival_span_ns:
            stamp_span_ns = arrival_span_ns = 1
        return max(
            stamp_ns + (now_ns - received_ns) * stamp_span_ns // arrival_span_ns
            for stamp_ns, received_ns in self._history
        )

    def clear(self) -> None:
        """Forgets what waits and the timeline, but neither the counts nor when the camera was last heard."""
        self.counts.reset += len(self.pending)
        self.pending.clear()
        self._history.clear()
        self._recent.clear()
