import json

import cv2
import numpy as np
import pytest
from ms2_tree import ROAD
from real_frames import write_lidar_frame

from msdepth_training.errors import TrainingError
from msdepth_training.real.frames import load_lidar_frame
from msdepth_training.real.measure import load_frames


def test_frames_of_both_kinds_are_found(real_frames):
    assert [*real_frames] == [("van", "01_front"), ("van", "01_side"), ("van", "02_front"), ("ms2", "000011")]
    assert [frame.camera for frame in real_frames.values()] == ["front", "side", "front", "rgb"]


@pytest.mark.parametrize("name", ["01_front", "02_front", "01_side"])
def test_every_point_of_the_reference_lies_on_the_road_or_stands_on_it(real_frames, name):
    frame = real_frames["van", name]
    known = frame.reference("rgb")
    assert len(known.depth_m) > 1000 and known.depth_m.min() >= 1.0 and known.depth_m.max() <= 80.0
    above = frame.ground.above_m(known.points)
    assert above.min() > -0.1 and above.max() < 2.6  # a wall of 2.5 m, through lens and tilt
    assert (np.abs(above) < 0.1).mean() > 0.3


def test_without_a_plane_the_frame_is_read_all_the_same(tmp_path):
    frame = load_lidar_frame(write_lidar_frame(tmp_path / "van" / "a", plane=False))
    assert frame.ground is None and frame.ground_in("rgb") is None and frame.camera == "a"


def test_meta_may_name_the_camera(tmp_path):
    folder = write_lidar_frame(tmp_path / "van" / "01_front")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "camera": "left"}))
    frame = load_lidar_frame(folder)
    assert frame.camera == "left" and frame.ground.height_m == ROAD.offset_m


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "rig.yaml").unlink(), "rig.yaml"),
        (lambda f: (f / "rgb.jpg").unlink(), "rgb.jpg"),
        (lambda f: cv2.imwrite(str(f / "gt.png"), np.zeros((96, 306), np.uint8)), "gt.png: it must be .* 16 bits"),
        (lambda f: cv2.imwrite(str(f / "gt.png"), np.zeros((9, 8), np.uint16)), "gt.png: the image is 8 x 9 px"),
        (lambda f: (f / "meta.json").write_text("{"), "meta.json: it cannot be read as JSON"),
        (lambda f: (f / "meta.json").write_text('{"ground_normal": [0, 1, 0]}'), "meta.json: ground_normal and"),
        (
            lambda f: (f / "meta.json").write_text('{"ground_normal": [0, -1, 0], "camera_height_m": 1}'),
            "meta.json: ground_normal must be a unit vector that points down",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    folder = write_lidar_frame(tmp_path / "van" / "a")
    change(folder)
    with pytest.raises(TrainingError, match=message):
        load_lidar_frame(folder)


def test_a_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="has no real frames"):
        load_frames(tmp_path)
