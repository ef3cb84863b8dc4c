"""What lenses, windshields and firmware add to an image: falling light, veils, halos, tone curves, sharpening."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HIGHLIGHTS = 0.03
"""Share of the image that may clip where highlights are protected."""
COARSE = 8
"""Veils and halos are computed on an image so many times smaller."""


@dataclass(frozen=True)
class Optics:
    """One camera's character, for all frames of a sequence."""

    gamma: float
    """Of the tone curve; 1 where the camera delivers counts as they are."""
    target: float
    """Mean level that the automatic exposure aims at, in parts of full scale."""
    protect: bool
    """Whether it keeps highlights from clipping instead, such as the sky, however dark the rest gets."""
    vignetting: float
    """Share of the light that the corners lose."""
    veil: float
    """Share of the image's mean that lies over all of it: dust and light on the windshield."""
    veil_side: tuple[float, float]
    """Where the veil is thicker: to the right, to the bottom."""
    halo: float
    """Share of what is beyond full scale that spreads around."""
    black: float
    """Level of no light, in parts of full scale."""
    sharpening: float
    saturation: float
    """Of colours: 0 grey, 1 as they are."""
    noise: float
    """Factor on the sensor's noise: large pixels, and averaging when images are made smaller."""
    exposure_s: float
    """How long the shutter stays open in the dark; in daylight for an eighth of that."""
    soft_px: float
    """Blur besides the lens's own: focus, demosaicing, compression."""
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gains of red, green and blue: light, coated glass and white balance colour all of an image."""


def sample_optics(rng: np.random.Generator) -> Optics:
    """Draw one camera's character."""
    return Optics(
        gamma=float(rng.uniform(1.0, 1.35)) if rng.random() < 0.5 else float(rng.uniform(1.35, 2.4)),
        target=float(np.exp(rng.uniform(math.log(0.1), math.log(0.6)))),
        protect=bool(rng.random() < 0.35),
        vignetting=float(rng.uniform(0.0, 0.5)),
        veil=float(rng.uniform(0.0, 0.15)) if rng.random() < 0.6 else 0.0,
        veil_side=(float(rng.normal(0, 0.6)), float(rng.normal(0, 0.6))),
        halo=float(rng.uniform(0.0, 0.2)),
        black=float(rng.uniform(0.0, 0.08)) if rng.random() < 0.5 else 0.0,
        sharpening=float(rng.uniform(0.0, 1.0)) if rng.random() < 0.4 else 0.0,
        saturation=float(rng.uniform(0.3, 1.1)),
        noise=float(np.exp(rng.uniform(math.log(0.1), math.log(1.2)))),
        exposure_s=float(rng.uniform(0.0, 0.03)),
        soft_px=float(rng.uniform(0.1, 0.9)),
        cast=_cast(rng),
    )


def _cast(rng: np.random.Generator) -> tuple[float, float, float]:
    """Mostly between bluish and reddish; some glass is green."""
    warm, green = rng.normal(0.0, 0.12), abs(rng.normal(0.0, 0.25)) if rng.random() < 0.25 else rng.normal(0.0, 0.04)
    return float(np.exp(warm - 0.7 * green)), 1.0, float(np.exp(-warm - 0.35 * green))


def spread(image: Tensor, share_of_height: float) -> Tensor:
    """[C, h, w] blurred widely; cheap and coarse."""
    _, height, width = image.shape
    small = F.adaptive_avg_pool2d(image[None], (max(1, height // COARSE), max(1, width // COARSE)))
    radius = max(1, round(share_of_height * height / COARSE))
    kernel = 2 * radius + 1
    for _ in range(2):
        small = F.avg_pool2d(small, kernel, stride=1, padding=radius, count_include_pad=False)
    return F.interpolate(small, (height, width), mode="bilinear", align_corners=False)[0]


def lens(radiance: Tensor, optics: Optics) -> Tensor:
    """Colour of the glass, vignetting and veil on radiance [C, h, w]."""
    _, height, width = radiance.shape
    y = torch.linspace(-1, 1, height, device=radiance.device)[:, None]
    x = torch.linspace(-1, 1, width, device=radiance.device)[None]
    fall = 1.0 - optics.vignetting * (x * x + y * y) / 2.0
    thick = (1.0 + optics.veil_side[0] * x + optics.veil_side[1] * y).clamp(min=0.0)
    if radiance.shape[0] == 3:
        radiance = radiance * radiance.new_tensor(optics.cast)[:, None, None]
    return radiance * fall + optics.veil * radiance.mean(dim=(1, 2), keepdim=True) * thick


def gain(image: Tensor, optics: Optics, limit: float) -> float:
    """Of the automatic exposure for radiance [C, h, w], at most limit; lamps at night do not count in full."""
    if optics.protect:
        bright = torch.quantile(image.mean(dim=0)[::4, ::4].reshape(-1), 1.0 - HIGHLIGHTS).item()
        return min(0.9 / max(bright, 1e-6), limit)
    mean = image.mean().item()
    return min(optics.target / max(image.clamp(max=2.5 * mean).mean().item(), 1e-6), limit)


def halo(exposed: Tensor, optics: Optics) -> Tensor:
    """What is overexposed shines on what is around it; [C, h, w], 1 is full scale."""
    over = (exposed - 1.0).clamp(0.0, 20.0)
    return exposed + optics.halo * spread(over, 0.03)


def develop(exposed: Tensor, optics: Optics) -> Tensor:
    """Tone curve and sharpening: [C, h, w] with full scale 1 to the delivered levels in [0, 1]."""
    if exposed.shape[0] == 3:
        exposed = torch.lerp(exposed.mean(dim=0, keepdim=True), exposed, optics.saturation)
    level = (optics.black + (1.0 - optics.black) * exposed.clamp(0.0, 1.0)) ** (1.0 / optics.gamma)
    if optics.sharpening > 0:
        smooth = F.avg_pool2d(F.pad(level[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
        level = level + optics.sharpening * (level - smooth)
    return level.clamp(0.0, 1.0)
