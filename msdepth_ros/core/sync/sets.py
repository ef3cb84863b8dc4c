"""Which of the images that wait belong to the same instant: a pure function of their stamps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msdepth_ros.core.spectra import in_canonical_order


class Item(NamedTuple):
    """One image with its times.

    Attributes:
        stamp_ns: Capture time, the spectrum's constant offset already added.
        item: Whatever the caller handed in.
        received_ns: Time of arrival, on the caller's steady clock.
    """

    stamp_ns: int
    item: Any
    received_ns: int


class FrameSet(NamedTuple):
    """Images of one instant, at most one per spectrum, at least one.

    Attributes:
        stamp_ns: The reference's stamp if it is in the set, else the earliest one.
        items: The images by spectrum, in canonical order.
    """

    stamp_ns: int
    items: Mapping[str, Item]

    @property
    def spectra(self) -> tuple[str, ...]:
        """The spectra in the set, in canonical order."""
        return tuple(self.items)

    @property
    def first_received_ns(self) -> int:
        """When the first of its images arrived."""
        return min(item.received_ns for item in self.items.values())


def nearest(items: Mapping[int, Item], stamp_ns: int, tolerance_ns: int) -> Item | None:
    """Returns the item nearest to a stamp, the earlier one of two; None if none is within tolerance."""
    best, best_distance = None, tolerance_ns + 1
    for item in items.values():
        distance = abs(item.stamp_ns - stamp_ns)
        if distance < best_distance or (best and distance == best_distance and item.stamp_ns < best.stamp_ns):
            best, best_distance = item, distance
    return best


def divide(waiting: Mapping[str, Mapping[int, Item]], reference: str, tolerance_ns: int) -> list[FrameSet]:
    """Divides all images that wait into sets.

    Every reference image is the anchor of a set; of what is left, the earliest image is the anchor of the next set.
    An image joins the anchor that is nearest to it, if that is within tolerance.

    Args:
        waiting: Per spectrum the images by stamp.
        reference: The spectrum whose images come first as anchors.
        tolerance_ns: Largest distance from the anchor's stamp, inclusive.

    Returns:
        Sets in stamp order that together hold every image once.
    """
    free = {name: dict(waiting[name]) for name in in_canonical_order(waiting)}
    references = dict(free.get(reference, {}))
    sets = [_gather(reference, references[stamp], references, free, tolerance_ns) for stamp in sorted(references)]
    for stamp, name in sorted((stamp, name) for name, items in free.items() for stamp in items):
        if stamp in free[name]:
            sets.append(_gather(name, free[name][stamp], dict(free[name]), free, tolerance_ns))
    return sorted(sets, key=lambda candidate: candidate.stamp_ns)


def _gather(
    anchor_name: str,
    anchor: Item,
    rivals: Mapping[int, Item],
    free: dict[str, dict[int, Item]],
    tolerance_ns: int,
) -> FrameSet:
    """Moves the anchor out of `free`, and of every other spectrum the nearest image that no rival is nearer to."""
    items = {}
    for name, candidates in free.items():
        mate = anchor if name == anchor_name else nearest(candidates, anchor.stamp_ns, tolerance_ns)
        if mate is not None and nearest(rivals, mate.stamp_ns, tolerance_ns) is anchor:
            items[name] = mate
            del candidates[mate.stamp_ns]
    return FrameSet(anchor.stamp_ns, items)
