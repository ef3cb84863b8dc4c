"""The plane of the road that a vehicle may know."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from msdepth_training.geometry import pixel_rays
from msdepth_training.scenes import ego, plane_in_camera, render_frame, road_plane, sample_rig, sample_scene
from msdepth_training.scenes.instances import GROUND_ZONES
from msdepth_training.scenes.terrain import Terrain

H, W = 64, 160


@pytest.fixture(scope="module")
def street():
    """A straight, wide road with nothing on it."""
    scene = sample_scene(8, "train", condition="day", style="rich")
    zones = {name: value[-GROUND_ZONES:] for name, value in vars(scene.instances).items()}
    return dataclasses.replace(
        scene, instances=dataclasses.replace(scene.instances, **zones), terrain=Terrain(), ego_x_m=0.0,
        road_half_width_m=8.0, ego_speed_mps=5.0, sway_rad=(0.0, 0.0, 0.0),
    )  # fmt: skip


def test_on_a_plane_it_is_the_height_of_the_camera(street):
    plane = road_plane(street, 0.0, 0.0)
    torch.testing.assert_close(plane, torch.tensor([0.0, 1.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    rig = sample_rig(np.random.default_rng(0), H, W, jitter=0.0, style="rich")
    thermal = plane_in_camera(plane, rig.vehicle_from_camera["thermal"])
    assert float(thermal[3]) == pytest.approx(1.5 + 0.4234, abs=1e-5)
    # it looks down: the normal leans towards what is ahead of it
    assert thermal[:3].tolist() == pytest.approx([0.0, math.cos(0.1743), math.sin(0.1743)], abs=1e-5)


@pytest.mark.parametrize("yaw", [0.0, 1.2, math.pi])
def test_it_explains_the_depth_of_the_road_in_every_camera(street, yaw):
    """On a road that climbs and leans, seen by a vehicle that sways, looking anywhere."""
    climbing = Terrain(grade=(0.02, 0.06), bend_per_m=(0.0, -0.001))
    scene = dataclasses.replace(street, terrain=climbing, sway_rad=(0.01, 0.02, 1.0))
    rigs = (sample_rig(np.random.default_rng([i, 3]), H, W, style="rich") for i in range(200))
    rig = next(r for r in rigs if abs(math.remainder(r.looks.yaw_rad - yaw, 2 * math.pi)) < 0.3)
    frame = render_frame(scene, rig, time_s=0.3)
    poses, checked = torch.stack(list(rig.vehicle_from_camera.values())), 0
    for spectrum, plane in zip(rig.k, plane_in_camera(frame.ground_plane, poses), strict=True):
        expected = plane[3] / torch.einsum("i,ihw->hw", plane[:3], pixel_rays(rig.k[spectrum], H, W))
        depth_m = frame.depth_m[spectrum]
        near = (depth_m < 9.0) & (depth_m > 2.5)
        if near.sum() > 100:  # some cameras look up
            assert float(((depth_m - expected).abs() / depth_m)[near].median()) < 0.03
            checked += 1
    assert checked >= 2


def test_there_is_none_over_a_sharp_crest_or_beside_the_road(street):
    crest = dataclasses.replace(street, terrain=Terrain(bend_per_m=(0.0, -0.02)))
    assert road_plane(crest, 0.0, 0.0).tolist() == [0.0] * 4
    field = dataclasses.replace(street, road_half_width_m=2.0, pavement_m=0.0)
    assert road_plane(field, 0.5 * math.pi, 0.0).tolist() == [0.0] * 4
    assert road_plane(field, 0.0, 0.0).abs().sum() > 0
    pose = ego.world_from_vehicle(street, 0.0)
    assert plane_in_camera(torch.zeros(4), pose).tolist() == [0.0] * 4
