"""The own vehicle's bonnet, roof or doors at the lower edge of an image, mirroring what is above; its depth is unknown.

Real side and rear cameras see much of it, and no LiDAR measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from msdepth_training.scenes import bodies

SHARE_AHEAD, SHARE_ASIDE = 0.12, 0.35
"""Of the rigs that look ahead, and anywhere else."""


@dataclass(frozen=True)
class OwnBody:
    """What one camera sees of it, for all frames of a sequence."""

    edge: tuple[float, float, float]
    """Of its height in parts of the image's, at the middle; how that grows to the right; how it falls to the sides."""
    rgb: tuple[float, float, float]
    nir: float
    mirrored: float
    """Share of the light from above that the varnish mirrors."""
    warmth_k: float
    """Above the air's temperature."""

    def mask(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Bool [h, w] where it hides the world, and int [h, w] the row above its edge that each pixel mirrors."""
        x = torch.linspace(-1.0, 1.0, width)
        middle, slope, fall = self.edge
        top = height * (1.0 - middle - slope * x + fall * x * x)
        row = torch.arange(height)[:, None]
        return row > top, (2.0 * top - row).clamp(0, height - 1).long()


def sample_own_body(rng: np.random.Generator, yaw_rad: float, spectra: tuple[str, ...]) -> dict[str, OwnBody]:
    """By spectrum, for a rig that looks along yaw in the vehicle; empty for most."""
    if rng.random() > (SHARE_AHEAD if abs(math.sin(0.5 * yaw_rad)) < 0.25 else SHARE_ASIDE):
        return {}
    colour, warmth, found = bodies.paint(rng), float(rng.uniform(-4, 12)), {}
    for spectrum in spectra:
        edge = float(rng.uniform(0.03, 0.22)), float(rng.normal(0.0, 0.07)), float(rng.uniform(-0.05, 0.15))
        found[spectrum] = OwnBody(edge, colour.rgb, colour.nir, float(rng.uniform(0.1, 0.7)), warmth)
    return found


def cover(body: OwnBody, image: Tensor, depth_m: Tensor, *, light: float, air_k: float | None) -> tuple[Tensor, Tensor]:
    """Draw it over a view.

    Args:
        body: what this camera sees of the own vehicle.
        image: radiance [3 or 1, h, w] in units of a white surface in daylight, or [1, h, w] kelvin.
        depth_m: [h, w], metres.
        light: that falls on it, for radiance.
        air_k: temperature of the air; None for radiance.

    Returns:
        The image, and the depth with NaN where the own body is.
    """
    mask, above = (t.to(image.device) for t in body.mask(*depth_m.shape))
    seen = image.gather(1, above.expand_as(image))
    if air_k is None:
        albedo = image.new_tensor(body.rgb if image.shape[0] == 3 else [body.nir])[:, None, None]
        painted = 0.5 * light * albedo + body.mirrored * seen
    else:
        painted = air_k + body.warmth_k + 0.15 * (seen - air_k)
    return torch.where(mask, painted, image), depth_m.masked_fill(mask, math.nan)
