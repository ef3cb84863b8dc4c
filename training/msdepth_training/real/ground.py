"""The road as a plane in a camera's optical frame: points X with normal . X = height, the normal pointing down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIT_TRIES = 500
"""Planes through three random points that are tried."""
FIT_TOLERANCE, FIT_TOLERANCE_M = 0.015, 0.02
"""How far from the plane a point of the road may lie: a share of its distance, and metres."""
FIT_RANGE_M, FIT_SIDE_M = (4.0, 25.0), 4.0
"""Depth of the points that a plane is fitted to, and how far they may lie to the side."""
FIT_TILT_COS = np.cos(np.radians(15.0))
"""The camera's y axis and the road's normal may differ by this angle."""
FIT_HEIGHT_M = (0.5, 3.5)
"""Heights of a camera that are believed."""


@dataclass(frozen=True, eq=False)
class GroundPlane:
    """The road near the vehicle, as `ground_plane` of the model contract has it."""

    normal: NDArray[np.float64]
    """[3] unit vector, down, in the optical frame of the camera."""
    height_m: float
    """Of the camera above the plane."""

    def seen_from(self, view_from_camera: NDArray[np.float64]) -> GroundPlane:
        """The same plane in the frame of another camera.

        Args:
            view_from_camera: 4x4, maps points of this plane's camera into the other's frame, metres.
        """
        normal = view_from_camera[:3, :3] @ self.normal
        return GroundPlane(normal, float(self.height_m + normal @ view_from_camera[:3, 3]))

    def above_m(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heights [M] above the plane of points [M, 3], metres."""
        return np.asarray(self.height_m - points @ self.normal)

    def depth_m(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth [M] along z at which rays [M, 3] with z = 1 meet the plane, metres; infinity where they do not."""
        down = rays @ self.normal
        return np.asarray(np.divide(self.height_m, down, out=np.full(down.shape, np.inf), where=down > 1e-6))

    def as_input(self) -> NDArray[np.float32]:
        """[4], normal and height, as a network is given it."""
        return np.append(self.normal, self.height_m).astype(np.float32)


def fit_ground(points: NDArray[np.float64], *, seed: int = 0) -> GroundPlane | None:
    """The plane below a camera that most points lie on, by random sampling and least squares.

    Args:
        points: [M, 3] in the camera's optical frame, metres; x right, y down, z ahead.
        seed: of the draws.

    Returns:
        None where no plane is both near level and as far below as cameras stand.
    """
    ahead = (points[:, 2] > FIT_RANGE_M[0]) & (points[:, 2] < FIT_RANGE_M[1]) & (np.abs(points[:, 0]) < FIT_SIDE_M)
    near = points[ahead & (points[:, 1] > 0)]
    if len(near) < 3:
        return None
    corners = near[np.random.default_rng(seed).integers(len(near), size=(FIT_TRIES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    usable = lengths > 1e-9
    normals, origins = normals[usable] / lengths[usable, None], corners[usable, 0]
    normals *= np.where(normals[:, 1:2] < 0, -1.0, 1.0)
    heights = np.einsum("nj,nj->n", normals, origins)
    likely = (normals[:, 1] > FIT_TILT_COS) & (heights > FIT_HEIGHT_M[0]) & (heights < FIT_HEIGHT_M[1])
    if not likely.any():
        return None
    normals, heights = normals[likely], heights[likely]
    close = np.abs(near @ normals.T - heights) < FIT_TOLERANCE * near[:, 2:] + FIT_TOLERANCE_M
    chosen = near[close[:, close.sum(axis=0).argmax()]]
    # y = a x + b z + c over the chosen points, weighed as the reference is: errors grow with distance
    weights = 1.0 / chosen[:, 2]
    terms = np.column_stack((chosen[:, 0], chosen[:, 2], np.ones(len(chosen))))
    (a, b, c), *_ = np.linalg.lstsq(terms * weights[:, None], chosen[:, 1] * weights, rcond=None)
    scale = 1.0 / np.sqrt(a * a + b * b + 1.0)
    return GroundPlane(np.array([-a, 1.0, -b]) * scale, float(c * scale))
