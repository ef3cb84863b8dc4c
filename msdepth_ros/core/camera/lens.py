"""Lens distortion in normalised image coordinates, by OpenCV's formulas."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

COEFFICIENT_COUNTS: dict[str, tuple[int, ...]] = {
    "none": (0,),
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
"""Distortion models by CameraInfo's names, with the numbers of coefficients each may have."""

ALIASES = {"": "none", "radtan": "plumb_bob", "equi": "equidistant", "rational": "rational_polynomial"}
"""Kalibr's names for the same models, and what a driver of an ideal camera leaves empty."""

_NEWTON_STEPS = 10
_DIFFERENCE = 1e-6


def check_distortion(where: str, model: str, coefficients: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """Returns the canonical name of a distortion model, and its coefficients.

    A model of polynomials around 1 (plumb_bob, rational_polynomial) without coefficients, or with zeros only, is no
    distortion. An equidistant lens with four zeros does distort.

    Raises:
        MsdepthError: Unknown model, wrong number of coefficients, or one that is not finite; `where` comes first.
    """
    name = ALIASES.get(model, model)
    if name not in COEFFICIENT_COUNTS:
        raise MsdepthError(
            f"{where}: unknown distortion model {model!r}; use one of {', '.join(COEFFICIENT_COUNTS)}, or rectify the "
            "images first"
        )
    values = tuple(float(value) for value in coefficients)
    if not np.all(np.isfinite(values)):
        raise MsdepthError(f"{where}: distortion coefficients {list(values)} are not all finite; calibrate again")
    if name != "equidistant" and not any(values):
        return "none", ()
    name, values = _without_excess(name, values)
    if len(values) not in COEFFICIENT_COUNTS[name]:
        allowed = " or ".join(str(count) for count in COEFFICIENT_COUNTS[name])
        raise MsdepthError(
            f"{where}: distortion model {name!r} takes {allowed} coefficients, got {len(values)}; correct the model's "
            "name or the coefficients"
        )
    return name, values


def _without_excess(name: str, values: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    """Drops zeros at the end that a model has no place for; plumb_bob with more than 5 is the rational model.

    >>> _without_excess("plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    ('plumb_bob', (0.1, 0.2, 0.0, 0.0, 0.0))
    >>> _without_excess("plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0))
    ('rational_polynomial', (0.1, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0))
    """
    most = COEFFICIENT_COUNTS[name][-1]
    needed = next((count for count in range(len(values), 0, -1) if values[count - 1]), 0)
    if name == "plumb_bob" and most < needed <= COEFFICIENT_COUNTS["rational_polynomial"][-1]:
        name = "rational_polynomial"
        least = next(count for count in COEFFICIENT_COUNTS[name] if count >= needed)
        return name, (*values, *[0.0] * least)[:least]
    return name, values if len(values) <= most or needed > most else values[:most]


def distort(points: NDArray[np.float64], model: str, coefficients: Sequence[float]) -> NDArray[np.float64]:
    """Maps rays to where the lens images them.

    Args:
        points: [N,2], x/z and y/z of rays in the optical frame.
        model: Canonical name.
        coefficients: As the model takes them.

    Returns:
        [N,2] distorted normalised coordinates: pixel = K applied to them.
    """
    if model == "none":
        return points
    values = np.asarray(coefficients, np.float64)
    if model == "equidistant":
        return np.asarray(cv2.fisheye.distortPoints(points[:, None], np.eye(3), values), np.float64)[:, 0]
    rays = np.column_stack([points, np.ones(len(points))])
    zero = np.zeros(3)
    return np.asarray(cv2.projectPoints(rays, zero, zero, np.eye(3), values)[0], np.float64)[:, 0]


def undistort(
    points: NDArray[np.float64], model: str, coefficients: Sequence[float], *, tolerance: float
) -> NDArray[np.float64]:
    """Inverts `distort`.

    Args:
        points: [N,2] distorted normalised coordinates.
        model: Canonical name.
        coefficients: As the model takes them.
        tolerance: Largest distance, in normalised units, between a point and its image after a round trip.

    Returns:
        [N,2] x/z and y/z; NaN where no ray in front of the camera is imaged at the point.
    """
    if model == "none":
        return points
    if model == "equidistant":
        values = np.asarray(coefficients, np.float64)
        rays = np.asarray(cv2.fisheye.undistortPoints(points[:, None], np.eye(3), values), np.float64)[:, 0]
    else:
        rays = _newton(points, model, coefficients, tolerance)
    error = np.linalg.norm(distort(rays, model, coefficients) - points, axis=1)
    rays[~(error <= tolerance)] = np.nan
    return rays


def _newton(
    points: NDArray[np.float64], model: str, coefficients: Sequence[float], tolerance: float
) -> NDArray[np.float64]:
    """Solves distort(rays) = points; OpenCV's own iteration stops early, and versions 4 and 5 name it differently."""
    rays = np.array(points, np.float64)
    step_x, step_y = np.array([_DIFFERENCE, 0.0]), np.array([0.0, _DIFFERENCE])
    for _ in range(_NEWTON_STEPS):
        image = distort(rays, model, coefficients)
        error = image - points
        if np.abs(error).max() <= 0.01 * tolerance:
            break
        by_x = (distort(rays + step_x, model, coefficients) - image) / _DIFFERENCE
        by_y = (distort(rays + step_y, model, coefficients) - image) / _DIFFERENCE
        determinant = by_x[:, 0] * by_y[:, 1] - by_x[:, 1] * by_y[:, 0]
        determinant[np.abs(determinant) < 1e-6] = 1e-6
        rays[:, 0] -= (by_y[:, 1] * error[:, 0] - by_y[:, 0] * error[:, 1]) / determinant
        rays[:, 1] -= (by_x[:, 0] * error[:, 1] - by_x[:, 1] * error[:, 0]) / determinant
        np.clip(rays, -10.0, 10.0, out=rays)
    return rays
