"""Scores of depth and confidence, image by image, added up by condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.metrics import CalibrationBins, DepthMetrics, MetricMean, ause, depth_metrics
from msdepth_training.confidence import CONFIDENCE_FACTOR

MIN_M, MAX_M = 0.001, 80.0
"""Pixels are scored where the truth lies between, metres: the protocol of `depth_metrics`."""
AUSE_STRIDE = 4
"""Every so many rows and columns are sorted for AUSE; neighbours tell little more."""
ALL = "all"
"""The name of all conditions together."""
FloatImage = NDArray[np.float32]


class Answers(NamedTuple):
    """What a model says of B images, and what is true."""

    depth_m: FloatImage
    """[B, h, w] metres."""
    confidence: FloatImage
    """[B, h, w] in [0, 1]."""
    truth_m: FloatImage
    """[B, h, w] metres; what is not between `MIN_M` and `MAX_M` is not scored."""


class Score(NamedTuple):
    """Means over the images of one kind."""

    metrics: DepthMetrics
    """Unscaled: the headline."""
    median_scaled: DepthMetrics
    """After the median of each image was set right, as in published tables."""
    ece: float
    """Expected calibration error of confidence, 0 to 1."""
    ause: float
    """Area under the sparsification error of AbsRel."""
    images: int
    """How many had any pixel with known depth."""


class _One(NamedTuple):
    """Of one image."""

    plain: DepthMetrics | None
    median: DepthMetrics | None
    ause: float | None
    confidence: FloatImage
    """[M] where truth is known."""
    correct: NDArray[np.bool_]
    """[M] within the factor that confidence speaks of."""


def is_known(truth_m: NDArray[Any]) -> NDArray[np.bool_]:
    """Where there is truth to compare with: the range of `depth_metrics`."""
    return (truth_m > MIN_M) & (truth_m < MAX_M)


def _one(depth_m: FloatImage, confidence: FloatImage, truth_m: FloatImage) -> _One:
    known = is_known(truth_m)
    truth = np.where(known, truth_m, 1.0)
    ratio = depth_m / truth
    plain, median = (depth_metrics(depth_m, truth_m, alignment=a, min_m=MIN_M, max_m=MAX_M) for a in ("none", "median"))
    error = np.where(known, np.abs(ratio - 1.0), np.nan)[::AUSE_STRIDE, ::AUSE_STRIDE]
    area = ause(error, 1.0 - confidence[::AUSE_STRIDE, ::AUSE_STRIDE])
    return _One(plain, median, area, confidence[known], (np.maximum(ratio, 1.0 / ratio) < CONFIDENCE_FACTOR)[known])


class _Sums:
    """Of one condition."""

    def __init__(self) -> None:
        self.raw, self.scaled, self.bins = MetricMean(), MetricMean(), CalibrationBins()
        self.ause_sum, self.ause_count = 0.0, 0

    def add(self, one: _One) -> None:
        self.raw.add(one.plain)
        self.scaled.add(one.median)
        self.bins.add(one.confidence, one.correct)
        if one.ause is not None:
            self.ause_sum, self.ause_count = self.ause_sum + one.ause, self.ause_count + 1

    def score(self) -> Score | None:
        metrics, median, ece = self.raw.mean(), self.scaled.mean(), self.bins.expected_calibration_error()
        if metrics is None or median is None or ece is None:
            return None
        return Score(metrics, median, ece, self.ause_sum / max(1, self.ause_count), self.raw.image_count)


class ScoreSums:
    """Scores of one row, by condition.

    Args:
        conditions: names that the images' conditions count.
    """

    def __init__(self, conditions: Sequence[str]) -> None:
        self.conditions = tuple(conditions)
        self.by_condition = {name: _Sums() for name in (ALL, *conditions)}

    def add(self, answers: Answers, condition: Iterable[int], pool: ThreadPoolExecutor | None = None) -> None:
        """Add B images.

        Args:
            answers: of the model.
            condition: [B] index into the conditions; -1 counts only for all.
            pool: scores several images at once.
        """
        ones = (pool.map if pool else map)(_one, *answers)
        for one, number in zip(ones, condition, strict=True):
            self.by_condition[ALL].add(one)
            if number >= 0:
                self.by_condition[self.conditions[number]].add(one)

    def scores(self) -> dict[str, Score]:
        """Condition (and `all`) to score; conditions without a scored image are absent."""
        found = {name: sums.score() for name, sums in self.by_condition.items()}
        return {name: score for name, score in found.items() if score is not None}

    def reliability(self) -> list[tuple[float, float, int]]:
        """Of all conditions: stated confidence, how often it was right, pixels; of each bin that has any."""
        bins = self.by_condition[ALL].bins
        rows = zip(bins.confidence_sum.tolist(), bins.correct_sum.tolist(), bins.count.tolist(), strict=True)
        return [(stated / n, right / n, n) for stated, right, n in rows if n]
