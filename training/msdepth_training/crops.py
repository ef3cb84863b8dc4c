"""Joint crops: the same part of all views of a set, enlarged, with the intrinsics that belong to it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from msdepth_training.batch import Batch

SMALLEST_SHARE = 0.65
"""Of width and height, that a random crop keeps."""


def random_window(rng: np.random.Generator) -> tuple[float, float, float]:
    """Left, top and share of a random part of an image, as shares of its width, its height and both."""
    share = float(rng.uniform(SMALLEST_SHARE, 1.0))
    return float(rng.uniform(0.0, 1.0 - share)), float(rng.uniform(0.0, 1.0 - share)), share


def crop(batch: Batch, windows: Tensor) -> Batch:
    """A part of each set's views, the same in all of them, enlarged to their size.

    Nothing moves in the world: focal lengths and principal points follow, poses stay. So a network that is told K must
    still say the same depth.

    Args:
        batch: B sets of views of H x W px.
        windows: [B, 3] left, top and share of each set, see `random_window`; left + share and top + share at most 1.

    Returns:
        A batch of the same size. Depth is picked from the nearest pixel, never averaged across an edge, so that sky
        (inf) and unknown (NaN) do not spread.
    """
    height, width = batch.images.shape[-2:]
    left, top, share = windows.to(batch.images).unbind(dim=1)
    u = _source(width, left, share)
    v = _source(height, top, share)
    grid = torch.stack(
        (
            ((2.0 * u + 1.0) / width - 1.0).unsqueeze(1).expand(-1, height, -1),
            ((2.0 * v + 1.0) / height - 1.0).unsqueeze(2).expand(-1, -1, width),
        ),
        dim=-1,
    )
    images = F.grid_sample(
        batch.images.flatten(1, 2), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    columns, rows = u.round().long().clamp(0, width - 1), v.round().long().clamp(0, height - 1)
    sets = torch.arange(len(windows), device=u.device)[:, None, None]
    depth = batch.depth_m.permute(0, 2, 3, 1)[sets, rows[:, :, None], columns[:, None, :]]
    k = batch.k.clone()
    left, top, share = (x.to(k).unsqueeze(1) for x in (left, top, share))
    k[..., 0, 0], k[..., 1, 1] = k[..., 0, 0] / share, k[..., 1, 1] / share
    k[..., 0, 2] = (k[..., 0, 2] + 0.5 - left * width) / share - 0.5
    k[..., 1, 2] = (k[..., 1, 2] + 0.5 - top * height) / share - 0.5
    return batch._replace(images=images.view_as(batch.images), depth_m=depth.permute(0, 3, 1, 2).contiguous(), k=k)


def _source(size: int, first: Tensor, share: Tensor) -> Tensor:
    """[B, size] px: where each pixel of the crop comes from, pixel centres at whole numbers."""
    centres = torch.arange(size, device=first.device, dtype=first.dtype) + 0.5
    return (first * size).unsqueeze(1) + centres * share.unsqueeze(1) - 0.5
