"""Light, weather and temperature of a scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CONDITIONS = ("day", "night", "rain", "fog")
KOSCHMIEDER = 3.912
"""sigma = 3.912 / visibility for a contrast threshold of 2 % (Koschmieder 1924)."""


@dataclass(frozen=True)
class Conditions:
    """One scene's light and weather."""

    daylight: float
    """1 in full day, 0 at night; between them dusk."""
    sun_share: float
    """Part of the daylight that comes from the sun itself: 0 overcast, 0.8 clear."""
    sun_direction: tuple[float, float, float]
    """Towards the sun, world frame (x right, y down, z forward), unit length."""
    visibility_m: float
    """Meteorological visibility."""
    thermal_extinction_share: float
    """Thermal extinction over visible extinction: .2 to .6 in light fog, 1 in dense fog."""
    rain: float
    """0 dry to 1 heavy: drops on the windshield, wet ground, weak thermal contrast."""
    air_k: float
    """Air temperature, K."""
    sky_cooling_k: float
    """How much colder than the air the zenith looks in the thermal band, K."""
    clouds: float
    """0 clear to 1 overcast."""
    thermal_contrast: float
    """Share of the temperature differences that is left: low in rain and at the crossover around dawn and dusk."""
    active_nir: float
    """Strength of the NIR camera's own illumination, 0 if it has none."""
    nir_leak: float = 0.0
    """Share of visible light in what the NIR camera sees: filters differ."""
    cloud_relief: float = 1.0
    """How uneven clouds are."""
    sky_gain: float = 1.0
    """Brightness of the sky over what the light on the ground says; clouds before the sun dazzle."""

    @property
    def extinction_per_m(self) -> float:
        """Visible and NIR extinction coefficient."""
        return KOSCHMIEDER / self.visibility_m


def sample_conditions(rng: np.random.Generator, condition: str) -> Conditions:
    """Conditions of a kind in `CONDITIONS`, drawn at random."""
    night = condition == "night" or (condition in ("rain", "fog") and rng.random() < 0.3)
    overcast = condition in ("rain", "fog") or rng.random() < 0.3
    elevation, azimuth = math.radians(rng.uniform(12, 65)), rng.uniform(0, 2 * math.pi)
    sun = (math.cos(elevation) * math.sin(azimuth), -math.sin(elevation), math.cos(elevation) * math.cos(azimuth))
    visibility = float(rng.uniform(2000, 20000))
    if condition == "fog":
        visibility = float(np.exp(rng.uniform(math.log(25), math.log(250))))
    elif condition == "rain":
        visibility = float(np.exp(rng.uniform(math.log(250), math.log(2500))))
    return Conditions(
        daylight=float(rng.uniform(0.0, 0.01)) if night else float(rng.uniform(0.3, 1.0)),
        sun_share=0.0 if (night or overcast) else float(rng.uniform(0.5, 0.8)),
        sun_direction=sun,
        visibility_m=visibility,
        thermal_extinction_share=1.0 if visibility < 50 else float(rng.uniform(0.2, 0.6)),
        rain=float(rng.uniform(0.3, 1.0)) if condition == "rain" else 0.0,
        air_k=float(rng.uniform(268, 303)),
        sky_cooling_k=float(rng.uniform(4, 20)) if overcast else float(rng.uniform(20, 60)),
        clouds=1.0 if overcast else float(rng.uniform(0.0, 0.6)),
        thermal_contrast=float(rng.uniform(0.06, 0.35))
        if condition == "rain"
        else float(np.exp(rng.uniform(math.log(0.12), 0.0))),
        active_nir=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.5 else 0.0,
    )
