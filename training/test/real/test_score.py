import numpy as np
import pytest

from msdepth_training.errors import TrainingError
from msdepth_training.real.frames import Reference
from msdepth_training.real.ground import GroundPlane
from msdepth_training.real.score import is_obstacle, mean_of_sets, mean_score, score, spearman

ROAD = GroundPlane(np.array([0.0, 1.0, 0.0]), 1.5)


def reference(depth_m, heights_m=None):
    """Points ahead, so high above a road 1.5 m below."""
    depth = np.array(depth_m, np.float64)
    heights = np.zeros(depth.size) if heights_m is None else np.array(heights_m)
    rays = np.column_stack((np.zeros(depth.size), (1.5 - heights) / depth, np.ones(depth.size)))
    return Reference(np.zeros((depth.size, 2), np.int64), depth, rays)


def test_spearman_by_hand():
    assert spearman(np.array([1.0, 5.0, 2.0, 9.0]), np.array([10.0, 20.0, 15.0, 100.0])) == 1.0
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([9.0, 5.0, 1.0])) == -1.0
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5)
    assert spearman(np.array([0, 3, 3, 8]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5.0))
    assert np.isnan(spearman(np.ones(5), np.arange(5.0))) and np.isnan(spearman(np.ones(1), np.ones(1)))


def test_spearman_hears_only_the_order():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=500), rng.normal(size=500)
    mixed = a + b
    assert spearman(np.exp(a), mixed) == pytest.approx(spearman(a, mixed), abs=1e-12)
    assert 0.6 < spearman(a, mixed) < 0.8


def test_depth_by_hand():
    found = score(np.array([2.0, 5.0, np.nan, 20.0]), reference([4.0, 5.0, 7.0, 10.0]), None).values
    assert found["mean"]["rho"] == 1.0
    assert found["mean"]["abs_rel"] == pytest.approx((0.5 + 0.0 + 1.0) / 3)
    assert found["mean"]["delta"] == pytest.approx(1 / 3)
    assert found["mean"]["scaled"] == pytest.approx((0.5 + 0.0 + 1.0) / 3)  # medians agree already
    assert (found["mean"]["window"], found["mean"]["pixels"]) == (0.75, 3)
    assert set(found) == {"mean"}  # no plane, no confidence


def test_scale_alone_is_forgiven_by_scaled_and_by_rho():
    found = score(np.array([8.0, 10.0, 20.0]), reference([4.0, 5.0, 10.0]), None).values["mean"]
    assert (found["rho"], found["scaled"], found["abs_rel"]) == (1.0, 0.0, 1.0)


def test_obstacles_by_hand():
    # on the road, a kerb, a car, a person, a bridge, too near, too far
    known = reference([10.0, 10.0, 10.0, 5.0, 10.0, 2.9, 21.0], [0.0, 0.3, 1.0, 1.7, 3.0, 1.0, 1.0])
    assert is_obstacle(known.points, ROAD).tolist() == [False, False, True, True, False, False, False]
    found = score(known.depth_m * [9, 9, 1.6, 2.1, 9, 9, 9], known, ROAD).values["obstacles"]
    assert found == {
        "over_1_25": 1.0, "over_1_5": 1.0, "over_2": 0.5, "under_1_25": 0.0, "under_1_5": 0.0, "under_2": 0.0,
        "points": 2.0,
    }  # fmt: skip
    near = score(known.depth_m * [1, 1, 0.78, 0.4, 1, 1, 1], known, ROAD).values["obstacles"]
    assert (near["over_1_25"], near["under_1_25"], near["under_1_5"], near["under_2"]) == (0.0, 1.0, 0.5, 0.5)
    assert "obstacles" not in score(np.ones(1), reference([10.0], [0.0]), ROAD).values


def test_confidence_by_hand():
    known = reference([10.0, 10.0, 10.0, 10.0])
    stated = np.array([0.9, 0.9, 0.5, np.nan])
    found = score(np.array([11.0, 15.0, 10.0, np.nan]), known, None, stated).values["confidence"]
    assert found["mean"] == pytest.approx(2.3 / 3) and found["right"] == pytest.approx(2 / 3)
    assert found["ece"] == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.5 - 1.0)) / 3)


def test_means_are_over_frames_then_over_sets():
    good = score(np.array([10.0, 20.0]), reference([10.0, 20.0]), None)
    bad = score(np.array([20.0, 40.0]), reference([10.0, 20.0]), None)
    first, second = mean_score([good, good, bad]), mean_score([bad])
    assert first.values["mean"]["abs_rel"] == pytest.approx(1 / 3) and first.frames == 3
    assert first.values["mean"]["pixels"] == 6
    assert mean_of_sets([first, second]).values["mean"]["abs_rel"] == pytest.approx((1 / 3 + 1) / 2)


def test_frames_without_obstacles_do_not_count_for_obstacles():
    car = score(np.array([20.0]), reference([10.0], [1.0]), ROAD)
    empty = score(np.array([20.0]), reference([10.0], [0.0]), ROAD)
    assert mean_score([car, empty]).values["obstacles"]["over_1_5"] == 1.0


def test_nothing_in_common_is_an_error():
    with pytest.raises(TrainingError, match="no pixel in common"):
        score(np.full(2, np.nan), reference([4.0, 5.0]), None)
