"""Things as arrays, and their collection one by one. Drawn on the CPU by NumPy: a seed means the same scene everywhere.

World frame: x right, y down, z forward along the street, ground at y = 0, metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from msdepth_training.scenes.materials import Material

BOX, ELLIPSOID, CYLINDER, TAPERED, TUBE, LEAVES, HEDGE = range(7)
"""TAPERED: a box whose top is shorter or narrower than its bottom. TUBE: a cylinder with ends, or a cone; LEAVES and
HEDGE: clumps of leaves that fill an ellipsoid or a box, see `foliage`."""
GROUND_ZONES = 8
"""Asphalt, marking, pavement, verge, field, yellow marking, kerb, patch: the last instances of every scene."""
PANE = (0.56, 0.64)
Triple = tuple[float, float, float]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between low and high, every order of magnitude equally likely."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


@dataclass(frozen=True)
class Instances:
    """Things as arrays of P rows; the last `GROUND_ZONES` rows are materials of the ground, without a shape."""

    kind: Tensor
    """int [P] BOX, ELLIPSOID, CYLINDER (open, upright), TAPERED, TUBE, LEAVES or HEDGE."""
    centre_m: Tensor
    """[P, 3] at time 0."""
    half_m: Tensor
    """[P, 3] half extents along the thing's own axes."""
    yaw_rad: Tensor
    """[P] about the vertical."""
    tilt_rad: Tensor
    """[P] about the thing's own x axis, before yaw; positive lifts what is ahead (z) of its centre."""
    taper: Tensor
    """[P, 3] what the top lacks of the bottom's extent at the sides, ahead, behind: 0 nothing, 1 all of the half. For a
    TUBE the first is what its upper end lacks of the radius."""
    velocity_mps: Tensor
    """[P, 3]."""
    cutout: Tensor
    """[P] 0 solid, otherwise the share of foliage that is hole."""
    rgb: Tensor
    """[P, 3] reflectance."""
    nir: Tensor
    """[P] reflectance around 850 nm."""
    emissivity: Tensor
    """[P] in the thermal band."""
    sun_gain_k: Tensor
    """[P] how much full sun warms it above air, K."""
    offset_k: Tensor
    """[P] temperature above air without sun, K."""
    contrast: Tensor
    """[P, 3] texture contrast in RGB, NIR (relative) and thermal (K)."""
    layer: Tensor
    """int [P] texture."""
    texels_per_m: Tensor
    """[P] scale of the texture."""
    windows: Tensor
    """[P] 0, or the period of a facade's windows in metres."""
    pane: Tensor
    """[P, 2] share of that period which is glass, across and up."""
    gloss: Tensor
    """[P] how much of light that grazes the surface is mirrored: 0 matt to 1 varnish, glass or water."""
    emission: Tensor
    """[P] light given off, in units of full daylight."""

    def to(self, device: torch.device) -> Instances:
        """The same instances on another device."""
        return Instances(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass
class Builder:
    """Collects things while a scene is drawn."""

    rng: np.random.Generator
    """Decides everything, in the order of the calls."""
    layers: tuple[int, ...]
    """Textures to choose from."""
    signs: tuple[int, ...] = ()
    """Textures of signs to choose from."""
    eye_m: float = 0.0
    """z of the cameras at time 0: what is far from there is drawn with less detail."""
    rows: list[dict[str, object]] = field(default_factory=list)
    """One per thing, by the names of `Instances`."""

    def add(
        self, kind: int, centre: Triple, half: Triple, material: Material, *, yaw: float = 0.0,
        tilt: float = 0.0, taper: Triple = (0.0, 0.0, 0.0),
        velocity: Triple = (0.0, 0.0, 0.0), cutout: float = 0.0, windows: float = 0.0,
        pane: tuple[float, float] = PANE, gloss: float = 0.0, emission: float = 0.0,
        layer: int | None = None, texels_per_m: float | None = None,
    ) -> None:  # fmt: skip
        """One thing; for the arguments see `Instances`. Texture and its scale are drawn unless given."""
        self.rows.append(
            {
                **material._asdict(),
                "kind": kind, "centre_m": centre, "half_m": half, "yaw_rad": yaw, "tilt_rad": tilt, "taper": taper,
                "velocity_mps": velocity, "cutout": cutout, "windows": windows, "pane": pane, "gloss": gloss,
                "emission": emission,
                "layer": int(self.rng.choice(self.layers)) if layer is None else layer,
                "texels_per_m": log_uniform(self.rng, 8, 80) if texels_per_m is None else texels_per_m,
            }
        )  # fmt: skip

    def sign(self) -> int:
        """Texture of a sign."""
        return int(self.rng.choice(self.signs))

    def instances(self) -> Instances:
        """Everything collected, as tensors."""
        names = self.rows[0].keys()
        columns = {
            n: torch.tensor([r[n] for r in self.rows], dtype=torch.long if n in ("kind", "layer") else torch.float32)
            for n in names
        }
        return Instances(**columns)
