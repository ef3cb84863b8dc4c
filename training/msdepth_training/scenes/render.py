"""A frame: every camera's image and exact depth, from one scene at one moment."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from msdepth_training.geometry import pixel_rays
from msdepth_training.scenes import raycast, sensors, shading
from msdepth_training.scenes.rig import SceneRig
from msdepth_training.scenes.textures import atlas
from msdepth_training.scenes.world import Scene

SHADOW_SIZE = 384
SHADOW_SPAN_M = 96.0
LEAF_TEXTURE = 3


@dataclass(frozen=True)
class Frame:
    """One synchronized set with ground truth."""

    images: dict[str, Tensor]
    """Spectrum to raw image [C, h, w]: uint8 for rgb (RGB order) and nir, int32 14-bit counts for thermal."""
    depth_m: dict[str, Tensor]
    """Spectrum to exact depth [h, w] along that camera's z axis, metres, inf for sky."""
    rig: SceneRig
    time_s: float


def _world_from_vehicle(scene: Scene, time_s: float) -> Tensor:
    pose = torch.eye(4)
    pose[0, 3] = scene.ego_x_m
    pose[2, 3] = scene.ego_speed_mps * time_s
    return pose


def _shadow_map(scene: Scene, leaf: Tensor, ego_z: float, time_s: float) -> tuple[Tensor, Tensor]:
    """Distance of the first thing seen from the sun on a grid, and the sun's axes [3, 3] (rows: right, down, towards the ground)."""
    device = scene.instances.half_m.device
    forward = -torch.tensor(scene.conditions.sun_direction, device=device)
    right = torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0], device=device), forward)
    right = right / right.norm().clamp(min=1e-6)
    axes = torch.stack((right, torch.linalg.cross(forward, right), forward))
    middle = axes @ torch.tensor([scene.ego_x_m, 0.0, ego_z + 0.35 * SHADOW_SPAN_M], device=device)
    steps = (torch.arange(SHADOW_SIZE, device=device) + 0.5) / SHADOW_SIZE - 0.5
    a, b = middle[0] + steps * SHADOW_SPAN_M, middle[1] + steps * SHADOW_SPAN_M
    start = middle[2] - 200.0
    origin = a[None, :, None] * axes[0] + b[:, None, None] * axes[1] + start * axes[2]
    corners = raycast.box_corners(scene.instances, time_s) @ axes.T
    corners = torch.stack(((corners[..., 0] - a[0]), (corners[..., 1] - b[0]), corners[..., 2] - start), dim=-1)
    corners[..., :2] *= SHADOW_SIZE / SHADOW_SPAN_M
    hits = raycast.cast(
        scene.instances, tuple(origin.unbind(-1)), tuple(forward.unbind()), corners, leaf, time_s=time_s, ground=False
    )
    frame = torch.cat((axes, torch.stack((a[0], b[0], start))[:, None]), dim=1)
    return hits.distance, frame


def _sunlit(shadow: tuple[Tensor, Tensor] | None, s: shading.Surface) -> Tensor:
    if shadow is None:
        return torch.ones_like(s.distance_m)
    distance, frame = shadow
    local = [sum(p * float(frame[i, j]) for j, p in enumerate(s.point)) - float(frame[i, 3]) for i in range(3)]
    u, v = (x * (SHADOW_SIZE / SHADOW_SPAN_M) for x in local[:2])
    inside = (u >= 0) & (u < SHADOW_SIZE) & (v >= 0) & (v < SHADOW_SIZE)
    column, row = u.round().long().clamp(0, SHADOW_SIZE - 1), v.round().long().clamp(0, SHADOW_SIZE - 1)
    first = distance.reshape(-1)[row * SHADOW_SIZE + column]
    return torch.where(inside & (local[2] > first + 0.35), 0.0, 1.0)


def render_frame(
    scene: Scene,
    rig: SceneRig,
    *,
    time_s: float,
    device: torch.device | None = None,
    spectra: tuple[str, ...] | None = None,
) -> Frame:
    """Render every camera of a rig.

    Args:
        scene: the street.
        rig: cameras at the wanted image size.
        time_s: seconds since the sequence began; the vehicle and others have moved.
        device: where to compute; the CPU by default. The result is the same up to rounding.
        spectra: which cameras; all by default.

    Returns:
        Images and exact depth, on `device`.
    """
    device = device or torch.device("cpu")
    scene = dataclasses.replace(scene, instances=scene.instances.to(device))
    textures = atlas(device)
    leaf = textures[LEAF_TEXTURE]
    world_from_vehicle = _world_from_vehicle(scene, time_s).to(device)
    ego_z = float(world_from_vehicle[2, 3])
    shadow = (
        _shadow_map(scene, leaf, ego_z, time_s)
        if scene.conditions.sun_share * scene.conditions.daylight > 0.02
        else None
    )
    corners = raycast.box_corners(scene.instances, time_s)
    rng = np.random.default_rng([scene.seed, 11])
    characters = {s: sensors.sample_noise(rng) for s in rig.k}
    images, depths = {}, {}
    for spectrum in spectra or tuple(rig.k):
        world_from_camera = world_from_vehicle @ rig.vehicle_from_camera[spectrum].to(device)
        s, lit = _visible(scene, rig, spectrum, world_from_camera, corners, textures, shadow, time_s)
        frame_seed = int(abs(time_s) * 1000) + 7919 * (scene.seed % 100_003)
        if spectrum == "thermal":
            apparent = shading.emitted(scene, s, textures, lit, time_s=time_s)
            images[spectrum] = sensors.thermal_camera(
                apparent, characters[spectrum], scene.conditions, frame_seed=frame_seed
            )
        else:
            radiance = shading.reflected(
                scene, s, textures, lit, world_from_vehicle[:3, 2], band=spectrum, time_s=time_s
            )
            images[spectrum] = sensors.visible_camera(
                radiance, characters[spectrum], scene.conditions, frame_seed=frame_seed
            )
        depths[spectrum] = s.depth_m
    return Frame(images, depths, rig, time_s)


def _visible(
    scene: Scene,
    rig: SceneRig,
    spectrum: str,
    world_from_camera: Tensor,
    corners: Tensor,
    textures: Tensor,
    shadow: tuple[Tensor, Tensor] | None,
    time_s: float,
) -> tuple[shading.Surface, Tensor]:
    """Visible surfaces of one camera and where the sun reaches them."""
    k = rig.k[spectrum].to(world_from_camera.device)
    rays = pixel_rays(k, rig.height, rig.width)
    direction = tuple(torch.einsum("ij,jhw->ihw", world_from_camera[:3, :3], rays).unbind(0))
    origin = tuple(world_from_camera[:3, 3].unbind())
    camera_from_world = torch.linalg.inv(world_from_camera)
    seen = corners @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    z = seen[..., 2].clamp(min=1e-3)
    projected = torch.stack(
        (k[0, 0] * seen[..., 0] / z + k[0, 2], k[1, 1] * seen[..., 1] / z + k[1, 2], seen[..., 2]), dim=-1
    )
    hits = raycast.cast(scene.instances, origin, direction, projected, textures[LEAF_TEXTURE], time_s=time_s)
    s = shading.surface(scene, hits, origin, direction, textures, time_s=time_s, pixel_rad=1.0 / float(k[0, 0]))
    return s, _sunlit(shadow, s)
