"""What faults do to the stream of one camera's images: which of them come, when, and under which stamp.

Pure and deterministic: time comes in as an argument, chance from a seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from msdepth_ros.core.injection.faults import STREAM_KINDS

ItemT = TypeVar("ItemT")

_S = 1_000_000_000


class Outgoing(NamedTuple, Generic[ItemT]):
    """An image to send.

    Attributes:
        due_ns: when, on the clock of `FaultStream.take`.
        content: the image whose picture is sent.
        stamp_ns: of the header.
        number: of the image since the beginning; a seed for what is done to its picture.
    """

    due_ns: int
    content: ItemT
    stamp_ns: int
    number: int


class FaultStream(Generic[ItemT]):
    """The stream of one camera.

    Args:
        spectrum: of the camera; cameras with the same faults differ by it.
        seed: of everything that is left to chance.
    """

    def __init__(self, spectrum: str, seed: int = 0) -> None:
        """Nothing has come yet."""
        self._random = np.random.default_rng([seed, zlib.crc32(spectrum.encode())])
        self._number = 0
        self._last: ItemT | None = None
        self._held: Outgoing[ItemT] | None = None
        self._last_due_ns = 0

    def take(self, item: ItemT, stamp_ns: int, now_ns: int, faults: Mapping[str, float]) -> list[Outgoing[ItemT]]:
        """Takes the next image.

        Args:
            item: the image.
            stamp_ns: of its header.
            now_ns: when it came.
            faults: amounts by kind of what is wrong at the moment; kinds that are none of the stream's are left alone.

        Returns:
            What to send because of it, none to three images.
        """
        active = {kind: amount for kind, amount in faults.items() if kind in STREAM_KINDS}
        self._number += 1
        chance, lateness = self._random.random(2)  # drawn for every image, so that one fault does not shift another
        if "freeze" not in active or self._last is None:
            self._last = item
        if "dead" in active or chance < active.get("drop", 0.0):
            return self._release(None)
        due_ns = now_ns + round((active.get("delay", 0.0) + lateness * active.get("jitter", 0.0)) * _S)
        if "jitter" in active:
            due_ns = max(due_ns, self._last_due_ns)
        self._last_due_ns = due_ns
        outgoing = Outgoing(due_ns, self._last, stamp_ns + round(active.get("stamp_jump", 0.0) * _S), self._number)
        if "reorder" in active and self._held is None:
            self._held = outgoing
            return []
        return self._release(outgoing, copies=2 if "duplicate" in active else 1)

    def _release(self, outgoing: Outgoing[ItemT] | None, copies: int = 1) -> list[Outgoing[ItemT]]:
        """An image, and after it the one that waits for it."""
        held, self._held = self._held, None
        sent = [outgoing] * copies if outgoing else []
        if held is not None:
            sent.append(held._replace(due_ns=max(held.due_ns, outgoing.due_ns if outgoing else held.due_ns)))
        return sent
