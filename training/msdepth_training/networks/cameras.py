"""What the network knows of its cameras, at every level of the pyramid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from msdepth_training.geometry import full_precision, invert_intrinsics, level_pixels, scale_intrinsics

CANONICAL_FOCAL_PX = 400.0
"""Focal lengths are fed relative to this one, in px of the images: what a lens twice as long shows twice as large is as
far away. Relative to the image's width, depth learned at one image size was wrong by the ratio of sizes at another."""
TYPICAL_LOG_DEPTH = 2.7
"""Log of 15 m: depth heads start near the middle of the range."""
CAMERA_MAPS = 4
"""Channels of `CameraRays.maps`."""
PLANE_MAPS = 2
"""Channels of `plane_maps`."""


def plane_log_depth(plane: Tensor, rays: Tensor, *, min_m: float, max_m: float) -> Tensor:
    """Log depth of a plane at every pixel.

    A ray r meets the plane n . X = h at depth h / (n . r) (Hartley and Zisserman, section 3.2).

    Args:
        plane: [B, 4] unit normal n, pointing down, and height h in metres, in the camera's optical frame.
        rays: [B, 3, h, w] with unit z.
        min_m: least depth, metres.
        max_m: largest depth, metres; also where the plane is not ahead.

    Returns:
        [B, 1, h, w] log metres.
    """
    along = (plane[:, :3, None, None] * rays).sum(dim=1, keepdim=True)
    return (plane[:, 3:, None, None] / along.clamp(min=1e-3)).clamp(min_m, max_m).log()


def plane_maps(plane: Tensor, rays: Tensor, *, min_m: float, max_m: float) -> Tensor:
    """What the network is told of the road: its log depth less that of `TYPICAL_LOG_DEPTH`, and whether it is known.

    Args:
        plane: [B, 4], all 0 where unknown; see `plane_log_depth`, as for the other arguments.
        rays: [B, 3, h, w].
        min_m: metres.
        max_m: metres.

    Returns:
        [B, PLANE_MAPS, h, w], all 0 where unknown.
    """
    known = (plane[:, 3:, None, None] > 0.0).to(rays.dtype)
    depth = plane_log_depth(plane, rays, min_m=min_m, max_m=max_m) - TYPICAL_LOG_DEPTH
    return torch.cat((depth * known, known.expand_as(depth)), dim=1)


class CameraRays:
    """Rays of M cameras at every level.

    Args:
        k: [M, 3, 3], px of the height x width images.
        height: rows of the images.
        width: columns of the images.
    """

    def __init__(self, k: Tensor, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._inverse_k = invert_intrinsics(k)
        self._log_focal = (torch.stack((k[:, 0, 0], k[:, 1, 1]), dim=1) / CANONICAL_FOCAL_PX).log()[..., None, None]

    def at_stride(self, stride: int) -> Tensor:
        """[M, 3, H/stride, W/stride] direction (x/z, y/z, 1) of every cell's centre."""
        pixels = level_pixels(self.height, self.width, stride, device=self._inverse_k.device)
        with full_precision(pixels):
            rays = self._inverse_k @ pixels
        return rays.unflatten(2, (self.height // stride, self.width // stride))

    def maps(self, rays: Tensor) -> Tensor:
        """What the network is told of a camera at every pixel, so that one network is metric for any focal length.

        Args:
            rays: [M, 3, h, w] from `at_stride`.

        Returns:
            [M, CAMERA_MAPS, h, w]: x/z and y/z of the pixel's ray, log of fx and of fy over the canonical focal length.
        """
        return torch.cat((rays[:, :2], self._log_focal.expand(-1, -1, *rays.shape[-2:])), dim=1)


class Views(NamedTuple):
    """Geometry of B sets of N views at one pyramid level (K in px of that level)."""

    k: Tensor
    """[B, N, 3, 3]."""
    view_from_reference: Tensor
    """[B, N, 4, 4], metres."""
    reference_rays: Tensor
    """[B, 3, h, w] of the reference camera's pixels."""
    present: Tensor
    """[B, N] 1 for a view that exists, 0 for one that was dropped in training."""


class Cameras(NamedTuple):
    """B sets of N views at full size."""

    k: Tensor
    """[B, N, 3, 3], px of the images."""
    view_from_reference: Tensor
    """[B, N, 4, 4], metres."""
    reference: CameraRays
    """The B reference cameras."""
    present: Tensor
    """[B, N] 1 for a view that exists, else 0."""
    ground_plane: Tensor
    """[B, 4] of the road in the reference's frame, all 0 where unknown."""

    def at_stride(self, stride: int) -> Views:
        """The views at one level."""
        k = scale_intrinsics(self.k, 1.0 / stride, 1.0 / stride)
        return Views(k, self.view_from_reference, self.reference.at_stride(stride), self.present)
