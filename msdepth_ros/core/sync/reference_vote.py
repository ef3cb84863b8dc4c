"""Is the reference's stamp to be believed? Two other cameras that agree with each other overrule it.

The reference says what time it is. When its images are delayed or its clock jumps, everybody else would be late
or ahead of it, and one bad camera would cost two good ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from msdepth_ros.core.sync.sets import Item
from msdepth_ros.core.sync.stream import Stream

_QUORUM = 2


class ReferenceVote:
    """Holds back an image of the reference whose stamp is off, until another camera agrees with it or time is up.

    A stamp is off when it has moved against its own past, and at least two other cameras that were heard just now
    agree with each other and not with it. Everybody agrees soon when a recording begins anew or time is set.

    Args:
        reference: the spectrum that is voted about, if it is among the streams.
        streams: of the spectra that may come; an image that is never believed is counted there as late or ahead.
    """

    def __init__(self, reference: str, streams: Mapping[str, Stream]) -> None:
        """Nothing has come yet."""
        self._doubted: Item | None = None
        self._reference, self._streams = reference, streams
        self._newest: dict[str, Item] = {}
        self._believed_ns: int | None = None

    @property
    def waiting(self) -> list[Item]:
        """What is held back, one image at most."""
        return [] if self._doubted is None else [self._doubted]

    def believed(self, spectrum: str, arrival: Item, limit_ns: int) -> list[tuple[str, Item]]:
        """Takes an image and returns those to go on with, oldest first: it, the one that it confirms, or none.

        Args:
            spectrum: of the image.
            arrival: the image.
            limit_ns: stamps further off than this do not agree.
        """
        self._newest[spectrum] = arrival._replace(item=None)  # its times; the image would be kept from being freed
        if spectrum != self._reference:
            doubted = self._doubted
            if doubted is None or abs(_ahead_ns(doubted) - _ahead_ns(arrival)) > limit_ns:
                return [(spectrum, arrival)]
            self._doubted, self._believed_ns = None, _ahead_ns(doubted)
            return [(self._reference, doubted), (spectrum, arrival)]
        self._give_up()
        if self._is_off(arrival, limit_ns):
            self._doubted = arrival
            return []
        self._believed_ns = _ahead_ns(arrival)
        return [(spectrum, arrival)]

    def expire(self, since_ns: int) -> None:
        """Gives up what has waited since then, steady time, or for longer."""
        if self._doubted is not None and self._doubted.received_ns <= since_ns:
            self._give_up()

    def clear(self) -> None:
        """Forgets the image that is held back; a new timeline begins."""
        if self._doubted is not None:
            self._streams[self._reference].counts.reset += 1
            self._doubted = None

    def _is_off(self, arrival: Item, limit_ns: int) -> bool:
        ahead_ns = _ahead_ns(arrival)
        if self._believed_ns is None or abs(ahead_ns - self._believed_ns) <= limit_ns:
            return False
        others = [
            _ahead_ns(item)
            for name, item in self._newest.items()
            if name != self._reference and 2 * (arrival.received_ns - item.received_ns) <= 3 * limit_ns
        ]
        if len(others) < _QUORUM or max(others) - min(others) > limit_ns:
            return False
        return min(abs(ahead_ns - other_ns) for other_ns in others) > limit_ns

    def _give_up(self) -> None:
        """Nobody has confirmed the image that was held back."""
        if self._doubted is None or self._believed_ns is None:
            return
        if _ahead_ns(self._doubted) > self._believed_ns:
            self._streams[self._reference].counts.ahead += 1
        else:
            self._streams[self._reference].counts.late += 1
        self._doubted = None


def _ahead_ns(item: Item) -> int:
    """How far a stamp is ahead of the steady clock; only differences mean anything."""
    return item.stamp_ns - item.received_ns
