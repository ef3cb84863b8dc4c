"""Which part of the ground a point belongs to: lanes, lines and other paint, kerbs, pavements, verges."""

from __future__ import annotations

import torch
from torch import Tensor

from msdepth_training.scenes.paint import ASPHALT, FIELD, KERB_STONE, MARKING, PATCH, PAVEMENT, VERGE, Paint
from msdepth_training.scenes.scene import Scene
from msdepth_training.scenes.terrain import across_road


def _hash(a: Tensor, b: Tensor) -> Tensor:
    """In [0, 1), by whole numbers."""
    return torch.remainder(torch.sin(a * 12.9898 + b * 78.233) * 43758.5453, 1.0)


def ground_zone(scene: Scene, x: Tensor, z: Tensor) -> Tensor:
    """int, shape of x: offset of the zone at (x, z), metres, world frame, from the first of the `GROUND_ZONES`."""
    paint, lane_m = scene.paint, scene.lane_m
    across, _ = across_road(scene.terrain, x - scene.road_centre_m, z)
    aside = across.abs() - scene.road_half_width_m
    pavement = aside < scene.pavement_m
    zone = torch.where(
        aside < 0,
        ASPHALT,
        torch.where(pavement, PAVEMENT, torch.where(aside < scene.pavement_m + paint.verge_m, VERGE, FIELD)),
    )
    lanes = across / lane_m
    offset = 0.0 if round(2 * scene.road_half_width_m / lane_m) % 2 == 0 else 0.5
    line = ((lanes + offset) - torch.round(lanes + offset)).abs() * lane_m < 0.5 * paint.line_m
    dashed = torch.remainder(z, paint.period_m) < paint.dash_m
    edge = (aside + 0.3).abs() < 0.5 * paint.line_m
    if paint.patched > 0:
        zone = torch.where((aside < 0) & _patch(lanes + offset, z, paint.patched), PATCH, zone)
    zone = torch.where((aside < -0.6) & line & dashed, MARKING, zone)
    if paint.edge != ASPHALT:
        zone = torch.where((aside < 0) & edge, paint.edge, zone)
    return _extras(zone, paint, across, aside, z) if scene.style.rich else zone


def _patch(lanes: Tensor, z: Tensor, share: float) -> Tensor:
    """bool: rectangles of asphalt of another age, and narrow strips along the lanes."""
    lane = lanes.floor()
    block = torch.div(z + 13.0 * lane, 7.0, rounding_mode="floor")
    within = torch.remainder(z + 13.0 * lane, 7.0) < 7.0 * _hash(lane + 3.0, block)
    strip = ((lanes - lane - _hash(lane, lane + 5.0)).abs() < 0.06) & (_hash(lane, lane) < 2.0 * share)
    return ((_hash(lane, block) < share) & within) | strip


def _extras(zone: Tensor, paint: Paint, across: Tensor, aside: Tensor, z: Tensor) -> Tensor:
    """A double line in the middle, a crossing with its stop line, and stones along the kerb."""
    if paint.centre != ASPHALT:
        double = (across.abs() - 0.16).abs() < 0.5 * paint.line_m
        zone = torch.where((aside < 0) & double, paint.centre, zone)
    stripes = (torch.remainder(across, 1.0) < 0.5) & ((z - paint.zebra_m).abs() < 1.6)
    stop = (across > 0) & ((z - paint.zebra_m + 3.2).abs() < 0.2)
    zone = torch.where((aside < -0.5) & (stripes | stop), MARKING, zone)
    return torch.where((aside >= 0) & (aside < paint.kerb_stone_m), KERB_STONE, zone)
