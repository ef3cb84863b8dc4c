"""Which thing each pixel sees and how far away, by exact ray casting.

One thing at a time within its screen rectangle, or all small things together as pairs of a ray and a thing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from msdepth_training.scenes import foliage, primitives
from msdepth_training.scenes.instances import GROUND_ZONES, HEDGE, LEAVES, Instances
from msdepth_training.scenes.primitives import NEAR_M, Solid, Vector, paired, solids, to_local
from msdepth_training.scenes.textures import SIZE

SMALL_PX = 6000
"""Up to this area of their rectangles, things are cast together: most of their time one by one would be overhead."""
PAIRS = 1_000_000
"""Most pairs of a ray and a thing at once."""
EDGES = ((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7))
"""Of the corners in `box_corners`."""


class Hits(NamedTuple):
    """What every ray of an h x w bundle meets first."""

    distance: Tensor
    """[h, w] in units of the ray's direction, inf for none; with directions of unit z it is depth along z."""
    instance: Tensor
    """int [h, w]; -1 sky; -2 ground; -3 the face of a kerb."""


class Rectangles(NamedTuple):
    """Where on the screen things are."""

    bounds: list[tuple[int, int, int, int]]
    """Top, bottom, left, right in px; empty where nothing is seen."""
    depth_m: list[float]
    """Of each thing's middle."""


def _holes(texture: Tensor, origin: Vector, direction: Vector, t: Tensor, solid: Solid) -> Tensor:
    """Foliage: rays that pass between leaves miss."""
    half = solid.half_m
    x, y, z = (o + t * d for o, d in zip(origin, direction, strict=True))
    u = torch.atan2(x / half[0], -z / half[2]) * (SIZE / (2 * math.pi)) * max(1, round(half[0]))
    v = (y / half[1]).clamp(-1, 1) * (SIZE / 4) * max(1, round(half[1]))
    finite = torch.isfinite(t)
    u, v = torch.where(finite, u, 0.0).long() % SIZE, torch.where(finite, v, 0.0).long() % SIZE
    # cutout is a share: the texture is roughly normal with unit deviation
    threshold = math.sqrt(2.0) * torch.erfinv(torch.tensor(2 * solid.cutout - 1)).item()
    return torch.where(texture.reshape(-1)[v * SIZE + u] < threshold, torch.inf, t)


def screen_rectangles(corners: Tensor, k: Tensor | None, height: int, width: int) -> Rectangles:
    """Pixel bounds of things.

    Args:
        corners: [P, 8, 3] in the camera's frame, metres; without k, (u, v) in px and the distance.
        k: [3, 3] of a camera, px; None for parallel rays.
        height: of the image.
        width: of the image.
    """
    if corners.shape[0] == 0:
        return Rectangles([], [])
    depth_m = corners[..., 2].mean(dim=1).tolist()
    front = corners[..., 2] > NEAR_M
    if k is not None:
        ends = corners[:, EDGES]
        near, far = ends[:, :, 0], ends[:, :, 1]
        share = (NEAR_M - near[..., 2]) / torch.where(near[..., 2] == far[..., 2], 1.0, far[..., 2] - near[..., 2])
        crossings = torch.lerp(near, far, share[..., None])
        corners = torch.cat((corners, crossings), dim=1)
        front = torch.cat((front, (near[..., 2] > NEAR_M) != (far[..., 2] > NEAR_M)), dim=1)
        z = corners[..., 2].clamp(min=1e-3)
        corners = torch.stack(
            (k[0, 0] * corners[..., 0] / z + k[0, 2], k[1, 1] * corners[..., 1] / z + k[1, 2]), dim=-1
        )
    low = torch.where(front[..., None], corners[..., :2], torch.inf).amin(dim=1).floor()
    high = torch.where(front[..., None], corners[..., :2], -torch.inf).amax(dim=1).ceil() + 1
    left, top = low[:, 0].clamp(0, width), low[:, 1].clamp(0, height)
    right, bottom = high[:, 0].clamp(0, width), high[:, 1].clamp(0, height)
    bounds = torch.stack((top, bottom, left, right), dim=1)
    return Rectangles([(int(t), int(b), int(left), int(right)) for t, b, left, right in bounds.tolist()], depth_m)


def box_corners(instances: Instances, time_s: float) -> Tensor:
    """Corners of every thing's bounding box at a time, [P - GROUND_ZONES, 8, 3], world frame, metres."""
    n = instances.kind.shape[0] - GROUND_ZONES
    signs = torch.tensor(
        [[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)], device=instances.half_m.device
    )
    x, y, z = (signs[None] * instances.half_m[:n, None]).unbind(-1)
    c, s = instances.tilt_rad[:n, None].cos(), instances.tilt_rad[:n, None].sin()
    y, z = c * y - s * z, c * z + s * y
    c, s = instances.yaw_rad[:n, None].cos(), instances.yaw_rad[:n, None].sin()
    x, z = c * x + s * z, -s * x + c * z
    centre = instances.centre_m[:n] + time_s * instances.velocity_mps[:n]
    return torch.stack((x, y, z), dim=-1) + centre[:, None]


class Leaves(NamedTuple):
    """What decides where there are leaves and where holes."""

    texture: Tensor
    """[SIZE, SIZE] for holes in the surface of other things."""
    noise: Tensor
    """From `foliage.noise`."""
    steps: int = foliage.STEPS


def cast(
    instances: Instances, origin: Vector, direction: Vector, rectangles: Rectangles, leaves: Leaves, hits: Hits,
    *, time_s: float, together: bool,
) -> Hits:  # fmt: skip
    """Cast a bundle of rays.

    Args:
        instances: the things.
        origin: x, y, z of the rays' origins, scalars or [h, w], world frame, metres.
        direction: x, y, z of their directions [h, w] or scalars.
        rectangles: of all things, on the bundle's screen.
        leaves: where foliage has holes.
        hits: what the rays meet where they meet no thing: the ground, or nothing. Changed in place.
        time_s: moving things have moved for that long.
        together: cast small things together, which is faster where there are many; results differ by rounding.

    Returns:
        The nearest hits.
    """
    things, rays = solids(instances, time_s), (*origin, *direction)
    area = [max(0, b - t) * max(0, right - left) for t, b, left, right in rectangles.bounds]
    seen = [i for i, a in enumerate(area) if a]
    if together:  # leaves come last, all from near to far: what is hidden needs no steps
        seen.sort(key=lambda i: rectangles.depth_m[i])
    solid = [i for i in seen if things[i].kind not in (LEAVES, HEDGE)]
    leafy = [i for i in seen if things[i].kind in (LEAVES, HEDGE)]
    for group in (solid, leafy):
        small = [i for i in group if together and area[i] <= SMALL_PX and (group is leafy or not things[i].cutout)]
        kept = set(small)
        for index in (i for i in group if i not in kept):
            _cast_one(things[index], index, rectangles.bounds[index], rays, leaves, hits)
        for kind in sorted({things[i].kind for i in small}):
            for batch in _batches([i for i in small if things[i].kind == kind], area):
                _cast_pairs(instances, kind, batch, rectangles, rays, leaves, hits, time_s=time_s)
    return hits


def _cast_one(
    thing: Solid, index: int, bounds: tuple[int, int, int, int], rays: tuple[Tensor, ...], leaves: Leaves, hits: Hits
) -> None:
    """Let one thing hide what is behind it, within its rectangle."""
    top, bottom, left, right = bounds
    part = slice(top, bottom), slice(left, right)
    cut = tuple(t.expand(hits.distance.shape)[part] if t.ndim else t for t in rays)
    t = _distance(thing, cut, hits.distance[part], leaves)
    closer = t < hits.distance[part]
    hits.instance[part].masked_fill_(closer, index)
    hits.distance[part] = torch.minimum(t, hits.distance[part])


def _distance(thing: Solid, rays: tuple[Tensor, ...], nearest: Tensor, leaves: Leaves) -> Tensor:
    """Distance of a thing along rays in the world frame; inf where they miss it or pass between its leaves."""
    cx, cy, cz = thing.centre_m
    o = to_local(thing, (rays[0] - cx, rays[1] - cy, rays[2] - cz))
    d = to_local(thing, rays[3:])
    if thing.kind in (LEAVES, HEDGE):
        flat = [tuple(v.reshape(-1) if v.ndim else v for v in vector) for vector in (o, d)]
        return foliage.distance(
            thing, flat[0], flat[1], nearest.reshape(-1), leaves.noise, steps=leaves.steps
        ).view(nearest.shape)  # fmt: skip
    t = primitives.distance(thing, o, d)
    return _holes(leaves.texture, o, d, t, thing) if isinstance(thing.cutout, float) and thing.cutout > 0 else t


def _batches(indices: list[int], area: list[int]) -> list[list[int]]:
    """Split so that each batch has at most `PAIRS` pixels."""
    batches: list[list[int]] = []
    room = 0
    for index in indices:
        if area[index] > room:
            batches.append([])
            room = PAIRS
        batches[-1].append(index)
        room -= area[index]
    return batches


def _cast_pairs(
    instances: Instances, kind: int, batch: list[int], rectangles: Rectangles, rays: tuple[Tensor, ...],
    leaves: Leaves, hits: Hits, *, time_s: float,
) -> None:  # fmt: skip
    """Let things of one kind hide what is behind them, each within its rectangle, all at once."""
    device, width = hits.distance.device, hits.distance.shape[1]
    bounds = torch.tensor([rectangles.bounds[i] for i in batch], device=device)
    rows, columns = bounds[:, 1] - bounds[:, 0], bounds[:, 3] - bounds[:, 2]
    count = rows * columns
    which = torch.repeat_interleave(torch.arange(len(batch), device=device), count)
    offset = torch.arange(which.shape[0], device=device) - (count.cumsum(0) - count)[which]
    row = torch.div(offset, columns[which], rounding_mode="floor")
    pixel = (bounds[:, 0][which] + row) * width + bounds[:, 2][which] + offset - row * columns[which]
    thing = torch.tensor(batch, device=device)[which]
    flat, instance = hits.distance.view(-1), hits.instance.view(-1)
    picked = tuple(t.expand(hits.distance.shape).reshape(-1)[pixel] if t.ndim else t for t in rays)
    t = _distance(paired(instances, time_s, kind, thing), picked, flat[pixel], leaves)
    flat.scatter_reduce_(0, pixel, t, "amin")
    first = (t == flat[pixel]) & torch.isfinite(t)
    instance[pixel[first]] = thing[first]


def nothing(device: torch.device, shape: torch.Size) -> Hits:
    """Only sky."""
    return Hits(torch.full(shape, torch.inf, device=device), torch.full(shape, -1, dtype=torch.long, device=device))
