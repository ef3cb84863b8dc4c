"""How far along a ray a solid is: closed forms, for one solid and many rays or for pairs of a ray and a solid.

Solids have axes of their own: x right, y down, z forward, turned by tilt about x and then by yaw about the vertical.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from msdepth_training.scenes.instances import BOX, CYLINDER, TAPERED, TUBE, Instances

NEAR_M = 0.2
Vector = tuple[Tensor, Tensor, Tensor]
Number = float | Tensor
"""One solid's number, or [N] one for each pair of a ray and a solid."""


class Solid(NamedTuple):
    """One instance as plain numbers, or N of one kind as tensors [N]."""

    kind: int
    centre_m: tuple[Number, ...]
    half_m: tuple[Number, ...]
    yaw: tuple[Number, Number]
    """Cosine and sine."""
    tilt: tuple[Number, Number] | None
    """Cosine and sine; None for upright solids."""
    taper: tuple[Number, ...]
    cutout: Number
    texels_per_m: Number


def solids(instances: Instances, time_s: float) -> list[Solid]:
    """All instances one by one, where they are at a time; one transfer from the device for each column."""
    centres = instances.centre_m + time_s * instances.velocity_mps
    columns = (
        instances.kind, centres, instances.half_m, instances.yaw_rad, instances.tilt_rad, instances.taper,
        instances.cutout, instances.texels_per_m,
    )  # fmt: skip
    return [
        Solid(
            kind, tuple(centre), tuple(half), (math.cos(yaw), math.sin(yaw)),
            (math.cos(tilt), math.sin(tilt)) if tilt else None, tuple(taper), cutout, texels,
        )
        for kind, centre, half, yaw, tilt, taper, cutout, texels in zip(*(c.tolist() for c in columns), strict=True)
    ]  # fmt: skip


def paired(instances: Instances, time_s: float, kind: int, row: Tensor) -> Solid:
    """The instances at row [N], all of one kind, as tensors [N]."""
    centres = (instances.centre_m + time_s * instances.velocity_mps).T[:, row]
    yaw, tilt = instances.yaw_rad[row], instances.tilt_rad
    turned = (tilt.cos()[row], tilt.sin()[row]) if bool((tilt != 0).any()) else None
    return Solid(
        kind, tuple(centres), tuple(instances.half_m.T[:, row]), (yaw.cos(), yaw.sin()), turned,
        tuple(instances.taper.T[:, row]), instances.cutout[row], instances.texels_per_m[row],
    )  # fmt: skip


def to_local(solid: Solid, v: Vector) -> Vector:
    """A direction of the world along the solid's own axes."""
    c, s = solid.yaw
    x, y, z = c * v[0] - s * v[2], v[1], s * v[0] + c * v[2]
    if solid.tilt is not None:
        c, s = solid.tilt
        y, z = c * y + s * z, c * z - s * y
    return x, y, z


def to_world(solid: Solid, v: Vector) -> Vector:
    """The reverse of `to_local`."""
    x, y, z = v
    if solid.tilt is not None:
        c, s = solid.tilt
        y, z = c * y - s * z, c * z + s * y
    c, s = solid.yaw
    return c * x + s * z, y, c * z - s * x


def slab(origin: tuple[Tensor, ...], direction: tuple[Tensor, ...], half: tuple[Number, ...]) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave a box around 0 with half extents along some axes; a miss leaves before it enters."""
    near: Tensor | None = None
    far: Tensor | None = None
    for o, d, h in zip(origin, direction, half, strict=True):
        inverse = 1.0 / torch.where(d.abs() < 1e-9, torch.full_like(d, 1e-9), d)
        a, b = (-h - o) * inverse, (h - o) * inverse
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        near = low if near is None else torch.maximum(near, low)
        far = high if far is None else torch.minimum(far, high)
    assert near is not None and far is not None
    return near, far


def _outside(near: Tensor, far: Tensor) -> Tensor:
    """Where a convex solid is entered; inf for a miss and from within."""
    return torch.where((far > near) & (near > NEAR_M), near, torch.inf)


def _tapered(origin: Vector, direction: Vector, half: tuple[Number, ...], taper: tuple[Number, ...]) -> Tensor:
    """Distance to a box that gets narrower towards its top, the intersection of six half spaces."""
    near, far = slab(origin[1:2], direction[1:2], half[1:2])
    for axis, sign, share in ((0, 1.0, taper[0]), (0, -1.0, taper[0]), (2, 1.0, taper[1]), (2, -1.0, taper[2])):
        # sign * x - lean * y <= reach, where the reach is the middle height's half extent
        lean, reach = 0.5 * share * half[axis] / half[1], half[axis] * (1.0 - 0.5 * share)
        room = reach - sign * origin[axis] + lean * origin[1]
        speed = sign * direction[axis] - lean * direction[1]
        t = room / torch.where(speed.abs() < 1e-9, torch.full_like(speed, 1e-9), speed)
        near = torch.where(speed < 0, torch.maximum(near, t), near)
        far = torch.where(speed < 0, far, torch.minimum(far, t))
    return _outside(near, far)


def quadric(origin: Vector, direction: Vector, half: tuple[Number, ...], *, upright: bool) -> Tensor:
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


def _tube(origin: Vector, direction: Vector, half: tuple[Number, ...], narrowing: Number) -> Tensor:
    """Distance to a cylinder or cone along y with both ends closed; inf for a miss and from within."""
    o = [a / h for a, h in zip(origin, half, strict=True)]
    d = [a / h for a, h in zip(direction, half, strict=True)]
    k, middle = 0.5 * narrowing, 1.0 - 0.5 * narrowing  # radius at height y: middle + k * y
    radius, growth = middle + k * o[1], k * d[1]
    a = d[0] * d[0] + d[2] * d[2] - growth * growth
    b = o[0] * d[0] + o[2] * d[2] - growth * radius
    c = o[0] * o[0] + o[2] * o[2] - radius * radius
    root = (b * b - a * c).clamp(min=0.0).sqrt()
    a = torch.where(a.abs() < 1e-12, torch.full_like(a, 1e-12), a)
    nearest = torch.full_like(b, torch.inf)
    # with a double root (a miss) both sides are refused by the test of the radius
    exists = b * b - a * c > 0
    for t in ((-b - root) / a, (-b + root) / a):
        y = o[1] + t * d[1]
        nearest = torch.where(exists & (t > NEAR_M) & (y.abs() < 1.0) & (t < nearest), t, nearest)
    steep = torch.where(d[1].abs() < 1e-9, torch.full_like(d[1], 1e-9), d[1])
    for end in (-1.0, 1.0):
        t = (end - o[1]) / steep
        across = (o[0] + t * d[0]) ** 2 + (o[2] + t * d[2]) ** 2
        nearest = torch.where((t > NEAR_M) & (across < (middle + k * end) ** 2) & (t < nearest), t, nearest)
    return nearest


def distance(solid: Solid, origin: Vector, direction: Vector) -> Tensor:
    """Distance of a solid without holes along rays of its own frame, inf for a miss; any kind but clumps of leaves.

    Args:
        solid: one for all rays, or one for each ray.
        origin: [...], metres, from the solid's centre along its axes.
        direction: [...], likewise.
    """
    if solid.kind == BOX:
        return _outside(*slab(origin, direction, solid.half_m))
    if solid.kind == TAPERED:
        return _tapered(origin, direction, solid.half_m, solid.taper)
    if solid.kind == TUBE:
        return _tube(origin, direction, solid.half_m, solid.taper[0])
    return quadric(origin, direction, solid.half_m, upright=solid.kind == CYLINDER)
