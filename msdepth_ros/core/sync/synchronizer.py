"""Groups the images of several cameras into sets that belong to one instant, while cameras come and go.

Pure and deterministic: time comes in as an argument, nothing is called back, and there is no lock. Use it from one
thread, or guard it with a lock that is held for one call only.

Stamps say which images belong together (see `sets`); `now_ns`, from a clock that never jumps
(`time.monotonic_ns`), says how long to wait:

- A spectrum is *live* while it was heard within `stale_after_ns`. A set with every live spectrum leaves at once; any
  other when `deadline_ns` has passed since its first arrival. Two things are not worth a wait: a camera that is slower
  than the others and has no image due, and one whose images always come after the deadline.
- Sets leave in stamp order. When one leaves, older ones that still wait leave just before it.
- An image that belongs to a set that has left is *late*: it makes no second set for the same instant.
- Cameras faster than the reference do not multiply the sets: what lies between two of its images is *surplus*.
- The *pacemaker*, which is the reference while it is live, says what time it is. An image so far ahead of it that the
  pacemaker could not catch up before the deadline is refused as *ahead*: one camera with a wrong clock must not make
  everybody else late, nor may the reference if it is two against one (see `reference_vote`). When the pacemaker, or any
  two spectra, jump back, everything that waits is forgotten and a new timeline begins (a bag that loops).
"""

from __future__ import annotations

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import in_canonical_order
from msdepth_ros.core.sync.config import SynchronizerConfig
from msdepth_ros.core.sync.reference_vote import ReferenceVote
from msdepth_ros.core.sync.sets import FrameSet, Item, divide
from msdepth_ros.core.sync.stream import Stream, SynchronizerStatistics

__all__ = ["FrameSet", "Item", "SpectralSynchronizer", "SynchronizerConfig", "SynchronizerStatistics"]


class SpectralSynchronizer:
    """Collects images and gives them back as sets. `config` may be replaced by one of the same spectra."""

    def __init__(self, config: SynchronizerConfig) -> None:
        """Starts with nothing waiting and no spectrum live."""
        self.config = config
        self._order = in_canonical_order(config.spectra)
        self._streams = {name: Stream(config.capacity) for name in self._order}
        self._vote = ReferenceVote(config.reference, self._streams)
        self._last: FrameSet | None = None
        self._now_ns: int | None = None
        self._pacemaker: str | None = None
        self._jumped: set[str] = set()
        self._complete = self._partial = self._resets = 0

    @property
    def statistics(self) -> SynchronizerStatistics:
        """A snapshot of the counts; the per-spectrum ones stay live."""
        counts = {name: stream.counts for name, stream in self._streams.items()}
        return SynchronizerStatistics(self._complete, self._partial, self._resets, counts)

    @property
    def pending_count(self) -> int:
        """How many images wait."""
        return len(self._vote.waiting) + sum(len(stream.pending) for stream in self._streams.values())

    def live(self, now_ns: int) -> tuple[str, ...]:
        """Returns the spectra that are waited for at this time, in canonical order."""
        within_ns = self.config.stale_after_ns
        return tuple(name for name in self._order if self._streams[name].is_live(now_ns, within_ns))

    def add(self, spectrum: str, stamp_ns: int, item: object, now_ns: int) -> list[FrameSet]:
        """Takes one image and returns the sets that became ready, oldest first.

        Args:
            spectrum: One of the configured spectra.
            stamp_ns: Capture time, the spectrum's constant offset already added.
            item: The image, or anything else; it is only passed on.
            now_ns: The present on a steady clock, the same for all calls.

        Raises:
            MsdepthError: The spectrum is not configured.
        """
        stream = self._streams.get(spectrum)
        if stream is None:
            raise MsdepthError(f"synchronizer: {spectrum!r} is not one of its spectra {list(self._order)}")
        now_ns = self._advance(now_ns)
        stream.counts.received += 1
        arrival = Item(stamp_ns, item, now_ns)
        for name, believed in self._vote.believed(spectrum, arrival, self._patience_ns()):
            self._choose_pacemaker(name, now_ns)
            if self._jumps_back(name, believed.stamp_ns):
                self.reset()
            if self._accepts(name, self._streams[name], believed):
                self._streams[name].insert(believed)
        return self._leave(now_ns)

    def poll(self, now_ns: int) -> list[FrameSet]:
        """Returns the sets whose deadline has passed, oldest first."""
        return self._leave(self._advance(now_ns))

    def next_deadline_ns(self) -> int | None:
        """Returns when `poll` is worth calling if nothing arrives until then; None if nothing waits.

        Never in the past. It is the present where something waits whose deadline has passed: an image of the reference
        that is held back while `deadline_ns` is 0, or whatever waits when a shorter deadline is set.
        """
        waiting = [item for stream in self._streams.values() for item in stream.pending.values()]
        waiting += self._vote.waiting
        if not waiting or self._now_ns is None:
            return None
        expires_ns = max(self._now_ns, min(item.received_ns for item in waiting) + self.config.deadline_ns)
        seen_ns = [stream.seen_ns for stream in self._streams.values() if stream.seen_ns is not None]
        stale_ns = [moment_ns + self.config.stale_after_ns + 1 for moment_ns in seen_ns]
        return min([expires_ns, *(moment_ns for moment_ns in stale_ns if moment_ns > self._now_ns)])

    def reset(self) -> None:
        """Forgets what waits and begins a new timeline; which cameras are live is still known."""
        for stream in self._streams.values():
            stream.clear()
        self._vote.clear()
        self._last = None
        self._jumped.clear()
        self._resets += 1

    def _advance(self, now_ns: int) -> int:
        """Keeps the present from going back: a step is ignored, a jump (simulated time) begins anew."""
        if self._now_ns is not None and now_ns < self._now_ns:
            if self._now_ns - now_ns <= self.config.deadline_ns:
                return self._now_ns
            self.reset()
            for stream in self._streams.values():
                stream.seen_ns = stream.heard_ns = None
        self._now_ns = now_ns
        self._vote.expire(now_ns - self.config.deadline_ns)
        return now_ns

    def _choose_pacemaker(self, arriving: str, now_ns: int) -> None:
        """The reference while it is heard; else whoever is it stays it; else the slowest of those that are heard."""
        within_ns = self.config.stale_after_ns
        heard = [name for name in self._order if name == arriving or self._streams[name].is_heard(now_ns, within_ns)]
        if self.config.reference in heard:
            self._pacemaker = self.config.reference
        elif self._pacemaker not in heard:
            self._pacemaker = max(heard, key=lambda name: self._streams[name].period_ns() or 0)

    def _jumps_back(self, spectrum: str, stamp_ns: int) -> bool:
        """Whether this stamp shows that the clock was set back."""
        latest = [self._streams[spectrum].newest_ns]
        if spectrum == self._pacemaker and self._last is not None:
            latest.append(self._last.stamp_ns)
        behind = any(known is not None and stamp_ns < known - self.config.reset_after_ns for known in latest)
        if not behind:
            self._jumped.discard(spectrum)
            return False
        self._jumped.add(spectrum)
        return spectrum == self._pacemaker or len(self._jumped) > 1

    def _accepts(self, spectrum: str, stream: Stream, arrival: Item) -> bool:
        """Decides whether an arrival may wait for its set, and counts why not."""
        if self._is_ahead(spectrum, arrival):
            stream.counts.ahead += 1
            return False
        if spectrum in self._jumped:
            stream.counts.late += 1
            return False
        if not stream.note(arrival.stamp_ns, arrival.received_ns):
            stream.counts.duplicates += 1
            return False
        if self._is_surplus(spectrum, arrival.stamp_ns):
            stream.seen_ns = arrival.received_ns
            stream.counts.surplus += 1
            return False
        if self._is_late(stream, arrival.stamp_ns):
            if self._was_worth_waiting(arrival):
                stream.seen_ns = arrival.received_ns
            stream.counts.late += 1
            return False
        stream.seen_ns = arrival.received_ns
        return True

    def _is_ahead(self, spectrum: str, arrival: Item) -> bool:
        """Whether the pacemaker's image for this stamp would come too late for it."""
        if spectrum == self._pacemaker or self._pacemaker is None:
            return False
        pacemaker = self._streams[self._pacemaker]
        expected_ns = pacemaker.expected_stamp_ns(arrival.received_ns)
        if expected_ns is None:
            return False
        return arrival.stamp_ns - expected_ns > self._patience_ns()

    def _is_late(self, stream: Stream, stamp_ns: int) -> bool:
        """Whether the image belongs to the set that left last, or to an older one."""
        if self._last is None:
            return False
        period_ns = self._period_ns() or stream.period_ns()
        return stamp_ns <= self._last.stamp_ns or self._is_same_instant(stamp_ns, self._last.stamp_ns, period_ns)

    def _is_same_instant(self, stamp_ns: int, other_ns: int, period_ns: int | None) -> bool:
        """Whether two stamps are within tolerance, and nearer than half a period where that is known."""
        distance_ns = abs(stamp_ns - other_ns)
        return distance_ns <= self.config.tolerance_ns and (period_ns is None or 2 * distance_ns < period_ns)

    def _was_worth_waiting(self, late: Item) -> bool:
        """Whether a late image would have made its set's deadline."""
        if self._last is None:
            return False
        waited_ns = late.received_ns - self._last.first_received_ns + self._last.stamp_ns - late.stamp_ns
        return waited_ns <= self.config.deadline_ns

    def _is_surplus(self, spectrum: str, stamp_ns: int) -> bool:
        """Whether the image lies between the pacemaker's last one, which has a partner, and its next one."""
        period_ns = self._period_ns()
        if self._last is None or period_ns is None or spectrum == self._pacemaker:
            return False
        served = spectrum in self._last.items and self._pacemaker in self._last.items
        since_ns = stamp_ns - self._last.stamp_ns
        return served and 0 < since_ns < period_ns - self.config.tolerance_ns

    def _period_ns(self) -> int | None:
        """The pacemaker's period."""
        return None if self._pacemaker is None else self._streams[self._pacemaker].period_ns()

    def _patience_ns(self) -> int:
        """How far stamps may be from those that the pacemaker would have now."""
        period_ns = self._period_ns()
        return self.config.reset_after_ns if period_ns is None else max(self.config.deadline_ns, period_ns)

    def _leave(self, now_ns: int) -> list[FrameSet]:
        """Takes out every set that is ready, and the older ones with it."""
        waiting = {name: stream.pending for name, stream in self._streams.items()}
        sets = divide(waiting, self.config.reference, self.config.tolerance_ns)
        live = self.live(now_ns)
        ready = 0
        for index, candidate in enumerate(sets, start=1):
            expired = now_ns - candidate.first_received_ns >= self.config.deadline_ns
            if expired or not self._is_waiting(candidate, live):
                ready = index
        return [sets[index] for index in range(ready) if self._take(sets[index], sets[index + 1 : ready], live)]

    def _is_waiting(self, candidate: FrameSet, live: tuple[str, ...]) -> bool:
        """Whether a live spectrum is missing that may still deliver; one slower than the others is often not due."""
        missing = [name for name in live if name not in candidate.items]
        return any(self._streams[name].is_due(candidate.stamp_ns, self.config.tolerance_ns) for name in missing)

    def _take(self, candidate: FrameSet, following: list[FrameSet], live: tuple[str, ...]) -> bool:
        """Removes a set's images from the streams; returns whether it leaves, or is dropped as surplus."""
        leaves = not self._is_superseded(candidate, following)
        for name, item in candidate.items.items():
            stream = self._streams[name]
            del stream.pending[item.stamp_ns]
            if leaves:
                stream.counts.used += 1
                stream.counts.skew_ns = item.stamp_ns - candidate.stamp_ns
            else:
                stream.counts.surplus += 1
        if leaves:
            self._last = candidate
            complete = all(name in candidate.items for name in live)
            self._complete += complete
            self._partial += not complete
        return leaves

    def _is_superseded(self, candidate: FrameSet, following: list[FrameSet]) -> bool:
        """Whether the set would go back in time, or another that leaves with it has all it has, and the pacemaker."""
        if self._last is not None and candidate.stamp_ns <= self._last.stamp_ns:
            return True  # not seen with three spectra, but the promise has to hold
        return self._pacemaker not in candidate.items and any(
            self._pacemaker in later.items
            and candidate.items.keys() <= later.items.keys()
            and self._is_same_instant(candidate.stamp_ns, later.stamp_ns, self._period_ns())
            for later in following
        )
