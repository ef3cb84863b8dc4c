"""The visible surfaces of a view: where they are, how they are turned, what they are made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from msdepth_training.scenes import foliage
from msdepth_training.scenes.instances import BOX, CYLINDER, GROUND_ZONES, HEDGE, LEAVES, TAPERED, TUBE
from msdepth_training.scenes.primitives import Solid, Vector, to_local, to_world
from msdepth_training.scenes.raycast import Hits
from msdepth_training.scenes.terrain import KERB, across_road
from msdepth_training.scenes.textures import SIZE, look_up
from msdepth_training.scenes.world import Scene
from msdepth_training.scenes.zones import KERB_STONE, ground_zone

ROUNDED = 0.45
"""How far normals of shining panels lean outwards at their edges."""


class Surface(NamedTuple):
    """What the pixels of one view see, ready to be lit. All [h, w] unless stated."""

    sky: Tensor
    """bool."""
    distance_m: Tensor
    """Along the ray, metres; 1e4 for sky."""
    depth_m: Tensor
    """Along the optical axis, metres; inf for sky."""
    point: Vector
    """World frame, metres."""
    normal: Vector
    """World frame, unit length."""
    view: Vector
    """Unit direction from the camera."""
    instance: Tensor
    """Row of the instances' table; for sky any."""
    texture: Tensor
    """Deviations from the mean, about within 2.5; faded where texels are smaller than pixels."""
    glass: Tensor
    """bool, a facade's window."""
    lit_window: Tensor
    """bool, a window with light inside."""
    open_share: Tensor | None
    """How much of the sky's light gets there: little within a crown. None in streets of boxes, where all does."""


class _Faces(NamedTuple):
    """Of every hit point, on the thing it lies on. All [h, w]."""

    normal: Vector
    """World frame, unit length, outward."""
    u: Tensor
    """Surface coordinates, metres."""
    v: Tensor
    side: Tensor
    """bool, on the side of a box."""
    open_share: Tensor | None
    """See `Surface`."""


def _solid(scene: Scene, instance: Tensor, time_s: float) -> Solid:
    """The things at instance [h, w]; the kind given is none of theirs."""
    t, yaw = scene.instances, scene.instances.yaw_rad
    centre = (t.centre_m + time_s * t.velocity_mps)[instance].unbind(-1)
    half = t.half_m[instance].clamp(min=1e-3).unbind(-1)
    tilt = (t.tilt_rad.cos()[instance], t.tilt_rad.sin()[instance]) if scene.style.rich else None
    taper = t.taper[instance].unbind(-1) if scene.style.rich else (0.0, 0.0, 0.0)
    return Solid(BOX, centre, half, (yaw.cos()[instance], yaw.sin()[instance]), tilt, taper, 0.0, 0.0)


def _face(ratio: list[Tensor]) -> Tensor:
    """int: the axis whose faces of a box a point lies on; ratio is 1 on them."""
    size = [r.abs() for r in ratio]
    return torch.where(size[0] >= torch.maximum(size[1], size[2]), 0, torch.where(size[1] >= size[2], 1, 2))


def _unit(v: list[Tensor]) -> list[Tensor]:
    length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).clamp(min=1e-12).sqrt()
    return [c / length for c in v]


def _faces(scene: Scene, instance: Tensor, point: Vector, time_s: float) -> _Faces:
    thing, kind = _solid(scene, instance, time_s), scene.instances.kind[instance]
    half = thing.half_m
    local = to_local(thing, tuple(p - c for p, c in zip(point, thing.centre_m, strict=True)))
    ratio = [p / h for p, h in zip(local, half, strict=True)]
    is_box, lean, open_share = kind == BOX, None, None
    if scene.style.rich:
        is_box = is_box | (kind == TAPERED)
        open_share = _open_share(scene, instance, kind, ratio, local)
        ratio, lean = _taper(thing, kind == TAPERED, ratio)
    face = _face(ratio)
    box = [torch.where(face == i, ratio[i].sign(), 0.0) for i in range(3)]
    curved = [ratio[i] / half[i] for i in range(3)]
    curved[1] = torch.where(kind == CYLINDER, 0.0, curved[1])
    if lean is not None:
        soft = torch.where((kind == TAPERED) & (scene.instances.gloss[instance] > 0.35), ROUNDED, 0.0)
        box = _unit([box[0], torch.where(face == 1, box[1], torch.where(face == 0, lean[0], lean[1])), box[2]])
        # sheet metal bulges: light runs over a panel instead of falling on it as a whole
        box = [b + soft * r.clamp(-1.0, 1.0) ** 3 for b, r in zip(box, ratio, strict=True)]
        curved = _tube_normal(thing, kind == TUBE, ratio, curved)
    box = box if lean is None else _unit(box)
    n = [torch.where(is_box, b, c) for b, c in zip(box, _unit(curved), strict=True)]
    around = torch.atan2(ratio[0], -ratio[2]) * torch.maximum(half[0], half[2])
    u = torch.where(is_box, torch.where(face == 0, local[2], local[0]), around)
    v = torch.where(is_box & (face == 1), local[2], local[1])
    return _Faces(to_world(thing, tuple(n)), u, v, is_box & (face != 1), open_share)


def _taper(thing: Solid, tapered: Tensor, ratio: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """Positions over a tapered box's extent at their height; how far its sides and ends lean, as the normal's y."""
    (aside, ahead, behind), half = thing.taper, thing.half_m
    lengthwise = torch.where(ratio[2] > 0, ahead, behind)
    up = torch.where(tapered, 0.5 - 0.5 * ratio[1], 0.0)
    narrowed = [
        ratio[0] / (1.0 - aside * up).clamp(min=0.02),
        ratio[1],
        ratio[2] / (1.0 - lengthwise * up).clamp(min=0.02),
    ]
    lean = [torch.where(tapered, -0.5 * t * h / half[1], 0.0) for t, h in ((aside, half[0]), (lengthwise, half[2]))]
    return narrowed, (lean[0], lean[1])


def _tube_normal(thing: Solid, tube: Tensor, ratio: list[Tensor], curved: list[Tensor]) -> list[Tensor]:
    """The normals of things that are not boxes; those of tubes replaced by theirs."""
    narrowing = thing.taper[0]
    end = tube & (ratio[1].abs() > 0.999)
    radius = (1.0 - narrowing * (0.5 - 0.5 * ratio[1])).clamp(min=0.02)
    side = [ratio[0] / thing.half_m[0], -0.5 * narrowing * radius / thing.half_m[1], ratio[2] / thing.half_m[2]]
    ends = [0.0 * ratio[0], ratio[1].sign(), 0.0 * ratio[2]]
    return [torch.where(end, e, torch.where(tube, s, c)) for e, s, c in zip(ends, side, curved, strict=True)]


def _open_share(scene: Scene, instance: Tensor, kind: Tensor, ratio: list[Tensor], local: Vector) -> Tensor:
    """Leaves shade one another: the deeper in a crown, the lower, the more leaves right above, the darker."""
    squares = [r * r for r in ratio]
    ball = squares[0] + squares[1] + squares[2]
    outward = torch.where(kind == LEAVES, ball, torch.maximum(torch.maximum(squares[0], squares[1]), squares[2]))
    leafy = (kind == LEAVES) | (kind == HEDGE)
    cells_per_m = foliage.CLUMP * scene.instances.texels_per_m[instance]
    above = foliage.look_up(foliage.noise(ball.device), [local[0], local[1] - 0.7 / cells_per_m, local[2]], cells_per_m)
    share = (0.1 + 0.9 * outward.clamp(max=1.0)) * (0.75 - 0.25 * ratio[1].clamp(-1.0, 1.0))
    return torch.where(leafy, share * torch.sigmoid(1.0 - 1.5 * above), 1.0)


def surface(
    scene: Scene, hits: Hits, origin: Vector, direction: Vector, textures: Tensor, *, time_s: float, pixel_rad: float
) -> Surface:
    """Everything about the visible surfaces that does not depend on the band.

    Args:
        scene: on the device of the rays.
        hits: from `raycast.cast`.
        origin: of the rays, world frame, metres.
        direction: of the rays, world frame, unit z in the camera's frame.
        textures: the atlas.
        time_s: time of the image.
        pixel_rad: angle of a pixel, to fade textures that are finer.

    Returns:
        See `Surface`.
    """
    sky, ground = hits.instance == -1, hits.instance < -1
    length = sum(d * d for d in direction).sqrt()
    reach = torch.where(sky, torch.full_like(hits.distance, 5e3), hits.distance)
    point = tuple(o + reach * d for o, d in zip(origin, direction, strict=True))
    zone = ground_zone(scene, point[0], point[2])
    zone = torch.where(hits.instance == KERB, KERB_STONE, zone)
    things = scene.instances.kind.shape[0] - GROUND_ZONES
    instance = torch.where(ground, things + zone, hits.instance.clamp(min=0))
    faces = _faces(scene, instance, point, time_s)
    up = zip(_ground_normal(scene, hits, point), faces.normal, strict=True)
    normal = tuple(torch.where(ground, a, b) for a, b in up)
    u, v = torch.where(ground, point[0], faces.u), torch.where(ground, point[2], faces.v)
    distance = torch.where(sky, torch.full_like(reach, 1e4), reach * length)
    facing = sum(a * b for a, b in zip(normal, direction, strict=True)).abs() / length
    footprint = distance * pixel_rad / facing.clamp(min=0.15)
    texture = _texture(scene, instance, textures, u, v, footprint)
    window, lit = _windows(scene, instance, u, v, faces.side)
    open_share = None if faces.open_share is None else torch.where(ground, 1.0, faces.open_share)
    return Surface(
        sky, distance, torch.where(sky, torch.inf, hits.distance), point, normal, tuple(d / length for d in direction),
        instance, texture, window & ~sky, window & ~sky & lit, open_share,
    )  # fmt: skip


def _ground_normal(scene: Scene, hits: Hits, point: Vector) -> Vector:
    """Of the ground and of the kerbs' faces; for other pixels any."""
    terrain, one = scene.terrain, torch.ones_like(hits.distance)
    if terrain.is_plane:
        return 0.0 * one, -one, 0.0 * one
    (gx, gz), (bx, bz) = terrain.grade, terrain.bend_per_m
    ground = _unit([-(gx + bx * point[0]), -one, -(gz + bz * point[2])])
    across, slope = across_road(terrain, point[0] - scene.road_centre_m, point[2])
    inwards = -across.sign() / (1.0 + slope * slope).sqrt()
    face = (inwards, 0.0 * one, -slope * inwards)
    kerb = hits.instance == KERB
    return tuple(torch.where(kerb, a, b) for a, b in zip(face, ground, strict=True))


def _texture(scene: Scene, instance: Tensor, textures: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
    """Fine and coarse texture at surface coordinates (u, v), metres, faded where a pixel's footprint is wider."""
    texels = scene.instances.texels_per_m[instance]
    seed = instance * 37 % SIZE
    layer = scene.instances.layer[instance]
    fine = look_up(textures, layer, u * texels + seed, v * texels, nearest=True)
    fine = fine * (1.0 / (footprint * texels)).clamp(max=1.0)
    coarse = look_up(textures, layer, u * texels / 9 + 3 * seed, v * texels / 9 + seed)
    coarse = coarse * (4.0 / (footprint * texels / 9)).clamp(max=1.0)
    return 0.6 * fine + 0.8 * coarse


def _windows(scene: Scene, instance: Tensor, u: Tensor, v: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """Whether (u, v), metres along a facade, fall on a window, and whether that one would have light inside."""
    period = scene.instances.windows[instance].clamp(min=0.1)
    iu, iv = u / period, v / period
    window = (
        (scene.instances.windows[instance] > 0)
        & side
        & ((iu - iu.floor() - 0.5).abs() < 0.5 * scene.instances.pane[instance, 0])
        & ((iv - iv.floor() - 0.5).abs() < 0.5 * scene.instances.pane[instance, 1])
    )
    hashed = torch.remainder(torch.sin(iu.floor() * 12.9898 + iv.floor() * 78.233 + instance * 3.7) * 43758.5453, 1.0)
    return window, hashed > 0.7
