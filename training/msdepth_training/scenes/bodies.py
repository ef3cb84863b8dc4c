"""What vehicles have in common: paint, wheels, lamps, plates and bumpers."""

from __future__ import annotations

import math

import numpy as np

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import BOX, TUBE, Builder
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.placing import Stand

DETAILED_M = 45.0
"""Beyond, mirrors, hubs, plates and the like are left out."""


def paint(rng: np.random.Generator) -> Material:
    """White, grey and black mostly, like on any road; sometimes a colour."""
    colour = materials.car_paint(rng)._replace(offset_k=float(rng.uniform(-1.5, 2.5)), contrast=(0.03, 0.03, 0.3))
    if rng.random() < 0.72:
        grey = float(rng.choice([rng.uniform(0.55, 0.85), rng.uniform(0.15, 0.45), rng.uniform(0.015, 0.06)]))
        colour = colour._replace(rgb=(grey, grey, grey), nir=min(0.8, grey * float(rng.uniform(0.8, 1.6)) + 0.03))
    return colour


def warm(rng: np.random.Generator, material: Material, running: bool, low: float, high: float) -> Material:
    """The same material, warmed by low to high K if the engine is running."""
    return material._replace(offset_k=material.offset_k + (float(rng.uniform(low, high)) if running else 0.0))


def wheels(b: Builder, s: Stand, radius: float, aside: float, axles: tuple[float, ...], *, running: bool) -> None:
    """A wheel at each end of every axle; their outer faces are at a distance aside from the middle."""
    tyre = warm(b.rng, materials.RUBBER._replace(offset_k=1.0), running, 2, 20)
    shine = float(b.rng.choice([b.rng.uniform(0.05, 0.15), b.rng.uniform(0.25, 0.6)]))
    hub = materials.METAL._replace(emissivity=0.6, offset_k=0.5 * tyre.offset_k, rgb=(shine,) * 3, nir=shine)
    across = {"yaw": 0.5 * math.pi, "tilt": 0.5 * math.pi}
    for side in (-1, 1):
        for ahead in axles:
            place = (side * (aside - 0.1), radius, ahead)
            s.add(TUBE, place, (radius, 0.11, radius), tyre, **across)
            if s.away_m < DETAILED_M:
                s.add(TUBE, place, (0.62 * radius, 0.118, 0.62 * radius), hub, **across)
                s.add(TUBE, place, (0.18 * radius, 0.125, 0.18 * radius), materials.PLASTIC, **across)
                arch = (radius + 0.06, 0.104, radius + 0.06)
                s.add(TUBE, (place[0], radius + 0.03, ahead), arch, materials.PLASTIC, **across)


def ends(b: Builder, s: Stand, body: tuple[float, float, float, float], colour: Material, *, running: bool) -> None:
    """Lamps, plates, bumpers, grille, mirrors; what runs has a warm grille and a hot exhaust.

    Args:
        b: the scene under construction.
        s: below the vehicle's middle.
        body: half the width, half the length, height of the floor and of the bonnet, metres.
        colour: of the body, and of most bumpers.
        running: whether the engine is.
    """
    rng, (w, half, low, bonnet) = b.rng, body
    red, white = materials.lamp((0.35, 0.03, 0.03)), materials.lamp((0.5, 0.5, 0.48))
    lamp_up, size = low + 0.72 * (bonnet - low), (float(rng.uniform(0.1, 0.22)), float(rng.uniform(0.05, 0.12)), 0.05)
    on = 1.0 if running and rng.random() < 0.6 else 0.0
    for side in (-1, 1):
        s.add(BOX, (side * (w - size[0] - 0.02), lamp_up, -half + 0.02), size, red, emission=0.25 * on, gloss=0.5)
        s.add(BOX, (side * (w - size[0] - 0.02), lamp_up, half - 0.03), size, white, emission=1.2 * on, gloss=0.5)
    if s.away_m > DETAILED_M:
        return
    plate = Material((0.7, 0.7, 0.66), 0.6, 0.9, 6.0, 0.0, (0.6, 0.6, 0.1))
    bumpers = colour if rng.random() < 0.6 else materials.PLASTIC
    for end in (-1, 1):
        place = (0.0, low + float(rng.uniform(0.15, 0.4)), end * (half - 0.005))
        s.add(BOX, place, (0.26, 0.06, 0.012), plate, layer=b.sign(), texels_per_m=500.0)
        s.add(BOX, (0.0, low + 0.12, end * (half - 0.06)), (0.97 * w, 0.1, 0.08), bumpers, gloss=0.3)
        s.add(BOX, (end * (w + 0.1), bonnet + 0.08, 0.22 * half), (0.1, 0.07, 0.05), materials.PLASTIC, gloss=0.3)
    grille = warm(rng, materials.PLASTIC, running, 4, 18)
    s.add(BOX, (0.0, low + 0.5 * (bonnet - low), half - 0.02), (0.45 * w, 0.1, 0.03), grille)
    exhaust = warm(rng, materials.PLASTIC, running, 10, 50)
    s.add(BOX, (0.4 * w, low - 0.02, 0.1 - half), (0.25, 0.05, 0.1), exhaust)
