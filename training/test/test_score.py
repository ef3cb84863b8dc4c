import math

import numpy as np
import pytest

from msdepth_ros.scoring.scores import score
from msdepth_training.score import Answers, ScoreSums

CONDITIONS = ("day", "night")


def answers(depth_m, truth_m, confidence=0.75, shape=(8, 8)):
    return Answers(*(np.full((1, *shape), value, np.float32) for value in (depth_m, confidence, truth_m)))


def scored(*images):
    sums = ScoreSums(CONDITIONS)
    for one, condition in images:
        sums.add(one, [condition])
    return sums.scores()


def test_scores_by_hand():
    every = scored((answers(22.0, 20.0), 0))["all"]
    assert every.images == 1
    assert every.metrics.abs_rel == pytest.approx(0.1)
    assert every.metrics.rmse == pytest.approx(2.0)
    assert every.metrics.delta_1 == 1.0
    assert every.median_scaled.abs_rel == pytest.approx(0.0, abs=1e-6)
    assert every.ece == pytest.approx(0.25)  # said 0.75, and was always right


@pytest.mark.parametrize(("depth_m", "right"), [(24.9, 1.0), (25.1, 0.0), (16.1, 1.0), (15.9, 0.0)])
def test_confidence_is_judged_at_a_factor_of_a_quarter_either_way(depth_m, right):
    assert scored((answers(depth_m, 20.0, 0.5), 0))["all"].ece == pytest.approx(0.5)
    assert scored((answers(depth_m, 20.0, right), 0))["all"].ece == pytest.approx(0.0, abs=1e-6)


def test_images_count_the_same_in_a_condition_and_pixels_do_in_calibration():
    scores = scored(
        (answers(22.0, 20.0), 0), (answers(30.0, 20.0, 0.0), 0), (answers(20.0, 20.0, 1.0, shape=(8, 16)), 1)
    )  # fmt: skip
    assert scores["day"].metrics.abs_rel == pytest.approx((0.1 + 0.5) / 2)
    assert scores["night"].metrics.abs_rel == 0.0
    assert scores["all"].metrics.abs_rel == pytest.approx((0.1 + 0.5 + 0.0) / 3)
    assert scores["all"].ece == pytest.approx(0.25 * 64 / 256)
    assert (scores["day"].images, scores["night"].images, scores["all"].images) == (2, 1, 3)


def test_a_condition_that_nobody_knows_counts_for_all_alone():
    scores = scored((answers(22.0, 20.0), -1))
    assert set(scores) == {"all"}


@pytest.mark.parametrize("truth_m", [6e4, math.inf, math.nan, 0.0, 80.0])
def test_frames_without_known_depth_are_absent_not_nan(truth_m):
    assert scored((answers(20.0, truth_m), 0)) == {}


def test_ause_is_0_for_the_right_order_and_more_for_the_wrong_one():
    truth = np.full((1, 16, 16), 10.0, np.float32)
    wrong = np.linspace(0, 5, 256, dtype=np.float32).reshape(1, 16, 16)
    right_order, wrong_order = 1 - wrong / 10, wrong / 10
    good, bad = (scored((Answers(truth + wrong, c, truth), 0))["all"].ause for c in (right_order, wrong_order))
    assert good == pytest.approx(0.0, abs=1e-6)
    assert bad > 0.3


def test_reliability_is_stated_against_what_came_true():
    sums = ScoreSums(CONDITIONS)
    sums.add(answers(22.0, 20.0, 0.75), [0])
    sums.add(answers(30.0, 20.0, 0.75), [0])
    assert sums.reliability() == [(pytest.approx(0.75), 0.5, 128)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(16, 20), (128, 320)])
def test_a_replay_and_a_training_score_an_image_alike(seed, shape):
    draws = np.random.default_rng(seed)
    truth_m = draws.uniform(-5, 100, shape).astype(np.float32)
    depth_m = (np.abs(truth_m) * draws.uniform(0.3, 2.0, shape)).astype(np.float32)
    confidence = draws.uniform(0, 1, shape).astype(np.float32)
    replayed = score(depth_m, confidence, truth_m)
    trained = scored((Answers(depth_m[None], confidence[None], truth_m[None]), 0))["all"]
    for name in ("abs_rel", "rmse", "delta_1", "silog"):
        assert getattr(trained.metrics, name) == pytest.approx(replayed["scores"][name])
        assert getattr(trained.median_scaled, name) == pytest.approx(replayed["scores"][f"{name}_median_scaled"])
    assert trained.ause == pytest.approx(replayed["scores"]["ause"])
    bins = [np.array(replayed[f"bin_{kind}"]) for kind in ("confidence_sums", "correct_counts", "counts")]
    assert trained.ece == pytest.approx(np.abs(bins[0] - bins[1]).sum() / bins[2].sum())
