"""What stands right before the cameras, wherever they look: vehicles, people, barriers, things on the road."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_training.scenes import furniture, lorries, materials
from msdepth_training.scenes.instances import BOX, TAPERED, TUBE, Builder, log_uniform
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.placing import Drive, Road, Stand
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

    def ahead(self, b: Builder, road: Road, distance_m: float, bearing_rad: float, turned: float) -> Stand:
        """A spot at a distance and a bearing from the middle of the view, turned by an angle against the road, rad."""
        slope = road.terrain.road_slope(self.z)
        along = math.atan(slope)
        x = road.terrain.road_x(self.z) + self.drive.across_m * math.hypot(1.0, slope)
        seen = along + (math.pi if self.drive.back else 0.0) + self.yaw_rad + bearing_rad
        return road.at(b, x + distance_m * math.sin(seen), self.z + distance_m * math.cos(seen), yaw=along + turned)


def draw_cast(rng: np.random.Generator) -> tuple[str, ...]:
    """Names of the groups that stand near: none in a quarter of the streets, up to four in others."""
    count = int(rng.choice([0, 1, 2, 3, 4], p=[0.25, 0.2, 0.25, 0.2, 0.1]))
    return tuple(GROUPS[int(rng.integers(len(GROUPS)))] for _ in range(count))


class _Taken:
    """What stands where already, so that nothing stands within anything else."""

    def __init__(self, b: Builder) -> None:
        self._b, self._seen = b, 0
        self._footprints: NDArray[np.float64] = np.zeros((0, 6))

    def _refresh(self) -> None:
        rows = self._b.rows[self._seen :]
        self._seen = len(self._b.rows)
        low = [r for r in rows if _is_low(r)]
        if low:
            fresh = [
                (*(r["centre_m"][i] for i in (0, 2)), *(r["half_m"][i] for i in (0, 2)), r["yaw_rad"], r["tilt_rad"])  # type: ignore[index]
                for r in low
            ]
            self._footprints = np.concatenate((self._footprints, np.array(fresh, dtype=np.float64)))

    def is_free(self, s: Stand, half: tuple[float, float]) -> bool:
        """Whether a rectangle, half of its width and length given, at a stand has nothing in it."""
        self._refresh()
        f = self._footprints
        c, sine = math.cos(s.yaw), math.sin(s.yaw)
        reach = math.hypot(*half)
        near = f[np.hypot(f[:, 0] - s.x, f[:, 1] - s.z) < reach + np.hypot(f[:, 2], f[:, 3])]
        for x, z, hx, hz, yaw, _ in near:
            # the other's rectangle seen from this one, sampled where it may reach in
            steps = np.linspace(-1.0, 1.0, 9)
            u, v = np.meshgrid(steps * hx, steps * hz)
            px, pz = x + math.cos(yaw) * u + math.sin(yaw) * v - s.x, z + math.cos(yaw) * v - math.sin(yaw) * u - s.z
            right, ahead = c * px - sine * pz, sine * px + c * pz
            if bool(((np.abs(right) < half[0]) & (np.abs(ahead) < half[1])).any()):
                return False
        return True


def _is_low(row: dict[str, object]) -> bool:
    """Whether something is in the way of what stands on the ground; high crowns and far away things are not."""
    centre, half = row["centre_m"], row["half_m"]
    return bool(abs(centre[2]) < 130 and abs(centre[0]) < 90 and half[2] < 40)  # type: ignore[index]


def stage(b: Builder, road: Road, at: Viewpoint, cast: tuple[str, ...], *, test: bool) -> None:
    """Put the groups of `draw_cast` before the cameras, where there is room."""
    taken = _Taken(b)
    for name in cast:
        if name == "vehicle":
            _vehicle(b, road, at, taken, test=test)
        elif name == "abreast":
            _abreast(b, road, at, taken, test=test)
        elif name == "people":
            _people(b, road, at, taken)
        elif name == "riders":
            _riders(b, road, at, taken, test=test)
        elif name == "barrier":
            _barrier(b, road, at, taken)
        else:
            _things(b, road, at, taken)


def _spot(
    b: Builder,
    road: Road,
    at: Viewpoint,
    taken: _Taken,
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
        if taken.is_free(stand, (half[0] + 0.15, half[1] + 0.15)):
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


def _vehicle(b: Builder, road: Road, at: Viewpoint, taken: _Taken, *, test: bool) -> None:
    """One that fills the image: 2 to 9 m away, as fast as the own vehicle or, where that is slow, at any speed."""
    rng, kind = b.rng, vehicle_kind(b.rng, test=test)
    half = half_size_m(kind)
    found = _spot(b, road, at, taken, half, (NEAREST_M, 9.0), lambda: _turned(b, at))
    if found is None:
        return
    stand, _ = found
    own = at.drive.speed_mps
    speed = own * float(rng.uniform(0.85, 1.1)) if own > 3 else float(rng.choice([0.0, 0.0, rng.uniform(0, 6)]))
    moving = speed > 0.5
    if own > 3:  # or the vehicle would run into it
        towards = math.pi if at.drive.back else 0.0
        stand = at.ahead(b, road, math.hypot(stand.x - _x(road, at), stand.z - at.z), 0.0, towards)
        if not taken.is_free(stand, half):
            return
    vehicle(b, stand.moving(speed) if moving else stand, test=test, running=moving or rng.random() < 0.5, kind=kind)
    if kind not in ("cyclist", "motorcycle", "scooter", "bus") and not moving and rng.random() < 0.08:
        behind = stand.world(0.0, 0.0, -half[1] - 3.0)
        hitched = road.at(b, behind[0], behind[2], yaw=stand.yaw)
        if taken.is_free(hitched, (1.2, 2.4)):
            lorries.trailer(b, hitched)


def _x(road: Road, at: Viewpoint) -> float:
    return road.terrain.road_x(at.z) + at.drive.across_m * math.hypot(1.0, road.terrain.road_slope(at.z))


def _abreast(b: Builder, road: Road, at: Viewpoint, taken: _Taken, *, test: bool) -> None:
    """In the next lane, a little ahead or behind, overtaking or overtaken."""
    rng, kind = b.rng, vehicle_kind(b.rng, test=test)
    half, side = half_size_m(kind), float(rng.choice([-1.0, 1.0]))
    forward = -1.0 if at.drive.back else 1.0
    stand = road.stand(
        b, at.drive.across_m + side * float(rng.uniform(2.6, 3.7)), at.z + forward * float(rng.uniform(-3.0, 7.0)),
        turned=math.pi if at.drive.back else 0.0,
    )  # fmt: skip
    if taken.is_free(stand, half):
        speed = max(0.0, at.drive.speed_mps + float(rng.normal(0, 1.5)))
        vehicle(b, stand.moving(speed), test=test, running=True, kind=kind)


def _people(b: Builder, road: Road, at: Viewpoint, taken: _Taken) -> None:
    """One or a group, standing, walking together or crossing."""
    rng = b.rng
    count = int(rng.choice([1, 1, 1, 2, 2, 3, 5, 8]))
    found = _spot(b, road, at, taken, (0.4, 0.4), (2.3, 13.0), lambda: float(rng.uniform(-math.pi, math.pi)))
    if found is None:
        return
    first, _ = found
    speed = float(rng.choice([0.0, rng.uniform(0.5, 1.7)]))
    for i in range(count):
        apart = rng.normal(0, 0.35 * math.sqrt(count), 2) if i else (0.0, 0.0)
        x, _, z = first.world(float(apart[0]), 0.0, float(apart[1]))
        same = speed > 0 or rng.random() < 0.4
        stand = road.at(b, x, z, yaw=first.yaw + float(rng.normal(0, 0.2) if same else rng.uniform(-3, 3)))
        if taken.is_free(stand, (0.25, 0.25)):
            furniture.person(stand.moving(speed))


def _riders(b: Builder, road: Road, at: Viewpoint, taken: _Taken, *, test: bool) -> None:
    """On two wheels, along the road or across."""
    rng, kinds = b.rng, ("scooter",) if test else ("cyclist", "cyclist", "motorcycle")
    for _ in range(int(rng.choice([1, 1, 2]))):
        found = _spot(b, road, at, taken, (0.45, 0.95), (NEAREST_M, 12.0), lambda: _turned(b, at))
        if found is None:
            return
        speed = at.drive.speed_mps if at.drive.speed_mps > 3 else float(rng.uniform(0, 4))
        kind = kinds[int(rng.integers(len(kinds)))]
        vehicle(b, found[0].moving(speed), test=test, running=True, kind=kind)


def _barrier(b: Builder, road: Road, at: Viewpoint, taken: _Taken) -> None:
    """A row across the view or along the road: concrete, boards, hoardings, fences, bollards, cones."""
    rng, kinds = b.rng, (_jersey, _boards, _hoarding, _fence, _bollards, _cones)
    kind, across = kinds[int(rng.integers(len(kinds)))], rng.random() < 0.5
    middle = at.ahead(b, road, log_uniform(rng, 2.6, 12.0), float(rng.uniform(-FIELD_RAD, FIELD_RAD)), 0.0)
    turned = at.yaw_rad + 0.5 * math.pi if across else float(rng.choice([0.0, 0.0, rng.uniform(-0.4, 0.4)]))
    length, gap = kind.__kwdefaults__["length"], kind.__kwdefaults__["gap"]
    look = _look(rng)
    for i in range(-3, 4):
        x, _, z = road.at(b, middle.x, middle.z, yaw=middle.yaw + turned).world(0.0, 0.0, i * (length + gap))
        stand = road.at(b, x, z, yaw=middle.yaw + turned + float(rng.normal(0, 0.02)))
        if rng.random() < 0.9 and taken.is_free(stand, (0.3, 0.5 * length)):
            kind(stand, look)


def _look(rng: np.random.Generator) -> Material:
    """Concrete, or any paint."""
    if rng.random() < 0.5:
        return materials.vary(rng, materials.PAVEMENT)
    return materials.vary(rng, materials.anything(rng))._replace(offset_k=0.0, emissivity=0.92)


def _jersey(s: Stand, look: Material, *, length: float = 2.0, gap: float = 0.05) -> None:
    s.add(TAPERED, (0.0, 0.15, 0.0), (0.3, 0.16, 0.5 * length), look, taper=(0.35, 0.0, 0.0))
    s.add(TAPERED, (0.0, 0.56, 0.0), (0.19, 0.26, 0.5 * length), look, taper=(0.45, 0.0, 0.0))


def _boards(s: Stand, look: Material, *, length: float = 2.0, gap: float = 0.4) -> None:
    stripes = Material((0.6, 0.2, 0.15), 0.55, 0.9, 6.0, 0.0, (0.8, 0.2, 0.2))
    for up in (0.45, 0.95):
        s.add(BOX, (0.0, up, 0.0), (0.02, 0.12, 0.5 * length), stripes, layer=s.b.sign(), texels_per_m=120.0)
    for ahead in (-0.45, 0.45):
        s.add(BOX, (0.0, 0.55, ahead * length), (0.03, 0.55, 0.03), look)
        s.add(BOX, (0.0, 0.05, ahead * length), (0.3, 0.05, 0.1), materials.RUBBER)


def _hoarding(s: Stand, look: Material, *, length: float = 2.4, gap: float = 0.0) -> None:
    s.add(BOX, (0.0, 0.9, 0.0), (0.04, 1.2, 0.5 * length), look)


def _fence(s: Stand, look: Material, *, length: float = 2.5, gap: float = 0.05) -> None:
    metal = materials.METAL._replace(emissivity=0.8)
    for up in (0.25, 0.9, 1.9):
        s.add(BOX, (0.0, up, 0.0), (0.015, 0.02, 0.5 * length), metal)
    for ahead in np.linspace(-0.5, 0.5, 11) * length:
        s.add(BOX, (0.0, 1.05, float(ahead)), (0.01, 0.9, 0.012), metal)


def _bollards(s: Stand, look: Material, *, length: float = 0.3, gap: float = 1.2) -> None:
    s.limb((0.0, -0.1, 0.0), (0.0, 0.95, 0.0), (0.1, 0.09), look)
    s.add(TUBE, (0.0, 0.8, 0.0), (0.105, 0.06, 0.105), materials.lamp((0.6, 0.6, 0.6)))


def _cones(s: Stand, look: Material, *, length: float = 0.4, gap: float = 1.4) -> None:
    orange = materials.lamp((0.6, 0.15, 0.04))
    s.add(TUBE, (0.0, 0.37, 0.0), (0.17, 0.37, 0.17), orange, taper=(0.85, 0.0, 0.0))
    s.add(TUBE, (0.0, 0.45, 0.0), (0.115, 0.06, 0.115), materials.lamp((0.65, 0.65, 0.62)), taper=(0.25, 0.0, 0.0))
    s.add(BOX, (0.0, 0.02, 0.0), (0.19, 0.025, 0.19), orange)


def _things(b: Builder, road: Road, at: Viewpoint, taken: _Taken) -> None:
    """On or by the road: crates, barrels, tyres, bins, skips, trailers, posts, lost load."""
    rng = b.rng
    for _ in range(int(rng.integers(1, 5))):
        kind = int(rng.integers(7))
        half = ((0.45, 0.45), (0.3, 0.3), (0.35, 0.35), (0.6, 0.5), (1.0, 1.7), (1.2, 3.2), (0.25, 0.25))[kind]
        found = _spot(b, road, at, taken, half, (NEAREST_M, 10.0), lambda: float(rng.uniform(-math.pi, math.pi)))
        if found is None:
            continue
        s, stuff = found[0], materials.vary(rng, materials.anything(rng))._replace(offset_k=0.0)
        if kind == 0:
            up = float(rng.uniform(0.1, 0.45))
            s.add(BOX, (0.0, up, 0.0), (float(rng.uniform(0.15, 0.45)), up, float(rng.uniform(0.15, 0.45))), stuff)
        elif kind == 1:
            s.add(TUBE, (0.0, 0.45, 0.0), (0.29, 0.45, 0.29), stuff, gloss=0.3)
        elif kind == 2:
            s.add(TUBE, (0.0, 0.11, 0.0), (0.33, 0.11, 0.33), materials.RUBBER)
        elif kind == 3:
            up = float(rng.uniform(0.5, 0.7))
            s.add(TAPERED, (0.0, up + 0.08, 0.0), (0.6, up, 0.42), stuff, taper=(-0.1, 0.0, 0.0), gloss=0.3)
            s.add(BOX, (0.0, 2 * up + 0.12, 0.0), (0.64, 0.05, 0.46), materials.vary(rng, materials.PLASTIC))
        elif kind == 4:
            s.add(TAPERED, (0.0, 0.75, 0.0), (0.9, 0.75, 1.7), stuff, taper=(-0.1, -0.1, -0.1))
        elif kind == 5:
            lorries.trailer(b, s)
        else:
            furniture.pillar(s)
