"""Synchronized sets of three views, as the networks are trained with them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """B sets of three views (rgb, nir, thermal)."""

    images: Tensor
    """[B, 3, 3, H, W] in [0, 1]."""
    depth_m: Tensor
    """[B, 3, H, W] in each camera's frame, inf for sky, NaN where unknown."""
    k: Tensor
    """[B, 3, 3, 3], px."""
    view_from_reference: Tensor
    """[B, 3, 4, 4], metres."""
    reference: Tensor
    """int [B], which camera the output frame is."""
    present: Tensor
    """[B, 3] 1 for the views the fusion may use."""
    ground_plane: Tensor
    """[B, 3, 4] the road in each camera's frame, n . X = h: unit normal n pointing down, h in metres; 0 unknown."""
    told_plane: Tensor
    """[B, 3, 4] what the network is told of it."""

    def reference_k(self) -> Tensor:
        """[B, 3, 3] of the camera in whose frame the output is."""
        return self.k[torch.arange(self.k.shape[0], device=self.k.device), self.reference]

    def reference_plane(self) -> Tensor:
        """[B, 4] what the network is told of the road, in the frame the output is in."""
        return self.told_plane[torch.arange(self.k.shape[0], device=self.k.device), self.reference]

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))


def flip(batch: Batch) -> Batch:
    """Mirror all views left to right: images, depth, principal points, and transforms by diag(-1, 1, 1, 1)."""
    width = batch.images.shape[-1]
    k = batch.k.clone()
    k[..., 0, 2] = width - 1.0 - k[..., 0, 2]
    mirror = torch.diag(batch.k.new_tensor([-1.0, 1.0, 1.0, 1.0]))
    across = batch.k.new_tensor([-1.0, 1.0, 1.0, 1.0])
    return batch._replace(
        ground_plane=batch.ground_plane * across,
        told_plane=batch.told_plane * across,
        images=batch.images.flip(-1),
        depth_m=batch.depth_m.flip(-1),
        k=k,
        view_from_reference=mirror @ batch.view_from_reference @ mirror,
    )
