"""What goes wrong with cameras: functions of one delivered image, for training, tests and the sample drive."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from msdepth_training.scenes.sensors import blur

WINDSHIELD = ("rgb", "nir")
"""Spectra behind the windshield; the thermal camera is outside."""


def black(image: Tensor, rng: np.random.Generator) -> Tensor:
    """No light: [C, h, w] in [0, 1] to almost 0."""
    return torch.full_like(image, float(rng.uniform(0.0, 0.02)))


def overexposed(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Glare or a wrong exposure time: most of [C, h, w] in [0, 1] clips."""
    return (image * float(rng.uniform(3, 12)) + float(rng.uniform(0.0, 0.6))).clamp(0.0, 1.0)


def blurred(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Out of focus, [C, h, w]."""
    return blur(image, float(rng.uniform(0.01, 0.04)) * image.shape[1])


def wiper(image: Tensor, *, angle: float, half_share: float, pivot_share: float) -> Tensor:
    """A dark blade across [C, h, w] in [0, 1].

    Args:
        image: what the camera would see.
        angle: of the blade from upright, radians.
        half_share: half its width over the image's height.
        pivot_share: where it turns, over the image's width; below the image.
    """
    _, height, width = image.shape
    pivot_u, pivot_v = width * pivot_share, height * 1.3
    v, u = torch.meshgrid(
        torch.arange(height, device=image.device), torch.arange(width, device=image.device), indexing="ij"
    )
    across = (u - pivot_u) * math.cos(angle) + (v - pivot_v) * math.sin(angle)
    half = height * half_share
    cover = ((half - across.abs()) / (0.2 * half)).clamp(0.0, 1.0)
    return image * (1.0 - cover) + 0.03 * cover


def random_wiper(image: Tensor, rng: np.random.Generator) -> Tensor:
    """The wiper somewhere on its way across [C, h, w]."""
    return wiper(
        image,
        angle=float(rng.uniform(-1.3, 1.3)),
        half_share=float(rng.uniform(0.03, 0.12)),
        pivot_share=float(rng.uniform(0.2, 0.8)),
    )


def dirt(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Blobs of mud on the glass over [C, h, w], with soft edges."""
    _, height, width = image.shape
    v, u = torch.meshgrid(
        torch.arange(height, device=image.device), torch.arange(width, device=image.device), indexing="ij"
    )
    out = image
    for _ in range(int(rng.integers(3, 12))):
        radius = height * float(rng.uniform(0.04, 0.2))
        distance = torch.hypot(u - float(rng.uniform(0, width)), (v - float(rng.uniform(0, height))).double()).to(
            image.dtype
        )
        cover = (1.4 - distance / radius).clamp(0.0, 1.0) * float(rng.uniform(0.5, 1.0))
        out = out * (1.0 - cover) + float(rng.uniform(0.05, 0.35)) * cover
    return out


IMAGE_FAULTS: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "black": black, "overexposed": overexposed, "blurred": blurred, "wiper": random_wiper, "dirt": dirt,
}  # fmt: skip
"""Faults that change an image. `missing` leaves the view out and `frozen` (also a thermal shutter calibration) repeats
an earlier frame; the caller does those, since they need the sequence."""
FAULTS = (*IMAGE_FAULTS, "missing", "frozen")


def possible(fault: str, spectrum: str) -> bool:
    """Whether a fault can happen to a camera: the wiper passes only in front of those behind the windshield."""
    return fault != "wiper" or spectrum in WINDSHIELD
