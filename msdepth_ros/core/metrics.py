"""Depth and calibration metrics: pure functions, and accumulators that divide once."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

Alignment = Literal["none", "median"]


class DepthMetrics(NamedTuple):
    """Errors of one image, or their means over images."""

    abs_rel: float
    """Mean of |prediction - truth| / truth."""
    sq_rel: float
    """Mean of (prediction - truth)^2 / truth, metres."""
    rmse: float
    """Metres."""
    rmse_log: float
    """Root mean square of the difference of natural logarithms."""
    delta_1: float
    """Share of pixels within a factor below 1.25 of the truth."""
    delta_2: float
    """The same for 1.25^2."""
    delta_3: float
    """The same for 1.25^3."""
    silog: float
    """100 times the standard deviation of the difference of logarithms."""
    valid_count: int
    """Pixels scored."""
    coverage: float
    """Pixels scored, as a share of those with valid truth; less than 1 where the prediction has NaN."""


def depth_metrics(
    prediction_m: NDArray[Any],
    truth_m: NDArray[Any],
    *,
    alignment: Alignment,
    min_m: float = 0.001,
    max_m: float = 80.0,
) -> DepthMetrics | None:
    """Scores one depth image.

    Truth is valid strictly between the limits. Predictions are clamped to the limits, as the published protocols do
    (so +Inf, beyond range, counts as max_m); a NaN prediction is not scored but lowers `coverage`.

    Args:
        prediction_m: [H,W] metres.
        truth_m: [H,W] metres; 0, NaN and infinities are unknown.
        alignment: "none" scores metric depth; "median" first scales the prediction so that the medians agree.
        min_m: Lower limit, metres, above 0.
        max_m: Upper limit, metres.

    Returns:
        None where nothing can be scored: no valid truth, or no prediction where there is some.
    """
    if prediction_m.shape != truth_m.shape:
        raise MsdepthError(f"prediction {prediction_m.shape} and truth {truth_m.shape} must have the same shape")
    if not 0 < min_m < max_m:
        raise MsdepthError(f"depth limits must satisfy 0 < min_m < max_m, got {min_m} and {max_m}")
    valid = (truth_m > min_m) & (truth_m < max_m)
    scored = valid & ~np.isnan(prediction_m)
    if not scored.any():
        return None
    truth = truth_m[scored].astype(np.float64)
    prediction = _aligned(prediction_m[scored].astype(np.float64), truth, alignment)
    errors = _errors(np.clip(prediction, min_m, max_m), truth)
    return DepthMetrics(*errors, valid_count=truth.size, coverage=truth.size / int(valid.sum()))


def _errors(
    prediction: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[float, float, float, float, float, float, float, float]:
    """Returns the first eight fields of DepthMetrics, of positive depths in metres."""
    difference = prediction - truth
    log_difference = np.log(prediction) - np.log(truth)
    factor = np.maximum(prediction / truth, truth / prediction)
    return (
        float(np.mean(np.abs(difference) / truth)),
        float(np.mean(difference**2 / truth)),
        float(np.sqrt(np.mean(difference**2))),
        float(np.sqrt(np.mean(log_difference**2))),
        float(np.mean(factor < 1.25)),
        float(np.mean(factor < 1.25**2)),
        float(np.mean(factor < 1.25**3)),
        float(100.0 * np.std(log_difference)),
    )


def _aligned(prediction: NDArray[np.float64], truth: NDArray[np.float64], alignment: str) -> NDArray[np.float64]:
    """Scales predictions as the protocol says."""
    if alignment == "none":
        return prediction
    if alignment != "median":
        raise MsdepthError(f"unknown alignment {alignment!r}: use none or median")
    median = float(np.median(prediction))
    return prediction * (float(np.median(truth)) / median) if 0 < median < np.inf else prediction


class MetricMean:
    """Averages metrics over images; each image counts the same.

    >>> mean = MetricMean()
    >>> mean.add(None)
    >>> mean.mean() is None, mean.empty_count
    (True, 1)
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._sums = np.zeros(len(DepthMetrics._fields) - 1)
        self._valid_count = 0
        self.image_count = 0
        """Images that were scored."""
        self.empty_count = 0
        """Images of which nothing could be scored: they are not in the mean."""

    def add(self, metrics: DepthMetrics | None) -> None:
        """Adds the metrics of one image."""
        if metrics is None:
            self.empty_count += 1
            return
        self._sums += (*metrics[:-2], metrics.coverage)
        self._valid_count += metrics.valid_count
        self.image_count += 1

    def mean(self) -> DepthMetrics | None:
        """Returns the means, with valid_count the sum of pixels; None if no image was scored."""
        if self.image_count == 0:
            return None
        means: list[float] = (self._sums / self.image_count).tolist()
        coverage = means.pop()
        return DepthMetrics._make([*means, self._valid_count, coverage])


class CalibrationBins:
    """Counts how often confidences come true, in equal bins of confidence, over any number of images."""

    def __init__(self, bins: int = 15) -> None:
        """Starts empty.

        Args:
            bins: Number of bins over [0,1], at least 1.
        """
        if bins < 1:
            raise MsdepthError(f"calibration needs at least 1 bin, got {bins}")
        self.count = np.zeros(bins, np.int64)
        """[bins] samples."""
        self.confidence_sum = np.zeros(bins)
        """[bins] sum of stated confidences."""
        self.correct_sum = np.zeros(bins)
        """[bins] samples that were right."""

    def add(self, confidence: NDArray[Any], correct: NDArray[Any]) -> None:
        """Adds samples.

        Args:
            confidence: Any shape, [0,1]; NaN samples are left out.
            correct: The same shape, bool: was the prediction right?

        Raises:
            MsdepthError: Shapes differ, or a confidence is outside [0,1].
        """
        if confidence.shape != correct.shape:
            raise MsdepthError(f"confidence {confidence.shape} and correct {correct.shape} must have the same shape")
        known = ~np.isnan(confidence)
        stated = confidence[known].astype(np.float64)
        if stated.size and not (stated.min() >= 0 and stated.max() <= 1):
            raise MsdepthError(f"confidences must be in [0,1], got {stated.min():g} to {stated.max():g}")
        bins = len(self.count)
        index = np.minimum((stated * bins).astype(np.int64), bins - 1)
        self.count += np.bincount(index, minlength=bins)
        self.confidence_sum += np.bincount(index, stated, minlength=bins)
        self.correct_sum += np.bincount(index, correct[known].astype(np.float64), minlength=bins)

    def expected_calibration_error(self) -> float | None:
        """Returns the mean distance between stated and observed, weighted by samples; None without samples."""
        total = int(self.count.sum())
        if total == 0:
            return None
        return float(np.abs(self.confidence_sum - self.correct_sum).sum() / total)


def expected_calibration_error(confidence: NDArray[Any], correct: NDArray[Any], bins: int = 15) -> float | None:
    """Returns how far confidences are from what is observed, 0 to 1; None without samples.

    Args:
        confidence: Any shape, [0,1]; NaN samples are left out.
        correct: The same shape, bool: was the prediction right?
        bins: Number of equal bins over [0,1].

    >>> float(expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False])))
    0.4
    """
    calibration = CalibrationBins(bins)
    calibration.add(confidence, correct)
    return calibration.expected_calibration_error()


def ause(error: NDArray[Any], uncertainty: NDArray[Any], *, steps: int = 20) -> float | None:
    """Returns the area under the sparsification error: 0 when uncertainty orders pixels as their errors do.

    Pixels are removed from the most uncertain down; the mean error of the rest, relative to that of all, is compared
    with the same curve for removal by true error (Ilg et al. 2018). Pixels of equal uncertainty count as equal.

    Args:
        error: Any shape, at least 0; samples that are not finite are left out.
        uncertainty: The same shape, any scale, larger is less certain; NaN samples are left out.
        steps: Number of equal steps of the share removed, 0 to (steps - 1) / steps.

    Returns:
        The area, or None without samples.

    Raises:
        MsdepthError: Shapes differ, an error is negative, or there are fewer than 2 steps.
    """
    if error.shape != uncertainty.shape or steps < 2:
        raise MsdepthError(
            f"error {error.shape} and uncertainty {uncertainty.shape} must have the same shape, and steps ({steps}) "
            "be at least 2"
        )
    known = np.isfinite(error) & ~np.isnan(uncertainty)
    errors, doubts = error[known].astype(np.float64), uncertainty[known].astype(np.float64)
    if errors.size == 0:
        return None
    if errors.min() < 0:
        raise MsdepthError(f"errors must not be negative, got {errors.min():g}; give absolute errors")
    if errors.max() == 0:
        return 0.0
    removed = np.linspace(0.0, 1.0, steps, endpoint=False)
    gap = _sparsification(errors, doubts, removed) - _sparsification(errors, errors, removed)
    return float(np.sum((gap[1:] + gap[:-1]) / 2) / steps)


def _sparsification(
    errors: NDArray[np.float64], order: NDArray[np.float64], removed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the mean error of what remains, relative to all, after removing shares from the top of an order."""
    _, group, count = np.unique(order, return_inverse=True, return_counts=True)
    shared = (np.bincount(group, errors) / count)[group][np.argsort(order, kind="stable")]
    keep = np.maximum(np.ceil((1.0 - removed) * errors.size - 1e-9).astype(np.int64), 1)
    return np.asarray(np.cumsum(shared)[keep - 1] / keep / errors.mean(), np.float64)
