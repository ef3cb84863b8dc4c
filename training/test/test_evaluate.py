import dataclasses
import math

import numpy as np
import pytest
import torch

from msdepth_training.evaluate import (
    ROWS,
    OnnxPredictor,
    Prediction,
    RowPrior,
    card_metrics,
    predict,
    score,
    score_row_prior,
    view_calibration_error,
)


def fixed(depth_m, confidence):
    """A predictor that answers the same whatever it sees."""

    def predictor(inputs):
        shape = inputs.images.shape[-2:]
        own = np.full((len(inputs.images), *shape), confidence, np.float32)
        return Prediction(np.broadcast_to(np.float32(depth_m), shape), np.full(shape, confidence, np.float32), own)

    return predictor


def with_depth(samples, depth_m):
    return dataclasses.replace(samples, depth_m=torch.full_like(samples.depth_m, depth_m))


def test_scores_by_hand(samples):
    scores = score(with_depth(samples, 20.0), fixed(22.0, 0.75), (0, 1, 2), 0)
    every = scores["all"]
    assert every.images == 8
    assert every.metrics.abs_rel == pytest.approx(0.1)
    assert every.metrics.delta_1 == 1.0
    assert every.median_scaled.abs_rel == pytest.approx(0.0, abs=1e-6)
    assert every.ece == pytest.approx(0.25, abs=1e-6)  # said 0.75, and was always right


@pytest.mark.parametrize(("depth_m", "right"), [(24.9, 1.0), (25.1, 0.0), (16.1, 1.0), (15.9, 0.0)])
def test_confidence_is_judged_at_a_factor_of_a_quarter_either_way(samples, depth_m, right):
    truth = with_depth(samples, 20.0)
    assert score(truth, fixed(depth_m, 0.5), (0,), 0)["all"].ece == pytest.approx(0.5)
    assert score(truth, fixed(depth_m, right), (0,), 0)["all"].ece == pytest.approx(0.0, abs=1e-6)
    assert view_calibration_error(truth, fixed(depth_m, right), 1) == pytest.approx(0.0, abs=1e-6)


def test_frames_without_known_depth_are_absent_not_nan(samples):
    nothing = with_depth(samples, 6e4)
    assert score(nothing, fixed(20.0, 0.5), (0,), 0) == {}
    assert view_calibration_error(nothing, fixed(20.0, 0.5), 0) is None


def test_scores_by_condition(exported, samples):
    scores = score(samples, OnnxPredictor(exported[1]), (0, 1, 2), 0)
    assert scores["all"].images == 8
    assert {c for c in scores if c != "all"} == {"day", "night", "rain", "fog"}
    assert scores["all"].metrics.abs_rel == pytest.approx(
        sum(scores[c].metrics.abs_rel for c in ("day", "night", "rain", "fog")) / 4, rel=1e-6
    )


def test_a_subset_of_views_is_posed_in_the_frame_asked_for(samples):
    seen = {}

    def predictor(inputs):
        seen.update(
            images=inputs.images, k=inputs.intrinsics, pose=inputs.view_from_reference,
            reference_k=inputs.reference_intrinsics, spectrum=inputs.spectrum,
        )  # fmt: skip

    predict(samples, 2, predictor, [2, 1], 1)
    assert torch.equal(seen["k"], samples.k[2, [2, 1]])
    assert seen["spectrum"].tolist() == [2, 1]
    assert torch.equal(seen["reference_k"], samples.k[2, 1])
    torch.testing.assert_close(seen["pose"][1], torch.eye(4), atol=1e-5, rtol=0)
    pose = samples.vehicle_from_camera[2]
    torch.testing.assert_close(pose[2] @ seen["pose"][0], pose[1], atol=1e-5, rtol=0)
    assert torch.equal(seen["images"][1, 0], samples.images[2, 3] / 255.0)


def test_rows_leave_out_what_their_name_says():
    for name, (views, reference) in ROWS.items():
        if name.startswith("without_"):
            missing = ("rgb", "nir", "thermal").index(name.removeprefix("without_"))
            assert set(views) == {0, 1, 2} - {missing}
        assert reference == (views[0] if name.endswith("own_frame") else 0)


def test_a_card_holds_plain_rounded_numbers(samples):
    scores = score(with_depth(samples, 20.0), fixed(22.0, 0.75), (0,), 0)
    card = card_metrics({"fused": scores})
    assert card["fused"]["all"] == {
        "abs_rel": 0.1, "rmse_m": 2.0, "delta_1": 1.0, "ece": 0.25, "abs_rel_median_scaled": 0.0, "images": 8,
    }  # fmt: skip


def test_the_row_prior_is_the_median_of_known_depths_in_each_row():
    depth = np.array([[[5.0, 90.0, 7.0]], [[6.0, np.inf, 90.0]]])
    prior = RowPrior(np.concatenate((depth, np.full_like(depth, np.inf)), axis=1))
    assert prior.row_m.tolist() == [6.0, 80.0]
    assert prior.depth(4).shape == (2, 4)


def test_the_row_prior_is_perfect_where_depth_depends_on_the_row_alone(samples):
    rows = torch.linspace(5, 50, 64)[:, None].expand(64, 160)
    flat = dataclasses.replace(samples, depth_m=rows.expand(8, 3, 64, 160).half())
    prior = RowPrior(flat.depth_m[:, 0].float().numpy())
    assert score_row_prior(prior, flat) == pytest.approx(0.0, abs=1e-3)
    assert score_row_prior(prior, samples) > 0.05
    assert math.isnan(score_row_prior(prior, with_depth(samples, 6e4)))
