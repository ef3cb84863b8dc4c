"""Clumps of leaves: ellipsoids and boxes filled with noise that thins out towards their surface.

So their outline is ragged, holes let what is behind through, and depth varies as in a crown. Rays step through them.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msdepth_training.scenes.instances import LEAVES
from msdepth_training.scenes.primitives import NEAR_M, Number, Solid, Vector, slab

GRID = 32
"""Cells per side of the noise, which repeats."""
CLUMP = 0.13
"""Size of a leaf's cell over that of a clump of leaves."""
STEPS = 7
FIRMNESS, CLUMPED, LEAFY, THINNESS = 0.9, 0.6, 0.45, 0.4
"""Weights of the distance from the surface, of the noise of clumps and of leaves, and what is taken off everywhere."""


@functools.lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    rng = np.random.default_rng(20250302)
    f = np.fft.fftfreq(GRID) * GRID
    radius = np.sqrt(f[:, None, None] ** 2 + f[None, :, None] ** 2 + f[None, None, :] ** 2)
    noise = np.fft.ifftn(np.fft.fftn(rng.standard_normal((GRID,) * 3)) * np.maximum(radius, 1.0) ** -0.8).real
    noise -= noise.mean()
    return np.clip(noise / noise.std(), -2.5, 2.5).astype(np.float32)


def noise(device: torch.device) -> Tensor:
    """Noise in space: float32 [GRID ** 3], zero mean, unit deviation."""
    return torch.from_numpy(_noise().reshape(-1)).to(device)


def look_up(table: Tensor, p: list[Tensor], cells_per_m: Number) -> Tensor:
    """Noise at points p, metres, with so many cells a metre; the shape of p's entries."""
    # far from 0, so that cutting off fractions is the same as rounding down
    x, y, z = ((v * cells_per_m + 64.0 * GRID).to(torch.int32) & (GRID - 1) for v in p)
    return table[((x * GRID + y) * GRID + z).long()]


def _edge(solid: Solid, p: list[Tensor]) -> Tensor:
    """How far within the solid a point is: 1 at the centre, 0 on the surface."""
    x, y, z = (v / h for v, h in zip(p, solid.half_m, strict=True))
    if solid.kind == LEAVES:
        return 1.0 - (x * x + y * y + z * z)
    return 1.0 - torch.maximum(torch.maximum(x.abs(), y.abs()), z.abs()) ** 2


def _is_leaf(table: Tensor, solid: Solid, p: list[Tensor], offset: Number) -> Tensor:
    """Whether there is a leaf at p [N], metres from the solid's centre along its axes."""
    shifted = [v + offset for v in p]
    density = (
        FIRMNESS * _edge(solid, p)
        + CLUMPED * look_up(table, shifted, solid.texels_per_m * CLUMP)
        + LEAFY * look_up(table, shifted, solid.texels_per_m)
    )
    return density > THINNESS + solid.cutout


def _span(solid: Solid, origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Where rays enter and leave the solid that the leaves fill."""
    if solid.kind != LEAVES:
        return slab(origin, direction, solid.half_m)
    o = [a / h for a, h in zip(origin, solid.half_m, strict=True)]
    d = [a / h for a, h in zip(direction, solid.half_m, strict=True)]
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
    root = b * b - a * c
    width = root.clamp(min=0.0).sqrt()
    return torch.where(root > 0, (-b - width) / a, torch.inf), (-b + width) / a


def _taken(values: tuple[Number, ...], kept: Tensor) -> tuple[Number, ...]:
    return tuple(v[kept] if isinstance(v, Tensor) and v.ndim else v for v in values)


def distance(
    solid: Solid, origin: Vector, direction: Vector, nearest: Tensor, table: Tensor, *, steps: int = STEPS
) -> Tensor:
    """Distance of the first leaf along rays of the solid's own frame, inf where none is before `nearest`.

    Args:
        solid: LEAVES or HEDGE, one for all rays or [N] one for each.
        origin: scalars or [N], metres, from the solid's centre along its axes.
        direction: scalars or [N].
        nearest: [N] what hides the leaves behind it.
        table: from `noise`.
        steps: along the way through the solid.
    """
    enter, leave = _span(solid, origin, direction)
    kept = ((leave > enter) & (leave > NEAR_M) & (enter < nearest)).nonzero()[:, 0]
    found = torch.full_like(nearest, torch.inf)
    if kept.numel() == 0:
        return found
    # every ray starts its steps elsewhere: slices at the same depth would show
    start = torch.remainder(kept * 0.6180339887, 1.0).to(nearest.dtype)
    solid = solid._replace(
        half_m=_taken(solid.half_m, kept),
        cutout=_taken((solid.cutout,), kept)[0],
        texels_per_m=_taken((solid.texels_per_m,), kept)[0],
    )
    offset = _taken((solid.centre_m[0] + solid.centre_m[2],), kept)[0]
    o, d = _taken(origin, kept), _taken(direction, kept)
    enter = enter[kept].clamp(min=NEAR_M)
    step = (leave[kept] - enter) / steps
    first = torch.full_like(enter, torch.inf)
    for i in range(steps + 2):
        # after all steps: the leaf that was met may begin half or a quarter of a step earlier
        t = enter + (i + start) * step if i < steps else first - step / 2 ** (i - steps + 1)
        leaf = _is_leaf(table, solid, [a + t.clamp(max=1e5) * b for a, b in zip(o, d, strict=True)], offset)
        first = torch.where(leaf & (t >= enter), torch.minimum(first, t), first)
    found[kept] = first
    return torch.where(found < nearest, found, torch.inf)
