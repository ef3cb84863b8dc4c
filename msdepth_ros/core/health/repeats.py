"""How often a camera gives one picture again: a thermal camera that does so unusually often has its shutter closed."""

from __future__ import annotations

from collections import deque

_RUNS = 30
_KNOWN_AFTER = 10
_USUAL_SHARE = 0.9
"""Of the runs, the share that is usual: one calibration among them is not."""


class Repeats:
    """Runs of equal pictures of one camera.

    A sensor of 9 Hz whose driver delivers 27 Hz gives each picture three times: that is its usual.
    """

    def __init__(self) -> None:
        """Has seen nothing yet."""
        self._digest: int | None = None
        self._length = 0
        self._runs: deque[int] = deque(maxlen=_RUNS)

    def take(self, digest: int) -> int:
        """Takes a picture; returns by how many its run is longer than usual, 0 until the usual is known."""
        if digest == self._digest:
            self._length += 1
        else:
            if self._length:
                self._runs.append(self._length)
            self._digest, self._length = digest, 1
        if len(self._runs) < _KNOWN_AFTER:
            return 0
        usual = sorted(self._runs)[int(_USUAL_SHARE * (len(self._runs) - 1))]
        return max(0, self._length - usual)
