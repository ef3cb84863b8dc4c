"""What stands right before the cameras, wherever they look: vehicles, people, barriers, things on the road."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from msdepth_training.scenes import barriers, furniture, lorries, materials
from msdepth_training.scenes.instances import Builder, log_uniform
from msdepth_training.scenes.placing import Drive, Road, Stand
from msdepth_training.scenes.room import Room
from msdepth_training.scenes.vehicles import half_size_m, vehicle, vehicle_kind

GROUPS = (
    "vehicle", "vehicle", "vehicle", "vehicle", "abreast", "people", "people", "riders", "barrier", "barrier", "things",
)  # fmt: skip
FIELD_RAD = 0.6
"""How far from the middle of the view things stand."""
NEAREST_M = 2.2
ATTEMPTS = 12


class Viewpoint(NamedTuple):
    """From where and where to the rig looks."""

    z: float
    drive: Drive
    yaw_rad: float
    """In the vehicle's frame."""

    def middle(self, road: Road) -> tuple[float, float]:
        """X of the rig, world frame, metres, and the direction in which it looks, rad."""
        slope = road.terrain.road_slope(self.z)
        x = road.terrain.road_x(self.z) + self.drive.across_m * math.hypot(1.0, slope)
        return x, math.atan(slope) + (math.pi if self.drive.back else 0.0) + self.yaw_rad

    def ahead(self, b: Builder, road: Road, distance_m: float, bearing_rad: float, turned: float) -> Stand:
        """A spot at a distance and a bearing from the middle of the view, turned by an angle against the road, rad."""
        x, seen = self.middle(road)
        seen, along = seen + bearing_rad, math.atan(road.terrain.road_slope(self.z))
        return road.at(b, x + distance_m * math.sin(seen), self.z + distance_m * math.cos(seen), yaw=along + turned)


def draw_cast(rng: np.random.Generator) -> tuple[str, ...]:
    """Names of the groups that stand near: none in a third of the streets, up to four in others."""
    count = int(rng.choice([0, 1, 2, 3, 4], p=[0.33, 0.25, 0.2, 0.14, 0.08]))
    return tuple(GROUPS[int(rng.integers(len(GROUPS)))] for _ in range(count))


def stage(b: Builder, road: Road, at: Viewpoint, cast: tuple[str, ...], room: Room, *, test: bool) -> None:
    """Put the groups of `draw_cast` before the cameras, where there is room."""
    for name in cast:
        if name == "vehicle":
            _vehicle(b, road, at, room, test=test)
        elif name == "abreast":
            _abreast(b, road, at, room, test=test)
        elif name == "people":
            _people(b, road, at, room)
        elif name == "riders":
            _riders(b, road, at, room, test=test)
        elif name == "barrier":
            _barrier(b, road, at, room)
        else:
            _things(b, road, at, room)


def _spot(
    b: Builder,
    road: Road,
    at: Viewpoint,
    room: Room,
    half: tuple[float, float],
    reach: tuple[float, float],
    turned: Callable[[], float],
) -> tuple[Stand, float] | None:
    """A free spot whose nearest point is within reach, metres, and its distance; None if there is no room."""
    rng = b.rng
    for _ in range(ATTEMPTS):
        bearing, angle = float(rng.uniform(-FIELD_RAD, FIELD_RAD)), turned()
        # half of what is turned by so much against the line of sight reaches towards the cameras
        line = angle - at.yaw_rad - bearing - (math.pi if at.drive.back else 0.0)
        deep = half[1] * abs(math.cos(line)) + half[0] * abs(math.sin(line))
        near = log_uniform(rng, *reach)
        stand = at.ahead(b, road, near + deep, bearing, angle)
        if room.is_free(stand, (half[0] + 0.15, half[1] + 0.15)):
            return stand, near
    return None


def _turned(b: Builder, at: Viewpoint) -> float:
    """Along the road, against it, across or at any angle."""
    rng, share = b.rng, b.rng.random()
    if share < 0.55:
        return float(rng.choice([0.0, math.pi]) + rng.normal(0, 0.06))
    if share < 0.75:
        return float(rng.choice([-0.5, 0.5]) * math.pi + rng.normal(0, 0.1))
    return float(rng.uniform(-math.pi, math.pi))


def _vehicle(b: Builder, road: Road, at: Viewpoint, room: Room, *, test: bool) -> None:
    """One that fills the image: 2 to 9 m away, as fast as the own vehicle or, where that is slow, at any speed."""
    rng, kind = b.rng, vehicle_kind(b.rng, test=test)
    half = half_size_m(kind)
    found = _spot(b, road, at, room, half, (NEAREST_M, 9.0), lambda: _turned(b, at))
    if found is None:
        return
    stand, _ = found
    own = at.drive.speed_mps
    speed = own * float(rng.uniform(0.85, 1.1)) if own > 3 else float(rng.choice([0.0, 0.0, rng.uniform(0, 6)]))
    moving = speed > 0.5
    if own > 3:  # or the vehicle would run into it
        towards = math.pi if at.drive.back else 0.0
        stand = at.ahead(b, road, math.hypot(stand.x - at.middle(road)[0], stand.z - at.z), 0.0, towards)
        if not room.is_free(stand, half):
            return
    vehicle(b, stand.moving(speed) if moving else stand, test=test, running=moving or rng.random() < 0.5, kind=kind)
    if kind not in ("cyclist", "motorcycle", "scooter", "bus") and not moving and rng.random() < 0.08:
        behind = stand.world(0.0, 0.0, -half[1] - 3.0)
        hitched = road.at(b, behind[0], behind[2], yaw=stand.yaw)
        if room.is_free(hitched, (1.2, 2.4)):
            lorries.trailer(b, hitched)


def _abreast(b: Builder, road: Road, at: Viewpoint, room: Room, *, test: bool) -> None:
    """In the next lane, a little ahead or behind, overtaking or overtaken."""
    rng, kind = b.rng, vehicle_kind(b.rng, test=test)
    half, side = half_size_m(kind), float(rng.choice([-1.0, 1.0]))
    forward = -1.0 if at.drive.back else 1.0
    stand = road.stand(
        b, at.drive.across_m + side * float(rng.uniform(2.6, 3.7)), at.z + forward * float(rng.uniform(-3.0, 7.0)),
        turned=math.pi if at.drive.back else 0.0,
    )  # fmt: skip
    if room.is_free(stand, half):
        speed = max(0.0, at.drive.speed_mps + float(rng.normal(0, 1.5)))
        vehicle(b, stand.moving(speed), test=test, running=True, kind=kind)


def _people(b: Builder, road: Road, at: Viewpoint, room: Room) -> None:
    """One or a group, standing, walking together or crossing."""
    rng = b.rng
    count = int(rng.choice([1, 1, 1, 2, 2, 3, 5, 8]))
    found = _spot(b, road, at, room, (0.4, 0.4), (2.3, 13.0), lambda: float(rng.uniform(-math.pi, math.pi)))
    if found is None:
        return
    first, _ = found
    speed = float(rng.choice([0.0, rng.uniform(0.5, 1.7)]))
    for i in range(count):
        apart = rng.normal(0, 0.35 * math.sqrt(count), 2) if i else (0.0, 0.0)
        x, _, z = first.world(float(apart[0]), 0.0, float(apart[1]))
        same = speed > 0 or rng.random() < 0.4
        stand = road.at(b, x, z, yaw=first.yaw + float(rng.normal(0, 0.2) if same else rng.uniform(-3, 3)))
        if room.is_free(stand, (0.25, 0.25)):
            furniture.person(stand.moving(speed))


def _riders(b: Builder, road: Road, at: Viewpoint, room: Room, *, test: bool) -> None:
    """On two wheels, along the road or across."""
    rng, kinds = b.rng, ("scooter",) if test else ("cyclist", "cyclist", "motorcycle")
    for _ in range(int(rng.choice([1, 1, 2]))):
        found = _spot(b, road, at, room, (0.45, 0.95), (NEAREST_M, 12.0), lambda: _turned(b, at))
        if found is None:
            return
        speed = at.drive.speed_mps if at.drive.speed_mps > 3 else float(rng.uniform(0, 4))
        kind = kinds[int(rng.integers(len(kinds)))]
        vehicle(b, found[0].moving(speed), test=test, running=True, kind=kind)


def _barrier(b: Builder, road: Road, at: Viewpoint, room: Room) -> None:
    """A row across the view or along the road."""
    rng = b.rng
    row, across = barriers.ROWS[int(rng.integers(len(barriers.ROWS)))], rng.random() < 0.5
    middle = at.ahead(b, road, log_uniform(rng, 2.6, 12.0), float(rng.uniform(-FIELD_RAD, FIELD_RAD)), 0.0)
    turned = at.yaw_rad + 0.5 * math.pi if across else float(rng.choice([0.0, 0.0, rng.uniform(-0.4, 0.4)]))
    look, line = barriers.look(rng), dataclasses.replace(middle, yaw=middle.yaw + turned)
    for i in range(-3, 4):
        x, _, z = line.world(0.0, 0.0, i * (row.length_m + row.gap_m))
        stand = road.at(b, x, z, yaw=line.yaw + float(rng.normal(0, 0.02)))
        if rng.random() < 0.9 and room.is_free(stand, (0.3, 0.5 * row.length_m)):
            row.draw(stand, 0.5 * row.length_m, look)


def _things(b: Builder, road: Road, at: Viewpoint, room: Room) -> None:
    """One to four on or by the road."""
    rng = b.rng
    for _ in range(int(rng.integers(1, 5))):
        thing = barriers.THINGS[int(rng.integers(len(barriers.THINGS)))]
        found = _spot(b, road, at, room, thing.half_m, (NEAREST_M, 10.0), lambda: float(rng.uniform(-3.14, 3.14)))
        if found is not None:
            found[0].darken(0.8 * thing.half_m[0], 0.8 * thing.half_m[1])
            thing.draw(found[0], materials.vary(rng, materials.anything(rng))._replace(offset_k=0.0))
