import cv2
import numpy as np
import pytest
from ms2_tree import ROAD, SIZES, intrinsics, poses, true_depth
from real_pairs import BASELINE_M, LABELS, write_real_frame

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_training.errors import TrainingError
from msdepth_training.real_frame import carry, load_real_frames


def rig():
    cameras = {LABELS[band]: CameraModel(band, *SIZES[band], intrinsics(band)) for band in SIZES}
    return Rig(cameras, {LABELS[band]: np.linalg.inv(poses()[band]) for band in SIZES})


def test_a_frame_is_loaded(real_frame):
    assert real_frame.name == "000011" and real_frame.rig.spectra == ("rgb", "nir", "thermal")
    assert {spectrum: image.dtype.name for spectrum, image in real_frame.right.items()} == {
        "rgb": "uint8", "nir": "uint8", "thermal": "uint16"
    }  # fmt: skip
    assert real_frame.baseline_m == {LABELS[band]: BASELINE_M[band] for band in BASELINE_M}


@pytest.mark.parametrize("band", SIZES)
def test_stereo_is_the_depth_of_the_world(real_frame, band):
    truth = true_depth(intrinsics(band), poses()[band], *SIZES[band])[0]
    found = real_frame.stereo_m[LABELS[band]]
    known = np.isfinite(found) & (truth < 15)
    assert found.shape == truth.shape and known.sum() > 0.1 * truth.size
    error = np.abs(found / truth - 1)[known]
    assert np.median(error) < 0.06 and np.quantile(error, 0.8) < 0.15


def test_the_rgb_pair_is_carried_to_the_others(real_frame):
    for band in SIZES:
        truth = true_depth(intrinsics(band), poses()[band], *SIZES[band])[0]
        carried = real_frame.carried_m(LABELS[band])
        known = np.isfinite(carried) & (truth < 15)
        assert known.sum() > 0.05 * truth.size
        assert np.median(np.abs(carried / truth - 1)[known]) < 0.06


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
        (lambda f: (f / "right" / "000011_nir.png").unlink(), "right/000011_nir.png"),
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
    folder = write_real_frame(tmp_path)
    change(folder)
    with pytest.raises(TrainingError, match=message):
        load_real_frames(folder)
