"""When a message of a recording is due now: rate and pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LEAD_NS = 50_000_000
_POLL_S = 0.02
_NS = 1_000_000_000


class Schedule:
    """Maps the clock of a recording to this moment. One thread waits; any thread may pause.

    Args:
        rate: Speed; 2 plays twice as fast.
        stop: Set to end waiting early.
        tick: Called while waiting, at least every `tick_s`, with the recording's time and
            whether it stands still.
        tick_s: How often.
        paused: Begin so.
    """

    def __init__(
        self,
        rate: float,
        stop: threading.Event,
        tick: Callable[[int, bool], None] | None = None,
        tick_s: float = _POLL_S,
        *,
        paused: bool = False,
    ) -> None:
        self.rate = rate
        self._stop, self._tick, self._tick_s = stop, tick, tick_s
        self._paused = paused
        self._begin_ns = self._first_ns = 0
        self._started = False

    @property
    def paused(self) -> bool:
        """Whether the clock of the recording stands still."""
        return self._paused

    def toggle_pause(self) -> None:
        """Stops the clock of the recording, or lets it go on."""
        self._paused = not self._paused

    def recording_ns(self, now_ns: int) -> int:
        """The recording's time at a moment of now."""
        return self._first_ns + int((now_ns - self._begin_ns) * self.rate)

    def wait_until(self, due_ns: int) -> int | None:
        """Waits for a time of the recording; the first one is due at once.

        Args:
            due_ns: On the recording's clock.

        Returns:
            The moment at which it was due, ns since the epoch; None if playing was stopped.
        """
        if not self._started:
            self._begin_ns, self._first_ns, self._started = time.time_ns() + _LEAD_NS, due_ns, True
        while not self._stop.is_set():
            if self._paused:
                self._stand_still()
            moment_ns = self._begin_ns + int((due_ns - self._first_ns) / self.rate)
            now_ns = time.time_ns()
            if now_ns >= moment_ns:
                return moment_ns
            self._stop.wait(min((moment_ns - now_ns) / _NS, self._tick_s))
            self._call(min(due_ns, self.recording_ns(time.time_ns())))
        return None

    def _stand_still(self) -> None:
        """Waits for the end of a pause; the time that passed does not count."""
        since_ns = time.time_ns()
        frozen_ns = self.recording_ns(since_ns)
        while self._paused and not self._stop.wait(min(_POLL_S, self._tick_s)):
            self._call(frozen_ns)
        self._begin_ns += time.time_ns() - since_ns

    def _call(self, recording_ns: int) -> None:
        """Tells the recording's time."""
        if self._tick is not None:
            self._tick(max(self._first_ns, recording_ns), self._paused)
