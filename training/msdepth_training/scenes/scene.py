"""A street: what stands where, made of what, in which light.

World frame: x right, y down, z forward along the street, ground at y = 0, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from msdepth_training.scenes.conditions import Conditions
from msdepth_training.scenes.instances import Instances
from msdepth_training.scenes.paint import Paint
from msdepth_training.scenes.rig import AHEAD, Looks
from msdepth_training.scenes.style import STREET, SceneStyle
from msdepth_training.scenes.terrain import Terrain

Split = Literal["train", "validation", "test"]
NO_CONTACTS = torch.zeros(0, 7)


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
    contacts: Tensor = NO_CONTACTS
    """[C, 7] see `Builder.contacts`."""
    ego_start_m: float = 0.0
    """z of the vehicle at time 0."""
    ego_reversed: bool = False
    """Whether it drives towards -z: streets are drawn from z = 0 on, and rigs that look back should see one."""
