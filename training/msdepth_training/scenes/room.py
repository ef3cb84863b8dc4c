"""Where on the ground there is room: nothing is put within what stands there, nor where the vehicle needs its way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_training.scenes.instances import Builder
from msdepth_training.scenes.placing import Stand

FAR_M = (90.0, 150.0)
"""Across and along: what is farther away is in nobody's way."""
LONG_M = 40.0
"""Longer things are banks and the like, which nothing stands beside anyway."""
HEADROOM_M = 2.5
"""What hangs higher above the ground, such as a crown, leaves room below."""
STEPS = np.linspace(-1.0, 1.0, 9)
"""Where a rectangle is looked at, in parts of its half extents."""


class Room:
    """Footprints of what a builder has collected so far, kept up to date."""

    def __init__(self, b: Builder) -> None:
        """Of a scene under construction."""
        self._b, self._seen = b, 0
        self._footprints: NDArray[np.float64] = np.zeros((0, 6))

    def reserve(self, x: float, z: float, yaw: float, box: tuple[float, float, float, float]) -> None:
        """Keep a rectangle free.

        Args:
            x: of its origin, world frame, metres.
            z: likewise.
            yaw: direction of its axes about the vertical, rad.
            box: left, right, back and front of the origin along them, metres.
        """
        left, right, back, front = box
        aside, ahead = 0.5 * (left + right), 0.5 * (back + front)
        c, s = math.cos(yaw), math.sin(yaw)
        middle = x + c * aside + s * ahead, z + c * ahead - s * aside
        self._add([(*middle, 0.5 * (right - left), 0.5 * (front - back), yaw, math.inf)])

    def is_free(self, s: Stand, half: tuple[float, float]) -> bool:
        """Whether a rectangle at a stand, half of its width and length given, metres, has nothing in it."""
        self._catch_up()
        f, c, sine = self._footprints, math.cos(s.yaw), math.sin(s.yaw)
        f = f[f[:, 5] > s.y - HEADROOM_M]
        near = f[np.hypot(f[:, 0] - s.x, f[:, 1] - s.z) < math.hypot(*half) + np.hypot(f[:, 2], f[:, 3])]
        if not len(near):
            return True
        x, z, wide, long, yaw = (column[:, None, None] for column in near.T[:5])
        u, v = STEPS[None, :, None] * wide, STEPS[None, None, :] * long
        px, pz = x - s.x + np.cos(yaw) * u + np.sin(yaw) * v, z - s.z + np.cos(yaw) * v - np.sin(yaw) * u
        inside = (np.abs(c * px - sine * pz) < half[0]) & (np.abs(sine * px + c * pz) < half[1])
        # or the other way round, where this one is the smaller
        u, v = STEPS[:, None] * half[0], STEPS[None, :] * half[1]
        dx, dz = s.x + c * u + sine * v - x, s.z + c * v - sine * u - z
        within = (np.abs(np.cos(yaw) * dx - np.sin(yaw) * dz) < wide) & (
            np.abs(np.sin(yaw) * dx + np.cos(yaw) * dz) < long
        )
        return not bool(inside.any() or within.any())

    def _catch_up(self) -> None:
        """Take in what was added to the scene since."""
        rows, self._seen = self._b.rows[self._seen :], len(self._b.rows)
        self._add([_footprint(row) for row in rows if _matters(row)])

    def _add(self, footprints: list[tuple[float, ...]]) -> None:
        if footprints:
            self._footprints = np.concatenate((self._footprints, np.array(footprints, dtype=np.float64)))


def _matters(row: dict[str, Any]) -> bool:
    (x, _, z), half = row["centre_m"], row["half_m"]
    return bool(abs(x) < FAR_M[0] and abs(z) < FAR_M[1] and half[2] < LONG_M)


def _footprint(row: dict[str, Any]) -> tuple[float, ...]:
    """x, z, half of width and length, yaw, y of the lowest point."""
    (x, y, z), (hx, hy, hz) = row["centre_m"], row["half_m"]
    c, s = abs(math.cos(row["tilt_rad"])), abs(math.sin(row["tilt_rad"]))
    return x, z, hx, c * hz + s * hy, row["yaw_rad"], y + c * hy + s * hz
