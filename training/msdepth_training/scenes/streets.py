"""Streets with everything in them: bends, slopes, buildings, plants, vehicles, people, what stands by the road."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from msdepth_training.scenes import furniture, houses, materials, plants, things, zones
from msdepth_training.scenes.conditions import Conditions
from msdepth_training.scenes.instances import BOX, Builder, log_uniform
from msdepth_training.scenes.materials import vary
from msdepth_training.scenes.placing import Drive, Road
from msdepth_training.scenes.terrain import Terrain
from msdepth_training.scenes.vehicles import vehicle
from msdepth_training.scenes.zones import Paint

BEHIND_M = -14.0
"""Streets begin behind the vehicle, where cameras do not look but shadows come from."""
KINDS = ("city", "suburb", "avenue", "avenue", "wood", "open", "open")
"""Of a stretch of roadside."""


def draw_terrain(rng: np.random.Generator) -> Terrain:
    """Half of the roads bend; most climb or fall a little."""
    turn = float(rng.choice([-1, 1]) * rng.uniform(0.08, 0.7)) if rng.random() < 0.55 else 0.0
    slopes, bends = rng.normal(0, 1, 2) * (0.012, 0.02), rng.normal(0, 1, 2) * (1 / 900, 1 / 9000)
    return Terrain(
        grade=(float(slopes[0]), float(slopes[1])),
        bend_per_m=(float(np.clip(bends[0], -1 / 500, 1 / 3000)), float(np.clip(bends[1], -1 / 3000, 1 / 15000))),
        kerb_m=float(rng.uniform(0.05, 0.2)) if rng.random() < 0.75 else 0.0,
        turn=turn, turn_at_m=float(rng.uniform(15, 90)), turn_length_m=float(rng.uniform(20, 70)),
    )  # fmt: skip


def draw_paint(rng: np.random.Generator, lanes: int) -> Paint:
    """Lines as in many countries, or nearly none."""
    yellow = rng.random() < 0.4
    return Paint(
        dash_m=float(rng.uniform(1.5, 5.0)), period_m=float(rng.uniform(5.5, 13.0)),
        line_m=float(rng.uniform(0.1, 0.2)),
        edge=int(rng.choice([zones.MARKING, zones.ASPHALT, zones.YELLOW])),
        centre=(zones.YELLOW if yellow else zones.MARKING) if lanes % 2 == 0 and rng.random() < 0.6 else zones.ASPHALT,
        zebra_m=float(rng.uniform(8, 60)) if rng.random() < 0.35 else -100.0,
        patched=float(rng.uniform(0.0, 0.35)) if rng.random() < 0.5 else 0.0,
        verge_m=float(rng.uniform(0.5, 6.0)), kerb_stone_m=float(rng.choice([0.0, rng.uniform(0.1, 0.3)])),
    )  # fmt: skip


def ground(b: Builder) -> None:
    """The materials of the `GROUND_ZONES`, in their order."""
    rng, tone = b.rng, float(np.exp(b.rng.normal(0.0, 0.35)))
    r, g, bl = (c * tone for c in materials.ASPHALT.rgb)
    road = materials.ASPHALT._replace(rgb=(r, g, bl), nir=materials.ASPHALT.nir * tone)
    soils = (materials.GRASS, materials.GRASS, materials.SOIL, materials.PAVEMENT)
    verge, field = soils[int(rng.integers(4))], soils[int(rng.integers(3))]
    wear = float(rng.uniform(0.4, 1.0))
    white = materials.MARKING._replace(rgb=(0.62 * wear, 0.62 * wear, 0.58 * wear), contrast=(0.3, 0.3, 0.2))
    parts = (road, white, materials.PAVEMENT, verge, field, materials.YELLOW, materials.PAVEMENT, materials.PATCH)
    for material in parts:
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), vary(rng, material), gloss=float(rng.uniform(0.0, 0.25)))


def _buildings(b: Builder, road: Road, side: int, z: float, end: float, *, near: float, test: bool) -> None:
    """Wall to wall in a city, with gardens elsewhere."""
    rng, dense = b.rng, near < 4
    while z < end:
        half, setback = float(rng.uniform(4, 14)), near + float(rng.uniform(0, 1.5 if dense else 7))
        stand = road.stand(
            b, side * (road.half_m + road.pavement_m + setback), z + half, turned=float(rng.normal(0, 0.02))
        )
        houses.house_kind(rng, test=test)(stand, side, (float(rng.uniform(7, 16)), log_uniform(rng, 3.5, 24), half))
        z += 2 * half + float(rng.choice([0.0, rng.uniform(1, 8)]) if dense else rng.uniform(4, 18))


def _row(b: Builder, road: Road, side: int, z: float, end: float, *, aside: float, test: bool) -> None:
    """Trees at regular distances, often with a hedge or tall grass below."""
    rng, kind, gap = b.rng, plants.tree_kind(b.rng, test=test), float(b.rng.uniform(4.5, 13))
    first = z + float(rng.uniform(0, gap))
    for at in np.arange(first, end, gap):
        if rng.random() < 0.9:
            kind(
                road.stand(b, side * (road.half_m + aside + float(rng.normal(0, 0.2))), float(at + rng.normal(0, 0.4)))
            )
    if rng.random() < 0.6:
        green, size = plants.leaf(rng), (float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.3, 1.5)))
        for at in np.arange(z, end, 10.0):
            if rng.random() < 0.8:
                where = road.stand(b, side * (road.half_m + aside + 0.9), float(at + 5))
                plants.hedge(where, green, size, float(rng.uniform(5, 9.5)))


def _thicket(b: Builder, road: Road, side: int, z: float, end: float, *, aside: float, test: bool) -> None:
    """Trees and bushes at random, the edge of a wood behind them."""
    rng, green = b.rng, plants.leaf(b.rng)
    for _ in range(int((end - z) * rng.uniform(0.1, 0.3))):
        stand = road.stand(b, side * (road.half_m + aside + abs(float(rng.normal(0, 6)))), float(rng.uniform(z, end)))
        plants.bush(stand) if rng.random() < 0.5 else plants.tree_kind(rng, test=test)(stand)
    for at in np.arange(z, end, 14.0):
        plants.wood(
            road.stand(b, side * (road.half_m + aside + float(rng.uniform(9, 20))), float(at)),
            green,
            float(rng.uniform(3, 6)),
            14.0,
        )


def _stretch(b: Builder, road: Road, side: int, z: float, end: float, *, test: bool) -> None:
    """What lines the road on one side from z to end."""
    rng, kind = b.rng, KINDS[int(b.rng.integers(len(KINDS)))]
    pavement, apart = road.pavement_m, float(rng.choice([0.0, rng.uniform(2, 25)]))
    if kind == "city":
        _buildings(b, road, side, z, end, near=float(rng.uniform(0.3, 3)), test=test)
        if rng.random() < 0.6:
            _row(b, road, side, z, end, aside=0.9, test=test)
    elif kind == "suburb":
        _buildings(b, road, side, z, end, near=apart + float(rng.uniform(4, 9)), test=test)
        _row(b, road, side, z, end, aside=pavement + 1.5, test=test)
    elif kind == "avenue":
        _row(b, road, side, z, end, aside=float(rng.uniform(1.5, 3.5)), test=test)
        if rng.random() < 0.4:
            _row(b, road, side, z, end, aside=pavement + float(rng.uniform(5, 9)), test=test)
        behind = rng.random()
        if behind < 0.3:
            _thicket(b, road, side, z, end, aside=2 + apart, test=test)
        elif behind < 0.6:
            _buildings(b, road, side, z, end, near=apart + float(rng.uniform(8, 20)), test=test)
    elif kind == "wood":
        _thicket(b, road, side, z, end, aside=2 + apart, test=test)
    if kind in ("avenue", "wood", "open") and rng.random() < 0.5:
        _banks(b, road, side, z, end)
    if rng.random() < 0.35:
        style, material = (
            int(rng.integers(3)),
            furniture.steel(rng) if rng.random() < 0.7 else vary(rng, materials.PAVEMENT),
        )
        for at in np.arange(z, min(end, 70.0), 8.0):
            furniture.rail(road.stand(b, side * (road.half_m + 0.5), float(at)), 8.2, style, material)


def _banks(b: Builder, road: Road, side: int, z: float, end: float) -> None:
    rng, material = b.rng, vary(b.rng, materials.GRASS if b.rng.random() < 0.7 else materials.SOIL)
    height, wide = float(rng.uniform(0.8, 5)), float(rng.uniform(3, 9))
    for at in np.arange(z, end, 16.0):
        stand = road.stand(b, side * (road.half_m + road.pavement_m + 1.5), float(at + 8))
        plants.bank(stand, material, side=side, height=height, wide=wide, length=17.5)
        for _ in range(int(rng.integers(0, 4))):
            plants.bush(
                dataclasses.replace(
                    road.stand(b, side * (road.half_m + road.pavement_m + 1.5 + wide), float(at + rng.uniform(0, 16))),
                    y=stand.y - 0.8 * height,
                )
            )


def roadside(b: Builder, road: Road, *, test: bool) -> None:
    """Both sides, in stretches of different kinds, and what is far away."""
    rng = b.rng
    for side in (-1, 1):
        z = BEHIND_M
        while z < road.length_m:
            end = z + float(rng.uniform(35, 110))
            _stretch(b, road, side, z, min(end, road.length_m), test=test)
            z = end
        _furniture(b, road, side)
    for _ in range(int(rng.integers(2, 12))):
        z = log_uniform(rng, 130, 600)
        stand = road.stand(b, float(rng.uniform(-0.7, 0.7)) * z, z)
        houses.skyline(stand) if rng.random() < 0.5 else plants.wood(stand, plants.leaf(rng), 0.06 * z, 0.5 * z)


def _furniture(b: Builder, road: Road, side: int) -> None:
    rng, kerb, length = b.rng, road.half_m, road.length_m
    if rng.random() < 0.75:
        gap, first = float(rng.uniform(18, 40)), float(rng.uniform(2, 30))
        look = {"height": float(rng.uniform(4, 10)), "arm": float(rng.uniform(0.4, 2.6)), "metal": furniture.steel(rng)}
        banner = rng.random() < 0.3
        for z in np.arange(first, length, gap):
            furniture.lamp_post(road.stand(b, side * (kerb + 0.7), float(z)), side, banner=banner, **look)
    if rng.random() < 0.3:
        furniture.wires(b, road, side * (kerb + float(rng.uniform(1.0, 4.0))), float(rng.uniform(-5, 10)))
    for _ in range(int(rng.integers(1, 6))):
        furniture.sign(road.stand(b, side * (kerb + float(rng.uniform(0.6, 1.6))), float(rng.uniform(5, 70))))
    if rng.random() < 0.4:
        furniture.traffic_light(road.stand(b, side * (kerb + 0.6), float(rng.uniform(12, 60))), side)
    for _ in range(int(rng.integers(0, 7))):
        furniture.small(road.stand(b, side * (kerb + float(rng.uniform(0.5, 2.5))), float(rng.uniform(4, 40))))
    for _ in range(int(rng.integers(0, 6))):
        aside, turned = float(rng.uniform(0.5, max(1.0, road.pavement_m))), float(rng.uniform(0, 2 * math.pi))
        stand = road.stand(b, side * (kerb + aside), log_uniform(rng, 5, 50), turned=turned)
        furniture.person(stand.moving(float(rng.uniform(0, 1.8))))


def draw_drive(rng: np.random.Generator, road: Road, *, back: bool) -> Drive:
    """In which lane the vehicle drives and how fast; on the right of roads with traffic both ways."""
    lanes = road.lanes
    two_way = lanes > 1 and rng.random() < 0.75
    first, last = (0, lanes // 2) if back else (lanes // 2, lanes)
    own = int(rng.integers(first, last)) if two_way else int(rng.integers(lanes))
    across = (own - 0.5 * (lanes - 1)) * road.lane_m + float(rng.normal(0, 0.2))
    return Drive(across, float(rng.uniform(0, 16)), own, two_way, back)


def traffic(b: Builder, road: Road, drive: Drive, *, test: bool) -> None:
    """Parked and moving vehicles; those in the own lane go about as fast as the vehicle."""
    rng = b.rng
    for side in (-1, 1):
        if rng.random() < 0.4:
            z, end = float(rng.uniform(-8, 15)), b.eye_m + float(rng.uniform(20, 90))
            turned = 0.0 if drive.towards(0 if side < 0 else road.lanes - 1, road.lanes) > 0 else math.pi
            while z < end:
                angle = turned + float(rng.normal(0, 0.03) if rng.random() < 0.9 else rng.normal(0, 0.4))
                stand = road.stand(b, side * (road.half_m - 1.05), z, turned=angle)
                vehicle(b, stand, test=test, running=rng.random() < 0.15)
                z += float(rng.uniform(5.8, 9.0) if rng.random() < 0.6 else rng.uniform(7, 18))
    for lane in range(road.lanes):
        across, towards = (lane - 0.5 * (road.lanes - 1)) * road.lane_m, drive.towards(lane, road.lanes)
        own = abs(across - drive.across_m) < 1.5
        z = log_uniform(rng, 5 if own else 3, 60) if rng.random() < 0.8 else float(rng.uniform(-10, 3))
        speed = drive.speed_mps * float(rng.uniform(0.7, 1.3)) if own else float(rng.uniform(0, 15))
        while z < road.length_m and rng.random() < 0.62:
            stand = road.stand(b, across + float(rng.normal(0, 0.15)), z, turned=0.0 if towards > 0 else math.pi)
            vehicle(b, stand.moving(speed), test=test, running=True)
            z += log_uniform(rng, 8, 50)


def lamp_lights(rng: np.random.Generator, road: Road) -> Tensor:
    """[L, 3] where street lamps give light, world frame, metres; none in some streets."""
    lamps = []
    for z in np.arange(rng.uniform(0, 20), 100.0, rng.uniform(18, 35)):
        for side in (-1, 1):
            x = road.terrain.road_x(float(z)) + side * (road.half_m - 0.5)
            lamps.append([x, -6.0 - road.terrain.height_m(x, float(z)), float(z)])
    return torch.tensor(lamps[: int(rng.choice([0, 2, 6, 8]))], dtype=torch.float32).view(-1, 3)


def floating(b: Builder) -> None:
    """Random objects in mid-air: no prior of a street explains them."""
    for _ in range(int(b.rng.integers(0, 5))):
        things.floating(b)


def look(rng: np.random.Generator, conditions: Conditions) -> Conditions:
    """How this scene's light and cameras differ from the round numbers of the tables."""
    overcast = conditions.clouds == 1.0
    contrast = conditions.thermal_contrast ** float(rng.uniform(0.2, 0.7)) * log_uniform(rng, 0.8, 4.0)
    return dataclasses.replace(
        conditions,
        thermal_contrast=min(contrast, 2.0),
        sky_cooling_k=log_uniform(rng, 4.0, 25.0) if overcast else log_uniform(rng, 8.0, 60.0),
        nir_leak=float(rng.choice([0.0, rng.uniform(0.0, 0.9)])),
        cloud_relief=float(rng.uniform(0.3, 2.0)),
        sky_gain=float(np.exp(rng.uniform(-0.1, 1.8))),
    )
