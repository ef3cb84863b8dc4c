"""The rich scenes: the same on every run, exact in every camera, distinct in every band, other kinds in test scenes."""

import dataclasses

import numpy as np
import pytest
import torch

from msdepth_training.scenes import (
    CONDITIONS,
    ego,
    houses,
    materials,
    plants,
    render_frame,
    sample_rig,
    sample_scene,
    vehicles,
)
from msdepth_training.scenes.instances import BOX, GROUND_ZONES, HEDGE, LEAVES, TAPERED, Builder
from msdepth_training.scenes.placing import Road
from msdepth_training.scenes.sample import CLEAR_S, is_clear
from msdepth_training.scenes.sensors import COUNTS_PER_K
from msdepth_training.scenes.terrain import Terrain
from msdepth_training.scenes.textures import (
    RICH_TEST_LAYERS,
    RICH_TRAIN_LAYERS,
    SIGN_LAYERS,
    TEST_SIGN_LAYERS,
    atlas,
)

H, W = 64, 160


@pytest.fixture(scope="module")
def rig():
    return sample_rig(np.random.default_rng(0), H, W, jitter=0.0, style="rich")


@pytest.fixture(scope="module")
def day():
    return sample_scene(14, "train", condition="day", style="rich")


@pytest.fixture(scope="module")
def frame(day, rig):
    return render_frame(day, rig, time_s=0.0)


def only(scene, *parts):
    """The same ground with nothing on it but (kind, centre, half extents, material, more of `Builder.add`)."""
    b = Builder(np.random.default_rng(0), (0,))
    for kind, centre, half, material, more in parts:
        b.add(kind, centre, half, material, **more)
    things = b.instances() if parts else None
    zones = {name: value[-GROUND_ZONES:] for name, value in vars(scene.instances).items()}
    if things is not None:
        zones = {name: torch.cat((getattr(things, name), value)) for name, value in zones.items()}
    flat = {"terrain": Terrain(), "ego_x_m": 0.0, "ego_speed_mps": 0.0, "sway_rad": (0.0, 0.0, 0.0)}
    flat["contacts"] = torch.zeros(0, 7)
    return dataclasses.replace(scene, instances=dataclasses.replace(scene.instances, **zones), **flat)


def clear_day(scene, **more):
    """Noon without clouds, full thermal contrast."""
    light = {
        "daylight": 1.0, "sun_share": 0.7, "sun_direction": (0.0, -0.8, -0.6), "clouds": 0.0, "sky_gain": 1.0,
        "thermal_contrast": 1.0, "sky_cooling_k": 40.0, "visibility_m": 20000.0, "nir_leak": 0.0, "rain": 0.0,
    }  # fmt: skip
    return dataclasses.replace(scene, conditions=dataclasses.replace(scene.conditions, **{**light, **more}))


def test_the_same_seed_gives_the_same_scene_and_another_does_not(day, rig, frame):
    again = render_frame(sample_scene(14, "train", condition="day", style="rich"), rig, time_s=0.0)
    for spectrum, image in frame.images.items():
        assert torch.equal(image, again.images[spectrum])
        torch.testing.assert_close(frame.depth_m[spectrum], again.depth_m[spectrum], rtol=0, atol=0, equal_nan=True)
    other = sample_scene(9, "train", condition="day", style="rich")
    assert other.instances.kind.shape != day.instances.kind.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_renders_the_same_scene(day, rig, frame):
    on_gpu = render_frame(day, rig, time_s=0.0, device=torch.device("cuda"))
    depth_m = on_gpu.depth_m["rgb"].cpu()
    same = (depth_m == frame.depth_m["rgb"]) | ((depth_m - frame.depth_m["rgb"]).abs() < 1e-2)
    assert same.float().mean() > 0.98


def test_things_cast_together_are_seen_as_one_by_one(day, rig, frame):
    alone = dataclasses.replace(day, style=dataclasses.replace(day.style, together=False))
    depth_m = render_frame(alone, rig, time_s=0.0, spectra=("rgb",)).depth_m["rgb"]
    leafy = frame.depth_m["rgb"]
    same = (depth_m == leafy) | ((depth_m - leafy).abs() < 1e-3 * leafy)
    # a ray's first step into leaves depends on how rays are numbered, nothing else does
    assert same.float().mean() > 0.75
    bare = only(day, *[(BOX, (x, -1.0, 12.0 + x), (0.2, 1.0, 0.2), materials.SOIL, {}) for x in (-3.0, 0.0, 2.0)])
    one = dataclasses.replace(bare, style=alone.style)
    torch.testing.assert_close(
        *(render_frame(s, rig, time_s=0.0, spectra=("nir",)).depth_m["nir"] for s in (bare, one)), equal_nan=True
    )


@pytest.mark.parametrize("view", ["nir", "thermal"])
def test_depth_of_one_camera_predicts_that_of_another(day, rig, frame, view):
    """Most of a camera's points are what the other one measures there; hardly any lies in front of it."""
    depth, k = frame.depth_m["rgb"], rig.k["rgb"]
    v, u = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    known = depth < 40
    rays = torch.stack(((u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], torch.ones_like(depth)))
    point = torch.cat((rays * depth, torch.ones_like(depth)[None]))[:, known]
    x, y, z, _ = rig.view_from_reference(view, "rgb") @ point
    k = rig.k[view]
    column, row = (k[0, 0] * x / z + k[0, 2]).round().long(), (k[1, 1] * y / z + k[1, 2]).round().long()
    inside = (z > 0.5) & (column >= 1) & (column < W - 1) & (row >= 1) & (row < H - 1)
    around = torch.stack(
        [frame.depth_m[view][row[inside] + i, column[inside] + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    near = ((around - z[inside]).abs() / z[inside]).amin(dim=0)
    assert (near < 0.1).float().mean() > 0.8


def test_the_depth_of_a_tapered_box_is_exact_in_every_camera(day, rig):
    """A wall that leans back, across the road: its plane meets every ray where the form says."""
    z, half, taper = 20.0, (30.0, 4.0, 2.0), 1.0
    wall = (TAPERED, (0.0, -4.0, z), half, materials.SOIL, {"taper": (0.0, 0.0, taper)})
    frame = render_frame(only(day, wall), rig, time_s=0.0)
    for spectrum in rig.k:
        pose, k = rig.vehicle_from_camera[spectrum], rig.k[spectrum]
        v, u = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
        rays = torch.stack(((u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], torch.ones_like(u, dtype=torch.float32)))
        d, o = torch.einsum("ij,jhw->ihw", pose[:3, :3], rays), pose[:3, 3]
        # the face through (y = 0, z = 18) and (y = -8, z = 20)
        expected = (18.0 - o[2] - 0.25 * o[1]) / (d[2] + 0.25 * d[1])
        y = o[1] + expected * d[1]
        middle = (y < -0.2) & (y > -7.8)
        assert middle.sum() > 500
        torch.testing.assert_close(frame.depth_m[spectrum][middle], expected[middle], rtol=1e-4, atol=1e-3)


def test_what_is_far_has_its_true_depth(day, rig):
    """Hundreds of metres away, in images and as stored in half precision."""
    walls = [
        (BOX, (x, -60.0, z), (0.09 * z, 60.0, 1.0), materials.SOIL, {})
        for x, z in ((-120.0, 400.0), (0.0, 200.0), (300.0, 800.0))
    ]
    depth_m = render_frame(only(day, *walls), rig, time_s=0.0, spectra=("rgb",)).depth_m["rgb"]
    for z in (200.0, 400.0, 800.0):
        on = (depth_m > 0.97 * z) & (depth_m < 1.03 * z)
        assert on.sum() > 50
        assert float(depth_m[on].half().float().sub(z - 1.0).abs().max()) < 0.01 * z


def test_test_scenes_have_kinds_and_textures_that_training_never_sees():
    assert not set(vehicles.TEST_KINDS) & set(vehicles.TRAIN_KINDS)
    assert not set(plants.TEST_TREES) & set(plants.TRAIN_TREES)
    assert not set(houses.TEST_HOUSES) & set(houses.TRAIN_HOUSES)
    train, test = {*RICH_TRAIN_LAYERS, *SIGN_LAYERS}, {*RICH_TEST_LAYERS, *TEST_SIGN_LAYERS}
    assert not train & test
    assert atlas(torch.device("cpu")).shape[0] == len(train | test)
    for split, layers in (("train", train), ("validation", train), ("test", test)):
        scene = sample_scene(2, split, condition="day", style="rich")
        assert set(scene.instances.layer.tolist()) <= layers
        assert scene.instances.layer.unique().numel() > 4


def drawn(draw):
    """Instances of something drawn 15 m ahead, and of the ground."""
    b = Builder(np.random.default_rng(1), (0,), (1,))
    draw(b, Road(Terrain(), 4.0, 2.0, 2, 3.0, 100.0).stand(b, 0.0, 15.0))
    for _ in range(GROUND_ZONES):
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), materials.ASPHALT)
    return b.instances()


@pytest.mark.parametrize("kind", sorted({*vehicles.TRAIN_KINDS, *vehicles.TEST_KINDS}))
def test_vehicles_stand_on_their_wheels_and_have_a_length(kind, monkeypatch):
    monkeypatch.setattr(vehicles, "TRAIN_KINDS", (kind,))
    t = drawn(lambda b, s: vehicles.vehicle(b, s, test=False, running=True))
    bottom = (t.centre_m[:, 1] + t.half_m.amin(dim=1))[:-GROUND_ZONES]
    assert t.kind.shape[0] > 8 + GROUND_ZONES
    assert 0.0 <= -float(bottom.max()) + 0.35 <= 0.75
    ahead = t.centre_m[:-GROUND_ZONES, 2]
    assert 0.9 < float(ahead.max() - ahead.min()) < 14.0


@pytest.mark.parametrize("tree", [*plants.TRAIN_TREES, *plants.TEST_TREES], ids=lambda t: t.__name__)
def test_trees_have_wood_and_stay_upright(tree):
    t = drawn(lambda b, s: tree(s))
    top = -(t.centre_m[:-GROUND_ZONES, 1]).min()
    assert 1.5 < float(top) < 16.0


def test_vegetation_is_bright_in_the_near_infrared_and_dark_in_red(day, rig):
    hedge = (HEDGE, (0.0, -4.0, 14.0), (30.0, 4.0, 1.0), materials.FOLIAGE, {"cutout": -0.8, "texels_per_m": 8.0})
    wall = (BOX, (0.0, -4.0, 14.0), (30.0, 4.0, 1.0), materials.FOLIAGE._replace(nir=0.05), {})
    seen = {}
    for name, part in (("hedge", hedge), ("wall", wall)):
        plain = dataclasses.replace(day.style, optics=False)
        frame = render_frame(clear_day(dataclasses.replace(only(day, part), style=plain)), rig, time_s=0.0)
        level = {s: (i.float() / 255) ** 2.2 for s, i in frame.images.items() if s != "thermal"}
        at = {s: (frame.depth_m[s] < 16) & (frame.depth_m[s] > 12.5) for s in level}
        ground = {s: frame.depth_m[s] < 10 for s in level}
        seen[name] = {s: float(level[s][0][at[s]].mean() / level[s][0][ground[s]].mean()) for s in level}
    assert seen["hedge"]["nir"] > 4 * seen["hedge"]["rgb"]
    assert seen["hedge"]["nir"] > 2 * seen["wall"]["nir"]  # the ground clips before the dark wall
    leaky = clear_day(dataclasses.replace(only(day, hedge), style=plain), nir_leak=1.0)
    image = render_frame(leaky, rig, time_s=0.0, spectra=("nir",))
    level = (image.images["nir"][0].float() / 255) ** 2.2
    at, ground = (image.depth_m["nir"] < 16) & (image.depth_m["nir"] > 12.5), image.depth_m["nir"] < 10
    assert float(level[at].mean() / level[ground].mean()) < 0.5 * seen["hedge"]["nir"]


def test_glass_is_opaque_in_thermal_and_mirrors_the_sky_there(day, rig):
    """A pane hides a hot wall behind it; one that leans back mirrors the cold zenith, one that is upright does not."""
    hot = (BOX, (0.0, -5.0, 16.0), (30.0, 5.0, 1.0), materials.SOIL._replace(offset_k=60.0), {})
    counts = []
    for taper in (0.0, 1.0):
        pane = (
            TAPERED,
            (0.0, -3.0, 13.0),
            (30.0, 3.0, 1.5),
            materials.GLASS,
            {"taper": (0.0, 0.0, taper), "gloss": 0.9},
        )
        frame = render_frame(clear_day(only(day, pane, hot)), rig, time_s=0.0, spectra=("thermal",))
        at = (frame.depth_m["thermal"] > 10.5) & (frame.depth_m["thermal"] < 13.2)
        counts.append(float(frame.images["thermal"][0][at].float().mean()))
    bare = render_frame(clear_day(only(day, hot)), rig, time_s=0.0, spectra=("thermal",))
    wall = bare.images["thermal"][0][(bare.depth_m["thermal"] > 14) & (bare.depth_m["thermal"] < 16)].float().mean()
    assert float(wall) > counts[0] + 30 * COUNTS_PER_K
    assert counts[1] < counts[0] - COUNTS_PER_K


def test_a_clear_sky_is_colder_than_the_air_and_coldest_overhead(day, rig):
    frame = render_frame(clear_day(only(day)), rig, time_s=0.0, spectra=("thermal",))
    thermal, sky = frame.images["thermal"][0].float(), torch.isinf(frame.depth_m["thermal"])
    rows = sky.all(dim=1).nonzero()[:, 0]
    assert float(thermal[~sky].mean() - thermal[sky].mean()) > 5 * COUNTS_PER_K
    assert float(thermal[rows[0]].mean()) < float(thermal[rows[-1]].mean()) - 2 * COUNTS_PER_K


def test_a_wet_road_mirrors_the_sky_and_a_dry_one_does_not(day, rig):
    def road_over_sky(rain):
        scene = clear_day(only(day), clouds=1.0, sun_share=0.0, rain=rain)
        plain = dataclasses.replace(scene, style=dataclasses.replace(scene.style, optics=False))
        frame = render_frame(plain, rig, time_s=0.0, spectra=("nir",))
        level, depth = (frame.images["nir"][0].float() / 255) ** 2.2, frame.depth_m["nir"]
        ahead = (depth > 20) & (depth < 40)
        ahead[:, : W // 2 - 4], ahead[:, W // 2 + 4 :] = False, False
        return float(level[ahead].mean() / level[torch.isinf(depth)].mean())

    assert road_over_sky(1.0) > 1.1 * road_over_sky(0.0)


def test_the_vehicle_follows_a_bend_and_climbs(day):
    terrain = Terrain(grade=(0.0, 0.05), turn=0.6, turn_at_m=5.0, turn_length_m=15.0, kerb_m=0.1)
    scene = dataclasses.replace(day, terrain=terrain, ego_speed_mps=12.0, ego_x_m=1.5, sway_rad=(0.0, 0.0, 0.0))
    poses = [ego.world_from_vehicle(scene, t) for t in (0.0, 0.6, 1.2)]
    steps = [float((b - a)[:3, 3].norm()) for a, b in zip(poses, poses[1:], strict=False)]
    assert all(step == pytest.approx(7.2, rel=0.05) for step in steps)
    yaws = [float(torch.atan2(p[0, 2], p[2, 2])) for p in poses]
    assert yaws[0] < yaws[1] - 0.02 < yaws[2] - 0.04
    assert [float(p[1, 3]) for p in poses] == pytest.approx([0.1 - 0.05 * float(p[2, 3]) for p in poses], abs=1e-4)
    assert float(poses[0][1, 2]) == pytest.approx(-0.05 * float(poses[0][2, 2]), abs=0.01)
    torch.testing.assert_close(poses[2][:3, :3] @ poses[2][:3, :3].T, torch.eye(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_renders_and_every_street_is_passable(condition, rig):
    scene = sample_scene(5, "validation", condition=condition, style="rich")
    assert is_clear(scene, until_s=CLEAR_S)
    frame = render_frame(scene, rig, time_s=0.4)
    assert torch.isfinite(frame.depth_m["rgb"]).float().mean() > 0.3
    assert frame.images["rgb"].float().std() > 3
    kinds = set(scene.instances.kind.tolist())
    assert {LEAVES, TAPERED} <= kinds
