import dataclasses

import numpy as np
import pytest
import torch

from msdepth_training.errors import TrainingError
from msdepth_training.scenes import CONDITIONS, materials, render_frame, sample_rig, sample_scene
from msdepth_training.scenes.instances import BOX, GROUND_ZONES, Builder
from msdepth_training.scenes.sample import CLEAR_S, is_clear
from msdepth_training.scenes.sensors import COUNTS_PER_K
from msdepth_training.scenes.textures import TEST_LAYERS, TRAIN_LAYERS

H, W = 48, 120


@pytest.fixture(scope="module")
def rig():
    return sample_rig(np.random.default_rng(0), H, W, jitter=0.0)


@pytest.fixture(scope="module")
def day():
    return sample_scene(4, "train", condition="day")


@pytest.fixture(scope="module")
def frame(day, rig):
    return render_frame(day, rig, time_s=0.0)


def bare(scene):
    """The same scene with nothing but the ground."""
    only_ground = {name: value[-GROUND_ZONES:] for name, value in vars(scene.instances).items()}
    return dataclasses.replace(scene, instances=dataclasses.replace(scene.instances, **only_ground))


def with_box(scene, x, z, velocity):
    """The same road with nothing on it but one box of 2 m; velocity along the road, m/s."""
    b = Builder(np.random.default_rng(0), TRAIN_LAYERS)
    material = materials.anything(np.random.default_rng(1))
    b.add(BOX, (scene.ego_x_m + x, -1.0, z), (1.0, 1.0, 1.0), material, velocity=(0.0, 0.0, velocity))
    for _ in range(GROUND_ZONES):
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), material)
    return dataclasses.replace(scene, instances=b.instances(), ego_speed_mps=10.0)


@pytest.mark.parametrize(
    ("x", "z", "velocity", "until_s", "expected"),
    [
        (0.0, 3.5, 0.0, 0.0, False),  # right before the bumper
        (0.0, 12.0, 0.0, 0.0, True),
        (0.0, 12.0, 0.0, 1.0, False),  # the vehicle drives into it
        (0.0, 12.0, 10.0, 1.0, True),  # it drives on at the same speed
        (0.0, 30.0, -20.0, 1.0, False),  # it comes towards the vehicle
        (2.5, 1.0, 0.0, 1.0, True),  # in the next lane
        (1.5, 1.0, 0.0, 0.0, False),
        (0.0, -3.0, 0.0, 1.0, True),  # behind
    ],
)
def test_the_way_is_clear_when_nothing_comes_near_the_cameras(day, x, z, velocity, until_s, expected):
    assert is_clear(with_box(day, x, z, velocity), until_s=until_s) == expected


def test_every_street_is_passable_for_the_length_of_a_sequence():
    scenes = [sample_scene(seed, "train", condition=CONDITIONS[seed % 4]) for seed in range(24)]
    assert all(is_clear(scene, until_s=CLEAR_S) for scene in scenes)


def test_images_have_the_types_cameras_deliver(frame):
    assert {s: (i.dtype, tuple(i.shape)) for s, i in frame.images.items()} == {
        "rgb": (torch.uint8, (3, H, W)), "nir": (torch.uint8, (1, H, W)), "thermal": (torch.int32, (1, H, W)),
    }  # fmt: skip
    thermal = frame.images["thermal"]
    assert 2000 < thermal.min() < thermal.max() < 8000


def test_the_ground_is_exactly_where_geometry_puts_it(day, rig):
    depth = render_frame(bare(day), rig, time_s=0.0).depth_m["rgb"]
    k = rig.k["rgb"]
    rows = torch.arange(H, dtype=torch.float32)
    below = (rows - k[1, 2]) / k[1, 1]
    expected = 1.5 / below[below > 0.02]
    torch.testing.assert_close(depth[below > 0.02, W // 2], expected, rtol=1e-4, atol=1e-3)
    assert torch.isinf(depth[below < 0]).all()


def test_depth_of_one_camera_predicts_that_of_another(frame):
    """Every RGB pixel's point, seen from the NIR camera: nothing may lie behind the surface NIR measures there."""
    rig = frame.rig
    v, u = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    depth = frame.depth_m["rgb"]
    known = depth < 60
    k = rig.k["rgb"]
    point = torch.stack(
        ((u - k[0, 2]) / k[0, 0] * depth, (v - k[1, 2]) / k[1, 1] * depth, depth, torch.ones_like(depth))
    )[:, known]
    x, y, z, _ = rig.view_from_reference("nir", "rgb") @ point
    kn = rig.k["nir"]
    column, row = (kn[0, 0] * x / z + kn[0, 2]).round().long(), (kn[1, 1] * y / z + kn[1, 2]).round().long()
    inside = (column >= 0) & (column < W) & (row >= 0) & (row < H)
    seen = frame.depth_m["nir"][row[inside], column[inside]]
    assert ((seen - z[inside]).abs() / z[inside] < 0.1).float().mean() > 0.85


def test_the_same_seed_gives_the_same_scene_and_another_does_not(day, rig, frame):
    again = render_frame(sample_scene(4, "train", condition="day"), rig, time_s=0.0)
    for spectrum, image in frame.images.items():
        assert torch.equal(image, again.images[spectrum])
        assert torch.equal(frame.depth_m[spectrum], again.depth_m[spectrum])
    other = render_frame(sample_scene(5, "train", condition="day"), rig, time_s=0.0)
    assert not torch.equal(frame.depth_m["rgb"], other.depth_m["rgb"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_renders_the_same_scene(day, rig, frame):
    on_gpu = render_frame(day, rig, time_s=0.0, device=torch.device("cuda"))
    same = (on_gpu.depth_m["rgb"].cpu() - frame.depth_m["rgb"]).abs() < 1e-2
    assert same.float().mean() > 0.99


def test_the_vehicle_moves_on(day, rig, frame):
    scene = dataclasses.replace(bare(day), ego_speed_mps=10.0)
    wall = bare(day).instances
    assert wall.kind.shape[0] == GROUND_ZONES
    later = render_frame(dataclasses.replace(day, ego_speed_mps=10.0), rig, time_s=0.5)
    assert not torch.equal(later.depth_m["rgb"], frame.depth_m["rgb"])
    still = render_frame(scene, rig, time_s=0.5).depth_m["rgb"]
    torch.testing.assert_close(still, render_frame(scene, rig, time_s=0.0).depth_m["rgb"])


def contrast(image):
    return float(image.float().std() / image.float().mean())


def test_the_bands_are_physically_distinct(rig):
    """Grass is bright in the near infrared and dark in red; asphalt is neither; a warm road is bright in thermal."""
    scene = bare(sample_scene(4, "train", condition="day"))
    clear = dataclasses.replace(scene.conditions, thermal_contrast=1.0, sky_cooling_k=50.0, clouds=0.0)
    frame = render_frame(dataclasses.replace(scene, conditions=clear), rig, time_s=0.0)
    names = ("asphalt", "marking", "pavement", "verge", "field", "yellow", "kerb", "patch")
    red, nir = scene.instances.rgb[:, 0], scene.instances.nir
    ratio = dict(zip(names, (nir / red).tolist(), strict=True))
    assert ratio["field"] > 3.0 > ratio["asphalt"]
    thermal, depth = frame.images["thermal"][0], frame.depth_m["thermal"]
    assert thermal[depth < 30].float().mean() > thermal[torch.isinf(depth)].float().mean() + 200


def test_the_same_street_is_dark_and_noisy_in_rgb_at_night_and_hardly_changes_in_thermal(day, rig, frame):
    dark = dataclasses.replace(day.conditions, daylight=0.002, sun_share=0.0)
    night = render_frame(dataclasses.replace(day, conditions=dark), rig, time_s=0.0)
    assert torch.equal(night.depth_m["rgb"], frame.depth_m["rgb"])
    assert night.images["rgb"].float().mean() < 0.7 * frame.images["rgb"].float().mean()

    def grain(image):
        """Difference between neighbours, over the brightness."""
        return float(image.float().diff(dim=-1).abs().median() / image.float().mean())

    assert grain(night.images["rgb"]) > 1.5 * grain(frame.images["rgb"])
    shift = night.images["thermal"].float().mean() - frame.images["thermal"].float().mean()
    assert abs(shift) < 8 * COUNTS_PER_K


def test_fog_hides_what_is_far_in_rgb_more_than_in_thermal(rig):
    """Contrast of distant texture, clear against fog of 60 m, in the same street."""
    scene = sample_scene(12, "train", condition="day")
    fog = dataclasses.replace(scene.conditions, visibility_m=60.0, thermal_extinction_share=0.3)
    clear, foggy = (render_frame(s, rig, time_s=0.0) for s in (scene, dataclasses.replace(scene, conditions=fog)))
    far = (clear.depth_m["rgb"] > 25) & (clear.depth_m["rgb"] < 60)
    far_thermal = (clear.depth_m["thermal"] > 25) & (clear.depth_m["thermal"] < 60)
    kept_rgb = contrast(foggy.images["rgb"][0][far]) / contrast(clear.images["rgb"][0][far])
    kept_thermal = contrast(foggy.images["thermal"][0][far_thermal]) / contrast(clear.images["thermal"][0][far_thermal])
    assert kept_rgb < 0.8 * kept_thermal


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_renders_for_every_split(condition, rig):
    for split in ("train", "validation", "test"):
        frame = render_frame(sample_scene(1, split, condition=condition), rig, time_s=0.2, spectra=("thermal",))
        assert torch.isfinite(frame.depth_m["thermal"]).any()


def test_test_scenes_use_textures_training_never_sees():
    used = {
        split: set(sample_scene(3, split, condition="day").instances.layer.tolist())
        for split in ("train", "validation", "test")
    }
    assert used["test"] <= set(TEST_LAYERS)
    assert used["train"] | used["validation"] <= set(TRAIN_LAYERS)
    assert not set(TEST_LAYERS) & set(TRAIN_LAYERS)


def test_rigs_vary_around_the_ms2_vehicle():
    plain = sample_rig(np.random.default_rng(1), 256, 640, jitter=0.0)
    # scaled from 1224 x 384 to 640 x 256
    assert plain.k["rgb"][0, 0].item() == pytest.approx(764.51 * 640 / 1224, rel=1e-3)
    assert plain.k["rgb"][1, 1].item() == pytest.approx(764.51 * 256 / 384, rel=1e-3)
    thermal = torch.linalg.inv(plain.view_from_reference("thermal", "rgb"))[:3, 3]
    assert thermal.tolist() == pytest.approx([-0.0083, -0.4234, -0.5024], abs=1e-3)
    drawn = [sample_rig(np.random.default_rng(i), 256, 640).k["rgb"][0, 0].item() for i in range(20)]
    assert max(drawn) / min(drawn) > 1.3


def test_an_unknown_split_or_condition_is_named():
    with pytest.raises(TrainingError, match="holdout"):
        sample_scene(0, "holdout", condition="day")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="unknown condition 'snow'; choose one of day, night, rain, fog"):
        sample_scene(0, "train", condition="snow")
