"""What stands near: in view wherever the rig looks, on the ground, not within other things, with its shade."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from msdepth_training.geometry import pixel_rays
from msdepth_training.scenes import materials, obstacles, plane_in_camera, render_frame, sample_rig, sample_scene
from msdepth_training.scenes.instances import BOX, ELLIPSOID, GROUND_ZONES, Builder
from msdepth_training.scenes.obstacles import GROUPS, Viewpoint, stage
from msdepth_training.scenes.placing import Drive, Road
from msdepth_training.scenes.rig import Looks
from msdepth_training.scenes.room import Room
from msdepth_training.scenes.terrain import Terrain

H, W = 48, 120
ROAD = Road(Terrain(), 12.0, 2.0, 4, 3.0, 100.0)
STANDING = Drive(1.5, 0.0, 2, True, back=False)


def builder(seed):
    return Builder(np.random.default_rng(seed), (0, 1, 2), (3, 4))


def near_share(seed, looks_back):
    """Share of the RGB image with things 0.35 to 2.6 m above the road, nearer than 10 m."""
    rig = sample_rig(np.random.default_rng([seed, 3]), H, W, jitter=0.0, style="rich")
    looks = Looks(math.pi if looks_back else 0.0)
    turn = torch.eye(4)
    turn[0, 0] = turn[2, 2] = math.cos(looks.yaw_rad)
    poses = {s: turn @ pose for s, pose in rig.vehicle_from_camera.items()}
    rig = dataclasses.replace(rig, vehicle_from_camera=poses, looks=looks)
    scene = sample_scene(seed, "train", condition="day", style="rich", looks=looks)
    frame = render_frame(scene, rig, time_s=0.0, spectra=("rgb",))
    plane, depth_m = plane_in_camera(frame.ground_plane, poses["rgb"]), frame.depth_m["rgb"]
    up_m = plane[3] - torch.einsum("i,ihw->hw", plane[:3], pixel_rays(rig.k["rgb"], H, W) * depth_m)
    return float(((up_m > 0.35) & (up_m < 2.6) & (depth_m < 10.0)).float().mean())


@pytest.mark.parametrize("looks_back", [False, True])
def test_half_of_the_streets_have_something_near_in_view(looks_back):
    shares = [near_share(seed, looks_back) for seed in range(14)]
    assert np.mean(np.array(shares) > 0.02) >= 0.5
    assert looks_back or min(shares) < 0.02, "roads are also free"


@pytest.mark.parametrize("name", sorted(set(GROUPS)))
@pytest.mark.parametrize("yaw", [0.0, -1.5])
def test_every_group_stands_on_the_ground_before_the_rig(name, yaw):
    found = []
    for seed in range(6):
        b = builder(seed)
        stage(b, ROAD, Viewpoint(20.0, STANDING, yaw), (name,), Room(b), test=False)
        found += [(*row["centre_m"], min(row["half_m"])) for row in b.rows]
    x, y, z, half = np.array(found).T
    ahead = (x - 1.5) * math.sin(yaw) + (z - 20.0) * math.cos(yaw)
    assert len(found) > 3
    assert (y + half < 0.4).all(), "below the ground"
    assert np.median(ahead) > 1.0 or name == "abreast"
    assert np.hypot(x - 1.5, z - 20.0).min() < 13.0


def test_nothing_is_put_where_something_stands():
    b = builder(0)
    room = Room(b)
    for _ in range(40):
        stage(b, ROAD, Viewpoint(20.0, STANDING, 0.0), ("riders",), room, test=False)
    spots = np.array([c[:2] for c in b.contacts])
    apart = np.hypot(*(spots[:, None] - spots[None]).T) + 10.0 * np.eye(len(spots))
    assert len(spots) > 3
    assert apart.min() > 0.8


def test_there_is_room_below_a_crown_and_none_within_a_wall_or_on_the_vehicle_s_way():
    b = builder(0)
    room, stand = Room(b), ROAD.stand(b, 0.0, 20.0, turned=0.6)
    assert room.is_free(stand, (1.0, 2.0))
    b.add(ELLIPSOID, (0.0, -6.0, 20.0), (3.0, 3.0, 3.0), materials.FOLIAGE, layer=0)
    assert room.is_free(stand, (1.0, 2.0))
    b.add(BOX, (1.6, -1.0, 20.0), (0.05, 1.0, 8.0), materials.SOIL, layer=0, yaw=0.3)
    assert not room.is_free(stand, (1.0, 2.0))
    room.reserve(1.0, 40.0, -0.5 * math.pi, (-1.0, 1.0, -1.0, 6.0))
    assert not room.is_free(ROAD.stand(b, -4.0, 40.0), (0.5, 0.5))
    assert room.is_free(ROAD.stand(b, 4.0, 40.0), (0.5, 0.5))


def test_whoever_drives_is_not_blocked_by_what_stands_in_the_way():
    """At 12 m/s, what is put right ahead is about as fast."""
    for seed in range(20):
        b = builder(seed)
        stage(b, ROAD, Viewpoint(0.0, STANDING._replace(speed_mps=12.0), 0.0), ("vehicle",), Room(b), test=False)
        assert all(9.0 < row["velocity_mps"][2] < 14.0 for row in b.rows)


def test_a_vehicle_shades_the_ground_beside_it_under_an_overcast_sky():
    scene = sample_scene(8, "train", condition="day", style="rich")
    b = builder(0)
    b.add(BOX, (0.0, -1.2, 9.0), (0.9, 0.6, 0.9), materials.SOIL, layer=0, texels_per_m=20.0)
    ROAD.stand(b, 0.0, 9.0).darken(0.9, 0.9)
    zones = {name: value[-GROUND_ZONES:] for name, value in vars(scene.instances).items()}
    things = {name: torch.cat((value, zones[name])) for name, value in vars(b.instances()).items()}
    light = dataclasses.replace(scene.conditions, clouds=1.0, sun_share=0.0, daylight=1.0, visibility_m=2e4)
    plain = dataclasses.replace(
        scene, instances=dataclasses.replace(scene.instances, **things), conditions=light, terrain=Terrain(),
        ego_x_m=0.0, ego_speed_mps=0.0, sway_rad=(0.0, 0.0, 0.0), road_half_width_m=9.0,
        style=dataclasses.replace(scene.style, optics=False),
    )  # fmt: skip
    rig = sample_rig(np.random.default_rng(0), H, W, jitter=0.0, style="rich")
    levels = []
    for contacts in (torch.zeros(0, 7), torch.tensor(b.contacts)):
        frame = render_frame(dataclasses.replace(plain, contacts=contacts), rig, time_s=0.0, spectra=("rgb",))
        point = pixel_rays(rig.k["rgb"], H, W) * frame.depth_m["rgb"]
        road = (point[1] > 1.45) & (point[1] < 1.55)
        below = road & (point[0].abs() < 0.9) & ((point[2] - 9.0).abs() < 0.9)
        beside = road & (point[0].abs() > 3.0) & ((point[2] - 9.0).abs() < 2.0)
        image = (frame.images["rgb"].float().mean(dim=0) / 255.0) ** 2.2
        levels.append(float(image[below].mean() / image[beside].mean()))
    assert levels[1] < 0.5 * levels[0]


def test_a_third_of_the_streets_has_no_near_group():
    none = [len(obstacles.draw_cast(np.random.default_rng(seed))) == 0 for seed in range(300)]
    assert 0.25 < np.mean(none) < 0.41
