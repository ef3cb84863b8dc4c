"""The ground and the road on it: curves, slopes, crests and dips, kerbs and what is painted where.

All of it is y = -(quadratic form of x and z), lowered by the kerb's height on the road itself: every ray meets it in
closed form. World frame: x right, y down, z forward, metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from msdepth_training.scenes.primitives import NEAR_M, Vector

FAR_M = 2000.0
"""Beyond is sky."""
KERB = -3
"""Number of a hit on the kerb's face; -2 is the ground."""


@dataclass(frozen=True)
class Terrain:
    """Heights are those of the pavements; the road lies a kerb lower. The default is the plane y = 0."""

    grade: tuple[float, float] = (0.0, 0.0)
    """Slope along x and z at the origin, positive uphill."""
    bend_per_m: tuple[float, float] = (0.0, 0.0)
    """Curvature along x and z, positive for a valley."""
    kerb_m: float = 0.0
    """Height of the pavement above the road."""
    turn: float = 0.0
    """Slope dx/dz that the road turns to, positive to the right."""
    turn_at_m: float = 0.0
    """z where it has turned by half."""
    turn_length_m: float = 60.0
    """Over which it turns by three quarters."""

    @property
    def is_plane(self) -> bool:
        """Whether rays meet y = 0."""
        return self.grade == (0.0, 0.0) and self.bend_per_m == (0.0, 0.0) and self.kerb_m == 0.0

    def height_m(self, x: float, z: float) -> float:
        """Height of a pavement, positive up."""
        (gx, gz), (bx, bz) = self.grade, self.bend_per_m
        return gx * x + gz * z + 0.5 * (bx * x * x + bz * z * z)

    def road_x(self, z: float) -> float:
        """X of the road's middle."""
        a, b = ((v - self.turn_at_m) / self.turn_length_m for v in (z, 0.0))
        return 0.5 * self.turn * self.turn_length_m * (_log_cosh(a) - _log_cosh(b) + a - b)

    def road_slope(self, z: float) -> float:
        """dx/dz of the road's middle."""
        return 0.5 * self.turn * (1.0 + math.tanh((z - self.turn_at_m) / self.turn_length_m))

    def tilt(self, x: float, z: float, yaw: float) -> tuple[float, float]:
        """Pitch and roll, rad, of what stands on the ground and looks along yaw: uphill and towards the left lift."""
        gx, gz = self.grade[0] + self.bend_per_m[0] * x, self.grade[1] + self.bend_per_m[1] * z
        along = gx * math.sin(yaw) + gz * math.cos(yaw)
        across = gx * math.cos(yaw) - gz * math.sin(yaw)
        return math.atan(along), -math.atan(across)


def _log_cosh(a: float) -> float:
    return abs(a) + math.log1p(math.exp(-2.0 * abs(a))) - math.log(2.0)


def across_road(terrain: Terrain, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance from the road's middle, metres, positive to the right, and the road's dx/dz there."""
    if terrain.turn == 0.0:
        return x, torch.zeros_like(x)
    a, b = (z - terrain.turn_at_m) / terrain.turn_length_m, -terrain.turn_at_m / terrain.turn_length_m
    log_cosh = a.abs() + torch.log1p(torch.exp(-2.0 * a.abs())) - math.log(2.0)
    middle = 0.5 * terrain.turn * terrain.turn_length_m * (log_cosh - _log_cosh(b) + a - b)
    slope = 0.5 * terrain.turn * (1.0 + torch.tanh(a))
    return (x - middle) / (1.0 + slope * slope).sqrt(), slope


def _form(terrain: Terrain, origin: Vector, direction: Vector) -> tuple[Tensor, Tensor, Tensor]:
    """a, b, c: the height of the ray above the ground without kerb is -(a t^2 + b t + c)."""
    (gx, gz), (bx, bz) = terrain.grade, terrain.bend_per_m
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    a = 0.5 * (bx * dx * dx + bz * dz * dz)
    b = dy + gx * dx + gz * dz + bx * ox * dx + bz * oz * dz
    c = oy + gx * ox + gz * oz + 0.5 * (bx * ox * ox + bz * oz * oz)
    return a, b, c


def _first_root(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Where a ray from above gets below the ground; inf if it does not."""
    root = b * b - 4.0 * a * c
    # c is negative above ground: this form has no cancellation and holds for a = 0 too
    t = -2.0 * c / (b + root.clamp(min=0.0).sqrt())
    return torch.where((root > 0) & (t > NEAR_M) & (t < FAR_M), t, torch.inf)


def cast(
    terrain: Terrain, road_half_m: float, origin: Vector, direction: Vector, shape: torch.Size
) -> tuple[Tensor, Tensor]:
    """Where rays meet the ground.

    Args:
        terrain: the ground.
        road_half_m: half of the road's width.
        origin: scalars or [h, w], world frame, metres.
        direction: [h, w].
        shape: h, w.

    Returns:
        Distance [h, w] in units of the direction, inf for sky, and int [h, w]: -1 sky, -2 ground, `KERB`.
    """
    if terrain.is_plane:
        t = -origin[1] / torch.where(direction[1].abs() < 1e-9, torch.full_like(direction[1], 1e-9), direction[1])
        met = (direction[1] > 1e-6) & (t > NEAR_M) & (t < FAR_M)
        return torch.where(met, t, torch.inf).expand(shape).clone(), torch.where(met, -2, -1).expand(shape).clone()
    a, b, c = _form(terrain, origin, direction)
    high, low = (_first_root(a, b, c + offset) for offset in (0.0, -terrain.kerb_m))
    beside = [_aside(terrain, road_half_m, origin, direction, t) for t in (high, low)]
    face = (beside[0] < 0) & (beside[1] >= 0) & torch.isfinite(high)
    t = torch.where(beside[0] >= 0, high, low)
    if bool(face.any()):
        t = torch.where(face, _kerb_face(terrain, road_half_m, origin, direction, high, low, face), t)
    return t, torch.where(torch.isfinite(t), torch.where(face, KERB, -2), -1)


def _aside(terrain: Terrain, road_half_m: float, origin: Vector, direction: Vector, t: Tensor) -> Tensor:
    """Distance from the road's edge at t, positive on the pavement; of a miss, as of what is far away."""
    t = t.clamp(max=FAR_M)
    across, _ = across_road(terrain, origin[0] + t * direction[0], origin[2] + t * direction[2])
    return across.abs() - road_half_m


def _kerb_face(
    terrain: Terrain, road_half_m: float, origin: Vector, direction: Vector, high: Tensor, low: Tensor, face: Tensor
) -> Tensor:
    """Where rays get over the road's edge, between the levels of pavement and road: halved 16 times."""
    o = tuple(v[face] if v.ndim else v for v in origin)
    d = tuple(v[face] for v in direction)
    before, after = high[face], low[face].clamp(max=FAR_M)
    for _ in range(16):
        middle = 0.5 * (before + after)
        over = _aside(terrain, road_half_m, o, d, middle) >= 0
        before, after = torch.where(over, before, middle), torch.where(over, middle, after)
    return torch.empty_like(high).masked_scatter(face, after)
