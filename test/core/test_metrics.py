"""Tests of depth and calibration metrics, against numbers by hand and an implementation pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.metrics import (
    CalibrationBins,
    DepthMetrics,
    MetricMean,
    ause,
    depth_metrics,
    expected_calibration_error,
)

NAN = float("nan")


def by_pixels(prediction: list[float], truth: list[float], median: bool) -> dict[str, float]:
    """The same protocol written once more, with plain Python."""
    pairs = [(p, t) for p, t in zip(prediction, truth, strict=True) if 0.001 < t < 80.0 and not math.isnan(p)]

    def middle(values: list[float]) -> float:
        values = sorted(values)
        return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2

    scale = middle([t for _, t in pairs]) / middle([p for p, _ in pairs]) if median else 1.0
    pairs = [(min(max(p * scale, 0.001), 80.0), t) for p, t in pairs]
    n = len(pairs)
    logs = [math.log(p / t) for p, t in pairs]
    result = {
        "abs_rel": sum(abs(p - t) / t for p, t in pairs) / n,
        "sq_rel": sum((p - t) ** 2 / t for p, t in pairs) / n,
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "rmse_log": math.sqrt(sum(d * d for d in logs) / n),
        "silog": 100 * math.sqrt(max(sum(d * d for d in logs) / n - (sum(logs) / n) ** 2, 0.0)),
        "valid_count": n,
    }
    for power in (1, 2, 3):
        result[f"delta_{power}"] = sum(max(p / t, t / p) < 1.25**power for p, t in pairs) / n
    return result


class TestDepthMetrics:
    def test_numbers_by_hand(self) -> None:
        # 10 for 8: factor 1.25, which is not below 1.25. 6 for 6: right. 2 for 4: factor 2, above 1.25^3 = 1.953.
        metrics = depth_metrics(np.array([10.0, 6.0, 2.0]), np.array([8.0, 6.0, 4.0]), alignment="none")
        assert metrics is not None
        assert metrics.abs_rel == pytest.approx((0.25 + 0 + 0.5) / 3)
        assert metrics.sq_rel == pytest.approx((0.5 + 0 + 1.0) / 3)
        assert metrics.rmse == pytest.approx(math.sqrt(8 / 3))
        assert metrics.rmse_log == pytest.approx(math.sqrt((math.log(1.25) ** 2 + math.log(2) ** 2) / 3))
        assert (metrics.delta_1, metrics.delta_2, metrics.delta_3) == pytest.approx((1 / 3, 2 / 3, 2 / 3))
        assert (metrics.valid_count, metrics.coverage) == (3, 1.0)

    def test_silog_is_blind_to_scale_only(self) -> None:
        truth = np.array([2.0, 5.0, 9.0])
        scaled = depth_metrics(truth * 1.5, truth, alignment="none")
        assert scaled is not None and scaled.silog == pytest.approx(0.0, abs=1e-6) and scaled.abs_rel > 0.4
        # Differences of logarithms 0 and d have the standard deviation d / 2.
        other = depth_metrics(np.array([1.0, math.e]), np.array([1.0, 1.0]), alignment="none")
        assert other is not None and other.silog == pytest.approx(50.0)

    def test_median_alignment_hides_a_wrong_scale_and_none_shows_it(self) -> None:
        truth = np.array([[2.0, 5.0, 9.0]])
        unscaled = depth_metrics(truth * 3, truth, alignment="none")
        scaled = depth_metrics(truth * 3, truth, alignment="median")
        assert unscaled is not None and scaled is not None
        assert unscaled.abs_rel == pytest.approx(2.0) and unscaled.delta_3 == 0.0
        assert scaled.abs_rel == pytest.approx(0.0, abs=1e-12) and scaled.delta_1 == 1.0

    def test_alignment_must_be_said_and_known(self) -> None:
        with pytest.raises(TypeError, match="alignment"):
            depth_metrics(np.ones(2), np.ones(2))  # type: ignore[call-arg]
        with pytest.raises(MsdepthError, match="'scale'"):
            depth_metrics(np.ones(2), np.ones(2), alignment="scale")  # type: ignore[arg-type]

    @pytest.mark.parametrize("truth", [0.0, -1.0, NAN, math.inf, 80.0, 200.0, 0.001])
    def test_truth_that_is_not_valid_is_an_empty_result(self, truth: float) -> None:
        assert depth_metrics(np.full((2, 3), 5.0), np.full((2, 3), truth), alignment="none") is None

    def test_empty_images_are_an_empty_result(self) -> None:
        assert depth_metrics(np.zeros((0, 3)), np.zeros((0, 3)), alignment="median") is None

    def test_sky_is_not_scored(self) -> None:
        truth = np.array([10.0, 0.0, math.inf, NAN])
        metrics = depth_metrics(np.array([11.0, 80.0, 80.0, 80.0]), truth, alignment="none")
        assert metrics is not None and metrics.valid_count == 1 and metrics.abs_rel == pytest.approx(0.1)
        assert metrics.coverage == 1.0

    def test_missing_predictions_are_counted_not_scored(self) -> None:
        metrics = depth_metrics(np.array([11.0, NAN, NAN, 20.0]), np.array([10.0, 10.0, 0.0, 20.0]), alignment="none")
        assert metrics is not None and metrics.abs_rel == pytest.approx(0.05)
        assert metrics.valid_count == 2 and metrics.coverage == pytest.approx(2 / 3)
        assert depth_metrics(np.full(3, NAN), np.ones(3), alignment="none") is None

    def test_predictions_beyond_the_limits_are_clamped(self) -> None:
        metrics = depth_metrics(np.array([math.inf, 500.0, -3.0, 0.0]), np.full(4, 40.0), alignment="none")
        assert metrics is not None
        assert metrics.abs_rel == pytest.approx((1 + 1 + 2 * (1 - 0.001 / 40)) / 4)
        assert all(math.isfinite(value) for value in metrics)

    def test_shapes_and_limits_are_checked(self) -> None:
        with pytest.raises(MsdepthError, match=r"\(2,\).*\(3,\)"):
            depth_metrics(np.ones(2), np.ones(3), alignment="none")
        with pytest.raises(MsdepthError, match="min_m"):
            depth_metrics(np.ones(2), np.ones(2), alignment="none", min_m=0.0)

    @given(
        st.lists(
            st.tuples(
                st.floats(0.01, 200) | st.just(NAN), st.floats(0.01, 100) | st.sampled_from([0.0, NAN, math.inf])
            ),
            min_size=1,
            max_size=30,
        ),
        st.booleans(),
    )
    @settings(max_examples=150, deadline=None)
    def test_agrees_with_plain_python(self, pixels: list[tuple[float, float]], median: bool) -> None:
        prediction, truth = [p for p, _ in pixels], [t for _, t in pixels]
        metrics = depth_metrics(np.array(prediction), np.array(truth), alignment="median" if median else "none")
        if not any(0.001 < t < 80 and not math.isnan(p) for p, t in pixels):
            assert metrics is None
            return
        assert metrics is not None
        for name, value in by_pixels(prediction, truth, median).items():
            if name.startswith("delta"):  # a factor within rounding of a threshold may fall on either side
                assert getattr(metrics, name) == pytest.approx(value, abs=1.01 / metrics.valid_count)
            else:
                assert getattr(metrics, name) == pytest.approx(value, rel=1e-6, abs=1e-5)

    def test_float32_images_are_scored_in_double(self) -> None:
        truth = np.full((500, 500), 10.0, np.float32)
        metrics = depth_metrics(truth * np.float32(1.1), truth, alignment="none")
        assert metrics is not None and metrics.abs_rel == pytest.approx(0.1, rel=1e-6)


class TestMetricMean:
    def test_each_image_counts_the_same(self) -> None:
        mean = MetricMean()
        mean.add(depth_metrics(np.array([11.0]), np.array([10.0]), alignment="none"))
        mean.add(None)
        mean.add(depth_metrics(np.array([13.0, 13.0, NAN, 13.0]), np.full(4, 10.0), alignment="none"))
        result = mean.mean()
        assert isinstance(result, DepthMetrics)
        assert result.abs_rel == pytest.approx(0.2) and result.rmse == pytest.approx(2.0)
        assert result.valid_count == 4 and result.coverage == pytest.approx((1 + 0.75) / 2)
        assert (mean.image_count, mean.empty_count) == (2, 1)

    def test_mean_of_one_is_itself(self) -> None:
        metrics = depth_metrics(np.array([3.0, 4.5]), np.array([4.0, 4.0]), alignment="none")
        mean = MetricMean()
        mean.add(metrics)
        assert mean.mean() == metrics

    def test_nothing_scored_is_an_empty_result(self) -> None:
        mean = MetricMean()
        mean.add(None)
        assert mean.mean() is None


class TestCalibration:
    def test_numbers_by_hand(self) -> None:
        # Bin of .9: stated .9, observed .5. Bin of .1: stated .1, observed 0. Weights 2/3 and 1/3.
        error = expected_calibration_error(np.array([0.9, 0.9, 0.1]), np.array([True, False, False]))
        assert error == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.1)

    def test_over_and_under_confidence_do_not_cancel_across_bins(self) -> None:
        error = expected_calibration_error(np.array([1.0, 0.0]), np.array([False, True]))
        assert error == 1.0

    def test_honest_confidence_scores_near_zero(self) -> None:
        rng = np.random.default_rng(0)
        confidence = rng.uniform(0, 1, 200_000)
        error = expected_calibration_error(confidence, rng.uniform(0, 1, 200_000) < confidence)
        assert error is not None and error < 0.01

    def test_accumulating_equals_one_call(self) -> None:
        rng = np.random.default_rng(1)
        confidence, correct = rng.uniform(0, 1, (4, 50)), rng.uniform(0, 1, (4, 50)) < 0.4
        bins = CalibrationBins(15)
        for row in range(4):
            bins.add(confidence[row], correct[row])
        assert bins.expected_calibration_error() == pytest.approx(expected_calibration_error(confidence, correct))
        assert bins.count.sum() == 200

    def test_missing_and_empty_confidences(self) -> None:
        assert expected_calibration_error(np.array([]), np.array([], bool)) is None
        assert expected_calibration_error(np.array([NAN]), np.array([True])) is None
        assert expected_calibration_error(np.array([NAN, 0.5]), np.array([True, True])) == pytest.approx(0.5)

    def test_bad_input_is_refused(self) -> None:
        with pytest.raises(MsdepthError, match=r"\[0,1\], got 0.5 to 1.5"):
            expected_calibration_error(np.array([0.5, 1.5]), np.array([True, True]))
        with pytest.raises(MsdepthError, match="same shape"):
            expected_calibration_error(np.ones(2), np.ones(3, bool))
        with pytest.raises(MsdepthError, match="at least 1 bin"):
            CalibrationBins(0)


class TestAuse:
    def test_perfect_order_scores_zero_at_any_scale(self) -> None:
        error = np.random.default_rng(0).uniform(0, 1, (20, 30))
        assert ause(error, error**3 * 7) == pytest.approx(0.0, abs=1e-12)

    def test_numbers_by_hand(self) -> None:
        # Errors 1 and 3, mean 2; removed: none, then half. Ours removes the 1 and keeps 3/2, the oracle keeps 1/2.
        # Gaps 0 and 1, trapezoid over one step of width 1/2.
        assert ause(np.array([1.0, 3.0]), np.array([5.0, 2.0]), steps=2) == pytest.approx(0.25)

    def test_order_matters_and_constant_uncertainty_lies_between(self) -> None:
        error = np.random.default_rng(2).uniform(0, 1, 1000)
        constant, reverse = ause(error, np.ones(1000)), ause(error, -error)
        assert constant is not None and reverse is not None
        assert 0.1 < constant < reverse
        # Removing at random leaves the mean as it is: the area is that under 1 minus the oracle's curve.
        assert ause(error[::-1], np.ones(1000)) == pytest.approx(constant)

    def test_missing_and_empty(self) -> None:
        assert ause(np.array([]), np.array([])) is None
        assert ause(np.array([NAN, math.inf]), np.array([1.0, 1.0])) is None
        assert ause(np.zeros(4), np.arange(4.0)) == 0.0
        assert ause(np.array([1.0, 3.0, NAN]), np.array([5.0, 2.0, 9.0]), steps=2) == pytest.approx(0.25)

    def test_bad_input_is_refused(self) -> None:
        with pytest.raises(MsdepthError, match="negative"):
            ause(np.array([-1.0, 2.0]), np.ones(2))
        with pytest.raises(MsdepthError, match="same shape"):
            ause(np.ones(2), np.ones(3))
        with pytest.raises(MsdepthError, match="at least 2"):
            ause(np.ones(2), np.ones(2), steps=1)
