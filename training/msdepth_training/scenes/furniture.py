"""What stands along and over roads: lamps, lights, signs, wires, rails, fences, bollards, bridges; and people."""

from __future__ import annotations

import math

import numpy as np

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import BOX, ELLIPSOID, TAPERED, TUBE, Builder
from msdepth_training.scenes.materials import Material, vary
from msdepth_training.scenes.placing import Road, Stand


def steel(rng: np.random.Generator) -> Material:
    """Painted or zinc-coated, seldom bare."""
    grey = float(rng.choice([rng.uniform(0.03, 0.1), rng.uniform(0.2, 0.5)]))
    metal = Material((grey, grey, grey), grey * float(rng.uniform(0.8, 1.4)), 0.9, 6.0, 0.0, (0.1, 0.1, 0.2))
    return metal._replace(emissivity=float(rng.uniform(0.3, 0.6) if rng.random() < 0.15 else rng.uniform(0.8, 0.95)))


def board(rng: np.random.Generator) -> Material:
    """Of a sign: any colours, much contrast."""
    return materials.anything(rng)._replace(
        emissivity=float(rng.uniform(0.75, 0.95)), offset_k=0.0, contrast=(float(rng.uniform(0.2, 0.9)), 0.5, 0.2)
    )


def lamp_post(s: Stand, side: int, *, height: float, arm: float, metal: Material, banner: bool) -> None:
    """A street lamp that leans over the road, some with a banner."""
    radius = float(s.b.rng.uniform(0.06, 0.11))
    s.limb((0.0, 0.0, 0.0), (0.0, height, 0.0), (radius, 0.6 * radius), metal)
    tip = (-side * arm, height + 0.15 * arm, 0.0)
    s.limb((0.0, height - 0.1, 0.0), tip, (0.6 * radius, 0.5 * radius), metal)
    s.add(BOX, (tip[0], tip[1] - 0.03, 0.0), (0.4, 0.06, 0.14), metal, emission=0.4)
    if banner:
        up = 0.45 * height
        cloth = board(s.b.rng)
        s.add(BOX, (-side * 0.4, up, 0.0), (0.33, 0.9, 0.02), cloth, layer=s.b.sign(), texels_per_m=80.0)


def sign(s: Stand) -> None:
    """A round, square or triangular traffic sign, or a large board."""
    rng, metal = s.b.rng, steel(s.b.rng)
    height, size = float(rng.uniform(2.0, 3.2)), float(rng.uniform(0.25, 0.45))
    s.limb((0.0, 0.0, 0.0), (0.0, height + size, 0.0), (0.035, 0.035), metal)
    face = {"layer": s.b.sign(), "texels_per_m": 150.0}
    shape, turned = rng.random(), float(rng.normal(0, 0.25)) + 1e-6
    if shape < 0.35:
        s.add(TUBE, (0.0, height, -0.05), (size, 0.015, size), board(rng), yaw=turned, tilt=0.5 * math.pi, **face)
    elif shape < 0.5:
        s.add(TAPERED, (0.0, height, -0.05), (size, size, 0.015), board(rng), yaw=turned, taper=(1.0, 0.0, 0.0), **face)
    else:
        wide, tall = size * float(rng.uniform(0.8, 3.0)), size * float(rng.uniform(0.7, 1.5))
        s.add(BOX, (0.0, height, -0.05), (wide, tall, 0.02), board(rng), yaw=turned, **face)


def traffic_light(s: Stand, side: int) -> None:
    """On a pole, or hung over the road."""
    rng, metal = s.b.rng, steel(s.b.rng)
    reach = float(rng.choice([0.0, rng.uniform(3, 6)]))
    height = 5.5 if reach else float(rng.uniform(2.6, 3.4))
    s.limb((0.0, 0.0, 0.0), (0.0, height, 0.0), (0.09, 0.07), metal)
    if reach:
        s.limb((0.0, height, 0.0), (-side * reach, height, 0.0), (0.06, 0.05), metal)
    wide = rng.random() < 0.5
    s.add(BOX, (-side * reach, height, -0.12), (0.55, 0.18, 0.1) if wide else (0.18, 0.55, 0.1), materials.PLASTIC)
    lit = int(rng.integers(3))
    for i, rgb in enumerate(((0.6, 0.04, 0.03), (0.6, 0.4, 0.03), (0.05, 0.55, 0.3))):
        off = 0.34 * (i - 1)
        place = (-side * reach + (off if wide else 0.0), height - (0.0 if wide else off), -0.23)
        s.add(ELLIPSOID, place, (0.11, 0.11, 0.04), materials.lamp(rgb), emission=1.5 if i == lit else 0.0)


def wires(b: Builder, road: Road, across: float, start_m: float) -> None:
    """A line of poles and what hangs between them."""
    rng, height, gap = b.rng, float(b.rng.uniform(6, 9)), float(b.rng.uniform(22, 40))
    wood = vary(rng, materials.WOOD if rng.random() < 0.5 else materials.PAVEMENT)
    stands = [road.stand(b, across, start_m + gap * i) for i in range(int(road.length_m / gap / 2) + 1)]
    hooks = [
        (float(rng.uniform(-0.9, 0.9)), height - float(rng.uniform(0.1, 1.5))) for _ in range(int(rng.integers(2, 5)))
    ]
    black = materials.PLASTIC
    for s, following in zip(stands, stands[1:] + [None], strict=True):
        s.limb((0.0, -0.5, 0.0), (0.0, height + 0.3, 0.0), (0.15, 0.11), wood)
        s.add(BOX, (0.0, height - 0.3, 0.0), (1.0, 0.06, 0.06), wood)
        if following is None:
            continue
        for right, up in hooks:
            a, z = s.world(right, up, 0.0), following.world(right, up, 0.0)
            sag, pieces = float(rng.uniform(0.3, 1.0)), 4
            at = [tuple(p + (q - p) * i / pieces for p, q in zip(a, z, strict=True)) for i in range(pieces + 1)]
            hung = [(p[0], p[1] + 4 * sag * (i / pieces) * (1 - i / pieces), p[2]) for i, p in enumerate(at)]
            line = Stand(b, 0.0, 0.0, 0.0)
            for p, q in zip(hung, hung[1:], strict=False):
                line.limb((p[0], -p[1], p[2]), (q[0], -q[1], q[2]), (0.018, 0.018), black)


def rail(s: Stand, length: float, style: int, material: Material) -> None:
    """A piece of guard rail, railing, wall or panel fence along the road."""
    half = 0.5 * length
    if style == 2:
        s.add(BOX, (0.0, 0.3, 0.0), (0.12, 0.6, half), material)
        return
    bars = ((0.6, 0.15),) if style == 0 else ((0.25, 0.03), (0.6, 0.03), (0.95, 0.03))
    for up, tall in bars:
        s.add(BOX, (0.0, up, 0.0), (0.035, tall, half), material)
    for ahead in np.arange(-half, half, 2.0):
        s.add(BOX, (0.05, 0.4, float(ahead)), (0.05, 0.5, 0.04), material)


def small(s: Stand) -> None:
    """A bollard, a cone, a bin, a box or a hydrant."""
    rng, kind, thing = (
        s.b.rng,
        int(s.b.rng.integers(4)),
        vary(s.b.rng, materials.anything(s.b.rng))._replace(offset_k=0.0),
    )
    height = float(rng.uniform(0.4, 1.2))
    if kind == 0:
        s.limb((0.0, 0.0, 0.0), (0.0, height, 0.0), (0.07, 0.06), thing)
    elif kind == 1:
        s.add(TUBE, (0.0, 0.35, 0.0), (0.18, 0.35, 0.18), materials.lamp((0.6, 0.15, 0.04)), taper=(0.85, 0.0, 0.0))
    else:
        wide = float(rng.uniform(0.2, 0.6))
        s.add(BOX, (0.0, 0.5 * height, 0.0), (wide, 0.5 * height, float(rng.uniform(0.2, 0.6))), thing)


def pillar(s: Stand) -> None:
    """A post, a pillar or a trunk, thin or thick."""
    rng = s.b.rng
    material = (steel(rng), vary(rng, materials.WOOD), vary(rng, materials.PAVEMENT))[int(rng.integers(3))]
    radius, height = float(rng.uniform(0.04, 0.25)), float(rng.uniform(1.2, 6.0))
    s.limb((0.0, -0.2, 0.0), (0.0, height, 0.0), (radius, 0.8 * radius), material, texels_per_m=60.0)


def overhead(s: Stand, half_m: float, *, bridge: bool) -> None:
    """A gantry with signs, or a bridge across the road."""
    rng, wide = s.b.rng, half_m + 2.0
    material = vary(rng, materials.PAVEMENT) if bridge else steel(rng)
    for side in (-1, 1):
        s.limb((side * wide, -1.0, 0.0), (side * wide, 5.6, 0.0), (0.7, 0.7) if bridge else (0.16, 0.14), material)
    if bridge:
        s.add(BOX, (0.0, 6.3, 0.0), (wide + 30.0, 0.7, float(rng.uniform(1.5, 6))), material)
        s.add(BOX, (0.0, 7.4, -1.5), (wide + 30.0, 0.45, 0.05), steel(rng))
        return
    s.add(BOX, (0.0, 5.7, 0.0), (wide, 0.2, 0.2), material)
    for _ in range(int(rng.integers(1, 4))):
        place = (float(rng.uniform(-0.7, 0.7)) * half_m, 5.7, -0.25)
        plate = Material((0.05, 0.2, 0.12), 0.4, 0.9, 6.0, 0.0, (0.9, 0.5, 0.2))
        s.add(BOX, place, (float(rng.uniform(0.8, 2)), 0.8, 0.04), plate, layer=s.b.sign(), texels_per_m=60.0)


def person(s: Stand) -> None:
    """Somebody who walks or stands about, grown up or a child."""
    rng, height = s.b.rng, float(s.b.rng.normal(1.7, 0.1) if s.b.rng.random() < 0.75 else s.b.rng.uniform(0.9, 1.6))
    coat, trousers, stride = materials.cloth(rng), materials.cloth(rng), float(rng.uniform(0.0, 0.3))
    hip, neck = 0.5 * height, 0.84 * height
    for side in (-1, 1):
        s.limb((0.08 * side, hip, 0.0), (0.1 * side, 0.03, side * stride), (0.09, 0.06), trousers)
        s.limb((0.2 * side, 0.8 * height, 0.0), (0.26 * side, 0.45 * height, -side * stride), (0.06, 0.045), coat)
    s.add(
        TAPERED, (0.0, 0.5 * (hip + neck), 0.0), (0.17, 0.5 * (neck - hip) + 0.03, 0.12), coat, taper=(-0.2, 0.1, 0.1)
    )
    s.add(ELLIPSOID, (0.0, 0.93 * height, 0.0), (0.09, 0.12, 0.1), materials.skin(rng))
    if rng.random() < 0.3:
        s.add(BOX, (0.0, 0.7 * height, -0.18), (0.14, 0.2, 0.09), materials.cloth(rng)._replace(offset_k=0.5))
