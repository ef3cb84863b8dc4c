"""The road near the vehicle as a plane, which a vehicle knows from its calibration."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from msdepth_training.scenes import ego
from msdepth_training.scenes.terrain import across_road
from msdepth_training.scenes.world import Scene

NEAR_M, FAR_M = 3.0, 20.0
"""How far ahead of the rig the plane is fitted to the ground."""
ASIDE_M = 2.0
ROAD_SHARE = 0.3
"""Of those points that are on the road or on its pavements, at least."""
FLAT_M = 0.12
"""Root of the mean square distance of the ground from the plane, at most."""


def road_plane(scene: Scene, yaw_rad: float, time_s: float) -> Tensor:
    """The plane of the ground before a rig.

    Args:
        scene: on the CPU.
        yaw_rad: where the rig looks, about the vertical, in the vehicle's frame.
        time_s: of the frame.

    Returns:
        [4] n and h, metres, in the vehicle's frame: n . X = h on the road, n of unit length and pointing down. All
        zeros where there is no road, or where it is not nearly plane.
    """
    world_from_vehicle = ego.world_from_vehicle(scene, time_s).double()
    # near ground decides: what is twice as far is seen in a quarter of the pixels
    ahead = NEAR_M * (FAR_M / NEAR_M) ** torch.linspace(0.0, 1.0, 12, dtype=torch.float64)
    ahead, aside = torch.meshgrid(ahead, torch.linspace(-ASIDE_M, ASIDE_M, 5, dtype=torch.float64), indexing="ij")
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    right, forward = (c * aside + s * ahead).flatten(), (c * ahead - s * aside).flatten()
    flat = torch.stack((right, torch.zeros_like(right), forward), dim=1)
    world = flat @ world_from_vehicle[:3, :3].T + world_from_vehicle[:3, 3]
    across, _ = across_road(scene.terrain, world[:, 0] - scene.road_centre_m, world[:, 2])
    beyond = across.abs() - scene.road_half_width_m
    (gx, gz), (bx, bz) = scene.terrain.grade, scene.terrain.bend_per_m
    x, z = world[:, 0], world[:, 2]
    height = gx * x + gz * z + 0.5 * (bx * x * x + bz * z * z) - torch.where(beyond < 0, scene.terrain.kerb_m, 0.0)
    world[:, 1] = -height
    vehicle_from_world = torch.linalg.inv(world_from_vehicle)
    point = world @ vehicle_from_world[:3, :3].T + vehicle_from_world[:3, 3]
    design = torch.stack((torch.ones_like(x), point[:, 0], point[:, 2]), dim=1)
    a, b, d = torch.linalg.lstsq(design, point[:, 1:2]).solution[:, 0].unbind()
    residual = (design @ torch.stack((a, b, d)) - point[:, 1]).square().mean().sqrt()
    on_road = (beyond < scene.pavement_m).double().mean()
    if residual > FLAT_M or on_road < ROAD_SHARE:
        return torch.zeros(4)
    plane = torch.stack((-b, torch.ones_like(a), -d, a))
    return (plane / plane[:3].norm()).float()


def plane_in_camera(ground_plane: Tensor, vehicle_from_camera: Tensor) -> Tensor:
    """The same plane in a camera's frame.

    Args:
        ground_plane: [..., 4] n and h, metres, in the vehicle's frame; all zeros for none.
        vehicle_from_camera: [..., 4, 4], metres.

    Returns:
        [..., 4]; h is the camera's height above the plane. All zeros stay all zeros.
    """
    normal, h = ground_plane[..., :3], ground_plane[..., 3]
    turned = (normal.unsqueeze(-2) @ vehicle_from_camera[..., :3, :3]).squeeze(-2)
    return torch.cat((turned, (h - (normal * vehicle_from_camera[..., :3, 3]).sum(dim=-1)).unsqueeze(-1)), dim=-1)
