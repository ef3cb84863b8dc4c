"""A thread that always works on the newest item, so that a slow network lowers the rate and never adds delay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class NewestItemWorker(Generic[ItemT]):
    """Runs one function in its own thread, on the newest of the items submitted while it was busy.

    Args:
        work: called in the thread, one item at a time.
        on_drop: called in the submitting thread for an item that a newer one replaced, and with whether it came while
            nothing else was worked on, so that there would have been time for it; it must not submit.
        on_error: called in the thread with what `work` raised; the thread goes on.
    """

    def __init__(
        self,
        work: Callable[[ItemT], None],
        *,
        on_drop: Callable[[ItemT, bool], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._work, self._on_drop, self._on_error = work, on_drop, on_error
        self._slot: ItemT | None = None
        self._slot_came_idle = False
        self._stopping = False
        self._begun_s: float | None = None
        self._changed = threading.Condition()
        # A daemon, so that an execution provider that hangs cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="msdepth_inference", daemon=True)
        self._thread.start()

    def submit(self, item: ItemT) -> None:
        """Hands an item over; one that still waits is dropped. Does nothing after `stop`."""
        with self._changed:
            if self._stopping:
                return
            replaced, self._slot = self._slot, item
            came_idle, self._slot_came_idle = self._slot_came_idle, self._begun_s is None and replaced is None
            self._changed.notify()
        if replaced is not None:
            self._on_drop(replaced, came_idle)

    @property
    def stopping(self) -> bool:
        """Whether results are no longer wanted."""
        return self._stopping

    @property
    def busy_s(self) -> float:
        """For how long the present item has been worked on, seconds; 0 while idle."""
        begun_s = self._begun_s
        return 0.0 if begun_s is None else time.monotonic() - begun_s

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Ends the thread after the item it works on; what waits is discarded.

        Returns:
            Whether the thread ended in time.
        """
        with self._changed:
            self._stopping, self._slot = True, None
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._slot is not None)
                if self._stopping:
                    return
                item, self._slot = self._slot, None
                self._begun_s = time.monotonic()
            try:
                self._work(item)  # type: ignore[arg-type]  the wait ends with an item
            except Exception as error:  # noqa: BLE001  whatever the work raises is reported, and the next item is tried
                self._on_error(error)
            finally:
                self._begun_s = None
