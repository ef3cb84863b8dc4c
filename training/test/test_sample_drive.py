"""The script that writes the sample drive, and the drive that ships."""

from pathlib import Path

import numpy as np
import pytest

from msdepth_ros.core.camera.rig import Rig
from msdepth_training import sample_drive
from msdepth_training.scenes import sample_scene

SHIPPED = Path(__file__).parents[2] / "samples" / "city_drive"


def test_the_rig_file_is_the_rig_that_was_rendered(tmp_path):
    rig = sample_drive.rig()
    rig.save(tmp_path / "rig.yaml")
    read = Rig.load(tmp_path / "rig.yaml")
    reference = sample_drive.vehicle_from_camera("rgb")
    for spectrum in ("nir", "thermal"):
        expected = np.linalg.inv(sample_drive.vehicle_from_camera(spectrum)) @ reference
        np.testing.assert_allclose(read.view_from_reference(spectrum, "rgb"), expected, atol=1e-6)


def test_daylight_falls_to_night():
    assert sample_drive.daylight(0.0) > 0.8
    assert sample_drive.daylight(9.0) < 0.01


def test_ground_truth_keeps_its_camera_model():
    scene = sample_scene(sample_drive.SEED, "test", condition="day")
    depth = sample_drive.render(scene, "rgb", 0.0).depth_m["rgb"]
    picture = sample_drive._ground_truth(depth, 0)
    full, small = sample_drive.camera_models()["rgb"].k, picture.camera.k
    for u, v in ((3, 120), (200, 100)):
        ray = np.linalg.inv(small) @ (u, v, 1.0)
        at = full @ ray
        assert at[0] == pytest.approx(2 * u)
        assert at[1] == pytest.approx(2 * v)
        expected = depth[2 * v, 2 * u].item()
        assert picture.pixels[v, u] == (round(expected * 1000) if expected < 65.5 else 0)


def test_two_instants_make_a_bag(tmp_path):
    from msdepth_ros.bags.bag import Bag

    sample_drive.write(tmp_path / "drive", instants=2)
    with Bag(tmp_path / "drive") as bag:
        topics = set(bag.topics)
    assert {
        "/rgb/image/compressed",
        "/nir/camera_info",
        "/thermal/image/compressed",
        "/ground_truth/depth",
        "/ground_truth/camera_info",
    } <= topics
    assert (tmp_path / "drive" / "rig.yaml").exists()


def test_the_shipped_drive_is_small_enough():
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*")) < 20_000_000
