"""What things are made of, in all three bands at once.

Reflectances and emissivities are round numbers of the usual tables (ASTER/ECOSTRESS spectral library, thermography
handbooks): vegetation .4 to .6 in the near infrared against .05 in red, glass and water dark in the near infrared and
opaque in the thermal band, bare metal mirroring a cold sky there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Material(NamedTuple):
    """Physical properties of one instance."""

    rgb: tuple[float, float, float]
    """Reflectance in red, green, blue."""
    nir: float
    """Reflectance around 850 nm."""
    emissivity: float
    """8 to 14 um."""
    sun_gain_k: float
    """How much full sun warms it above air, K."""
    offset_k: float
    """Own temperature above air without sun, K."""
    contrast: tuple[float, float, float]
    """Relative texture contrast in RGB and NIR, texture deviation in K for thermal."""


ASPHALT = Material((0.10, 0.10, 0.105), 0.14, 0.95, 14.0, 2.0, (0.18, 0.18, 0.35))
MARKING = Material((0.62, 0.62, 0.58), 0.62, 0.94, 9.0, 1.5, (0.12, 0.12, 0.2))
PAVEMENT = Material((0.36, 0.35, 0.33), 0.42, 0.93, 10.0, 1.0, (0.15, 0.15, 0.3))
GRASS = Material((0.08, 0.13, 0.04), 0.48, 0.96, 2.0, -2.0, (0.35, 0.3, 0.8))
SOIL = Material((0.24, 0.19, 0.13), 0.36, 0.94, 9.0, 0.0, (0.25, 0.22, 0.6))
FOLIAGE = Material((0.05, 0.10, 0.03), 0.50, 0.96, 1.0, -0.5, (0.55, 0.45, 0.7))
BARK = Material((0.16, 0.12, 0.09), 0.32, 0.95, 3.0, 0.5, (0.4, 0.35, 0.5))
METAL = Material((0.45, 0.45, 0.46), 0.50, 0.22, 6.0, 0.0, (0.1, 0.1, 0.2))
RUBBER = Material((0.04, 0.04, 0.04), 0.05, 0.95, 4.0, 9.0, (0.1, 0.1, 0.5))
GLASS = Material((0.05, 0.06, 0.07), 0.04, 0.88, 2.0, 0.5, (0.05, 0.05, 0.1))
WOOD = Material((0.33, 0.24, 0.15), 0.50, 0.93, 6.0, 0.0, (0.35, 0.3, 0.4))

YELLOW = Material((0.55, 0.40, 0.08), 0.55, 0.94, 9.0, 1.5, (0.14, 0.14, 0.2))
PATCH = Material((0.08, 0.08, 0.085), 0.115, 0.95, 15.0, 2.0, (0.14, 0.14, 0.35))
SNOW = Material((0.72, 0.74, 0.78), 0.68, 0.98, 0.0, -6.0, (0.1, 0.1, 0.4))
PLASTIC = Material((0.035, 0.035, 0.037), 0.06, 0.94, 6.0, 0.5, (0.1, 0.1, 0.3))
SHADOW = Material((0.012, 0.012, 0.013), 0.02, 0.95, 2.0, 1.0, (0.1, 0.1, 0.2))
"""Of what lies under a vehicle, where no light gets."""


def lamp(rgb: tuple[float, float, float]) -> Material:
    """A lens of that colour."""
    return Material(rgb, 0.3, 0.9, 3.0, 0.5, (0.2, 0.2, 0.2))


def skin(rng: np.random.Generator) -> Material:
    """Of a face or hands; the near infrared knows no complexion."""
    tone = float(rng.uniform(0.25, 1.0))
    return Material(
        (0.5 * tone, 0.36 * tone, 0.3 * tone), 0.55, 0.98, 0.5, float(rng.uniform(6, 14)), (0.05, 0.05, 0.4)
    )


def _tint(rng: np.random.Generator, low: float, high: float, saturation: float) -> tuple[float, float, float]:
    base: NDArray[np.float64] = rng.uniform(low, high) * (1.0 + saturation * rng.uniform(-1.0, 1.0, 3))
    r, g, b = np.clip(base, 0.02, 0.9)
    return float(r), float(g), float(b)


def vary(rng: np.random.Generator, material: Material) -> Material:
    """The same substance, another piece of it."""
    tone = float(np.exp(rng.normal(0.0, 0.2)))
    r, g, b = (min(c * tone * float(np.exp(rng.normal(0.0, 0.06))), 0.9) for c in material.rgb)
    return material._replace(
        rgb=(r, g, b),
        nir=min(material.nir * float(np.exp(rng.normal(0.0, 0.15))), 0.9),
        emissivity=min(material.emissivity + float(rng.normal(0.0, 0.01)), 0.99),
        sun_gain_k=material.sun_gain_k * float(rng.uniform(0.6, 1.3)),
        offset_k=material.offset_k + float(rng.normal(0.0, 0.6)),
    )


def facade(rng: np.random.Generator) -> Material:
    """Brick, plaster or concrete."""
    contrast = float(rng.uniform(0.08, 0.4))
    return Material(
        _tint(rng, 0.15, 0.6, 0.35), float(rng.uniform(0.3, 0.65)), 0.93,
        float(rng.uniform(4, 11)), float(rng.uniform(0, 3)),
        (contrast, 0.8 * contrast, float(rng.uniform(0.2, 0.8))),
    )  # fmt: skip


def wall(rng: np.random.Generator) -> Material:
    """Like a facade, but as often as not pale: white plaster, light stone, panels without texture."""
    if rng.random() < 0.55:
        return facade(rng)
    contrast, pale = float(rng.uniform(0.01, 0.15)), _tint(rng, 0.5, 0.82, 0.08)
    return Material(
        pale, float(rng.uniform(0.5, 0.8)), 0.93, float(rng.uniform(2, 8)), float(rng.uniform(-1, 3)),
        (contrast, 0.8 * contrast, float(rng.uniform(0.2, 0.8))),
    )  # fmt: skip


def car_paint(rng: np.random.Generator) -> Material:
    """Any colour; the near infrared hardly knows which."""
    return Material(
        _tint(rng, 0.04, 0.7, 0.6),
        float(rng.uniform(0.1, 0.7)),
        float(rng.uniform(0.8, 0.93)),
        10.0,
        float(rng.uniform(-1, 6)),
        (0.05, 0.05, 0.4),
    )


def cloth(rng: np.random.Generator) -> Material:
    """Fabric on a person: bright in the near infrared whatever the dye, warmed by the body."""
    return Material(
        _tint(rng, 0.04, 0.5, 0.7),
        float(rng.uniform(0.35, 0.75)),
        0.96,
        4.0,
        float(rng.uniform(4, 12)),
        (0.2, 0.15, 1.0),
    )


def anything(rng: np.random.Generator) -> Material:
    """For floating objects: bands not tied to one another, so that no colour prior can be learned from them."""
    contrast = rng.uniform(0.05, 0.6, 2)
    return Material(
        _tint(rng, 0.04, 0.8, 0.7), float(rng.uniform(0.04, 0.8)), float(rng.uniform(0.3, 0.97)),
        float(rng.uniform(0, 12)), float(rng.normal(0, 5)),
        (float(contrast[0]), float(contrast[1]), float(rng.uniform(0.1, 2.0))),
    )  # fmt: skip
