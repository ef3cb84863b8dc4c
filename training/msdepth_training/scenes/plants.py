"""Trees, hedges, bushes and banks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import ELLIPSOID, HEDGE, LEAVES, TAPERED, Triple
from msdepth_training.scenes.materials import Material, vary
from msdepth_training.scenes.placing import Stand

LEAF_RAD = 0.0025
"""Leaves are drawn no smaller than this angle, seen from the start: about a pixel."""


def leaf(rng: np.random.Generator) -> Material:
    """Of one plant: from dark conifers to fresh green and autumn."""
    base = vary(rng, materials.FOLIAGE)
    tone, season = float(np.exp(rng.normal(0.1, 0.3))), float(rng.random())
    r, g, b = (c * tone for c in base.rgb)
    if season < 0.12:
        r, g = 2.5 * r, 1.1 * g
    nir = min(0.75, base.nir * float(rng.uniform(0.6, 1.2)))
    coarse = float(rng.uniform(0.1, 0.5))
    return base._replace(rgb=(min(r, 0.5), min(g, 0.5), b), nir=nir, contrast=(coarse, 0.9 * coarse, 0.3))


def wood_of(rng: np.random.Generator) -> Material:
    """Trunk and branches: dark, and warmer than the leaves."""
    bark = vary(rng, materials.BARK)
    return bark._replace(offset_k=bark.offset_k + float(rng.uniform(0, 2)), rgb=(0.8 * bark.rgb[0], *bark.rgb[1:]))


def _cells_per_m(s: Stand) -> float:
    return 1.0 / max(float(s.b.rng.uniform(0.05, 0.13)), LEAF_RAD * s.away_m)


def clump(s: Stand, place: Triple, half: Triple, material: Material, *, cutout: float, kind: int = LEAVES) -> None:
    """A clump of leaves; the more cutout, the thinner."""
    s.add(kind, place, half, material, cutout=cutout, texels_per_m=_cells_per_m(s))


def _round(s: Stand) -> None:
    """A crown of several clumps on branches, such as planes, zelkovas or limes have."""
    rng, height, spread = s.b.rng, float(s.b.rng.uniform(4, 14)), float(s.b.rng.uniform(1.4, 4.8))
    trunk, bark, green = 0.025 * height * float(rng.uniform(0.6, 1.3)), wood_of(rng), leaf(rng)
    fork = height * float(rng.uniform(0.25, 0.45))
    top = (float(rng.normal(0, 0.15)), fork, float(rng.normal(0, 0.15)))
    s.limb((0.0, -0.2, 0.0), top, (trunk, 0.7 * trunk), bark, texels_per_m=60.0)
    thin = float(rng.uniform(0.0, 0.45))
    for _ in range(int(rng.integers(4, 9))):
        angle, reach = rng.uniform(0, 2 * math.pi), spread * float(rng.uniform(0.2, 0.8))
        place = (reach * math.cos(angle), height * float(rng.uniform(0.6, 0.92)), reach * math.sin(angle))
        s.limb(top, place, (0.5 * trunk, 0.12 * trunk), bark)
        x, y, z = (float(v) for v in spread * rng.uniform(0.35, 0.75, 3))
        clump(s, place, (x, 0.75 * y, z), vary(rng, green), cutout=thin + float(rng.uniform(0, 0.2)))


def _oval(s: Stand) -> None:
    """A poplar, a ginkgo or a trimmed street tree: one tall crown."""
    rng, height, spread = s.b.rng, float(s.b.rng.uniform(4, 13)), float(s.b.rng.uniform(0.7, 2.0))
    bark, low = wood_of(rng), float(s.b.rng.uniform(0.15, 0.3)) * height
    s.limb((0.0, -0.2, 0.0), (0.0, 0.8 * height, 0.0), (0.02 * height, 0.008 * height), bark, texels_per_m=60.0)
    green, tall = leaf(rng), 0.5 * (height - low)
    clump(s, (0.0, low + tall, 0.0), (spread, tall, spread), green, cutout=float(rng.uniform(0.0, 0.4)))
    clump(s, (0.0, low + 0.7 * tall, 0.0), (1.2 * spread, 0.6 * tall, 1.2 * spread), vary(rng, green), cutout=0.1)


def _conifer(s: Stand) -> None:
    """Tiers of needles that get smaller upwards."""
    rng, height, spread = s.b.rng, float(s.b.rng.uniform(5, 14)), float(s.b.rng.uniform(1.2, 2.6))
    green, tiers = leaf(rng), int(rng.integers(4, 7))
    s.limb((0.0, -0.2, 0.0), (0.0, height, 0.0), (0.02 * height, 0.004 * height), wood_of(rng))
    for i in range(tiers):
        up, wide = height * (0.2 + 0.75 * i / (tiers - 1)), spread * (1.0 - 0.8 * i / (tiers - 1))
        clump(s, (0.0, up, 0.0), (wide, 0.45 * height / tiers, wide), green, cutout=float(rng.uniform(0.0, 0.3)))


def _bare(s: Stand) -> None:
    """Branches with few leaves or none."""
    rng, height, bark = s.b.rng, float(s.b.rng.uniform(4, 10)), wood_of(s.b.rng)
    top, thick = (0.0, 0.4 * height, 0.0), 0.02 * height
    s.limb((0.0, -0.2, 0.0), top, (thick, 0.7 * thick), bark)
    for _ in range(int(rng.integers(4, 7))):
        lean = rng.normal(0, 0.22 * height, 2)
        fork = (float(lean[0]), height * float(rng.uniform(0.55, 0.8)), float(lean[1]))
        s.limb(top, fork, (0.5 * thick, 0.25 * thick), bark)
        for _ in range(3):
            twig = rng.normal(0, 0.1 * height, 3)
            tip = (fork[0] + float(twig[0]), fork[1] + abs(float(twig[1])) + 0.3, fork[2] + float(twig[2]))
            s.limb(fork, tip, (0.2 * thick, 0.06 * thick), bark)
    if rng.random() < 0.5:
        wide = 0.35 * height
        clump(s, (0.0, 0.75 * height, 0.0), (wide, 0.3 * height, wide), leaf(rng), cutout=float(rng.uniform(0.6, 0.9)))


def _umbrella(s: Stand) -> None:
    """A pine with a bare, bent trunk and a flat crown."""
    rng, height, bark = s.b.rng, float(s.b.rng.uniform(5, 12)), wood_of(s.b.rng)
    bend, green = (float(rng.normal(0, 0.6)), 0.5 * height, float(rng.normal(0, 0.6))), leaf(rng)
    s.limb((0.0, -0.2, 0.0), bend, (0.025 * height, 0.02 * height), bark)
    for _ in range(int(rng.integers(3, 6))):
        aside = rng.normal(0, 1.3, 2)
        place = (bend[0] + float(aside[0]), height * float(rng.uniform(0.85, 1.0)), bend[2] + float(aside[1]))
        s.limb(bend, place, (0.012 * height, 0.006 * height), bark)
        wide = float(rng.uniform(1.2, 2.4))
        clump(s, place, (wide, 0.3 * wide, wide), vary(rng, green), cutout=float(rng.uniform(0.0, 0.2)))


def _column(s: Stand) -> None:
    """A cypress, or a tree cut to a block."""
    rng, height, wide = s.b.rng, float(s.b.rng.uniform(3, 10)), float(s.b.rng.uniform(0.4, 1.1))
    s.limb((0.0, -0.2, 0.0), (0.0, 0.3 * height, 0.0), (0.1, 0.08), wood_of(rng))
    half = 0.43 * height
    clump(s, (0.0, height - half, 0.0), (wide, half, wide), leaf(rng), cutout=float(rng.uniform(-0.1, 0.2)), kind=HEDGE)


def _palm(s: Stand) -> None:
    """A mast with fronds."""
    rng, height, green = s.b.rng, float(s.b.rng.uniform(4, 9)), leaf(s.b.rng)
    s.limb((0.0, -0.2, 0.0), (0.0, height, 0.0), (0.2, 0.13), wood_of(rng), texels_per_m=30.0)
    for angle in np.arange(0, 2 * math.pi, 0.7) + rng.uniform(0, 1):
        tilt, reach = float(rng.uniform(-0.6, 0.4)), float(rng.uniform(0.9, 1.4))
        along = reach * math.cos(tilt)
        place = (along * math.sin(angle), height + reach * math.sin(tilt), along * math.cos(angle))
        s.add(ELLIPSOID, place, (0.22, 0.05, reach), green, yaw=float(angle) + 1e-6, tilt=tilt, cutout=0.3)


TRAIN_TREES: tuple[Callable[[Stand], None], ...] = (_round, _round, _round, _oval, _oval, _conifer, _bare)
TEST_TREES: tuple[Callable[[Stand], None], ...] = (_umbrella, _column, _palm, _umbrella)
"""Only in test scenes."""


def tree_kind(rng: np.random.Generator, *, test: bool) -> Callable[[Stand], None]:
    """What draws a tree of some kind; streets often have one kind only."""
    kinds = TEST_TREES if test else TRAIN_TREES
    return kinds[int(rng.integers(len(kinds)))]


def bush(s: Stand) -> None:
    """A few clumps on the ground."""
    rng, size, green = s.b.rng, float(s.b.rng.uniform(0.3, 1.3)), leaf(s.b.rng)
    for _ in range(int(rng.integers(1, 4))):
        x, z = (float(v) for v in rng.normal(0, 0.6 * size, 2))
        half = (
            size * float(rng.uniform(0.7, 1.5)),
            size * float(rng.uniform(0.6, 1.0)),
            size * float(rng.uniform(0.7, 1.5)),
        )
        clump(s, (x, 0.6 * half[1], z), half, green, cutout=float(rng.uniform(-0.2, 0.2)))


def hedge(s: Stand, green: Material, size: tuple[float, float], length: float) -> None:
    """A trimmed hedge, or tall grass, along the road; size is half the width and the height, metres."""
    w, height = size
    half = (w, 0.5 * height + 0.1, 0.5 * length)
    clump(s, (0.0, 0.5 * height - 0.1, 0.0), half, green, cutout=float(s.b.rng.uniform(-0.4, 0.0)), kind=HEDGE)


def bank(s: Stand, material: Material, *, side: int, height: float, wide: float, length: float) -> None:
    """A slope that rises away from the road, on side -1 or 1."""
    s.add(
        TAPERED, (side * wide, 0.5 * height - 0.5, 0.0), (wide, 0.5 * height + 0.5, 0.5 * length), material,
        taper=(0.6, 0.1, 0.1),
    )  # fmt: skip


def wood(s: Stand, green: Material, size: float, length: float) -> None:
    """The edge of a wood or a row of trees far away, as a few large clumps."""
    rng = s.b.rng
    for _ in range(int(rng.integers(3, 6))):
        z, half = float(rng.uniform(-0.5, 0.5)) * length, size * float(rng.uniform(0.7, 1.2))
        place = (float(rng.normal(0, 0.3 * size)), 0.75 * half, z)
        clump(s, place, (half, 0.9 * half, half), vary(rng, green), cutout=float(rng.uniform(-0.1, 0.2)))
