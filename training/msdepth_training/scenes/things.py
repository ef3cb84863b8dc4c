"""What stands and moves in a street; each function adds one thing to a scene under construction."""

from __future__ import annotations

import math

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import BOX, CYLINDER, ELLIPSOID, Builder, log_uniform
from msdepth_training.scenes.materials import Material, vary
from msdepth_training.scenes.textures import TEST_LAYERS


def car(b: Builder, x: float, z: float, *, velocity: float, heading: float) -> None:
    """A car or truck around (x, z), metres; velocity along z, m/s; heading about the vertical, rad."""
    rng, paint = b.rng, materials.car_paint(b.rng)
    truck = rng.random() < (0.4 if b.layers == TEST_LAYERS else 0.12)
    w, h, length = (
        (1.2, rng.uniform(1.2, 1.7), rng.uniform(3.0, 5.5))
        if truck
        else (rng.uniform(0.8, 0.98), rng.uniform(0.35, 0.5), rng.uniform(1.8, 2.5))
    )
    v, lift = (0.0, 0.0, velocity), 0.32
    b.add(BOX, (x, -lift - h, z), (w, h, length), paint, yaw=heading, velocity=v)
    roof = -lift - 2 * h
    if not truck:
        cabin = rng.uniform(0.26, 0.4)
        glass = (x, roof - cabin, z + rng.uniform(-0.4, 0.1))
        b.add(BOX, glass, (0.86 * w, cabin, 0.5 * length), materials.GLASS, yaw=heading, velocity=v)
        b.add(BOX, (x, roof - 2 * cabin - 0.03, z), (0.8 * w, 0.04, 0.42 * length), paint, yaw=heading, velocity=v)
    for side in (-1, 1):
        for end in (-1, 1):
            dz = end * 0.62 * length
            centre = (
                x + side * 0.9 * w * math.cos(heading) + dz * math.sin(heading),
                -0.31,
                z + dz * math.cos(heading) - side * 0.9 * w * math.sin(heading),
            )
            b.add(ELLIPSOID, centre, (0.14, 0.32, 0.32), materials.RUBBER, yaw=heading, velocity=v)
        lamp = (x + side * 0.75 * w, -lift - 1.3 * h, z - length - 0.01)
        b.add(BOX, lamp, (0.12, 0.07, 0.03), materials.GLASS._replace(rgb=(0.5, 0.05, 0.04)), velocity=v, emission=0.25)


def person(b: Builder, x: float, z: float) -> None:
    """Somebody who walks about."""
    rng, height = b.rng, b.rng.uniform(1.5, 1.9)
    v = (float(rng.normal(0, 0.4)), 0.0, float(rng.normal(0, 0.8)))
    b.add(ELLIPSOID, (x, -0.28 * height, z), (0.16, 0.28 * height, 0.14), materials.cloth(rng), velocity=v)
    b.add(ELLIPSOID, (x, -0.64 * height, z), (0.24, 0.24 * height, 0.17), materials.cloth(rng), velocity=v)
    skin = Material((0.5, 0.36, 0.3), 0.55, 0.98, 0.5, float(rng.uniform(8, 16)), (0.05, 0.05, 0.4))
    b.add(ELLIPSOID, (x, -0.93 * height, z), (0.1, 0.13, 0.11), skin, velocity=v)


def tree(b: Builder, x: float, z: float) -> None:
    """A trunk and some balls of leaves."""
    rng, height, crown = b.rng, b.rng.uniform(3, 11), b.rng.uniform(1.0, 3.0)
    b.add(
        CYLINDER,
        (x, -0.5 * height, z),
        (rng.uniform(0.1, 0.3), 0.5 * height, rng.uniform(0.1, 0.3)),
        vary(rng, materials.BARK),
    )
    leaf = vary(rng, materials.FOLIAGE)
    for _ in range(rng.integers(2, 5)):
        centre = (x + rng.normal(0, 0.5 * crown), -height + rng.normal(0, 0.4 * crown), z + rng.normal(0, 0.5 * crown))
        half = tuple(crown * rng.uniform(0.6, 1.1, 3))
        b.add(
            ELLIPSOID,
            centre,
            half,
            vary(rng, leaf),
            cutout=float(rng.uniform(0.15, 0.5)),
            texels_per_m=float(rng.uniform(20, 60)),
        )


def bush(b: Builder, x: float, z: float) -> None:
    """A ball of leaves."""
    size = b.rng.uniform(0.4, 1.5)
    half = (size * b.rng.uniform(0.7, 2.0), size, size * b.rng.uniform(0.7, 2.5))
    b.add(
        ELLIPSOID,
        (x, -0.7 * size, z),
        half,
        vary(b.rng, materials.FOLIAGE),
        cutout=float(b.rng.uniform(0.05, 0.3)),
        texels_per_m=40.0,
    )


def pole(b: Builder, x: float, z: float) -> None:
    """A pole, half of them with a sign."""
    rng, height = b.rng, b.rng.uniform(2.2, 8.0)
    material = vary(rng, [materials.METAL, materials.WOOD, materials.PAVEMENT][int(rng.integers(3))])
    radius = rng.uniform(0.04, 0.16)
    b.add(CYLINDER, (x, -0.5 * height, z), (radius, 0.5 * height, radius), material)
    if rng.random() < 0.5:
        sign = materials.anything(rng)._replace(emissivity=float(rng.uniform(0.3, 0.9)))
        b.add(
            BOX,
            (x, -0.85 * height, z - 0.1),
            (rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.6), 0.03),
            sign,
            yaw=float(rng.normal(0, 0.2)),
        )


def building(b: Builder, x: float, z: float, side: int) -> float:
    """A house from z on whose facade is at x, on side -1 or 1 of the road; returns the length it takes up."""
    rng = b.rng
    depth, width, height = rng.uniform(3, 8), rng.uniform(4, 14), rng.uniform(2, 12)
    windows = float(rng.uniform(1.8, 4.0)) if rng.random() < 0.8 else 0.0
    b.add(
        BOX,
        (x + side * depth, -height, z + width),
        (depth, height, width),
        materials.facade(rng),
        yaw=float(rng.normal(0, 0.03)),
        windows=windows,
    )
    return float(2 * width + rng.choice([0.0, rng.uniform(0.5, 8)]))


def floating(b: Builder) -> None:
    """An object of any kind in mid-air before the vehicle."""
    rng = b.rng
    z = log_uniform(rng, 4, 50)
    size = tuple(z * rng.uniform(0.02, 0.12, 3))
    centre = (float(rng.normal(0, 0.35 * z)), float(rng.uniform(-0.35 * z - 1.5, -size[1])), z)
    kinds = [BOX, ELLIPSOID, CYLINDER]
    b.add(
        kinds[int(rng.integers(3))],
        centre,
        size,
        materials.anything(rng),
        yaw=float(rng.uniform(0, math.pi)),
        cutout=float(rng.choice([0.0, 0.0, 0.3])),
    )
