import numpy as np
import pytest

from msdepth_training.real.baselines import ElevationPrior, elevation_deg, flat_road_m
from msdepth_training.real.frames import Reference
from msdepth_training.real.measure import score_elevation_prior, score_flat_road


def test_the_flat_road_is_right_about_the_road(real_frames):
    for frame in real_frames.values():
        known = frame.reference("rgb")
        guess = flat_road_m(known, frame.ground)
        road = np.abs(frame.ground.above_m(known.points)) < 0.02
        assert np.median(np.abs(guess / known.depth_m - 1)[road]) < 0.02
        assert guess.max() <= 80.0


def test_the_flat_road_puts_what_stands_on_it_too_far(real_frames):
    scored = [s for s in score_flat_road(list(real_frames.values())) if s.set_name == "van"]
    assert all(s.score.values["obstacles"]["over_1_5"] > 0.8 for s in scored)
    assert all(s.score.values["mean"]["delta"] > 0.4 for s in scored)


def test_elevation_by_hand():
    rays = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 1.0], [1.0, np.sqrt(2.0), 1.0]])
    np.testing.assert_allclose(elevation_deg(rays), [0.0, 45.0, -45.0], atol=1e-9)


def test_the_prior_is_the_median_of_each_elevation_between_them_and_beyond():
    def points(tangent, depths):
        return np.column_stack((np.zeros(len(depths)), np.full(len(depths), tangent), np.ones(len(depths)))), depths

    near, far = points(0.2, np.array([5.0, 6.0, 90.0] * 20)), points(0.05, np.array([30.0] * 60))
    rays, depth = (np.concatenate(parts) for parts in zip(near, far, strict=True))
    prior = ElevationPrior([Reference(np.zeros((len(depth), 2), np.int64), depth, rays)])
    found = prior.depth_m(np.array([[0, 0.2, 1.0], [0, 0.05, 1.0], [0, 0.12, 1.0], [0, -1.0, 1.0], [0, 2.0, 1.0]]))
    assert found[:2] == pytest.approx([6.0, 30.0], rel=0.1)
    assert 6.0 < found[2] < 30.0
    assert found[3:] == pytest.approx([30.0, 6.0])


def test_a_set_never_tells_its_own_frames(real_frames):
    frames = list(real_frames.values())
    assert {s.set_name for s in score_elevation_prior(frames)} == {"van", "ms2"}
    assert score_elevation_prior([f for f in frames if f.set_name == "van"]) == []
