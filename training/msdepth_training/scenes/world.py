"""A street: what stands where, made of what. Drawn on the CPU by NumPy, so that a seed means the same scene everywhere.

World frame: x right, y down, z forward along the street, ground at y = 0, metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from msdepth_training.errors import TrainingError
from msdepth_training.scenes import materials
from msdepth_training.scenes.conditions import Conditions, sample_conditions
from msdepth_training.scenes.materials import Material, vary
from msdepth_training.scenes.textures import TEST_LAYERS, TRAIN_LAYERS

BOX, ELLIPSOID, CYLINDER = 0, 1, 2
Split = Literal["train", "validation", "test"]
SPLIT_NUMBERS: dict[str, int] = {"train": 0, "validation": 1, "test": 2}
GROUND_ZONES = 5
"""Asphalt, marking, pavement, verge, field: the last instances of every scene."""


@dataclass(frozen=True)
class Instances:
    """Things as arrays of P rows; the last `GROUND_ZONES` rows are materials of the ground, without a shape."""

    kind: Tensor
    """int [P] BOX, ELLIPSOID or CYLINDER (upright)."""
    centre_m: Tensor
    """[P, 3] at time 0."""
    half_m: Tensor
    """[P, 3] half extents along the thing's own axes."""
    yaw_rad: Tensor
    """[P] about the vertical."""
    velocity_mps: Tensor
    """[P, 3]."""
    cutout: Tensor
    """[P] 0 solid, otherwise the share of foliage that is hole."""
    rgb: Tensor
    """[P, 3] reflectance."""
    nir: Tensor
    emissivity: Tensor
    sun_gain_k: Tensor
    offset_k: Tensor
    contrast: Tensor
    """[P, 3] texture contrast in RGB, NIR (relative) and thermal (K)."""
    layer: Tensor
    """int [P] texture."""
    texels_per_m: Tensor
    windows: Tensor
    """[P] 0, or the period of a facade's windows in metres."""
    emission: Tensor
    """[P] light given off, in units of full daylight."""

    def to(self, device: torch.device) -> Instances:
        """The same instances on another device."""
        return Instances(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Scene:
    """One street with its light, weather and the vehicle's motion."""

    seed: int
    split: Split
    instances: Instances
    conditions: Conditions
    road_centre_m: float
    road_half_width_m: float
    pavement_m: float
    """Width of the pavement beside the road; the verge follows."""
    lane_m: float
    lamps_m: Tensor
    """[L, 3] street lamps, world frame."""
    ego_speed_mps: float
    ego_x_m: float


@dataclass
class Builder:
    """Collects things while a scene is drawn."""

    rng: np.random.Generator
    layers: tuple[int, ...]
    rows: list[dict[str, object]] = field(default_factory=list)

    def add(
        self, kind: int, centre: tuple[float, float, float], half: tuple[float, float, float], material: Material, *, yaw: float = 0.0,
        velocity: tuple[float, float, float] = (0.0, 0.0, 0.0), cutout: float = 0.0, windows: float = 0.0, emission: float = 0.0,
        layer: int | None = None, texels_per_m: float | None = None,
    ) -> None:  # fmt: skip
        """One thing; texture and its scale are drawn unless given."""
        self.rows.append(
            {
                "kind": kind, "centre_m": centre, "half_m": half, "yaw_rad": yaw, "velocity_mps": velocity, "cutout": cutout,
                "rgb": material.rgb, "nir": material.nir, "emissivity": material.emissivity, "sun_gain_k": material.sun_gain_k,
                "offset_k": material.offset_k, "contrast": material.contrast, "windows": windows, "emission": emission,
                "layer": int(self.rng.choice(self.layers)) if layer is None else layer,
                "texels_per_m": float(np.exp(self.rng.uniform(math.log(8), math.log(80)))) if texels_per_m is None else texels_per_m,
            }
        )  # fmt: skip

    def instances(self) -> Instances:
        """Everything collected, as tensors."""
        names = self.rows[0].keys()
        columns = {
            n: torch.tensor([r[n] for r in self.rows], dtype=torch.long if n in ("kind", "layer") else torch.float32)
            for n in names
        }
        return Instances(**columns)


def _car(b: Builder, x: float, z: float, *, velocity: float, heading: float) -> None:
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
        b.add(
            BOX,
            (x, roof - cabin, z + rng.uniform(-0.4, 0.1)),
            (0.86 * w, cabin, 0.5 * length),
            materials.GLASS,
            yaw=heading,
            velocity=v,
        )
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


def _person(b: Builder, x: float, z: float) -> None:
    rng, height = b.rng, b.rng.uniform(1.5, 1.9)
    v = (float(rng.normal(0, 0.4)), 0.0, float(rng.normal(0, 0.8)))
    b.add(ELLIPSOID, (x, -0.28 * height, z), (0.16, 0.28 * height, 0.14), materials.cloth(rng), velocity=v)
    b.add(ELLIPSOID, (x, -0.64 * height, z), (0.24, 0.24 * height, 0.17), materials.cloth(rng), velocity=v)
    skin = Material((0.5, 0.36, 0.3), 0.55, 0.98, 0.5, float(rng.uniform(8, 16)), (0.05, 0.05, 0.4))
    b.add(ELLIPSOID, (x, -0.93 * height, z), (0.1, 0.13, 0.11), skin, velocity=v)


def _tree(b: Builder, x: float, z: float) -> None:
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


def _bush(b: Builder, x: float, z: float) -> None:
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


def _pole(b: Builder, x: float, z: float) -> None:
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


def _building(b: Builder, x: float, z: float, side: int) -> float:
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


def _floating(b: Builder) -> None:
    rng = b.rng
    z = float(np.exp(rng.uniform(math.log(4), math.log(50))))
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


def _street(b: Builder, road_half: float, centre: float, pavement: float, length_m: float) -> None:
    """Both sides of the road, from just behind the vehicle to length_m ahead."""
    rng = b.rng
    for side in (-1, 1):
        kerb = centre + side * road_half
        style, z = rng.random(), -12.0
        while z < length_m:
            far = kerb + side * (pavement + rng.uniform(0.5, 6))
            if style < 0.65:
                z += _building(b, far, z, side)
            else:
                (_tree if rng.random() < 0.5 else _bush)(b, far + side * rng.uniform(0, 6), z)
                z += rng.uniform(3, 14)
        share = length_m / 130.0
        for _ in range(int(share * rng.integers(2, 7))):
            (_tree if rng.random() < 0.6 else _bush)(
                b, kerb + side * rng.uniform(0.8, pavement + 3), rng.uniform(3, 80 * share)
            )
        for _ in range(int(share * rng.integers(2, 6))):
            _pole(b, kerb + side * rng.uniform(0.3, 1.2), rng.uniform(4, 70 * share))
        for _ in range(int(share * rng.integers(0, 4))):
            _car(b, kerb - side * 1.1, rng.uniform(4, 60 * share), velocity=0.0, heading=float(rng.normal(0, 0.04)))
        for _ in range(int(share * rng.integers(0, 4))):
            _person(b, kerb + side * rng.uniform(0.3, 2.5), rng.uniform(4, 40 * share))


def sample_scene(seed: int, split: Split, *, condition: str, length_m: float = 130.0, floating: bool = True) -> Scene:
    """Draw one street.

    Args:
        seed: any non-negative integer.
        split: seeds of different splits never meet, and test scenes use texture families of their own.
        condition: day, night, rain or fog.
        length_m: how far the street goes on.
        floating: whether random objects float about; they teach geometry, but no street has them.

    Returns:
        The scene, on the CPU.

    Raises:
        TrainingError: the split or the condition is unknown.
    """
    if split not in SPLIT_NUMBERS:
        raise TrainingError(f"unknown split {split!r}; choose one of {', '.join(SPLIT_NUMBERS)}")
    rng = np.random.default_rng([seed, SPLIT_NUMBERS[split], 7])
    drawn = sample_conditions(rng, condition)
    b = Builder(rng, TEST_LAYERS if split == "test" else TRAIN_LAYERS)
    lanes, lane = int(rng.integers(1, 5)), rng.uniform(2.8, 3.6)
    half = 0.5 * lanes * lane + rng.uniform(0.2, 2.0)
    ego_x, pavement = (int(rng.integers(lanes)) - 0.5 * (lanes - 1)) * lane, rng.choice([0.0, rng.uniform(1.2, 4.0)])
    _street(b, half, 0.0, pavement, length_m)
    for _ in range(rng.integers(0, 5)):
        lane_x = (int(rng.integers(lanes)) - 0.5 * (lanes - 1)) * lane
        z = float(np.exp(rng.uniform(math.log(9 if abs(lane_x - ego_x) < 1 else 5), math.log(80))))
        _car(
            b, lane_x + rng.normal(0, 0.15), z, velocity=float(rng.uniform(-12, 14)), heading=float(rng.normal(0, 0.02))
        )
    for _ in range(rng.integers(0, 7) if floating else 0):
        _floating(b)
    verge = materials.GRASS if rng.random() < 0.6 else materials.SOIL
    for zone in (materials.ASPHALT, materials.MARKING, materials.PAVEMENT, verge, materials.GRASS):
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), vary(rng, zone))
    lamps = [
        [s * (half + 0.5), -6.0, z]
        for z in np.arange(rng.uniform(0, 20), 100 * length_m / 130.0, rng.uniform(18, 35))
        for s in (-1, 1)
    ][: int(rng.choice([0, 2, 6, 8]))]
    return Scene(
        seed=seed, split=split, instances=b.instances(), conditions=drawn, road_centre_m=0.0, road_half_width_m=float(half),
        pavement_m=float(pavement), lane_m=float(lane), lamps_m=torch.tensor(lamps, dtype=torch.float32).view(-1, 3),
        ego_speed_mps=float(rng.uniform(2, 15)), ego_x_m=float(ego_x + rng.normal(0, 0.2)),
    )  # fmt: skip
