"""How the vehicle drives: along its lane, around bends and over crests, swaying on its springs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msdepth_training.scenes.rig import rotation

if TYPE_CHECKING:
    from msdepth_training.scenes.world import Scene

STEP_S = 0.05
SWAY_HZ = 1.3


def driven_z(scene: Scene, time_s: float) -> float:
    """Z that the vehicle has reached, metres; `Scene.ego_start_m` at time 0."""
    way = scene.ego_speed_mps * time_s * (-1.0 if scene.ego_reversed else 1.0)
    if scene.terrain.turn == 0.0:
        return scene.ego_start_m + way
    steps = max(1, math.ceil(abs(time_s) / STEP_S))
    z = scene.ego_start_m
    for _ in range(steps):
        z += way / steps / math.hypot(1.0, scene.terrain.road_slope(z))
    return z


def world_from_vehicle(scene: Scene, time_s: float) -> Tensor:
    """[4, 4] pose of the vehicle's origin on the ground, metres, on the CPU."""
    terrain, z = scene.terrain, driven_z(scene, time_s)
    slope = terrain.road_slope(z)
    pose = torch.eye(4)
    pose[0, 3] = terrain.road_x(z) + scene.ego_x_m * math.hypot(1.0, slope)
    pose[2, 3] = z
    if scene.style.rich:
        yaw = math.atan(slope) + (math.pi if scene.ego_reversed else 0.0)
        pose[1, 3] = terrain.kerb_m - terrain.height_m(float(pose[0, 3]), z)
        pitch, roll = terrain.tilt(float(pose[0, 3]), z, yaw)
        sway = math.sin(2 * math.pi * SWAY_HZ * time_s + scene.sway_rad[2])
        pitch, roll = pitch + sway * scene.sway_rad[0], roll + sway * scene.sway_rad[1]
        pose[:3, :3] = torch.tensor(rotation(pitch, yaw, roll), dtype=torch.float32)
    return pose
