"""Rigs of rich scenes: of all layouts and directions, and the same but for their width when told so."""

import math

import numpy as np
import pytest
import torch

from msdepth_training.scenes import render_frame, sample_rig, sample_scene
from msdepth_training.scenes.layouts import LOWEST_M, MS2_CENTRE_M, MS2_PITCH_RAD, WIDEST
from msdepth_training.scenes.rig import OVERLAP, overlap, rotation
from msdepth_training.scenes.world import is_clear

H, W = 64, 160


def rigs(count, **more):
    return [sample_rig(np.random.default_rng([i, 3]), H, W, style="rich", **more) for i in range(count)]


def field_rad(k):
    return 2 * math.atan(0.5 * W / float(k[0, 0]))


def test_without_jitter_it_is_the_ms2_rig_in_every_style():
    for style in ("street", "rich"):
        rig = sample_rig(np.random.default_rng(5), H, W, jitter=0.0, style=style)
        for spectrum, pose in rig.vehicle_from_camera.items():
            expected = np.eye(4)
            expected[:3, :3] = rotation(MS2_PITCH_RAD[spectrum], 0.0, 0.0)
            expected[:3, 3] = np.array(MS2_CENTRE_M[spectrum]) - (0.0, 1.5, 0.0)
            torch.testing.assert_close(pose, torch.tensor(expected, dtype=torch.float32))
        assert rig.looks.yaw_rad == 0.0


def test_baselines_fields_heights_and_directions_vary():
    drawn = rigs(120)
    baseline = [float(r.view_from_reference("thermal", "rgb")[:3, 3].norm()) for r in drawn]
    assert np.percentile(baseline, 90) > 5 * np.percentile(baseline, 10)
    fields = [math.degrees(field_rad(k)) for r in drawn for k in r.k.values()]
    assert 25 < min(fields) < 45 and 95 < max(fields) < 112
    heights = [-float(r.vehicle_from_camera["rgb"][1, 3]) for r in drawn]
    assert 0.8 <= min(heights) < 1.0 and 2.0 < max(heights) <= 2.5
    below = [float((r.vehicle_from_camera["thermal"] - r.vehicle_from_camera["rgb"])[1, 3]) for r in drawn]
    assert min(below) < -0.2 and max(below) > 0.2
    yaw = [r.looks.yaw_rad for r in drawn]
    assert 0.2 < np.mean(np.abs(yaw) > 0.5) < 0.5
    assert max(np.abs(yaw)) > 2.5
    pitch = [math.degrees(math.asin(-float(r.vehicle_from_camera["rgb"][1, 2]))) for r in drawn]
    assert 8 < max(pitch) <= 15.01 and -15.01 <= min(pitch) < -8


def test_each_camera_sees_much_of_what_another_sees():
    for rig in rigs(40):
        assert all(overlap(rig, spectrum) > least for spectrum, least in OVERLAP.items())


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_a_wider_rig_is_the_same_but_for_its_baselines(jitter):
    for one, half, double in zip(*(rigs(30, baseline=b, jitter=jitter) for b in (1.0, 0.5, 2.0)), strict=True):
        first = one.vehicle_from_camera["rgb"][:3, 3]
        assert one.looks == half.looks == double.looks
        for spectrum, pose in one.vehicle_from_camera.items():
            for other, factor in ((half, 0.5), (double, 2.0)):
                assert torch.equal(other.k[spectrum], one.k[spectrum])
                torch.testing.assert_close(other.vehicle_from_camera[spectrum][:3, :3], pose[:3, :3])
                place = other.vehicle_from_camera[spectrum][:3, 3]
                torch.testing.assert_close(place - first, factor * (pose[:3, 3] - first), atol=1e-5, rtol=1e-4)
            assert float(double.vehicle_from_camera[spectrum][1, 3]) <= -LOWEST_M + 1e-5


def test_streets_keep_clear_of_a_rig_that_looks_aside_however_wide():
    rig = next(r for r in rigs(40) if abs(abs(r.looks.yaw_rad) - math.pi / 2) < 0.5)
    wide = next(r for r in rigs(40, baseline=WIDEST) if r.looks.yaw_rad == rig.looks.yaw_rad)
    scene = sample_scene(3, "train", condition="day", style="rich", looks=rig.looks)
    assert is_clear(scene, until_s=0.1)
    left, right, back, front = scene.looks.reach_m
    turn = torch.tensor(rotation(0.0, rig.looks.yaw_rad, 0.0), dtype=torch.float32)
    for pose in wide.vehicle_from_camera.values():
        x, _, z = (turn.T @ pose[:3, 3]).tolist()
        assert -left - 1e-4 <= x <= right + 1e-4 and -back - 1e-4 <= z <= front + 1e-4


def test_images_taken_later_show_the_world_of_that_instant_with_its_depth():
    scene = sample_scene(8, "train", condition="day", style="rich")
    rig = sample_rig(np.random.default_rng(0), H, W, jitter=0.0, style="rich")
    late = render_frame(scene, rig, time_s=0.2, late_s={"thermal": 0.033})
    at_once = render_frame(scene, rig, time_s=0.2)
    later = render_frame(scene, rig, time_s=0.233, spectra=("thermal",))
    assert torch.equal(late.images["rgb"], at_once.images["rgb"])
    assert torch.equal(late.depth_m["thermal"], later.depth_m["thermal"])
    assert not torch.equal(late.depth_m["thermal"], at_once.depth_m["thermal"])
    assert torch.equal(late.rig.vehicle_from_camera["thermal"], at_once.rig.vehicle_from_camera["thermal"])
