"""What needs no image at all: the true flat road, and the usual depth of each ray elevation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from msdepth_training.real.frames import MAX_M, MIN_M, Reference
from msdepth_training.real.ground import GroundPlane

ELEVATION_STEP_DEG = 0.5
"""Bins of the ray elevation."""
LEAST_POINTS = 20
"""A bin with fewer points says nothing; its neighbours are interpolated."""
POINTS_PER_FRAME = 5000
"""Of every frame, so that dense references count as sparse ones."""


def flat_road_m(reference: Reference, ground: GroundPlane) -> NDArray[np.float64]:
    """Depth [M] of the road at every pixel; above the horizon as far as is scored."""
    return np.clip(ground.depth_m(reference.rays), MIN_M, MAX_M)


def elevation_deg(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle [M] of rays [M, 3] above the camera's horizontal plane, degrees."""
    return np.asarray(np.degrees(np.arctan2(-rays[:, 1], np.hypot(rays[:, 0], rays[:, 2]))))


class ElevationPrior:
    """The median depth of each ray elevation.

    Args:
        references: of other vehicles' frames; at least one.
    """

    def __init__(self, references: Sequence[Reference]) -> None:
        bins: list[NDArray[np.int64]] = []
        depths: list[NDArray[np.float64]] = []
        for reference in references:
            chosen = np.linspace(0, len(reference.depth_m) - 1, min(POINTS_PER_FRAME, len(reference.depth_m)))
            rows = np.unique(chosen.astype(np.int64))
            bins.append(np.floor(elevation_deg(reference.rays[rows]) / ELEVATION_STEP_DEG).astype(np.int64))
            depths.append(reference.depth_m[rows])
        bin_, depth = np.concatenate(bins), np.concatenate(depths)
        found, count = np.unique(bin_, return_counts=True)
        found = found[count >= min(LEAST_POINTS, count.max())]
        self._elevation_deg = (found + 0.5) * ELEVATION_STEP_DEG
        self._log_depth = np.array([np.log(np.median(depth[bin_ == number])) for number in found])

    def depth_m(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth [M] for rays [M, 3], metres; beyond what was seen, that of the last elevation."""
        return np.asarray(np.exp(np.interp(elevation_deg(rays), self._elevation_deg, self._log_depth)))
