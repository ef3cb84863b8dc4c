"""Lines that show how a long command is going."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_LINE_EVERY_S = 2.0
_BAR_LENGTH = 24


class StatusLine:
    """One line that is replaced: in place on a terminal, else every two seconds.

    Args:
        stream: Where to show it.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Nothing shown yet."""
        self._stream = sys.stdout if stream is None else stream
        self._tty = self._stream.isatty()
        self._last_s = 0.0
        self._shown = ""

    def show(self, text: str, *, now: bool = False) -> None:
        """Show a text, if there is something new to show.

        Args:
            text: Without a line break.
            now: Also where no terminal is and the last line was shown just now.
        """
        now_s = time.monotonic()
        if text == self._shown or (not self._tty and not now and now_s - self._last_s < _LINE_EVERY_S):
            return
        print(f"\r\x1b[2K{text}" if self._tty else text, end="" if self._tty else "\n", flush=True, file=self._stream)
        self._last_s, self._shown = now_s, text

    def close(self) -> None:
        """Leave the line."""
        if self._tty and self._shown:
            print(flush=True, file=self._stream)


class ProgressBar:
    """A bar with the rate and the time left, on stderr so that results can be piped.

    Args:
        unit: What is counted.
        stream: Where to show it.
    """

    def __init__(self, unit: str = "sets", stream: TextIO | None = None) -> None:
        """The clock starts with the first call."""
        self._unit = unit
        self._line = StatusLine(sys.stderr if stream is None else stream)
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is.

        Args:
            done: How many are finished.
            total: Of how many known so far.
        """
        now_s = time.monotonic()
        if self._start is None:
            self._start = (now_s, done)
        started_s, before = self._start
        rate = (done - before) / (now_s - started_s) if now_s > started_s else 0.0
        filled = _BAR_LENGTH * done // total if total else 0
        text = f"[{'#' * filled}{'.' * (_BAR_LENGTH - filled)}] {done}/{total} {self._unit}"
        if rate > 0:
            text += f"  {rate:.1f} {self._unit}/s  {_duration((total - done) / rate)} left"
        self._line.show(text, now=done == total)

    def say(self, text: str) -> None:
        """Show what is being done while there is nothing to count."""
        self._line.show(text)

    def close(self) -> None:
        """Leave the line."""
        self._line.close()


def _duration(seconds: float) -> str:
    """Time for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min" if minutes else f"{rest} s"
