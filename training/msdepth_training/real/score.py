"""What is measured of a prediction of a real frame, and means over frames and sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.metrics import CalibrationBins, depth_metrics
from msdepth_training.confidence import CONFIDENCE_FACTOR
from msdepth_training.errors import TrainingError
from msdepth_training.real.frames import MAX_M, MIN_M, Reference
from msdepth_training.real.ground import GroundPlane

OBSTACLE_ABOVE_M = (0.4, 2.5)
"""Heights above the road of what a vehicle runs into."""
OBSTACLE_AWAY_M = (3.0, 20.0)
"""Depth of what is counted as an obstacle."""
OVER_FACTORS = {"over_1_25": 1.25, "over_1_5": 1.5, "over_2": 2.0}
"""Share of obstacles that are predicted so many times too far."""
UNDER_FACTORS = {"under_1_25": 1.25, "under_1_5": 1.5, "under_2": 2.0}
"""The same too near; for information."""

Values = dict[str, dict[str, float]]
"""`mean`, `obstacles` and `confidence`, each with its numbers by name."""


class Score(NamedTuple):
    """Of one frame, or the mean of several."""

    values: Values
    """`mean`: rho (rank correlation), abs_rel, delta (share within 1.25), scaled (AbsRel with medians made equal),
    window (share of the reference within the network's window) and pixels. `obstacles`: shares of the points standing
    on the road that are predicted too far and too near by a factor, and points. `confidence`: its mean, right (share
    within the factor it speaks of) and ece. A part whose numbers do not exist is absent."""
    bins: CalibrationBins
    """Of the confidence."""
    frames: int


def spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Spearman's rank correlation, ties with their mean rank; NaN if either is constant or there are fewer than two.

    Args:
        a: [M].
        b: [M].

    >>> spearman(np.array([1.0, 2.0, 30.0]), np.array([-3.0, -2.0, 0.0]))
    1.0
    """
    if a.size < 2:
        return float("nan")
    first, second = (_ranks(x) - (x.size - 1) / 2 for x in (a, b))
    scale = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / scale) if scale > 0 else float("nan")


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rank of each value from 0, equal ones share their mean."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2)[group], np.float64)


def score(
    depth_m: NDArray[Any],
    reference: Reference,
    ground: GroundPlane | None,
    confidence: NDArray[Any] | None = None,
) -> Score:
    """Compare depth with what is known; see `Score` for the numbers.

    Args:
        depth_m: [M] predicted at the reference's pixels, metres; NaN is outside the network's window and not scored.
        reference: what is known.
        ground: the road, in the frame of the reference's camera; None: obstacles are not told from the road.
        confidence: [M] in [0, 1], if there is any.

    Raises:
        TrainingError: no pixel can be compared.
    """
    inside = ~np.isnan(depth_m)
    truth, predicted = reference.depth_m[inside], np.asarray(depth_m[inside], np.float64)
    plain, median = (depth_metrics(predicted, truth, alignment=a, min_m=MIN_M, max_m=MAX_M) for a in ("none", "median"))
    if plain is None or median is None:
        raise TrainingError("reference and prediction have no pixel in common; is this the rig of these images?")
    values: Values = {
        "mean": {
            "rho": spearman(predicted, truth), "abs_rel": plain.abs_rel, "delta": plain.delta_1,
            "scaled": median.abs_rel, "window": float(inside.mean()), "pixels": float(truth.size),
        }
    }  # fmt: skip
    ratio, bins = predicted / truth, CalibrationBins()
    if ground is not None:
        values |= _obstacles(ratio, reference.points[inside], ground)
    if confidence is not None:
        correct = np.maximum(ratio, 1.0 / ratio) < CONFIDENCE_FACTOR
        bins.add(confidence[inside], correct)
        stated = float(confidence[inside].mean())
        values["confidence"] = {"mean": stated, "right": float(correct.mean()), "ece": _ece(bins)}
    return Score(values, bins, 1)


def _obstacles(ratio: NDArray[np.float64], points: NDArray[np.float64], ground: GroundPlane) -> Values:
    """Shares of what stands on the road; empty where nothing does."""
    standing = is_obstacle(points, ground)
    if not standing.any():
        return {}
    far = {name: float((ratio[standing] > factor).mean()) for name, factor in OVER_FACTORS.items()}
    near = {name: float((ratio[standing] < 1.0 / factor).mean()) for name, factor in UNDER_FACTORS.items()}
    return {"obstacles": {**far, **near, "points": float(standing.sum())}}


def is_obstacle(points: NDArray[np.float64], ground: GroundPlane) -> NDArray[np.bool_]:
    """Which of the points [M, 3] a vehicle would run into."""
    above, away = ground.above_m(points), points[:, 2]
    standing = (above > OBSTACLE_ABOVE_M[0]) & (above < OBSTACLE_ABOVE_M[1])
    return np.asarray(standing & (away > OBSTACLE_AWAY_M[0]) & (away < OBSTACLE_AWAY_M[1]))


def _ece(bins: CalibrationBins) -> float:
    error = bins.expected_calibration_error()
    return float("nan") if error is None else error


def mean_score(scores: Sequence[Score]) -> Score:
    """Every number's mean over those that have it; pixels and points are sums; ece is of all frames together."""
    values: Values = {}
    for part in ("mean", "obstacles", "confidence"):
        having = [s.values[part] for s in scores if part in s.values]
        if having:
            values[part] = {name: float(np.mean([v[name] for v in having])) for name in having[0]}
            values[part] |= {n: sum(v[n] for v in having) for n in ("pixels", "points") if n in having[0]}
    bins = CalibrationBins()
    for s in scores:
        bins.count += s.bins.count
        bins.confidence_sum += s.bins.confidence_sum
        bins.correct_sum += s.bins.correct_sum
    if "confidence" in values:
        values["confidence"]["ece"] = _ece(bins)
    return Score(values, bins, sum(s.frames for s in scores))


def mean_of_sets(sets: Sequence[Score]) -> Score:
    """Mean over sets, each counting the same; ece, too, is the mean of the sets'."""
    found = mean_score(sets)
    errors = [s.values["confidence"]["ece"] for s in sets if "confidence" in s.values]
    if errors:
        found.values["confidence"]["ece"] = float(np.mean(errors))
    return found
