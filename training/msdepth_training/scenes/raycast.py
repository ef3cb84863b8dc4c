"""Which thing each pixel sees and how far away it is: exact ray casting, one thing at a time within its screen rectangle."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from msdepth_training.scenes.textures import SIZE
from msdepth_training.scenes.world import BOX, CYLINDER, GROUND_ZONES, Instances

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
    """Ellipsoid, or the side of an upright elliptic cylinder."""
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
    """Pixel bounds (top, bottom, left, right) of projected corners [P, 8, 3] (u, v, z); empty ones where nothing is seen.

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
    return [(int(t), int(b), int(l), int(r)) for t, b, l, r in bounds.tolist()]


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
    device = direction[0].device
    nearest, instance = (
        torch.full(shape, torch.inf, device=device),
        torch.full(shape, -1, dtype=torch.long, device=device),
    )
    if ground:
        t = -origin[1] / direction[1].clamp(min=1e-9)
        on_ground = (direction[1] > 1e-6) & (t > NEAR_M) & (t < 2000.0)
        nearest, instance = (
            torch.where(on_ground, t, nearest).expand(shape).clone(),
            torch.where(on_ground, -2, instance).expand(shape).clone(),
        )
    kinds, halves, yaws = instances.kind.tolist(), instances.half_m.tolist(), instances.yaw_rad.tolist()
    cutouts = instances.cutout.tolist()
    centres = (instances.centre_m + time_s * instances.velocity_mps).tolist()
    for index, (top, bottom, left, right) in enumerate(_screen_rectangles(projected_corners, shape[0], shape[1])):
        if top >= bottom or left >= right:
            continue
        rows, columns = slice(top, bottom), slice(left, right)
        cut = [t.expand(shape)[rows, columns] if t.ndim else t for t in (*origin, *direction)]
        half, (cx, cy, cz) = halves[index], centres[index]
        ox, oz = _rotate(yaws[index], cut[0] - cx, cut[2] - cz)
        dx, dz = _rotate(yaws[index], cut[3], cut[5])
        o, d = (ox, cut[1] - cy, oz), (dx, cut[4], dz)
        t = _slab(o, d, half) if kinds[index] == BOX else _quadric(o, d, half, upright=kinds[index] == CYLINDER)
        if cutouts[index] > 0:
            t = _holes(leaf_texture, o, d, t, half, cutouts[index])
        closer = t < nearest[rows, columns]
        instance[rows, columns].masked_fill_(closer, index)
        nearest[rows, columns] = torch.minimum(t, nearest[rows, columns])
    return Hits(nearest, instance)
