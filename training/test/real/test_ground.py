import numpy as np
import pytest

from msdepth_training.real.ground import GroundPlane, fit_ground

LEVEL = GroundPlane(np.array([0.0, 1.0, 0.0]), 1.5)


def test_heights_and_depth_by_hand():
    np.testing.assert_allclose(LEVEL.above_m(np.array([[0.0, 1.5, 9.0], [3.0, 0.5, 4.0]])), [0.0, 1.0])
    rays = np.array([[0.0, 0.15, 1.0], [0.4, 0.3, 1.0], [0.0, -0.1, 1.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(LEVEL.depth_m(rays), [10.0, 5.0, np.inf, np.inf])
    assert LEVEL.as_input().tolist() == [0.0, 1.0, 0.0, 1.5]


def test_seen_from_the_same_camera_nothing_changes_and_there_and_back_neither():
    pose = np.eye(4)
    assert LEVEL.seen_from(pose).as_input().tolist() == LEVEL.as_input().tolist()
    pose[:3, :3] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    pose[:3, 3] = (0.3, 0.4, -0.5)
    back = LEVEL.seen_from(pose).seen_from(np.linalg.inv(pose))
    np.testing.assert_allclose(back.as_input(), LEVEL.as_input(), atol=1e-6)


def test_a_camera_on_the_roof_is_higher():
    pose = np.eye(4)
    pose[1, 3] = 0.4  # points are 0.4 m further down in its frame
    assert LEVEL.seen_from(pose).height_m == pytest.approx(1.9)


def test_the_road_is_fitted_below_trees_and_walls():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(-6, 6, 4000), rng.uniform(3, 40, 4000)
    tilt = np.tan(np.radians(3.0))
    road = np.column_stack((x, 1.2 - tilt * z + 0.01 * rng.normal(size=4000), z))
    wall = np.column_stack((rng.uniform(2, 4, 3000), rng.uniform(-3, 1, 3000), rng.uniform(4, 25, 3000)))
    found = fit_ground(np.concatenate((road, wall)))
    assert found.height_m == pytest.approx(1.2 * np.cos(np.radians(3.0)), abs=0.02)
    assert np.degrees(np.arcsin(found.normal[2])) == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.array([[0.0, 1.0, 5.0]] * 50)])
def test_where_there_is_no_road_there_is_no_plane(points):
    assert fit_ground(points) is None


def test_a_wall_is_no_road():
    rng = np.random.default_rng(1)
    wall = np.column_stack((rng.uniform(-3, 3, 500), rng.uniform(0, 2, 500), np.full(500, 8.0)))
    assert fit_ground(wall) is None
