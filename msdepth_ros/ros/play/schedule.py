"""When a message of a recording is due now: rate and pause.

A clock that never jumps paces; the time of day only says which stamp a moment has. So setting the time of day, as NTP
does, neither stalls nor hastens what is played, and stamps follow it from then on.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

_LEAD_NS = 50_000_000
_POLL_S = 0.02
_NS = 1_000_000_000
_STEP_NS = 1_000_000  # less is a matter of when the two clocks were read


class Clock(Protocol):
    """What time it is, and how to wait."""

    def steady_ns(self) -> int:
        """Nanoseconds that never jump."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, which somebody may set."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Waits until so much time has passed or `stop` is set; returns whether it is."""


class SystemClock:
    """The clocks of this computer."""

    def steady_ns(self) -> int:
        """See `Clock`."""
        return time.monotonic_ns()

    def time_ns(self) -> int:
        """See `Clock`."""
        return time.time_ns()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """See `Clock`."""
        return stop.wait(seconds)


class Tick(Protocol):
    """Is told where playing is."""

    def __call__(self, recording_ns: int, paused: bool, /) -> None:
        """The recording's time, and whether it stands still."""


class Schedule:
    """Maps the clock of a recording to this moment. One thread waits; any thread may pause.

    Args:
        rate: Speed; 2 plays twice as fast.
        stop: Set to end waiting early.
        tick: Told while waiting, at least every `tick_s`.
        tick_s: How often.
        paused: Begin so.
        clock: What time it is.
    """

    def __init__(
        self,
        rate: float,
        stop: threading.Event,
        tick: Tick | None = None,
        tick_s: float = _POLL_S,
        *,
        paused: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.rate = rate
        self._clock = clock or SystemClock()
        self._epoch_ns = self._clock.time_ns() - self._clock.steady_ns()
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
        """The recording's time at a moment of the steady clock."""
        return self._first_ns + int((now_ns - self._begin_ns) * self.rate)

    def wait_until(self, due_ns: int) -> int | None:
        """Waits for a time of the recording; the first one is due at once.

        Args:
            due_ns: On the recording's clock.

        Returns:
            The moment at which it was due, ns since the epoch; None if playing was stopped.
        """
        if not self._started:
            self._begin_ns, self._first_ns, self._started = self._clock.steady_ns() + _LEAD_NS, due_ns, True
        while not self._stop.is_set():
            if self._paused:
                self._stand_still()
            moment_ns = self._begin_ns + int((due_ns - self._first_ns) / self.rate)
            now_ns = self._clock.steady_ns()
            if now_ns >= moment_ns:
                return moment_ns + self._epoch()
            self._clock.wait(self._stop, min((moment_ns - now_ns) / _NS, self._tick_s))
            self._call(min(due_ns, self.recording_ns(self._clock.steady_ns())))
        return None

    def _stand_still(self) -> None:
        """Waits for the end of a pause; the time that passed does not count."""
        since_ns = self._clock.steady_ns()
        frozen_ns = self.recording_ns(since_ns)
        while self._paused and not self._clock.wait(self._stop, min(_POLL_S, self._tick_s)):
            self._call(frozen_ns)
        self._begin_ns += self._clock.steady_ns() - since_ns

    def _epoch(self) -> int:
        """Time of day when the steady clock was 0; kept to the nanosecond unless somebody sets the time of day."""
        before_ns = self._clock.steady_ns()
        epoch_ns = self._clock.time_ns() - before_ns
        undisturbed = self._clock.steady_ns() - before_ns < _STEP_NS
        if undisturbed and abs(epoch_ns - self._epoch_ns) > _STEP_NS:
            self._epoch_ns = epoch_ns
        return self._epoch_ns

    def _call(self, recording_ns: int) -> None:
        """Tells the recording's time."""
        if self._tick is not None:
            self._tick(max(self._first_ns, recording_ns), self._paused)
