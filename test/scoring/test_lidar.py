"""Point clouds read, projected, and cleaned of what is seen through the foreground."""

import dataclasses

import drives
import numpy as np
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.scoring.lidar import cloud_points_m, project, without_seen_through

K = np.array([[300.0, 0, 159.5], [0, 300.0, 63.5], [0, 0, 1]])
SIZE = (320, 128)
ROAD_M, WALL_M, BOX_M = 1.5, 30.0, 8.0
LIDAR_ABOVE_M = 1.0


def scan() -> np.ndarray:
    """What a LiDAR a metre above the camera hits, in the camera's frame: a road, a wall, and a box before it."""
    azimuth, elevation = np.meshgrid(np.radians(np.arange(-25, 25, 0.35)), np.radians(np.arange(-14, 6, 1.1)))
    rays = np.stack([np.tan(azimuth), -np.tan(elevation) / np.cos(azimuth), np.ones_like(azimuth)], -1).reshape(-1, 3)
    start = np.array([0.0, -LIDAR_ABOVE_M, 0.0])
    down = rays[:, 1] > 0
    range_m = np.full(len(rays), WALL_M)
    range_m[down] = np.minimum(WALL_M, (ROAD_M + LIDAR_ABOVE_M) / rays[down, 1])
    at_box = start + rays * BOX_M
    box = (np.abs(at_box[:, 0]) < 1.0) & (at_box[:, 1] > -0.6) & (at_box[:, 1] < ROAD_M)
    range_m[box] = np.minimum(range_m[box], BOX_M)
    return start + rays * range_m[:, None]


def seen(depth_m: np.ndarray) -> np.ndarray:
    """What the camera itself sees at every pixel: the exact depth of the same scene."""
    rows, columns = np.indices(depth_m.shape)
    x, y = (columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    depth = np.where(y > 0, np.minimum(WALL_M, ROAD_M / np.maximum(y, 1e-9)), WALL_M)
    box = (np.abs(x * BOX_M) < 1.0) & (y * BOX_M > -0.6) & (y * BOX_M < ROAD_M)
    return np.where(box, np.minimum(depth, BOX_M), depth)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_points_are_read_whatever_lies_between_them(dtype: str) -> None:
    points = np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 1.0], [-4.0, 5.5, 6.0]])
    read = cloud_points_m("/lidar", drives.points_message(points, "lidar", dtype=dtype))
    assert read.tolist() == [[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]]


def test_clouds_that_lie_about_themselves_are_refused() -> None:
    message = drives.points_message(np.ones((4, 3)), "lidar")
    with pytest.raises(MsdepthError, match=r"/lidar: .* bytes cannot hold"):
        cloud_points_m("/lidar", dataclasses.replace(message, width=5))
    with pytest.raises(MsdepthError, match=r"/lidar: .*no usable z"):
        cloud_points_m("/lidar", dataclasses.replace(message, fields=message.fields[:2]))


def test_of_points_on_one_pixel_the_nearest_is_seen() -> None:
    points = np.array([[0.0, 0.0, 9.0], [0.0, 0.0, 4.0], [0.0, 0.0, -2.0], [100.0, 0.0, 1.0]])
    k = np.array([[10.0, 0, 2], [0, 10.0, 1], [0, 0, 1]])
    depth_m = project(points, k, (5, 3))
    assert depth_m[1, 2] == 4.0
    assert np.isnan(depth_m).sum() == 14


def test_background_seen_through_a_box_goes_and_the_rest_stays() -> None:
    raw = project(scan(), K, SIZE)
    clean = without_seen_through(raw)
    truth = seen(raw)

    def false_points(depth_m: np.ndarray) -> int:
        return int((depth_m > 1.3 * truth).sum())

    assert false_points(raw) > 50
    assert false_points(clean) < 0.1 * false_points(raw)
    right = np.isfinite(raw) & (raw <= 1.3 * truth)
    assert np.isfinite(clean)[right].mean() > 0.98


def test_a_receding_road_and_wall_are_not_thinned_out() -> None:
    rows, columns = np.indices((128, 320))
    road = np.where(rows > 70, 450.0 / np.maximum(rows - 64, 1), np.nan)
    wall = np.where(columns < 140, 3000.0 / np.maximum(160 - columns, 1), np.nan)
    scene = np.fmin(road, wall).astype(np.float32)
    scene[::2] = np.nan
    known = np.isfinite(scene)
    assert np.isfinite(without_seen_through(scene))[known].mean() > 0.97
