"""Instants: the moments at which a rig's cameras take pictures together."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

DEFAULT_PERIOD_NS = 100_000_000


class Instant(NamedTuple):
    """One tick of the rig.

    Attributes:
        stamp_ns: Stamp of its first image.
        spectra: The cameras that gave an image, sorted by name.
    """

    stamp_ns: int
    spectra: tuple[str, ...]


def camera_period_ns(stamps: Iterable[tuple[int, str]]) -> int:
    """Median time between images of the camera that gave most of them.

    Args:
        stamps: (stamp_ns, spectrum) of every image.

    Returns:
        Period in nanoseconds; a tenth of a second if no camera gave two images.
    """
    by_camera: dict[str, list[int]] = {}
    for stamp_ns, spectrum in stamps:
        by_camera.setdefault(spectrum, []).append(stamp_ns)
    longest: list[int] = []
    for camera in by_camera.values():
        longest = max(longest, sorted(camera), key=len)
    steps = [after - before for before, after in itertools.pairwise(longest) if after > before]
    return int(median(steps)) if steps else DEFAULT_PERIOD_NS


def group_instants(stamps: Iterable[tuple[int, str]], period_ns: int) -> list[Instant]:
    """Gather images into instants; images within half a period of an instant's first image belong to it.

    Args:
        stamps: (stamp_ns, spectrum) of every image, in any order.
        period_ns: Time between two instants.
    """
    groups: list[tuple[int, set[str]]] = []
    for stamp_ns, spectrum in sorted(stamps):
        if not groups or 2 * (stamp_ns - groups[-1][0]) > period_ns:
            groups.append((stamp_ns, set()))
        groups[-1][1].add(spectrum)
    return [Instant(start, tuple(sorted(spectra))) for start, spectra in groups]


def count_answered(instants: Sequence[Instant], depth_stamps_ns: Iterable[int], period_ns: int) -> int:
    """Number of instants for which a depth image came; its stamp lies within half a period of the instant's.

    Args:
        instants: What was published, in order of time.
        depth_stamps_ns: Stamps of the depth images received.
        period_ns: Time between two instants.
    """
    starts = [instant.stamp_ns for instant in instants]
    answered: set[int] = set()
    for stamp_ns in depth_stamps_ns:
        right = bisect.bisect(starts, stamp_ns)
        near = [index for index in (right - 1, right) if 0 <= index < len(starts)]
        nearest = min(near, key=lambda index: abs(starts[index] - stamp_ns), default=None)
        if nearest is not None and 2 * abs(starts[nearest] - stamp_ns) <= period_ns:
            answered.add(nearest)
    return len(answered)
