"""One depth image against its truth: what a replay and a training both measure, pixel by pixel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.metrics import DepthMetrics, ause, depth_metrics

MIN_TRUTH_M, MAX_TRUTH_M = 0.001, 80.0
"""Truth is scored strictly between these depths, as published protocols do."""
CORRECT_WITHIN = 1.25
"""Confidence is the probability that depth is within this factor of the truth."""
AUSE_SAMPLES = 8192
"""Sorting is slow: of more pixels, every so-manyth counts for AUSE."""


class ImageScore(NamedTuple):
    """Errors of one image, and the M pixels that were scored.

    Attributes:
        plain: As the depth is.
        median_scaled: After the median was set right, as in published tables.
        ause: Area under the sparsification error of AbsRel.
        truth_m: float64 [M], metres.
        relative: float64 [M], distance from the truth as a share of it.
        confidence: float64 [M] in [0,1]; 0 where it is not a number.
        correct: bool [M], within the factor that confidence speaks of.
    """

    plain: DepthMetrics
    median_scaled: DepthMetrics
    ause: float
    truth_m: NDArray[np.float64]
    relative: NDArray[np.float64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]


def is_scored(truth_m: NDArray[Any]) -> NDArray[np.bool_]:
    """Where there is truth [h,w] to compare with, metres."""
    return (truth_m > MIN_TRUTH_M) & (truth_m < MAX_TRUTH_M)


def score_image(depth_m: NDArray[Any], confidence: NDArray[Any], truth_m: NDArray[Any]) -> ImageScore | None:
    """Compares depth with truth.

    Args:
        depth_m: [h,w] metres: NaN is not scored, +Inf counts as the largest depth.
        confidence: [h,w] in [0,1], of the same pixels.
        truth_m: [h,w] metres; NaN and 0 unknown.

    Returns:
        None where nothing can be scored.
    """
    limits = {"min_m": MIN_TRUTH_M, "max_m": MAX_TRUTH_M}
    plain = depth_metrics(depth_m, truth_m, alignment="none", **limits)
    scaled = depth_metrics(depth_m, truth_m, alignment="median", **limits)
    if plain is None or scaled is None:
        return None
    scored = is_scored(truth_m) & ~np.isnan(depth_m)
    truth = truth_m[scored].astype(np.float64)
    depth = np.clip(depth_m[scored].astype(np.float64), MIN_TRUTH_M, MAX_TRUTH_M)
    relative = np.abs(depth - truth) / truth
    stated = np.clip(np.nan_to_num(confidence[scored]), 0.0, 1.0).astype(np.float64)
    correct = np.maximum(depth / truth, truth / depth) < CORRECT_WITHIN
    step = -(-truth.size // AUSE_SAMPLES)
    area = ause(relative[::step], 1.0 - stated[::step])
    return ImageScore(plain, scaled, float(area or 0.0), truth, relative, stated, correct)
