"""Cars, vans, trucks, buses and cyclists, as assemblies of tapered boxes, tubes and panes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import BOX, ELLIPSOID, TAPERED, TUBE, Builder
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.placing import Stand

DETAILED_M = 45.0
"""Beyond, mirrors, hubs, plates and the like are left out."""


class Body(NamedTuple):
    """Ranges of a kind of car, metres; where the cabin is in shares of the length from the rear."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    bonnet: tuple[float, float]
    """Height of the bonnet, where the cabin's glass begins."""
    cabin: tuple[float, float]
    rake: tuple[float, float]
    """How far the roof is shorter ahead and behind than the cabin's foot."""
    wheel: float = 0.33


CARS = {
    "sedan": Body((4.3, 5.0), (1.75, 1.9), (1.4, 1.5), (0.85, 0.95), (0.13, 0.74), (0.75, 0.65)),
    "hatchback": Body((3.6, 4.3), (1.65, 1.8), (1.45, 1.6), (0.88, 1.0), (0.02, 0.74), (0.7, 0.25)),
    "suv": Body((4.2, 4.9), (1.8, 1.98), (1.6, 1.85), (1.0, 1.15), (0.02, 0.72), (0.65, 0.3), 0.37),
    "van": Body((4.7, 5.9), (1.9, 2.1), (1.9, 2.6), (1.0, 1.2), (0.0, 0.88), (0.55, 0.06), 0.35),
    "estate": Body((4.5, 4.9), (1.78, 1.9), (1.42, 1.55), (0.86, 0.96), (0.0, 0.73), (0.8, 0.45)),
    "pickup": Body((5.0, 5.6), (1.85, 2.0), (1.75, 1.9), (1.0, 1.15), (0.38, 0.73), (0.6, 0.1), 0.4),
    "minibus": Body((4.6, 5.2), (1.7, 1.85), (1.95, 2.2), (1.0, 1.1), (0.0, 0.985), (0.35, 0.05), 0.31),
}
TRAIN_KINDS = ("sedan", "sedan", "hatchback", "hatchback", "suv", "suv", "suv", "van", "truck", "cyclist", "bus")
TEST_KINDS = ("estate", "estate", "pickup", "pickup", "minibus", "tanker", "scooter")
"""Only in test scenes."""


def vehicle(b: Builder, stand: Stand, *, test: bool, running: bool) -> None:
    """A vehicle of any kind, looking ahead.

    Args:
        b: the scene under construction.
        stand: below the vehicle's middle; moves if it does.
        test: whether the scene belongs to the test split, which has kinds of its own.
        running: whether engine, tyres and brakes are warm.
    """
    kinds = TEST_KINDS if test else TRAIN_KINDS
    kind = kinds[int(b.rng.integers(len(kinds)))]
    if kind in CARS:
        _car(b, stand, kind, running=running)
    elif kind in ("truck", "tanker", "bus"):
        _truck(b, stand, kind, running=running)
    else:
        _two_wheeler(b, stand, scooter=kind == "scooter")


def _paint(rng: np.random.Generator) -> Material:
    """White, grey and black mostly, like on any road; sometimes a colour."""
    paint = materials.car_paint(rng)._replace(offset_k=float(rng.uniform(-1.5, 2.5)), contrast=(0.03, 0.03, 0.3))
    if rng.random() < 0.65:
        grey = float(rng.choice([rng.uniform(0.55, 0.8), rng.uniform(0.2, 0.45), rng.uniform(0.02, 0.06)]))
        paint = paint._replace(rgb=(grey, grey, grey), nir=min(0.8, grey * float(rng.uniform(0.8, 1.6)) + 0.03))
    return paint


def _warm(rng: np.random.Generator, material: Material, running: bool, low: float, high: float) -> Material:
    """The same material, warmed by low to high K if the engine is running."""
    return material._replace(offset_k=material.offset_k + (float(rng.uniform(low, high)) if running else 0.0))


def _wheels(b: Builder, s: Stand, radius: float, aside: float, axles: tuple[float, ...], *, running: bool) -> None:
    tyre = _warm(b.rng, materials.RUBBER._replace(offset_k=1.0), running, 2, 20)
    hub = materials.METAL._replace(emissivity=0.6, offset_k=0.5 * tyre.offset_k, rgb=(0.3, 0.3, 0.3), nir=0.3)
    for side in (-1, 1):
        for ahead in axles:
            across = {"yaw": 0.5 * math.pi, "tilt": 0.5 * math.pi}
            s.add(TUBE, (side * (aside - 0.1), radius, ahead), (radius, 0.11, radius), tyre, **across)
            if s.z < DETAILED_M:
                s.add(TUBE, (side * (aside - 0.1), radius, ahead), (0.62 * radius, 0.118, 0.62 * radius), hub, **across)
                arch = (radius + 0.06, 0.104, radius + 0.06)
                s.add(TUBE, (side * (aside - 0.1), radius + 0.03, ahead), arch, materials.PLASTIC, **across)


def _car(b: Builder, s: Stand, kind: str, *, running: bool) -> None:
    rng, body, paint = b.rng, CARS[kind], _paint(b.rng)
    length, width, height, bonnet = (float(rng.uniform(*r)) for r in body[:4])
    w, half, low = 0.5 * width, 0.5 * length, 0.18
    s.add(
        TAPERED, (0.0, 0.5 * (low + bonnet), 0.0), (w, 0.5 * (bonnet - low), half), paint,
        taper=(0.05, float(rng.uniform(0.03, 0.1)), float(rng.uniform(0.01, 0.06))), gloss=0.8,
    )  # fmt: skip
    rear, front = ((share - 0.5) * length for share in body.cabin)
    front, rear = front - (0.05 if kind != "pickup" else 0.0), rear + 0.03
    _cabin(b, s, (rear, front, bonnet, height, 0.93 * w), body.rake, paint)
    s.add(BOX, (0.0, 0.04, 0.0), (0.85 * w, 0.03, 0.9 * half), materials.SHADOW)
    if kind == "pickup":
        s.add(BOX, (0.0, bonnet, 0.5 * (rear - half)), (0.85 * w, 0.02, 0.45 * (rear + half)), materials.PLASTIC)
    axle = 0.5 * float(rng.uniform(0.57, 0.62)) * length
    _wheels(b, s, body.wheel * float(rng.uniform(0.94, 1.06)), w + 0.01, (-axle, axle), running=running)
    _ends(b, s, (w, half, low, bonnet), running=running)


def _cabin(
    b: Builder, s: Stand, at: tuple[float, float, float, float, float], rake: tuple[float, float], paint: Material
) -> None:
    """Roof and pillars as one tapered box; panes stand out of it by a centimetre."""
    rear, front, low, high, w = at
    middle, half, up, tall = 0.5 * (rear + front), 0.5 * (front - rear), 0.5 * (low + high), 0.5 * (high - low)
    vary = float(b.rng.uniform(0.8, 1.2))
    taper = (float(b.rng.uniform(0.12, 0.2)), min(rake[0] * vary / half, 0.95), min(rake[1] * vary / half, 0.9))
    s.add(TAPERED, (0.0, up, middle), (w, tall, half), paint, taper=taper, gloss=0.8)
    glass = materials.GLASS._replace(nir=float(b.rng.uniform(0.03, 0.12)))
    pane = tall - 0.07
    s.add(TAPERED, (0.0, up, middle), (0.88 * w, pane, half + 0.012), glass, taper=taper, gloss=0.9)
    panes = 2 if half > 0.8 else 1
    for i in range(panes):
        z = middle + (i - 0.5 * (panes - 1)) * half - 0.02 * half
        lean = [0.9 * t * panes if i == end else 0.0 for t, end in ((taper[1], panes - 1), (taper[2], 0))]
        lean = [min(v, 0.95) for v in lean]
        s.add(TAPERED, (0.0, up, z), (w + 0.012, pane, half / panes - 0.07), glass, taper=(taper[0], *lean), gloss=0.9)


def _ends(b: Builder, s: Stand, body: tuple[float, float, float, float], *, running: bool) -> None:
    """Lamps, plates, bumpers, grille, mirrors; what runs has a warm grille and a hot exhaust."""
    rng, (w, half, low, bonnet) = b.rng, body
    red, white = materials.lamp((0.35, 0.03, 0.03)), materials.lamp((0.5, 0.5, 0.48))
    lamp_up, size = low + 0.72 * (bonnet - low), (float(rng.uniform(0.1, 0.22)), float(rng.uniform(0.05, 0.12)), 0.05)
    on = 1.0 if running and rng.random() < 0.6 else 0.0
    for side in (-1, 1):
        s.add(BOX, (side * (w - size[0] - 0.02), lamp_up, -half + 0.02), size, red, emission=0.25 * on, gloss=0.5)
        s.add(BOX, (side * (w - size[0] - 0.02), lamp_up, half - 0.03), size, white, emission=1.2 * on, gloss=0.5)
    if s.z > DETAILED_M:
        return
    plate = Material((0.7, 0.7, 0.66), 0.6, 0.9, 6.0, 0.0, (0.6, 0.6, 0.1))
    for end in (-1, 1):
        place = (0.0, low + float(rng.uniform(0.15, 0.4)), end * (half - 0.005))
        s.add(BOX, place, (0.26, 0.06, 0.012), plate, layer=b.sign(), texels_per_m=500.0)
        bumper = (0.0, low + 0.12, end * (half - 0.06))
        s.add(BOX, bumper, (0.97 * w, 0.1, 0.08), materials.PLASTIC, gloss=0.1)
        s.add(BOX, (end * (w + 0.1), bonnet + 0.08, 0.22 * half), (0.1, 0.07, 0.05), materials.PLASTIC, gloss=0.3)
    grille = _warm(rng, materials.PLASTIC, running, 4, 18)
    s.add(BOX, (0.0, low + 0.5 * (bonnet - low), half - 0.02), (0.45 * w, 0.1, 0.03), grille)
    exhaust = _warm(rng, materials.PLASTIC, running, 10, 50)
    s.add(BOX, (0.4 * w, low - 0.02, 0.1 - half), (0.25, 0.05, 0.1), exhaust)


def _truck(b: Builder, s: Stand, kind: str, *, running: bool) -> None:
    """A lorry with a box or a tank, or a bus."""
    rng, paint = b.rng, _paint(b.rng)
    length, w, top = float(rng.uniform(6, 11)), float(rng.uniform(1.1, 1.28)), float(rng.uniform(2.6, 3.8))
    half, radius = 0.5 * length, 0.48
    s.add(BOX, (0.0, 0.75, 0.0), (0.8 * w, 0.2, 0.97 * half), _warm(rng, materials.PLASTIC, running, 1, 12))
    _wheels(b, s, radius, w, (-0.62 * half, -0.38 * half, 0.66 * half), running=running)
    if kind == "bus":
        s.add(TAPERED, (0.0, 0.4 + 0.5 * top, 0.0), (w, 0.5 * top, half), paint, taper=(0.04, 0.03, 0.02), gloss=0.6)
        for ahead in np.linspace(-0.8, 0.8, 6) * half:
            place = (0.0, 0.45 + 0.62 * top, float(ahead))
            s.add(BOX, place, (w + 0.01, 0.2 * top, 0.135 * half), materials.GLASS, gloss=0.9)
        s.add(BOX, (0.0, 0.4 + 0.58 * top, 0.0), (0.9 * w, 0.27 * top, half + 0.01), materials.GLASS, gloss=0.9)
    else:
        s.add(TAPERED, (0.0, 1.55, half - 0.9), (0.97 * w, 0.95, 0.9), paint, taper=(0.05, 0.35, 0.0), gloss=0.7)
        pane = (0.0, 1.95, half - 0.9)
        s.add(TAPERED, pane, (0.85 * w, 0.4, 0.8), materials.GLASS, taper=(0.05, 0.15, 0.0), gloss=0.9)
        s.add(BOX, (0.0, 1.9, half - 0.75), (w, 0.33, 0.4), materials.GLASS, gloss=0.9)
        cargo = materials.facade(rng)._replace(offset_k=0.0, emissivity=float(rng.uniform(0.6, 0.93)))
        layer = b.sign() if rng.random() < 0.5 else None
        if kind == "truck":
            place, size = (0.0, 0.95 + 0.5 * top - 0.35, -0.95), (w + 0.03, 0.5 * top - 0.35, half - 1.0)
            s.add(BOX, place, size, cargo, layer=layer, texels_per_m=60.0, gloss=0.2)
        else:
            along = {"tilt": 0.5 * math.pi, "gloss": 0.7}
            s.add(TUBE, (0.0, 2.1, -0.95), (1.1, half - 1.0, 1.1), cargo._replace(emissivity=0.4), **along)
    _ends(b, s, (w, half + 0.02, 0.5, 1.2), running=running)


def _two_wheeler(b: Builder, s: Stand, *, scooter: bool) -> None:
    """A cyclist, or somebody on a scooter."""
    rng, radius = b.rng, 0.24 if scooter else 0.34
    for ahead in (-0.5, 0.5):
        across = {"yaw": 0.5 * math.pi, "tilt": 0.5 * math.pi}
        s.add(TUBE, (0.0, radius, ahead), (radius, 0.03 + 0.03 * scooter, radius), materials.RUBBER, **across)
    paint = _paint(rng)
    for start, end in (
        ((0, radius, -0.5), (0, 0.85, -0.2)),
        ((0, 0.85, -0.2), (0, 0.9, 0.4)),
        ((0, radius, 0.5), (0, 1.05, 0.38)),
    ):
        s.limb(start, end, (0.03, 0.03), paint)
    if scooter:
        s.add(TAPERED, (0.0, 0.5, -0.15), (0.18, 0.25, 0.5), paint, taper=(0.3, 0.3, 0.1), gloss=0.8)
        s.add(BOX, (0.0, 0.95, -0.55), (0.22, 0.2, 0.2), materials.anything(rng))
    coat, trousers = materials.cloth(rng), materials.cloth(rng)
    s.limb((0.0, 0.9, -0.2), (0.0, 1.45, 0.05), (0.2, 0.18), coat)
    for side in (-0.12, 0.12):
        s.limb((side, 0.9, -0.15), (side, 0.35, 0.1 + side), (0.09, 0.06), trousers)
        s.limb((2 * side, 1.35, 0.05), (2 * side, 1.05, 0.4), (0.06, 0.05), coat)
    s.add(ELLIPSOID, (0.0, 1.62, 0.1), (0.11, 0.14, 0.12), materials.skin(rng))
