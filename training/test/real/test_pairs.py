import cv2
import numpy as np
import pytest
from ms2_tree import ROAD, SIZES, intrinsics, poses, true_depth
from real_frames import LABELS, write_pairs

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_training.errors import TrainingError
from msdepth_training.real.frames import carry
from msdepth_training.real.pairs import load_pairs


@pytest.fixture(scope="module")
def frame(real_frames):
    return real_frames["ms2", "000011"]


def rig():
    cameras = {LABELS[band]: CameraModel(band, *SIZES[band], intrinsics(band)) for band in SIZES}
    return Rig(cameras, {LABELS[band]: np.linalg.inv(poses()[band]) for band in SIZES})


def test_a_frame_is_loaded(frame):
    assert (frame.set_name, frame.camera, frame.rig.spectra) == ("ms2", "rgb", ("rgb", "nir", "thermal"))
    assert {spectrum: image.dtype.name for spectrum, image in frame.images.items()} == {
        "rgb": "uint8", "nir": "uint8", "thermal": "uint16"
    }  # fmt: skip


@pytest.mark.parametrize("band", SIZES)
def test_the_reference_is_the_depth_of_the_world_in_every_camera(frame, band):
    truth = true_depth(intrinsics(band), poses()[band], *SIZES[band])[0]
    known = frame.reference(LABELS[band])
    expected = truth[known.pixels[:, 1], known.pixels[:, 0]]
    near = expected < 15
    assert near.sum() > 0.05 * truth.size
    error = np.abs(known.depth_m / expected - 1)[near]
    assert np.median(error) < 0.06


def test_the_road_is_found_and_carried_to_the_other_cameras(frame):
    assert frame.ground.height_m == pytest.approx(ROAD.offset_m, abs=0.1)
    assert frame.ground.normal[1] > np.cos(np.radians(2.0))
    thermal = frame.ground_in("thermal")
    assert thermal.height_m == pytest.approx(frame.ground.height_m + 0.42, abs=0.03)  # it stands on the roof
    points = true_depth(intrinsics("thr"), poses()["thr"], *SIZES["thr"])[1]
    road = points[np.abs(points @ ROAD.normal - ROAD.offset_m) < 1e-6][:50]
    in_thermal = (road - poses()["thr"][:3, 3]) @ poses()["thr"][:3, :3]
    np.testing.assert_allclose(thermal.above_m(in_thermal), frame.ground.above_m(road), atol=1e-5)


def test_carrying_to_the_same_camera_changes_nothing():
    depth = np.full((96, 306), 7.0, np.float32)
    depth[3, 5], depth[90, 300] = np.nan, 6.5
    twins = Rig({"a": rig().cameras["rgb"], "b": rig().cameras["rgb"]}, {"a": np.eye(4), "b": np.eye(4)})
    np.testing.assert_allclose(carry(depth, twins, "a", "b"), depth, rtol=1e-6)


def test_carried_depth_is_along_the_other_cameras_axis_and_lands_where_the_point_is():
    truth = true_depth(intrinsics("rgb"), poses()["rgb"], *SIZES["rgb"])[0]
    truth[~np.isfinite(truth)] = np.nan
    carried = carry(truth.astype(np.float32), rig(), "rgb", "thermal")
    expected, points = true_depth(intrinsics("thr"), poses()["thr"], *SIZES["thr"])
    known = np.isfinite(carried) & (expected < 12)
    assert known.sum() > 1000
    assert np.median(np.abs(carried / expected - 1)[known]) < 0.01
    back = carry(carried, rig(), "thermal", "rgb")
    both = np.isfinite(back) & (truth < 12)
    assert both.sum() > 1000 and np.median(np.abs(back / truth - 1)[both]) < 0.02
    assert np.abs(points[known] @ ROAD.normal - ROAD.offset_m).min() < 1e-6


def test_what_is_seen_through_a_gap_of_the_foreground_is_dropped():
    depth = np.full((96, 306), np.nan, np.float32)
    depth[40:60:2, 100:140:2] = 4.0  # a fence of points
    depth[41:60:2, 101:140:2] = 20.0  # and what is behind, between them
    depth[40:60, 200:240] = 20.0
    twins = Rig({"a": rig().cameras["rgb"], "b": rig().cameras["rgb"]}, {"a": np.eye(4), "b": np.eye(4)})
    carried = carry(depth, twins, "a", "b")
    assert set(np.unique(carried[38:62, 98:142][np.isfinite(carried[38:62, 98:142])])) == {4.0}
    assert (carried[40:60, 200:240] == 20.0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "rig.yaml").unlink(), "rig.yaml: cannot read"),
        (lambda f: (f / "right" / "000011_rgb.png").unlink(), "right/000011_rgb.png"),
        (lambda f: (f / "left" / "000011_rgb.png").unlink(), "left has no .*_rgb.png"),
        (lambda f: (f / "left" / "000011_thr.png").write_bytes(b"x"), "left/000011_thr.png"),
        (
            lambda f: cv2.imwrite(str(f / "left" / "000011_nir.png"), np.zeros((8, 8), np.uint8)),
            "000011_nir.png.* 8 x 8",
        ),
        (
            lambda f: (f / "rig.yaml").write_text(
                (f / "rig.yaml").read_text().replace("stereo_baseline_m: 0.5", "x: 1")
            ),
            "rig.yaml: stereo_baseline_m of rgb is None",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    folder = write_pairs(tmp_path)
    change(folder)
    with pytest.raises(TrainingError, match=message):
        load_pairs(folder)
