"""Where things stand: on the ground, along a road that bends and climbs, as assemblies of parts."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from msdepth_training.scenes.instances import TUBE, Builder, Triple
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.terrain import Terrain


@dataclass(frozen=True)
class Stand:
    """A spot on the ground and a direction; parts are added in metres to the right of it, above it, ahead of it."""

    b: Builder
    x: float
    y: float
    z: float
    yaw: float = 0.0
    pitch: float = 0.0
    """Uphill slope ahead, rad."""
    velocity: Triple = (0.0, 0.0, 0.0)

    def world(self, right: float, up: float, ahead: float) -> Triple:
        """World coordinates of a point of the assembly."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return (
            self.x + c * right + s * ahead,
            self.y - up - ahead * math.tan(self.pitch),
            self.z + c * ahead - s * right,
        )

    def add(self, kind: int, place: Triple, half: Triple, material: Material, *, yaw: float = 0.0, **more: Any) -> None:  # noqa: ANN401
        """One part at (right, up, ahead) with half extents across, up, along; more goes to `Builder.add`."""
        tilt = float(more.pop("tilt", 0.0))
        if yaw == 0.0:
            tilt += self.pitch
        self.b.add(
            kind, self.world(*place), half, material, yaw=self.yaw + yaw, tilt=tilt, velocity=self.velocity, **more
        )

    def limb(self, start: Triple, end: Triple, radii: tuple[float, float], material: Material, **more: Any) -> None:  # noqa: ANN401
        """A round bar between two points of the assembly, from its thick to its thin end."""
        a, b = self.world(*start), self.world(*end)
        down = [p - q for p, q in zip(a, b, strict=True)]
        length, aside = math.hypot(*down), math.hypot(down[0], down[2])
        middle = (0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2]))
        self.b.add(
            TUBE, middle, (radii[0], 0.5 * max(length, 1e-3), radii[0]), material,
            yaw=math.atan2(down[0], down[2]), tilt=math.atan2(aside, down[1]),
            taper=(1.0 - radii[1] / radii[0], 0.0, 0.0), velocity=self.velocity, **more,
        )  # fmt: skip

    @property
    def away_m(self) -> float:
        """How far along the road the cameras are at time 0."""
        return abs(self.z - self.b.eye_m)

    def moving(self, speed_mps: float) -> Stand:
        """The same spot, driving ahead."""
        s, c = math.sin(self.yaw), math.cos(self.yaw)
        return dataclasses.replace(self, velocity=(speed_mps * s, -speed_mps * math.tan(self.pitch), speed_mps * c))


@dataclass(frozen=True)
class Road:
    """The road while its street is drawn."""

    terrain: Terrain
    half_m: float
    pavement_m: float
    lanes: int
    lane_m: float
    length_m: float
    """How far the street goes on."""

    def stand(self, b: Builder, across: float, z: float, *, turned: float = 0.0) -> Stand:
        """A spot at a signed distance from the road's middle, looking along the road, turned by an angle, rad."""
        slope = self.terrain.road_slope(z)
        return self.at(b, self.terrain.road_x(z) + across * math.hypot(1.0, slope), z, yaw=math.atan(slope) + turned)

    def at(self, b: Builder, x: float, z: float, *, yaw: float) -> Stand:
        """A spot anywhere on the ground, looking along a direction of the world, rad."""
        across = (x - self.terrain.road_x(z)) / math.hypot(1.0, self.terrain.road_slope(z))
        kerb = self.terrain.kerb_m if abs(across) < self.half_m else 0.0
        pitch, _ = self.terrain.tilt(x, z, yaw)
        return Stand(b, x, kerb - self.terrain.height_m(x, z), z, yaw, pitch)


class Drive(NamedTuple):
    """How the vehicle drives along a road, and the others with it."""

    across_m: float
    """Of the vehicle, to the right of the road's middle seen along +z."""
    speed_mps: float
    lane: int
    """Its own, counted from the left seen along +z."""
    two_way: bool
    back: bool
    """Whether the vehicle drives towards -z."""

    def towards(self, lane: int, lanes: int) -> float:
        """1 where a lane's traffic drives towards +z, -1 where towards -z."""
        if not self.two_way:
            return -1.0 if self.back else 1.0
        return -1.0 if lane < lanes // 2 else 1.0
