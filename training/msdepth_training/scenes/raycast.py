"""Which thing each pixel sees and how far away: exact ray casting, one thing at a time within its screen rectangle."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from msdepth_training.scenes.instances import BOX, CYLINDER, GROUND_ZONES, Instances
from msdepth_training.scenes.textures import SIZE

NEAR_M = 0.2
Vector = tuple[Tensor, Tensor, Tensor]


class Hits(NamedTuple):
    """What every ray of an h x w bundle meets first."""

    distance: Tensor
    """[h, w] in units of the ray's direction, inf for none; with directions of unit z it is depth along z."""
    instance: Tensor
    """int [h, w]; -1 sky; -2 ground."""


def _rotate(yaw: float, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """World to a thing's own axes."""
    c, s = math.cos(yaw), math.sin(yaw)
    return c * x - s * z, s * x + c * z


def _slab(origin: Vector, direction: Vector, half: list[float]) -> Tensor:
    """Distance to a box around 0 with these half extents; inf for a miss and from within."""
    near: Tensor | None = None
    far: Tensor | None = None
    for o, d, h in zip(origin, direction, half, strict=True):
        inverse = 1.0 / torch.where(d.abs() < 1e-9, torch.full_like(d, 1e-9), d)
        a, b = (-h - o) * inverse, (h - o) * inverse
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        near = low if near is None else torch.maximum(near, low)
        far = high if far is None else torch.minimum(far, high)
    assert near is not None and far is not None
    return torch.where((far > near) & (near > NEAR_M), near, torch.inf)


def _quadric(origin: Vector, direction: Vector, half: list[float], *, upright: bool) -> Tensor:
    """Distance to an ellipsoid around 0, or to the side of an upright elliptic cylinder; inf for a miss."""
    o = [a / h for a, h in zip(origin, half, strict=True)]
    d = [a / h for a, h in zip(direction, half, strict=True)]
    axes = (0, 2) if upright else (0, 1, 2)
    a = sum(d[i] * d[i] for i in axes)
    b = sum(o[i] * d[i] for i in axes)
    c = sum(o[i] * o[i] for i in axes) - 1.0
    root = b * b - a * c
    t = (-b - root.clamp(min=0.0).sqrt()) / a.clamp(min=1e-12)
    hit = (root > 0) & (t > NEAR_M)
    if upright:
        hit = hit & ((o[1] + t * d[1]).abs() < 1.0)
    return torch.where(hit, t, torch.inf)


def _holes(texture: Tensor, origin: Vector, direction: Vector, t: Tensor, half: list[float], cutout: float) -> Tensor:
    """Foliage: rays that pass between leaves miss."""
    x, y, z = (o + t * d for o, d in zip(origin, direction, strict=True))
    u = torch.atan2(x / half[0], -z / half[2]) * (SIZE / (2 * math.pi)) * max(1, round(half[0]))
    v = (y / half[1]).clamp(-1, 1) * (SIZE / 4) * max(1, round(half[1]))
    finite = torch.isfinite(t)
    u, v = torch.where(finite, u, 0.0).long() % SIZE, torch.where(finite, v, 0.0).long() % SIZE
    # cutout is a share: the texture is roughly normal with unit deviation
    threshold = math.sqrt(2.0) * torch.erfinv(torch.tensor(2 * cutout - 1)).item()
    return torch.where(texture.reshape(-1)[v * SIZE + u] < threshold, torch.inf, t)


def _screen_rectangles(corners: Tensor, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Pixel bounds (top, bottom, left, right) of projected corners [P, 8, 3] (u, v, z); empty where nothing is seen.

    A thing that reaches behind the camera gets the whole image.
    """
    if corners.shape[0] == 0:
        return []
    behind = corners[..., 2] <= NEAR_M
    low, high = corners[..., :2].amin(dim=1).floor(), corners[..., :2].amax(dim=1).ceil() + 1
    left, top = low[:, 0].clamp(0, width), low[:, 1].clamp(0, height)
    right, bottom = high[:, 0].clamp(0, width), high[:, 1].clamp(0, height)
    bounds = torch.stack((top, bottom, left, right), dim=1)
    bounds = torch.where(behind.any(dim=1, keepdim=True), bounds.new_tensor([0, height, 0, width]), bounds)
    bounds = torch.where(behind.all(dim=1, keepdim=True), torch.zeros_like(bounds), bounds)
    return [(int(t), int(b), int(left), int(right)) for t, b, left, right in bounds.tolist()]


def box_corners(instances: Instances, time_s: float) -> Tensor:
    """Corners of every thing's bounding box at a time, [P - GROUND_ZONES, 8, 3], world frame, metres."""
    n = instances.kind.shape[0] - GROUND_ZONES
    signs = torch.tensor(
        [[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)], device=instances.half_m.device
    )
    local = signs[None] * instances.half_m[:n, None]
    c, s = instances.yaw_rad[:n, None].cos(), instances.yaw_rad[:n, None].sin()
    x, z = c * local[..., 0] + s * local[..., 2], -s * local[..., 0] + c * local[..., 2]
    centre = instances.centre_m[:n] + time_s * instances.velocity_mps[:n]
    return torch.stack((x, local[..., 1], z), dim=-1) + centre[:, None]


def cast(
    instances: Instances,
    origin: Vector,
    direction: Vector,
    projected_corners: Tensor,
    leaf_texture: Tensor,
    *,
    time_s: float,
    ground: bool = True,
) -> Hits:
    """Cast a bundle of rays.

    Args:
        instances: the things.
        origin: x, y, z of the rays' origins, scalars or [h, w], world frame, metres.
        direction: x, y, z of their directions [h, w] or scalars.
        projected_corners: [P', 8, 3] from `box_corners`, projected to (u, v, z) of the bundle.
        leaf_texture: [SIZE, SIZE] that decides where foliage has holes.
        time_s: moving things have moved for that long.
        ground: whether the plane y = 0 is there.

    Returns:
        The nearest hits.
    """
    shape = torch.broadcast_shapes(*(t.shape for t in (*origin, *direction)))
    hits = _ground(origin, direction, shape) if ground else _nothing(direction[0].device, shape)
    things = _things(instances, time_s)
    for index, (top, bottom, left, right) in enumerate(_screen_rectangles(projected_corners, shape[0], shape[1])):
        if top >= bottom or left >= right:
            continue
        part = slice(top, bottom), slice(left, right)
        cut = [t.expand(shape)[part] if t.ndim else t for t in (*origin, *direction)]
        t = _distance(things[index], tuple(cut[:3]), tuple(cut[3:]), leaf_texture)
        closer = t < hits.distance[part]
        hits.instance[part].masked_fill_(closer, index)
        hits.distance[part] = torch.minimum(t, hits.distance[part])
    return hits


def _nothing(device: torch.device, shape: torch.Size) -> Hits:
    """Only sky."""
    return Hits(torch.full(shape, torch.inf, device=device), torch.full(shape, -1, dtype=torch.long, device=device))


def _ground(origin: Vector, direction: Vector, shape: torch.Size) -> Hits:
    """The plane y = 0, up to 2 km away, and sky."""
    t = -origin[1] / direction[1].clamp(min=1e-9)
    on_ground = (direction[1] > 1e-6) & (t > NEAR_M) & (t < 2000.0)
    sky = _nothing(direction[0].device, shape)
    return Hits(
        torch.where(on_ground, t, sky.distance).expand(shape).clone(),
        torch.where(on_ground, -2, sky.instance).expand(shape).clone(),
    )


class _Thing(NamedTuple):
    """One instance as plain numbers."""

    kind: int
    half_m: list[float]
    yaw_rad: float
    cutout: float
    centre_m: list[float]


def _things(instances: Instances, time_s: float) -> list[_Thing]:
    """All instances, in one transfer from the device per column, where they are at a time."""
    centres = instances.centre_m + time_s * instances.velocity_mps
    columns = (instances.kind, instances.half_m, instances.yaw_rad, instances.cutout, centres)
    return [_Thing(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def _distance(thing: _Thing, origin: Vector, direction: Vector, leaf_texture: Tensor) -> Tensor:
    """Distance of one thing along rays in the world frame; inf where they miss it or pass between its leaves."""
    cx, cy, cz = thing.centre_m
    ox, oz = _rotate(thing.yaw_rad, origin[0] - cx, origin[2] - cz)
    dx, dz = _rotate(thing.yaw_rad, direction[0], direction[2])
    o, d = (ox, origin[1] - cy, oz), (dx, direction[1], dz)
    half, upright = thing.half_m, thing.kind == CYLINDER
    t = _slab(o, d, half) if thing.kind == BOX else _quadric(o, d, half, upright=upright)
    return _holes(leaf_texture, o, d, t, half, thing.cutout) if thing.cutout > 0 else t
