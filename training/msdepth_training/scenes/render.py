"""A frame: every camera's image and exact depth, from one scene at one moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from msdepth_training.geometry import pixel_rays
from msdepth_training.scenes import ego, foliage, motion, raycast, sensors, shading, terrain
from msdepth_training.scenes.ground import road_plane
from msdepth_training.scenes.optics import Optics, sample_optics
from msdepth_training.scenes.own_body import OwnBody, cover, sample_own_body
from msdepth_training.scenes.raycast import Hits, Leaves
from msdepth_training.scenes.rig import SceneRig
from msdepth_training.scenes.scene import Scene
from msdepth_training.scenes.surfaces import Surface, surface
from msdepth_training.scenes.textures import atlas

SHADOW_SIZE = 384
"""Cells per side of the shadow map."""
SHADOW_SPAN_M = 96.0
"""Width of the shadow map."""
SHUTTER_S = 60.0
"""Between two calibrations of a thermal camera by its shutter."""
THERMAL_LAG_S = 0.008
"""Bolometers answer slowly."""
SHADOW_STEPS = 4
"""Through leaves, on the sun's way."""
LEAF_TEXTURE = 3
"""Layer of the atlas that decides where foliage has holes."""


@dataclass(frozen=True)
class Frame:
    """One synchronized set with ground truth."""

    images: dict[str, Tensor]
    """Spectrum to raw image [C, h, w]: uint8 for rgb (RGB order) and nir, int32 14-bit counts for thermal."""
    depth_m: dict[str, Tensor]
    """Spectrum to exact depth [h, w] along that camera's z axis, metres, inf for sky, NaN for the own vehicle."""
    rig: SceneRig
    time_s: float
    ground_plane: Tensor
    """[4] the road before the rig in the vehicle's frame, see `ground.road_plane`."""


def _shadow_map(scene: Scene, leaves: Leaves, place: Tensor, time_s: float) -> tuple[Tensor, Tensor]:
    """What the sun sees.

    Returns:
        Distance [SHADOW_SIZE, SHADOW_SIZE] of the first thing, metres, and [3, 4]: the sun's axes (rows: right, down,
        towards the ground) beside the coordinates, along them, of the grid's first cell.
    """
    device = scene.instances.half_m.device
    forward = -torch.tensor(scene.conditions.sun_direction, device=device)
    right = torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0], device=device), forward)
    right = right / right.norm().clamp(min=1e-6)
    axes = torch.stack((right, torch.linalg.cross(forward, right), forward))
    middle = axes @ torch.stack((place[0], place[1], place[2] + 0.35 * SHADOW_SPAN_M))
    steps = (torch.arange(SHADOW_SIZE, device=device) + 0.5) / SHADOW_SIZE - 0.5
    a, b = middle[0] + steps * SHADOW_SPAN_M, middle[1] + steps * SHADOW_SPAN_M
    start = middle[2] - 200.0
    origin = a[None, :, None] * axes[0] + b[:, None, None] * axes[1] + start * axes[2]
    corners = raycast.box_corners(scene.instances, time_s) @ axes.T
    corners = torch.stack(((corners[..., 0] - a[0]), (corners[..., 1] - b[0]), corners[..., 2] - start), dim=-1)
    corners[..., :2] *= SHADOW_SIZE / SHADOW_SPAN_M
    rectangles = raycast.screen_rectangles(corners, None, SHADOW_SIZE, SHADOW_SIZE)
    rays = tuple(origin.unbind(-1)), tuple(forward.unbind())
    nothing = raycast.nothing(device, torch.Size((SHADOW_SIZE, SHADOW_SIZE)))
    hits = raycast.cast(
        scene.instances, *rays, rectangles, leaves._replace(steps=SHADOW_STEPS), nothing,
        time_s=time_s, together=scene.style.together,
    )  # fmt: skip
    frame = torch.cat((axes, torch.stack((a[0], b[0], start))[:, None]), dim=1)
    return hits.distance, frame


class _Moment(NamedTuple):
    """What all cameras share whose images are taken at one instant."""

    scene: Scene
    textures: Tensor
    """The atlas."""
    leaves: Leaves
    world_from_vehicle: Tensor
    """[4, 4], metres."""
    corners: Tensor
    """Of all things, from `raycast.box_corners`."""
    shadow: tuple[Tensor, Tensor] | None
    """From `_shadow_map`; None without sun."""
    time_s: float


def _moment(scene: Scene, time_s: float, device: torch.device) -> _Moment:
    scene = dataclasses.replace(scene, instances=scene.instances.to(device))
    textures = atlas(device)
    world_from_vehicle = ego.world_from_vehicle(scene, time_s).to(device)
    sunny = scene.conditions.sun_share * scene.conditions.daylight > 0.02
    leaves = Leaves(textures[LEAF_TEXTURE], foliage.noise(device))
    shadow = _shadow_map(scene, leaves, world_from_vehicle[:3, 3], time_s) if sunny else None
    corners = raycast.box_corners(scene.instances, time_s)
    return _Moment(scene, textures, leaves, world_from_vehicle, corners, shadow, time_s)


def _sunlit(shadow: tuple[Tensor, Tensor] | None, s: Surface, *, soft: bool) -> Tensor:
    """[h, w] 1 where the sun reaches the surface, else 0; beyond the shadow map it does. Soft edges are a cell wide."""
    if shadow is None:
        return torch.ones_like(s.distance_m)
    distance, frame = shadow
    local = [sum(p * float(frame[i, j]) for j, p in enumerate(s.point)) - float(frame[i, 3]) for i in range(3)]
    u, v = (x * (SHADOW_SIZE / SHADOW_SPAN_M) for x in local[:2])
    inside = (u >= 0) & (u < SHADOW_SIZE) & (v >= 0) & (v < SHADOW_SIZE)
    if not soft:
        return 1.0 - _behind(distance, u.round().long(), v.round().long(), local[2]) * inside
    left, top = u.floor(), v.floor()
    right_share, bottom_share, dark = u - left, v - top, torch.zeros_like(u)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (bottom_share if i else 1.0 - bottom_share) * (right_share if j else 1.0 - right_share)
        dark += share * _behind(distance, left.long() + j, top.long() + i, local[2])
    return 1.0 - dark * inside


def _behind(distance: Tensor, column: Tensor, row: Tensor, local_z: Tensor) -> Tensor:
    """1.0 where a point is farther from the sun than what the shadow map has in a cell."""
    column, row = column.clamp(0, SHADOW_SIZE - 1), row.clamp(0, SHADOW_SIZE - 1)
    return (local_z > distance.reshape(-1)[row * SHADOW_SIZE + column] + 0.35).float()


def render_frame(
    scene: Scene,
    rig: SceneRig,
    *,
    time_s: float,
    device: torch.device | None = None,
    spectra: tuple[str, ...] | None = None,
    late_s: Mapping[str, float] | None = None,
) -> Frame:
    """Render every camera of a rig.

    Args:
        scene: the street.
        rig: cameras at the wanted image size.
        time_s: seconds since the sequence began; the vehicle and others have moved.
        device: where to compute; the CPU by default. The result is the same up to rounding.
        spectra: which cameras; all by default.
        late_s: how much later than `time_s` a camera's image is taken, by spectrum; 0 by default. The vehicle and
            others have moved on by then, in the image as in its depth; poses are those of the rig.

    Returns:
        Images and exact depth, on `device`.
    """
    times = {s: time_s + (late_s or {}).get(s, 0.0) for s in spectra or tuple(rig.k)}
    moments = {t: _moment(scene, t, device or torch.device("cpu")) for t in set(times.values())}
    rng = np.random.default_rng([scene.seed, 11])
    # drawn for every camera, rendered or not, so that a camera's character does not depend on the others
    characters = {s: _Character(sensors.sample_noise(rng)) for s in rig.k}
    if scene.style.optics:
        rng = np.random.default_rng([scene.seed, 13])
        characters = {
            s: c._replace(optics=sample_optics(rng), shutter_s=float(rng.uniform(0, SHUTTER_S)))
            for s, c in characters.items()
        }
    if scene.style.own_body and scene.split == "train":
        bodies = sample_own_body(np.random.default_rng([scene.seed, 19]), rig.looks.yaw_rad, tuple(rig.k))
        characters = {s: c._replace(body=bodies.get(s)) for s, c in characters.items()}
    images, depths = {}, {}
    for spectrum, taken_s in times.items():
        images[spectrum], depths[spectrum] = _camera(moments[taken_s], rig, spectrum, characters[spectrum])
    return Frame(images, depths, rig, time_s, road_plane(scene, rig.looks.yaw_rad, time_s))


class _Character(NamedTuple):
    """One camera's peculiarities in a sequence."""

    noise: sensors.SensorNoise
    optics: Optics | None = None
    shutter_s: float | None = None
    """When a thermal camera's shutter closed before time 0; None if its pattern does not drift."""
    body: OwnBody | None = None
    """What it sees of the own vehicle."""


def _camera(m: _Moment, rig: SceneRig, spectrum: str, character: _Character) -> tuple[Tensor, Tensor]:
    """One camera's image and depth."""
    s, lit = _visible(m, rig, spectrum)
    conditions, depth_m = m.scene.conditions, s.depth_m
    frame_seed = int(abs(m.time_s) * 1000) + 7919 * (m.scene.seed % 100_003)
    if spectrum == "thermal":
        apparent_k = shading.emitted(m.scene, s, m.textures, lit, time_s=m.time_s)
        if character.body is not None:
            apparent_k, depth_m = cover(character.body, apparent_k, depth_m, light=0.0, air_k=conditions.air_k)
        if character.optics is not None:
            apparent_k = motion.blurred(apparent_k, _streaks(m, rig, spectrum, s, THERMAL_LAG_S))
        drift = None if character.shutter_s is None else (character.shutter_s + m.time_s) % SHUTTER_S / SHUTTER_S
        return sensors.thermal_camera(
            apparent_k, character.noise, conditions, frame_seed=frame_seed, drift=drift
        ), depth_m
    forward = m.world_from_vehicle[:3, 2]
    radiance = shading.reflected(m.scene, s, m.textures, lit, forward, band=spectrum, time_s=m.time_s)
    if character.body is not None:
        radiance, depth_m = cover(character.body, radiance, depth_m, light=conditions.daylight, air_k=None)
    if character.optics is not None:
        open_s = character.optics.exposure_s * (1.0 if conditions.daylight < 0.1 else 0.125)
        radiance = motion.blurred(radiance, _streaks(m, rig, spectrum, s, open_s))
    return sensors.visible_camera(
        radiance, character.noise, conditions, frame_seed=frame_seed, optics=character.optics
    ), depth_m


def _streaks(m: _Moment, rig: SceneRig, spectrum: str, s: Surface, open_s: float) -> Tensor:
    """[2, h, w] px: how far the image of what is at rest moves while the shutter is open."""
    device = s.depth_m.device
    vehicle_from_camera = rig.vehicle_from_camera[spectrum].to(device)
    later = ego.world_from_vehicle(m.scene, m.time_s + open_s).to(device) @ vehicle_from_camera
    k = rig.k[spectrum].to(device)
    later_from_now = torch.linalg.inv(later) @ m.world_from_vehicle @ vehicle_from_camera
    return motion.streaks(s.depth_m, pixel_rays(k, rig.height, rig.width), k, later_from_now)


def _visible(m: _Moment, rig: SceneRig, spectrum: str) -> tuple[Surface, Tensor]:
    """Visible surfaces of one camera and where the sun reaches them."""
    world_from_camera = m.world_from_vehicle @ rig.vehicle_from_camera[spectrum].to(m.world_from_vehicle.device)
    k = rig.k[spectrum].to(world_from_camera.device)
    rays = pixel_rays(k, rig.height, rig.width)
    direction = tuple(torch.einsum("ij,jhw->ihw", world_from_camera[:3, :3], rays).unbind(0))
    origin = tuple(world_from_camera[:3, 3].unbind())
    camera_from_world = torch.linalg.inv(world_from_camera)
    seen = m.corners @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    rectangles = raycast.screen_rectangles(seen, k, rig.height, rig.width)
    ground = Hits(*terrain.cast(m.scene.terrain, m.scene.road_half_width_m, origin, direction, rays.shape[1:]))
    hits = raycast.cast(
        m.scene.instances, origin, direction, rectangles, m.leaves, ground,
        time_s=m.time_s, together=m.scene.style.together,
    )  # fmt: skip
    s = surface(
        m.scene, hits, origin, direction, m.textures, time_s=m.time_s, pixel_rad=1.0 / float(k[0, 0])
    )  # fmt: skip
    return s, _sunlit(m.shadow, s, soft=m.scene.style.rich)
