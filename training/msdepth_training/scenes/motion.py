"""Motion blur: what the vehicle's own motion does to an image while the shutter is open."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLES = 5
FAINT_PX = 0.5
"""Shorter streaks everywhere are not drawn."""
LONGEST_PX = 24.0


def streaks(depth_m: Tensor, rays: Tensor, k: Tensor, later_from_now: Tensor) -> Tensor:
    """Where each pixel of a world at rest is when the shutter closes, relative to when it opened.

    Args:
        depth_m: [h, w] along z, inf for sky.
        rays: [3, h, w] with unit z.
        k: [3, 3], px.
        later_from_now: [4, 4] from the camera's frame now to its frame when the shutter closes, metres.

    Returns:
        [2, h, w] right and down, px.
    """
    point = rays * depth_m.clamp(max=1e4)
    moved = torch.einsum("ij,jhw->ihw", later_from_now[:3, :3], point) + later_from_now[:3, 3, None, None]
    z = moved[2].clamp(min=0.1)
    shift = torch.stack((k[0, 0] * (moved[0] / z - rays[0]), k[1, 1] * (moved[1] / z - rays[1])))
    length = torch.hypot(shift[0], shift[1])
    return shift * (LONGEST_PX / length.clamp(min=LONGEST_PX))


def blurred(image: Tensor, shift: Tensor) -> Tensor:
    """Mean of an image [C, h, w] along streaks [2, h, w], px, centred on each pixel."""
    if float(shift.abs().max()) < FAINT_PX:
        return image
    _, height, width = image.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=image.device, dtype=image.dtype),
        torch.arange(width, device=image.device, dtype=image.dtype),
        indexing="ij",
    )
    total = torch.zeros_like(image)
    for i in range(SAMPLES):
        share = i / (SAMPLES - 1) - 0.5
        u, v = x + share * shift[0], y + share * shift[1]
        grid = torch.stack(((2 * u + 1) / width - 1, (2 * v + 1) / height - 1), dim=-1)
        total += F.grid_sample(image[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    return total / SAMPLES
