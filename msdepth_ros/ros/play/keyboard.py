"""Keys of a terminal while a command runs."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

_POLL_S = 0.1


class Keys:
    """Calls a function for each key that is pressed; does nothing where no terminal is.

    Args:
        actions: By the character of the key.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = dict(actions)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: list[object] | None = None

    @property
    def listening(self) -> bool:
        """Whether there is a terminal."""
        return self._thread is not None

    def __enter__(self) -> Keys:
        if not _in_foreground():
            return self
        import termios
        import tty

        self._before = termios.tcgetattr(sys.stdin.fileno())
        tty.setcbreak(sys.stdin.fileno(), termios.TCSANOW)  # keeps what was pressed before
        self._thread = threading.Thread(target=self._listen, name="keys", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        import termios

        self._end.set()
        self._thread.join()
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)

    def _listen(self) -> None:
        """Body of the thread."""
        descriptor = sys.stdin.fileno()
        while not self._end.is_set():
            if select.select([descriptor], [], [], _POLL_S)[0]:
                pressed = os.read(descriptor, 64)
                if not pressed:  # the terminal is gone
                    return
                for character in pressed.decode(errors="replace"):
                    if character in self._actions:
                        self._actions[character]()


def _in_foreground() -> bool:
    """Whether keys of a terminal are meant for this process; setting up the terminal would stop a background job."""
    if not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal without job control
        return True
