"""One camera: a pinhole with or without lens distortion.

Coordinates are OpenCV's: the centre of the first pixel is (0, 0), z looks forward, and scaling an image by s maps cx
to s * (cx + 0.5) - 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msdepth_ros.core.camera.lens import check_distortion
from msdepth_ros.core.errors import MsdepthError

MAX_SIZE_PX = 32767
"""The largest image side that fixed-point maps can address."""

MAX_SKEW = 0.1
"""Largest skew of a usable K, as a share of fx; calibrations find thousandths."""


@dataclass(frozen=True)
class CameraModel:
    """A pinhole camera, with or without lens distortion."""

    label: str
    """Spectrum, or where the calibration came from: messages begin with it."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    k: NDArray[np.float64] = field(compare=False)
    """3x3 pinhole matrix, px. Read-only."""
    distortion_model: str = "none"
    """none, plumb_bob, rational_polynomial or equidistant."""
    distortion: tuple[float, ...] = ()
    """Coefficients in OpenCV's order."""
    _k_values: tuple[float, ...] = field(init=False, repr=False)
    """`k` for comparison: an array in a tuple has no truth value."""

    def __post_init__(self) -> None:
        """Checks everything, so that a camera which exists is usable."""
        for name, size in (("width", self.width), ("height", self.height)):
            if not 1 <= size <= MAX_SIZE_PX:
                raise MsdepthError(f"{self.label}: {name} is {size} px; it must be 1 to {MAX_SIZE_PX}")
        k = _checked_k(self.label, self.k)
        model, distortion = check_distortion(self.label, self.distortion_model, self.distortion)
        for name, value in (
            ("k", k),
            ("_k_values", tuple(k.ravel().tolist())),
            ("distortion_model", model),
            ("distortion", distortion),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_camera_info_fields(
        cls,
        label: str,
        width: int,
        height: int,
        k: ArrayLike,
        d: Sequence[float],
        distortion_model: str,
        binning_x: int = 0,
        binning_y: int = 0,
        roi: tuple[int, int, int, int] | None = None,
    ) -> CameraModel:
        """Makes the camera of the published images, as CameraInfo describes them.

        Args:
            label: Topic or spectrum, for messages.
            width: Pixels of the full sensor.
            height: Pixels of the full sensor.
            k: 9 or 3x3 numbers: intrinsics of the raw full image, px.
            d: Distortion coefficients.
            distortion_model: CameraInfo's name of it.
            binning_x: Sensor columns per image column; 0 means 1.
            binning_y: Sensor rows per image row; 0 means 1.
            roi: x_offset, y_offset, width, height on the full sensor, px; zeros mean the full sensor.

        Raises:
            MsdepthError: Something does not describe a camera.
        """
        full = _checked_k(label, k).copy()
        left, top, roi_width, roi_height = roi or (0, 0, 0, 0)
        roi_width, roi_height = roi_width or width - left, roi_height or height - top
        # Some drivers give the size of the images, the crop's, as the sensor's. K is the sensor's all the same, as
        # image_geometry has it.
        images = (width, height), (width * max(binning_x, 1), height * max(binning_y, 1))
        fits = left + roi_width <= width and top + roi_height <= height
        if min(left, top) < 0 or not (fits or (roi_width, roi_height) in images):
            raise MsdepthError(f"{label}: roi {roi} leaves the sensor of {width} x {height} px; correct camera_info")
        for row, offset, binning in ((0, left, max(binning_x, 1)), (1, top, max(binning_y, 1))):
            full[row, row] /= binning
            full[row, 2] = (full[row, 2] - offset + 0.5) / binning - 0.5
        full[0, 1] /= max(binning_x, 1)
        size = roi_width // max(binning_x, 1), roi_height // max(binning_y, 1)
        return cls(label, *size, full, distortion_model, tuple(d))

    def rays(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Applies the inverse of `k`: [...,2] px to normalised coordinates, distortion left as it is."""
        rays = (pixels - self.k[:2, 2]) / np.diag(self.k)[:2]
        rays[..., 0] -= self.k[0, 1] / self.k[0, 0] * rays[..., 1]
        return rays

    def pixels(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Applies `k`: [...,2] normalised coordinates to px, distortion left as it is."""
        pixels = rays * np.diag(self.k)[:2] + self.k[:2, 2]
        pixels[..., 0] += self.k[0, 1] * rays[..., 1]
        return np.asarray(pixels, np.float64)

    @property
    def skew_px(self) -> float:
        """How far the columns lean, px for a ray of slope 1; 0 for nearly every camera."""
        return float(self.k[0, 1])

    @property
    def is_pinhole(self) -> bool:
        """Whether straight rows and columns of the sensor are straight rows and columns of a pinhole image."""
        return self.distortion_model == "none" and not self.k[0, 1]


def _checked_k(label: str, k: ArrayLike) -> NDArray[np.float64]:
    """Returns a read-only copy of a pinhole matrix."""
    matrix = np.array(k, np.float64)
    if matrix.size != 9:
        raise MsdepthError(f"{label}: K must have 9 numbers, got {matrix.size}; correct the calibration")
    matrix = matrix.reshape(3, 3)
    if not np.all(np.isfinite(matrix)):
        raise MsdepthError(f"{label}: K has values that are not finite; calibrate the camera again")
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise MsdepthError(
            f"{label}: focal lengths fx = {matrix[0, 0]:g}, fy = {matrix[1, 1]:g} px must be positive; a K of zeros "
            "means that the camera is not calibrated"
        )
    if not np.array_equal(matrix * [[0, 0, 0], [1, 0, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 0], [0, 0, 1]]):
        raise MsdepthError(f"{label}: K must be [fx skew cx; 0 fy cy; 0 0 1], got {matrix.tolist()}")
    if abs(matrix[0, 1]) > MAX_SKEW * matrix[0, 0]:
        raise MsdepthError(f"{label}: K has a skew of {matrix[0, 1]:g} px, which no camera has; calibrate again")
    matrix.setflags(write=False)
    return matrix
