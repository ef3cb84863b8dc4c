"""A street: what stands where, made of what, in which light.

World frame: x right, y down, z forward along the street, ground at y = 0, metres.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from msdepth_training.errors import TrainingError
from msdepth_training.scenes import ego, materials, obstacles, raycast, streets, things
from msdepth_training.scenes.conditions import CONDITIONS, Conditions, sample_conditions
from msdepth_training.scenes.instances import BOX, Builder, Instances, log_uniform
from msdepth_training.scenes.materials import vary
from msdepth_training.scenes.placing import Road
from msdepth_training.scenes.rig import AHEAD, Looks, rotation
from msdepth_training.scenes.style import STREET, SceneStyle, scene_style
from msdepth_training.scenes.terrain import Terrain
from msdepth_training.scenes.textures import (
    RICH_TEST_LAYERS,
    RICH_TRAIN_LAYERS,
    SIGN_LAYERS,
    TEST_LAYERS,
    TEST_SIGN_LAYERS,
    TRAIN_LAYERS,
)
from msdepth_training.scenes.zones import Paint

Split = Literal["train", "validation", "test"]
SPLIT_NUMBERS: dict[str, int] = {"train": 0, "validation": 1, "test": 2}
CLEARANCE_M = {"aside": 1.1, "above": -3.0, "behind": 1.0, "ahead": 3.0}
"""Around the cameras nothing stands: to each side, up to this y, behind and ahead of the vehicle's origin, metres.
A wall at contact distance teaches nothing, and one such frame outweighs dozens in AbsRel."""
RICH_AHEAD_M = 2.0
"""The same for rich streets, in the direction in which the rig looks: near things are what they are to teach."""
SIDEWAYS_M = 45.0
"""How far into a rich street the vehicle is whose rig looks aside."""
CLEAR_S = 1.3
"""For so long: the frames of a sequence are at most 1.2 s apart."""
ATTEMPTS = 200


@dataclass(frozen=True)
class Scene:
    """One street with its light, weather and the vehicle's motion."""

    seed: int
    split: Split
    instances: Instances
    conditions: Conditions
    road_centre_m: float
    """x of the middle of the road, world frame."""
    road_half_width_m: float
    pavement_m: float
    """Width of the pavement beside the road; the verge follows."""
    lane_m: float
    """Width of a lane."""
    lamps_m: Tensor
    """[L, 3] street lamps, world frame."""
    ego_speed_mps: float
    """The vehicle drives along z at this speed, from `ego_start_m` at time 0."""
    ego_x_m: float
    """Where the vehicle drives, to the right of the road's middle."""
    style: SceneStyle = STREET
    terrain: Terrain = Terrain()
    paint: Paint = Paint()
    sway_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The vehicle's pitch and roll on its springs, amplitudes, and their phase."""
    looks: Looks = AHEAD
    """Where the rig looks that the street was drawn for."""
    ego_start_m: float = 0.0
    """z of the vehicle at time 0."""
    ego_reversed: bool = False
    """Whether it drives towards -z: streets are drawn from z = 0 on, and rigs that look back should see one."""


def _street(b: Builder, road_half: float, centre: float, pavement: float, length_m: float) -> None:
    """Both sides of the road, from just behind the vehicle to length_m ahead."""
    rng = b.rng
    for side in (-1, 1):
        kerb = centre + side * road_half
        style, z = rng.random(), -12.0
        while z < length_m:
            far = kerb + side * (pavement + rng.uniform(0.5, 6))
            if style < 0.65:
                z += things.building(b, far, z, side)
            else:
                (things.tree if rng.random() < 0.5 else things.bush)(b, far + side * rng.uniform(0, 6), z)
                z += rng.uniform(3, 14)
        share = length_m / 130.0
        for _ in range(int(share * rng.integers(2, 7))):
            (things.tree if rng.random() < 0.6 else things.bush)(
                b, kerb + side * rng.uniform(0.8, pavement + 3), rng.uniform(3, 80 * share)
            )
        for _ in range(int(share * rng.integers(2, 6))):
            things.pole(b, kerb + side * rng.uniform(0.3, 1.2), rng.uniform(4, 70 * share))
        for _ in range(int(share * rng.integers(0, 4))):
            z = rng.uniform(4, 60 * share)
            things.car(b, kerb - side * 1.1, z, velocity=0.0, heading=float(rng.normal(0, 0.04)))
        for _ in range(int(share * rng.integers(0, 4))):
            things.person(b, kerb + side * rng.uniform(0.3, 2.5), rng.uniform(4, 40 * share))


def _traffic(b: Builder, lanes: int, lane_m: float, ego_x_m: float) -> None:
    """Vehicles in any lane, a little farther away in the own one."""
    rng = b.rng
    for _ in range(rng.integers(0, 5)):
        x = (int(rng.integers(lanes)) - 0.5 * (lanes - 1)) * lane_m
        z = log_uniform(rng, 9 if abs(x - ego_x_m) < 1 else 5, 80)
        x = x + rng.normal(0, 0.15)
        things.car(b, x, z, velocity=float(rng.uniform(-12, 14)), heading=float(rng.normal(0, 0.02)))


def _ground(b: Builder) -> None:
    """The `GROUND_ZONES`, in their order."""
    verge = materials.GRASS if b.rng.random() < 0.6 else materials.SOIL
    for zone in (materials.ASPHALT, materials.MARKING, materials.PAVEMENT, verge, materials.GRASS):
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), vary(b.rng, zone))
    for zone in (materials.MARKING, materials.PAVEMENT, materials.ASPHALT):  # no such zones here
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), zone, layer=b.layers[0], texels_per_m=20.0)


def _lamps(rng: np.random.Generator, aside_m: float, length_m: float) -> Tensor:
    """[L, 3] street lamps in pairs at both sides of the road, world frame, metres; none in some streets."""
    lamps = [
        [side * aside_m, -6.0, z]
        for z in np.arange(rng.uniform(0, 20), 100 * length_m / 130.0, rng.uniform(18, 35))
        for side in (-1, 1)
    ]
    return torch.tensor(lamps[: int(rng.choice([0, 2, 6, 8]))], dtype=torch.float32).view(-1, 3)


def _clear_box(scene: Scene) -> tuple[float, float, float, float]:
    """Left, right, back and front of what must stay clear, metres, along the direction in which the rig looks."""
    left, right, back, front = scene.looks.reach_m
    aside, ahead = CLEARANCE_M["aside"], RICH_AHEAD_M if scene.style.rich else CLEARANCE_M["ahead"]
    return -left - aside, right + aside, -back - CLEARANCE_M["behind"], front + ahead


def is_clear(scene: Scene, *, until_s: float) -> bool:
    """Whether the vehicle drives on without anything in `CLEARANCE_M` around its cameras.

    Args:
        scene: with the vehicle at z = 0 at time 0.
        until_s: how long it drives, seconds.
    """
    left, right, back, front = _clear_box(scene)
    turn = torch.tensor(rotation(0.0, scene.looks.yaw_rad, 0.0), dtype=torch.float32)
    for time_s in np.arange(0.0, until_s + 0.05, 0.1):
        corners = raycast.box_corners(scene.instances, float(time_s))
        vehicle_from_world = torch.linalg.inv(ego.world_from_vehicle(scene, float(time_s)))
        corners = (corners @ vehicle_from_world[:3, :3].T + vehicle_from_world[:3, 3]) @ turn
        low, high = corners.amin(dim=1), corners.amax(dim=1)
        meets = (
            (high[:, 0] > left) & (low[:, 0] < right)
            & (high[:, 1] > CLEARANCE_M["above"]) & (low[:, 1] < 0.0)
            & (high[:, 2] > back) & (low[:, 2] < front)
        )  # fmt: skip
        if bool(meets.any()):
            return False
    return True


def sample_scene(
    seed: int, split: Split, *, condition: str, length_m: float = 130.0, floating: bool = True, style: str = "street",
    looks: Looks = AHEAD,
) -> Scene:  # fmt: skip
    """Draw one street that the vehicle can drive along for `CLEAR_S` without running into anything.

    Args:
        seed: any non-negative integer.
        split: seeds of different splits never meet, and test scenes use texture families of their own.
        condition: day, night, rain or fog.
        length_m: how far the street goes on.
        floating: whether random objects float about; they teach geometry, but no street has them.
        style: name of the kind of scenes, see `style.STYLES`.
        looks: of the rig that will drive along it; `street` knows rigs that look ahead only.

    Returns:
        The scene, on the CPU.

    Raises:
        TrainingError: the split, the condition or the style is unknown, or no street is passable.
    """
    kind = scene_style(style)
    for what, name, known in (("split", split, tuple(SPLIT_NUMBERS)), ("condition", condition, CONDITIONS)):
        if name not in known:
            raise TrainingError(f"unknown {what} {name!r}; choose one of {', '.join(known)}")
    for attempt in range(ATTEMPTS):
        numbers = [seed, SPLIT_NUMBERS[split], 7, attempt]
        rng = np.random.default_rng(numbers[:3] if attempt == 0 else numbers)
        draw = functools.partial(_draw_rich, looks=looks) if kind.rich else _draw
        scene = draw(rng, seed, split, condition=condition, length_m=length_m, floating=floating)
        if is_clear(scene, until_s=CLEAR_S):
            return scene
    raise TrainingError(f"seed {seed}: in none of {ATTEMPTS} streets is the way clear; choose another seed")


def _draw(
    rng: np.random.Generator, seed: int, split: Split, *, condition: str, length_m: float, floating: bool
) -> Scene:
    """One street, passable or not."""
    drawn = sample_conditions(rng, condition)
    b = Builder(rng, TEST_LAYERS if split == "test" else TRAIN_LAYERS)
    lanes, lane = int(rng.integers(1, 5)), rng.uniform(2.8, 3.6)
    half = 0.5 * lanes * lane + rng.uniform(0.2, 2.0)
    ego_x, pavement = (int(rng.integers(lanes)) - 0.5 * (lanes - 1)) * lane, rng.choice([0.0, rng.uniform(1.2, 4.0)])
    _street(b, half, 0.0, pavement, length_m)
    _traffic(b, lanes, lane, ego_x)
    for _ in range(rng.integers(0, 7) if floating else 0):
        things.floating(b)
    _ground(b)
    lamps = _lamps(rng, half + 0.5, length_m)
    return Scene(
        seed=seed, split=split, instances=b.instances(), conditions=drawn, road_centre_m=0.0,
        road_half_width_m=float(half), pavement_m=float(pavement), lane_m=float(lane), lamps_m=lamps,
        ego_speed_mps=float(rng.uniform(2, 15)), ego_x_m=float(ego_x + rng.normal(0, 0.2)),
    )  # fmt: skip


def _draw_rich(
    rng: np.random.Generator, seed: int, split: Split, *, condition: str, length_m: float, floating: bool, looks: Looks
) -> Scene:
    """One street of the rich style, passable or not."""
    drawn, test = streets.look(rng, sample_conditions(rng, condition)), split == "test"
    layers = (RICH_TEST_LAYERS, TEST_SIGN_LAYERS) if test else (RICH_TRAIN_LAYERS, SIGN_LAYERS)
    b = Builder(rng, *layers)
    lanes, lane = int(rng.integers(1, 7)), float(rng.uniform(2.7, 3.7))
    road = Road(
        streets.draw_terrain(rng), 0.5 * lanes * lane + float(rng.uniform(0.2, 2.5)),
        float(rng.choice([0.0, rng.uniform(1.2, 5.0)])), lanes, lane, length_m * float(rng.uniform(0.8, 1.7)),
    )  # fmt: skip
    back = math.cos(looks.yaw_rad) < -0.3
    # whoever looks aside should see the street on both sides
    b.eye_m = SIDEWAYS_M * abs(math.sin(looks.yaw_rad))
    drive = streets.draw_drive(rng, road, back=back)
    streets.roadside(b, road, test=test)
    near = obstacles.draw_cast(rng)
    speed = float(rng.uniform(0, 2)) if near and rng.random() < 0.65 else drive.speed_mps
    drive = drive._replace(speed_mps=speed)
    streets.traffic(b, road, drive, test=test)
    if near:
        obstacles.stage(b, road, obstacles.Viewpoint(b.eye_m, drive, looks.yaw_rad), near, test=test)
    if floating:
        streets.floating(b)
    paint = streets.draw_paint(rng, lanes)
    lamps = streets.lamp_lights(rng, road)
    streets.ground(b)
    sway = (float(rng.normal(0, 0.008)), float(rng.normal(0, 0.006)), float(rng.uniform(0, 2 * math.pi)))
    return Scene(
        seed=seed, split=split, instances=b.instances(), conditions=drawn, road_centre_m=0.0,
        road_half_width_m=road.half_m, pavement_m=road.pavement_m, lane_m=lane, lamps_m=lamps, ego_speed_mps=speed,
        ego_x_m=drive.across_m, style=scene_style("rich"), terrain=road.terrain, paint=paint, sway_rad=sway,
        looks=looks, ego_start_m=b.eye_m, ego_reversed=back,
    )  # fmt: skip
