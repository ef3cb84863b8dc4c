"""Numbers of one set: its depth against the truth, and its confidences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.image_score import CORRECT_WITHIN, score_image
from msdepth_ros.core.metrics import CalibrationBins, DepthMetrics
from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.results.frame import BAND_EDGES_M, BIN_COUNT, METRICS
from msdepth_ros.scoring.ground_truth import Truth


def score(
    depth_m: NDArray[np.float32], confidence: NDArray[np.float32], truth_m: NDArray[np.float32]
) -> dict[str, Any]:
    """Compares depth with truth.

    Args:
        depth_m: float32 [h,w], as published: NaN unknown, +Inf beyond range.
        confidence: float32 [h,w] in [0,1], of the same pixels.
        truth_m: float32 [h,w], metres; NaN unknown.

    Returns:
        Fields of `FrameRecord`; empty where nothing can be scored.
    """
    found = score_image(depth_m, confidence, truth_m)
    if found is None:
        return {}
    bins = CalibrationBins(BIN_COUNT)
    bins.add(found.confidence, found.correct)
    bands = len(BAND_EDGES_M) - 1
    band = np.digitize(found.truth_m, BAND_EDGES_M[1:-1])
    return {
        "scores": _named(found.plain, found.median_scaled) | {"ause": found.ause},
        "truth_pixels": int(found.plain.valid_count),
        "band_counts": _integers(np.bincount(band, minlength=bands)),
        "band_abs_rel_sums": _floats(np.bincount(band, found.relative, minlength=bands)),
        "bin_counts": _integers(bins.count),
        "bin_confidence_sums": _floats(bins.confidence_sum),
        "bin_correct_counts": _integers(bins.correct_sum),
    }


def _named(plain: DepthMetrics, scaled: DepthMetrics) -> dict[str, float]:
    """Metrics by the names of `SCORES`."""
    scores = {name: float(getattr(plain, name)) for name in METRICS}
    scores |= {f"{name}_median_scaled": float(getattr(scaled, name)) for name in METRICS}
    return scores | {"coverage": float(plain.coverage)}


def score_against(truth: Truth, depth_m: NDArray[np.float32], confidence: NDArray[np.float32]) -> dict[str, Any]:
    """Compares depth and confidence [H,W] of the network's image with a truth; see `score`."""
    return score(truth.sample(depth_m), truth.sample(confidence), truth.depth_m)


def agreement(fused: DepthResult, single: DepthResult) -> float | None:
    """Share of the pixels that a spectrum sees where its own depth is within a factor 1.25 of the fused one.

    Args:
        fused: From all spectra of a set.
        single: From one of them alone.
    """
    seen = fused.view_confidence[single.spectra[0]] > 0
    if not seen.any():
        return None
    a, b = fused.depth_m[seen].astype(np.float64), single.depth_m[seen].astype(np.float64)
    return float(np.mean(np.maximum(a / b, b / a) < CORRECT_WITHIN))


def mean_confidences(result: DepthResult) -> tuple[float, Mapping[str, float]]:
    """Mean of the fused confidence, and of each spectrum's."""
    views = {name: float(np.mean(values, dtype=np.float64)) for name, values in result.view_confidence.items()}
    return float(np.mean(result.confidence, dtype=np.float64)), views


def _integers(values: NDArray[Any]) -> tuple[int, ...]:
    """Plain whole numbers."""
    return tuple(int(value) for value in values)


def _floats(values: NDArray[Any]) -> tuple[float, ...]:
    """Plain numbers."""
    return tuple(float(value) for value in values)
