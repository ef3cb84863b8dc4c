"""Cameras of a set of views, and what they are at each level of the pyramid."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from msdepth_training.geometry import pixel_rays, scale_intrinsics
from msdepth_training.networks.encoder import camera_maps


class Views(NamedTuple):
    """Geometry of B sets of N views at one pyramid level (K in px of that level)."""

    k: Tensor
    """[B, N, 3, 3]."""
    view_from_reference: Tensor
    """[B, N, 4, 4], metres."""
    reference_rays: Tensor
    """[B, 3, h, w] of the reference camera."""
    present: Tensor
    """[B, N] 1 for a view that exists, 0 for one that was dropped in training."""


class Cameras(NamedTuple):
    """B sets of N views at full size."""

    k: Tensor
    """[B, N, 3, 3], px of the height x width images."""
    view_from_reference: Tensor
    """[B, N, 4, 4], metres."""
    reference_k: Tensor
    """[B, 3, 3], px of the height x width reference view."""
    present: Tensor
    """[B, N] 1 for a view that exists, else 0."""
    height: int
    width: int

    def at_stride(self, stride: int) -> tuple[Views, Tensor]:
        """The views at one level, and the reference camera's maps [B, 4, height / stride, width / stride]."""
        k, reference_k = (scale_intrinsics(x, 1.0 / stride, 1.0 / stride) for x in (self.k, self.reference_k))
        size = self.height // stride, self.width // stride
        views = Views(k, self.view_from_reference, pixel_rays(reference_k, *size), self.present)
        return views, camera_maps(reference_k, *size, stride)
