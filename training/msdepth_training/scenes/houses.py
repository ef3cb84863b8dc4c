"""Buildings: blocks, houses with roofs, shops, towers, offices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import BOX, TAPERED, TUBE
from msdepth_training.scenes.materials import Material, vary
from msdepth_training.scenes.placing import Stand

Size = tuple[float, float, float]
"""Depth away from the road, height, half of the length along it; metres."""
FOUNDATION_M = 3.0
"""Walls go on below the ground, which may slope."""


def _walls(s: Stand, side: int, size: Size, material: Material, **more: float | int | tuple[float, float]) -> None:
    """A block whose front is at the stand."""
    depth, height, half = size
    tall = 0.5 * (height + FOUNDATION_M)
    s.add(BOX, (0.5 * side * depth, height - tall, 0.0), (0.5 * depth, tall, half), material, **more)


def _panes(rng: np.random.Generator) -> dict[str, float | tuple[float, float]]:
    """Windows of one building: their distance and how much of it is glass."""
    pane = (float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.35, 0.75)))
    return {"windows": float(rng.uniform(2.2, 4.2)), "pane": pane}


def _trim(s: Stand, side: int, size: Size, wall: Material) -> None:
    """A roof's edge, bands between floors, balconies, a door and pipes, all before the wall."""
    rng, (depth, height, half) = s.b.rng, size
    edge = vary(rng, materials.PAVEMENT if rng.random() < 0.5 else wall)
    s.add(BOX, (0.5 * side * depth, height, 0.0), (0.5 * depth + 0.2, 0.15, half + 0.2), edge)
    if s.away_m > 90:
        return
    floor = float(rng.uniform(2.6, 3.6))
    ledges, balconies = rng.random() < 0.4, rng.random() < 0.45
    for up in np.arange(floor, height - 1.0, floor):
        if ledges:
            s.add(BOX, (0.0, float(up), 0.0), (0.1, 0.12, half), edge)
        if balconies:
            for ahead in np.arange(-half + 1.5, half - 1.0, float(rng.uniform(4, 6))):
                place, width = (-0.55 * side, float(up) + 0.4, float(ahead)), float(rng.uniform(0.9, 1.6))
                s.add(BOX, place, (0.55, 0.5, width), vary(rng, wall))
    door = vary(rng, materials.WOOD if rng.random() < 0.5 else materials.PLASTIC)
    s.add(BOX, (0.0, 1.05, float(rng.uniform(-0.7, 0.7)) * half), (0.06, 1.05, 0.55), door)
    for _ in range(int(rng.integers(0, 3))):
        ahead = float(rng.uniform(-1, 1)) * half
        s.limb((-0.08 * side, 0.0, ahead), (-0.08 * side, height, ahead), (0.06, 0.06), materials.METAL)


def _block(s: Stand, side: int, size: Size) -> None:
    wall = materials.facade(s.b.rng)
    _walls(s, side, size, wall, **_panes(s.b.rng))
    _trim(s, side, size, wall)
    if s.b.rng.random() < 0.5:  # what stands on flat roofs
        depth, height, half = size
        place = (
            side * float(s.b.rng.uniform(1, max(1.5, depth - 1))),
            height + 1.0,
            float(s.b.rng.uniform(-0.6, 0.6)) * half,
        )
        s.add(BOX, place, (1.0, 1.2, 1.5), vary(s.b.rng, wall))


def _house(s: Stand, side: int, size: Size) -> None:
    """With a saddle roof along or across the road, and a chimney."""
    rng, wall, (depth, _, half) = s.b.rng, materials.facade(s.b.rng), size
    height, half = float(rng.uniform(2.8, 6.5)), min(half, float(rng.uniform(4, 8)))
    _walls(s, side, (depth, height, half), wall, **_panes(rng))
    tiles = vary(rng, Material((0.28, 0.12, 0.08), 0.4, 0.93, 13.0, 0.0, (0.3, 0.25, 0.5)))
    rise, middle = float(rng.uniform(1.2, 3.0)), 0.5 * side * depth
    taper = (0.97, 0.0, 0.0) if rng.random() < 0.5 else (0.0, 0.97, 0.97)
    s.add(TAPERED, (middle, height + rise, 0.0), (0.5 * depth + 0.5, rise, half + 0.5), tiles, taper=taper)
    if rng.random() < 0.6:
        s.add(BOX, (middle, height + 1.8 * rise, 0.3 * half), (0.35, 0.9, 0.35), vary(rng, wall))
    s.add(BOX, (0.0, 1.05, float(rng.uniform(-0.6, 0.6)) * half), (0.07, 1.05, 0.5), vary(rng, materials.WOOD))


def _shops(s: Stand, side: int, size: Size) -> None:
    """Glass, signs and awnings on the ground floor, flats above."""
    rng, wall, (_, _, half) = s.b.rng, materials.facade(s.b.rng), size
    _walls(s, side, size, wall, **_panes(rng))
    _trim(s, side, size, wall)
    ahead = -half
    while ahead < half - 2:
        width = float(rng.uniform(1.5, 3.5))
        s.add(BOX, (0.0, 1.3, ahead + width), (0.08, 1.15, 0.9 * width), materials.GLASS, gloss=0.9)
        sign = materials.anything(rng)._replace(offset_k=0.0, emissivity=0.92, contrast=(0.7, 0.5, 0.2))
        board = (-0.12 * side, 2.95, ahead + width)
        glow = float(rng.choice([0.0, 0.3]))
        s.add(BOX, board, (0.12, 0.4, 0.95 * width), sign, layer=s.b.sign(), texels_per_m=90.0, emission=glow)
        if rng.random() < 0.3:
            s.add(
                TAPERED,
                (-0.7 * side, 2.4, ahead + width),
                (0.7, 0.15, 0.9 * width),
                materials.cloth(rng),
                taper=(0.5, 0.0, 0.0),
            )
        ahead += 2 * width


def _tower(s: Stand, side: int, size: Size) -> None:
    """A high block set back on a lower one."""
    rng, (depth, height, half) = s.b.rng, size
    wall = materials.facade(rng)
    _walls(s, side, (depth, 0.35 * height + 3, half), wall, **_panes(rng))
    up = 0.8 * height + 6
    s.add(BOX, (side * 0.55 * depth, up, 0.0), (0.38 * depth, up, 0.7 * half), vary(rng, wall), **_panes(rng))


def _office(s: Stand, side: int, size: Size) -> None:
    """Glass from bottom to top behind fins."""
    rng, (depth, height, half) = s.b.rng, size
    frame = vary(rng, materials.METAL)._replace(emissivity=0.7)
    _walls(s, side, (depth, 1.4 * height, half), frame, windows=float(rng.uniform(1.2, 3.0)), pane=(0.93, 0.88))
    for ahead in np.arange(-half, half, float(rng.uniform(2, 4))):
        s.add(BOX, (0.0, 0.7 * height, float(ahead)), (0.2, 0.7 * height, 0.08), frame)


def _silo(s: Stand, side: int, size: Size) -> None:
    """Round towers with domes."""
    rng, (depth, height, half) = s.b.rng, size
    wall, radius = materials.facade(rng), min(0.5 * depth, 0.5 * half)
    for ahead in (-0.5 * half, 0.5 * half):
        up = 0.5 * height * float(rng.uniform(0.7, 1.2))
        s.add(TUBE, (side * radius, up - 1, ahead), (radius, up + 1, radius), wall)
        s.add(
            TUBE,
            (side * radius, 2 * up + 0.4 * radius, ahead),
            (radius, 0.4 * radius, radius),
            wall,
            taper=(0.9, 0.0, 0.0),
        )


def _arcade(s: Stand, side: int, size: Size) -> None:
    """A block on columns, with steps inwards above."""
    rng, (depth, height, half) = s.b.rng, size
    wall = materials.facade(rng)
    _walls(s, side, (depth, height, half), vary(rng, wall), **_panes(rng))
    s.add(BOX, (-1.2 * side, 4.0 + 0.15 * height, 0.0), (1.5, 0.5 + 0.15 * height, half), wall, **_panes(rng))
    for ahead in np.arange(-half + 0.4, half, float(rng.uniform(2.5, 4))):
        s.limb((-2.4 * side, -1.0, float(ahead)), (-2.4 * side, 3.6, float(ahead)), (0.28, 0.24), wall)


TRAIN_HOUSES: tuple[Callable[[Stand, int, Size], None], ...] = (_block, _block, _house, _shops, _tower)
TEST_HOUSES: tuple[Callable[[Stand, int, Size], None], ...] = (_office, _silo, _arcade)
"""Only in test scenes."""


def house_kind(rng: np.random.Generator, *, test: bool) -> Callable[[Stand, int, Size], None]:
    """What draws a building of some kind, on side -1 or 1 of the road."""
    kinds = TEST_HOUSES if test else TRAIN_HOUSES
    return kinds[int(rng.integers(len(kinds)))]


def skyline(s: Stand) -> None:
    """A high building far away."""
    rng = s.b.rng
    height, wide = float(rng.uniform(15, 70)), float(rng.uniform(6, 20))
    wall = materials.facade(rng)
    s.add(
        BOX,
        (0.0, 0.5 * height - 10, 0.0),
        (wide, 0.5 * height + 10, wide),
        wall,
        yaw=float(rng.uniform(0, 1)) + 1e-6,
        **_panes(rng),
    )
