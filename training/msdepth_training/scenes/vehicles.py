"""Cars, vans and two-wheelers, as assemblies of tapered boxes, tubes and panes; and vehicles of any kind."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msdepth_training.scenes import lorries, materials
from msdepth_training.scenes.bodies import DETAILED_M, ends, paint, wheels
from msdepth_training.scenes.instances import BOX, ELLIPSOID, TAPERED, TUBE, Builder
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.placing import Stand


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
    "coupe": Body((4.2, 4.7), (1.8, 1.92), (1.25, 1.36), (0.8, 0.88), (0.12, 0.7), (0.95, 0.9), 0.35),
    "van": Body((4.7, 5.9), (1.9, 2.1), (1.9, 2.6), (1.0, 1.2), (0.0, 0.88), (0.55, 0.06), 0.35),
    "estate": Body((4.5, 4.9), (1.78, 1.9), (1.42, 1.55), (0.86, 0.96), (0.0, 0.73), (0.8, 0.45)),
    "pickup": Body((5.0, 5.6), (1.85, 2.0), (1.75, 1.9), (1.0, 1.15), (0.38, 0.73), (0.6, 0.1), 0.4),
    "minibus": Body((4.6, 5.2), (1.7, 1.85), (1.95, 2.2), (1.0, 1.1), (0.0, 0.985), (0.35, 0.05), 0.31),
}
TRAIN_KINDS = (
    "sedan", "sedan", "sedan", "hatchback", "hatchback", "hatchback", "suv", "suv", "suv", "suv", "coupe", "van", "van",
    "pickup", "pickup", "truck", "semi", "tanker", "dumper", "bus", "cyclist", "motorcycle",
)  # fmt: skip
TEST_KINDS = ("estate", "estate", "estate", "minibus", "minibus", "camper", "flatbed", "scooter")
"""Only in test scenes."""
TWO_WHEELERS = ("cyclist", "motorcycle", "scooter")


def vehicle_kind(rng: np.random.Generator, *, test: bool) -> str:
    """One of `TRAIN_KINDS` or, in test scenes, of `TEST_KINDS`."""
    kinds = TEST_KINDS if test else TRAIN_KINDS
    return kinds[int(rng.integers(len(kinds)))]


def half_size_m(kind: str) -> tuple[float, float]:
    """Half of the width and length of the largest of a kind."""
    if kind in CARS:
        return 0.5 * CARS[kind].width[1], 0.5 * CARS[kind].length[1]
    return (0.4, 0.95) if kind in TWO_WHEELERS else (1.3, 0.5 * lorries.LENGTH_M[kind][1])


def vehicle(b: Builder, stand: Stand, *, test: bool, running: bool, kind: str | None = None) -> None:
    """A vehicle of some kind, looking ahead.

    Args:
        b: the scene under construction.
        stand: below the vehicle's middle; moves if it does.
        test: whether the scene belongs to the test split, which has kinds of its own.
        running: whether engine, tyres and brakes are warm.
        kind: from `vehicle_kind`; drawn unless given.
    """
    kind = kind or vehicle_kind(b.rng, test=test)
    if kind in CARS:
        _car(b, stand, kind, running=running)
    elif kind == "bus":
        lorries.bus(b, stand, running=running)
    elif kind in TWO_WHEELERS:
        _two_wheeler(b, stand, kind)
    else:
        lorries.lorry(b, stand, kind, running=running)


def _car(b: Builder, s: Stand, kind: str, *, running: bool) -> None:
    rng, body, colour = b.rng, CARS[kind], paint(b.rng)
    length, width, height, bonnet = (float(rng.uniform(*r)) for r in body[:4])
    w, half, low = 0.5 * width, 0.5 * length, 0.18
    waist = bonnet - float(rng.uniform(0.08, 0.2))
    s.add(
        TAPERED, (0.0, 0.5 * (low + waist), 0.0), (w, 0.5 * (waist - low), half), colour,
        taper=(0.02, float(rng.uniform(0.0, 0.03)), float(rng.uniform(0.0, 0.03))), gloss=0.8,
    )  # fmt: skip
    s.add(
        TAPERED, (0.0, 0.5 * (waist + bonnet), 0.0), (0.995 * w, 0.5 * (bonnet - waist), 0.985 * half), colour,
        taper=(0.08, float(rng.uniform(0.1, 0.35)), float(rng.uniform(0.03, 0.1))), gloss=0.8,
    )  # fmt: skip
    rear, front = ((share - 0.5) * length for share in body.cabin)
    front, rear = front - (0.05 if kind != "pickup" else 0.0), rear + 0.03
    _cabin(b, s, (rear, front, bonnet, height, 0.93 * w), body.rake, colour)
    s.add(BOX, (0.0, 0.04, 0.0), (0.85 * w, 0.03, 0.9 * half), materials.SHADOW)
    if kind == "pickup":
        s.add(BOX, (0.0, bonnet, 0.5 * (rear - half)), (0.85 * w, 0.02, 0.45 * (rear + half)), materials.PLASTIC)
    axle = 0.5 * float(rng.uniform(0.57, 0.62)) * length
    wheels(b, s, body.wheel * float(rng.uniform(0.94, 1.06)), w + 0.01, (-axle, axle), running=running)
    ends(b, s, (w, half, low, bonnet), colour, running=running)
    if s.away_m < DETAILED_M:
        _fittings(b, s, (w, low, bonnet, height, rear, front), colour, running=running)


def _fittings(
    b: Builder, s: Stand, at: tuple[float, float, float, float, float, float], colour: Material, *, running: bool
) -> None:
    """Seams and handles of doors; on some cars a box or rails on the roof, and a door that stands open."""
    rng, (w, low, bonnet, height, rear, front) = b.rng, at
    middle, dark = 0.5 * (rear + front), materials.PLASTIC
    for ahead in (middle - 0.35 * (front - rear), middle, middle + 0.42 * (front - rear)):
        s.add(BOX, (0.0, 0.5 * (low + bonnet) + 0.03, ahead), (w + 0.003, 0.4 * (bonnet - low), 0.008), dark)
    s.add(BOX, (0.0, bonnet - 0.12, middle - 0.1), (w + 0.02, 0.015, 0.08), colour if rng.random() < 0.6 else dark)
    extra = rng.random()
    if extra < 0.08:
        s.add(TAPERED, (0.0, height + 0.22, middle), (0.4, 0.17, 0.75), dark, taper=(0.15, 0.3, 0.15), gloss=0.5)
    elif extra < 0.25:
        for side in (-1, 1):
            s.add(BOX, (0.72 * side * w, height + 0.04, middle), (0.025, 0.03, 0.5 * (front - rear) - 0.4), dark)
    if not running and rng.random() < 0.1:
        side, turned = float(rng.choice([-1.0, 1.0])), float(rng.uniform(0.4, 1.2))
        reach = 0.5 * float(rng.uniform(0.9, 1.15))
        place = (side * (w + reach * math.sin(turned)), 0.5 * (low + bonnet), 0.9 * front - reach * math.cos(turned))
        s.add(BOX, place, (0.04, 0.5 * (bonnet - low), reach), colour, yaw=-side * turned, gloss=0.8)
        s.add(BOX, (place[0], bonnet + 0.2, place[2]), (0.025, 0.2, 0.8 * reach), materials.GLASS, yaw=-side * turned,
              gloss=0.9)  # fmt: skip


def _cabin(
    b: Builder, s: Stand, at: tuple[float, float, float, float, float], rake: tuple[float, float], colour: Material
) -> None:
    """Roof and pillars as one tapered box; panes stand out of it by a centimetre."""
    rear, front, low, high, w = at
    middle, half, up, tall = 0.5 * (rear + front), 0.5 * (front - rear), 0.5 * (low + high), 0.5 * (high - low)
    vary = float(b.rng.uniform(0.8, 1.2))
    taper = (float(b.rng.uniform(0.12, 0.2)), min(rake[0] * vary / half, 0.95), min(rake[1] * vary / half, 0.9))
    s.add(TAPERED, (0.0, up, middle), (w, tall, half), colour, taper=taper, gloss=0.8)
    glass = materials.GLASS._replace(nir=float(b.rng.uniform(0.03, 0.12)))
    pane = tall - 0.07
    s.add(TAPERED, (0.0, up, middle), (0.88 * w, pane, half + 0.012), glass, taper=taper, gloss=0.9)
    panes = 2 if half > 0.8 else 1
    for i in range(panes):
        z = middle + (i - 0.5 * (panes - 1)) * half - 0.02 * half
        lean = [0.9 * t * panes if i == end else 0.0 for t, end in ((taper[1], panes - 1), (taper[2], 0))]
        lean = [min(v, 0.95) for v in lean]
        s.add(TAPERED, (0.0, up, z), (w + 0.012, pane, half / panes - 0.07), glass, taper=(taper[0], *lean), gloss=0.9)


def _two_wheeler(b: Builder, s: Stand, kind: str) -> None:
    """Somebody on a bicycle, a motorcycle or a scooter."""
    rng, motor = b.rng, kind != "cyclist"
    radius, wide = {"cyclist": (0.34, 0.025), "motorcycle": (0.31, 0.07), "scooter": (0.24, 0.06)}[kind]
    across = {"yaw": 0.5 * math.pi, "tilt": 0.5 * math.pi}
    base = 0.68 if kind == "motorcycle" else 0.52
    for ahead in (-base, base):
        s.add(TUBE, (0.0, radius, ahead), (radius, wide, radius), materials.RUBBER, **across)
        if motor:
            s.add(TUBE, (0.0, radius, ahead), (0.6 * radius, wide + 0.01, 0.6 * radius), materials.METAL, **across)
    colour = paint(rng)
    for start, end in (
        ((0, radius, -base), (0, 0.85, -0.2)),
        ((0, 0.85, -0.2), (0, 0.9, 0.4)),
        ((0, radius, base), (0, 1.05, 0.38)),
        ((-0.3, 1.05, 0.36), (0.3, 1.05, 0.36)),
    ):
        s.limb(start, end, (0.03, 0.03), colour)
    if kind == "scooter":
        s.add(TAPERED, (0.0, 0.5, -0.15), (0.18, 0.25, 0.5), colour, taper=(0.3, 0.3, 0.1), gloss=0.8)
        s.add(BOX, (0.0, 0.95, -0.55), (0.22, 0.2, 0.2), materials.anything(rng))
    elif kind == "motorcycle":
        s.add(ELLIPSOID, (0.0, 0.85, 0.15), (0.17, 0.15, 0.32), colour, gloss=0.8)
        s.add(BOX, (0.0, 0.48, 0.0), (0.16, 0.2, 0.25), materials.METAL._replace(emissivity=0.7, offset_k=15.0))
        s.add(TAPERED, (0.0, 0.82, -0.45), (0.15, 0.07, 0.35), materials.PLASTIC, taper=(0.2, 0.0, 0.4))
        s.add(ELLIPSOID, (0.0, 0.95, 0.55), (0.1, 0.1, 0.08), materials.lamp((0.5, 0.5, 0.48)), emission=0.6, gloss=0.6)
    _rider(b, s, float(rng.uniform(0.75, 1.08)), helmet=motor or rng.random() < 0.5)


def _rider(b: Builder, s: Stand, size: float, *, helmet: bool) -> None:
    rng = b.rng
    coat, trousers, lean = materials.cloth(rng), materials.cloth(rng), float(rng.uniform(0.0, 0.2))
    neck = (0.0, 0.88 + 0.57 * size, lean)
    s.limb((0.0, 0.88, -0.2), neck, (0.2 * size, 0.17 * size), coat)
    for side in (-0.12, 0.12):
        s.limb((side, 0.9, -0.15), (side, 0.55, 0.22 + side), (0.09, 0.07), trousers)
        s.limb((side, 0.55, 0.22 + side), (side, 0.22, 0.05 + side), (0.07, 0.05), trousers)
        s.limb((2 * side, neck[1] - 0.1, lean), (2 * side, 1.05, 0.36), (0.06, 0.05), coat)
    head = (0.0, neck[1] + 0.17 * size, lean + 0.05)
    s.add(ELLIPSOID, head, (0.1, 0.13, 0.11), materials.skin(rng))
    if helmet:
        shell = materials.car_paint(rng)
        s.add(ELLIPSOID, (0.0, head[1] + 0.04, head[2] - 0.02), (0.125, 0.12, 0.14), shell, gloss=0.7)
