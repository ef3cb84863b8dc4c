"""Prepares what will be needed next in a thread, within a bound on memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What can be prepared: it knows how much memory it takes."""

    @property
    def size_bytes(self) -> int:
        """Memory that it holds."""


T = TypeVar("T", bound=Sized)


class ReadAhead(Generic[T]):
    """Prepares packets in a thread, so that decoding costs the reader no time.

    A recording that fits into the limit is decoded whole before the first packet is needed; a longer one is decoded
    while it plays, never more than the limit ahead.

    Args:
        packets: What to prepare; may be endless.
        limit_bytes: How much image data to hold at most.
        limit_packets: How many packets to hold at most, however small.
    """

    def __init__(self, packets: Iterator[T], limit_bytes: int, limit_packets: int = 2000) -> None:
        """Start the thread."""
        self._packets = packets
        self._limits = (limit_bytes, limit_packets)
        self._ready: deque[T] = deque()
        self._bytes = 0
        self._error: BaseException | None = None
        self._finished = self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)
        self._thread.start()

    def __enter__(self) -> ReadAhead[T]:
        """Use as a context, so that the thread ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def wait_until_filled(self) -> None:
        """Wait until the buffer is full or everything is in it.

        Raises:
            MsdepthError: The recording could not be read.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self._full())
        self._raise()

    def __iter__(self) -> Iterator[T]:
        """Packets in order; waits for the thread where it is behind."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._finished)
                packet = self._ready.popleft() if self._ready else None
                if packet is not None:
                    self._bytes -= packet.size_bytes
                    self._changed.notify_all()
            if packet is None:
                self._raise()
                return
            yield packet

    def _full(self) -> bool:
        """Whether there is enough for now; call it with the lock held."""
        return self._bytes >= self._limits[0] or len(self._ready) >= self._limits[1]

    def _fill(self) -> None:
        """Body of the thread."""
        try:
            for packet in self._packets:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or not self._full())
                    if self._closed:
                        return
                    self._ready.append(packet)
                    self._bytes += packet.size_bytes
                    self._changed.notify_all()
        except BaseException as error:  # handed to the reader, whatever it is
            self._error = error
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _raise(self) -> None:
        """Pass on what stopped the thread."""
        if self._error is not None:
            raise self._error
