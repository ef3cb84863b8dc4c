"""Scores of depth and confidence, image by image, added up by condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.image_score import ImageScore, score_image
from msdepth_ros.core.metrics import CalibrationBins, DepthMetrics, MetricMean

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
    """[B, h, w] metres; see `score_image` for what is scored."""


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


class _Sums:
    """Of one condition."""

    def __init__(self) -> None:
        self.raw, self.scaled, self.bins = MetricMean(), MetricMean(), CalibrationBins()
        self.ause_sum = 0.0

    def add(self, one: ImageScore | None) -> None:
        self.raw.add(None if one is None else one.plain)
        self.scaled.add(None if one is None else one.median_scaled)
        if one is not None:
            self.bins.add(one.confidence, one.correct)
            self.ause_sum += one.ause

    def score(self) -> Score | None:
        metrics, median, ece = self.raw.mean(), self.scaled.mean(), self.bins.expected_calibration_error()
        if metrics is None or median is None or ece is None:
            return None
        return Score(metrics, median, ece, self.ause_sum / self.raw.image_count, self.raw.image_count)


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
        ones = (pool.map if pool else map)(score_image, *answers)
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
