import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
from ms2_tree import ALL_LISTS, BANDS, ROAD, WALL, poses, true_depth, write_ms2

from msdepth_training.augment import flip
from msdepth_training.crops import crop
from msdepth_training.datasets.ms2 import UNKNOWN, View, open_ms2
from msdepth_training.datasets.ms2_layout import Layout, read_lists
from msdepth_training.errors import TrainingError
from msdepth_training.geometry import pixel_rays
from msdepth_training.stages.batches import make_batch

HEIGHT, WIDTH = 64, 160
SEQUENCE = "_2021-08-06-10-59-33"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_ms2(tmp_path_factory.mktemp("ms2"), ALL_LISTS)


@pytest.fixture(scope="module")
def samples(root):
    return open_ms2(root, "train", height=HEIGHT, width=WIDTH)


@pytest.fixture
def small_root(tmp_path):
    return write_ms2(tmp_path, {"train_list.txt": {SEQUENCE: 2}})


def crop_all(batch):
    return crop(batch, torch.tensor([[0.2, 0.3, 0.6]]).expand(len(batch.images), -1))


def plane_distance(batch, b, n):
    """How far the points of one view's depth are from the nearer of road and wall, metres [H, W]; NaN unknown."""
    depth = batch.depth_m[b, n]
    points = pixel_rays(batch.k[b, n], *depth.shape) * depth
    reference_from_view = torch.linalg.inv(batch.view_from_reference[b, n])
    points = torch.einsum("ij,jhw->ihw", reference_from_view[:3, :3], points) + reference_from_view[:3, 3, None, None]
    distances = [
        (torch.einsum("i,ihw->hw", torch.tensor(plane.normal), points) - plane.offset_m).abs() for plane in (ROAD, WALL)
    ]
    return torch.minimum(*distances)


def test_splits_and_conditions(root):
    assert [f.number for f in open_ms2(root, "val", height=64, width=160).frames] == ["000000", "000001"]
    train = open_ms2(root, "train", height=HEIGHT, width=WIDTH)
    assert [f.sequence for f in train.frames] == [SEQUENCE] * 7 + ["_2021-08-13-21-36-10"] * 2
    assert train.condition.tolist() == [UNKNOWN] * 9
    test = open_ms2(root, "test", height=HEIGHT, width=WIDTH)
    assert [test.conditions[i] for i in test.condition] == ["day", "day", "night", "night", "rain"]
    for condition, count in (("day", 2), ("night", 2), ("rain", 1)):
        part = open_ms2(root, f"test_{condition}", height=HEIGHT, width=WIDTH)
        assert [part.conditions[i] for i in part.condition] == [condition] * count
    assert len(open_ms2(root, "test", height=HEIGHT, width=WIDTH, step=2)) == 3


def test_an_earlier_frame_is_of_the_same_sequence(samples):
    assert samples.previous.tolist() == [0, 1, 2, 3, 4, 0, 1, 7, 8]


def test_lists_may_name_frames(small_root):
    (small_root / "val_list.txt").write_text(f"# a selection\n\n{SEQUENCE} 000001\n{SEQUENCE} 000000  # first\n")
    assert [entry.number for entry in read_lists(small_root, "val")] == ["000001", "000000"]
    assert [f.number for f in open_ms2(small_root, "val", height=64, width=160).frames] == ["000000", "000001"]


@pytest.mark.parametrize("line", ["../elsewhere", "a b", "a 000001 c", "..", "/tmp"])
def test_other_lines_are_refused(tmp_path, line):
    (tmp_path / "train_list.txt").write_text(f"{SEQUENCE}\n{line}\n")
    with pytest.raises(TrainingError, match="train_list.txt, line 2"):
        read_lists(tmp_path, "train")


def test_images_follow_the_products_rule(samples):
    views = samples.views(torch.tensor([3]))
    assert views.shape == (1, 3, 3, HEIGHT, WIDTH) and views.min() >= 0 and views.max() <= 1
    red, green, blue = views[0, 0].mean(dim=(1, 2))
    assert blue > green > red  # as OpenCV writes, blue comes first, and the file has 255, 200 and 60 grey of it
    assert torch.equal(views[0, 1, 0], views[0, 1, 2]) and torch.equal(views[0, 2, 0], views[0, 2, 2])
    assert views[0, 2].quantile(0.02) < 0.1 and views[0, 2].quantile(0.98) > 0.9  # stretched from 14 bits


@pytest.mark.parametrize("size", [(64, 160), (64, 96), (32, 160), (96, 320)])
def test_depth_is_that_of_the_pixel_it_lands_on(root, size):
    samples = open_ms2(root, "val", height=size[0], width=size[1])
    for n, band in enumerate(BANDS):
        depth = samples.depth_m[0, n].numpy()
        k = samples.k[0, n].double().numpy()
        truth, points = true_depth(k, poses()[band], size[1], size[0])
        assert depth.shape == size and 0.05 < np.isfinite(depth).mean() < 0.8
        # along the wall depth hardly changes within a pixel; its outline is left out by a pixel, eroded
        wall = cv2.erode((np.abs(points @ WALL.normal - WALL.offset_m) < 1e-6).astype(np.uint8), np.ones((3, 3)))
        inside = (wall > 0) & np.isfinite(depth)
        assert inside.sum() > 20
        np.testing.assert_allclose(depth[inside], truth[inside], rtol=0.006)
        road = np.abs(points @ ROAD.normal - ROAD.offset_m) < 1e-6
        rows = np.flatnonzero((road & np.isfinite(depth)).any(axis=1))[-8:]  # near rows: depth changes little per row
        near = np.zeros(size, bool)
        near[rows] = (road & np.isfinite(depth))[rows]
        assert near.sum() > 20
        assert abs(np.median(depth[near] / truth[near]) - 1) < 0.02


def test_all_views_show_one_world_in_metres(samples):
    batch = make_batch(samples, torch.tensor([0, 7]), torch.tensor([0, 0]))
    for n in range(3):
        distance = plane_distance(batch, 1, n)
        near = distance[batch.depth_m[1, n] < 12]
        assert len(near) > 100 and near.median() < 0.03 and near.quantile(0.9) < 0.2


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("change", [flip, crop_all])
def test_the_world_stays_whole_when_augmented(samples, count, change):
    """A point that one view sees is found by another at its depth, before and after."""
    batch = make_batch(samples, torch.arange(count), torch.zeros(count, dtype=torch.long))
    changed = change(batch)
    assert changed.images.shape == batch.images.shape and changed.depth_m.shape == batch.depth_m.shape
    for b in range(count):
        for n in range(3):
            near = plane_distance(changed, b, n)[changed.depth_m[b, n] < 12]
            assert len(near) > 50 and near.median() < 0.04 and near.quantile(0.9) < 0.25


def test_batches_have_what_training_needs(samples):
    batch = make_batch(samples, torch.tensor([2, 0, 8]), torch.tensor([0, 1, 2]))
    assert batch.images.shape == (3, 3, 3, HEIGHT, WIDTH) and batch.depth_m.shape == (3, 3, HEIGHT, WIDTH)
    assert batch.k.shape == (3, 3, 3, 3) and batch.view_from_reference.shape == (3, 3, 4, 4)
    for b, reference in enumerate((0, 1, 2)):
        assert torch.allclose(batch.view_from_reference[b, reference], torch.eye(4), atol=1e-6)
    assert batch.depth_m.isnan().any() and not batch.depth_m.isinf().any()
    assert (batch.depth_m[~batch.depth_m.isnan()] > 0.5).all()


def test_depth_can_be_asked_for_one_or_many(samples):
    many = samples.depth_m[torch.tensor([4, 1])]
    assert many.shape == (2, 3, HEIGHT, WIDTH)
    for part in (samples.depth_m[1], samples.depth_m[torch.tensor(1)]):
        assert torch.equal(part.nan_to_num(), many[1].nan_to_num())
    assert torch.equal(samples.depth_m[1, 2].nan_to_num(), many[1, 2].nan_to_num())


def test_of_several_points_in_a_pixel_the_nearest_counts(samples):
    view: View = samples._view(0, 0)
    sensor = np.full((view.map.camera.height, view.map.camera.width), np.nan, np.float32)
    assert np.isnan(view.depth(sensor)).all()
    sensor[40:44, 100:104] = 30.0
    sensor[41, 101] = 7.0
    depth = view.depth(sensor)
    assert set(np.unique(depth[np.isfinite(depth)])) == {np.float32(7.0), np.float32(30.0)}  # and no mean of both


def test_workers_get_copies(samples):
    copy = pickle.loads(pickle.dumps(samples))
    index = torch.tensor([5])
    assert torch.equal(copy.views(index), samples.views(index))
    assert torch.equal(copy.depth_m[index].nan_to_num(), samples.depth_m[index].nan_to_num())


def missing_cases():
    sync, depth = f"sync_data/{SEQUENCE}", f"proj_depth/{SEQUENCE}"
    return {
        "list": ("train_list.txt", "cannot read the sequence list .*train_list.txt"),
        "sequence": (sync, f"cannot list .*{SEQUENCE}"),
        "band": (f"{sync}/nir", "cannot list .*nir"),
        "depth": (f"{depth}/thr/depth_filtered", "cannot list .*depth_filtered"),
        "image": (
            f"{sync}/thr/img_left/000001.png",
            "1 of 2 frames of .* lack a file, first .*thr/img_left/000001.png",
        ),
        "calib": (f"{sync}/calib.npy", "cannot read .*calib.npy"),
    }


@pytest.mark.parametrize("case", missing_cases())
def test_what_is_missing_is_named(small_root, case):
    name, message = missing_cases()[case]
    path = small_root / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(TrainingError, match=message):
        open_ms2(small_root, "train", height=HEIGHT, width=WIDTH)


def test_a_listed_frame_that_is_missing_is_named(small_root):
    (small_root / "train_list.txt").write_text(f"{SEQUENCE} 000009\n")
    with pytest.raises(TrainingError, match="rgb/img_left/000009.png is missing"):
        open_ms2(small_root, "train", height=HEIGHT, width=WIDTH)


def test_a_few_incomplete_frames_of_many_are_left_out(tmp_path):
    root = write_ms2(tmp_path, {"train_list.txt": {SEQUENCE: 11}})
    Layout(root).depth(open_ms2(root, "train", height=64, width=160).frames[4], "nir").unlink()
    assert [int(f.number) for f in open_ms2(root, "train", height=64, width=160).frames] == [0, 1, 2, 3, *range(5, 11)]


def test_unknown_split(small_root):
    with pytest.raises(TrainingError, match="unknown MS2 split 'day'"):
        open_ms2(small_root, "day", height=HEIGHT, width=WIDTH)


def test_files_that_are_something_else_are_named(small_root):
    samples = open_ms2(small_root, "train", height=HEIGHT, width=WIDTH)
    path = samples.layout.depth(samples.frames[1], "nir")
    cv2.imwrite(str(path), np.zeros((88, 320), np.uint8))
    with pytest.raises(TrainingError, match="depth_filtered/000001.png: uint8"):
        samples.depth_m[1]
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(TrainingError, match="depth_filtered/000001.png is not a whole image"):
        samples.depth_m[1]
    samples.layout.image(samples.frames[1], "rgb").write_bytes(b"")
    with pytest.raises(TrainingError, match="img_left/000001.png"):
        samples.views(torch.tensor([1]))


def test_an_image_of_another_size_is_named(small_root):
    samples = open_ms2(small_root, "train", height=HEIGHT, width=WIDTH)
    cv2.imwrite(str(samples.layout.image(samples.frames[1], "nir")), np.zeros((44, 160), np.uint8))
    with pytest.raises(TrainingError, match="nir/img_left/000001.png: .*160 x 44"):
        samples.views(torch.tensor([1]))
