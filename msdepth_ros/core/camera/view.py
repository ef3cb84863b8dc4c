"""What the network sees of a camera: one precomputed map that rectifies, crops and resizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.lens import distort, undistort
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.errors import MsdepthError

MAX_STRETCH = 1.3
"""Largest ratio of fx to fy, either way, of a network view; images further from its shape are cropped."""

ROUND_TRIP_TOLERANCE_PX = 0.25
ZOOM_LIMITS = (0.1, 1.5)
"""Extent of a rectified view relative to the sensor's: what bounds the search for a lens with distortion."""
GRID_SIZE = 64
INVERSION_STEP_PX = 4
"""The lens is inverted at every fourth pixel; between them it is straight to a hundredth of a pixel."""


class Window(NamedTuple):
    """Part of the undistorted sensor image, in px from the outer corner of its first pixel."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class ViewMap:
    """Takes images of one camera to network size, and results of network size back to the sensor.

    Reduced by 2 or more, an image is box-filtered first, since bilinear sampling would skip pixels; below that, the
    little aliasing is cheaper than the filter. There are no borders: what lies half a pixel outside is repeated.
    """

    camera: CameraModel
    width: int
    """Pixels of the network image."""
    height: int
    """Pixels of the network image."""
    intrinsics: NDArray[np.float64]
    """3x3 pinhole matrix of the network image, px."""
    map_1: NDArray[Any]
    """int16 [H,W,2], whole source coordinates, as cv2.remap takes them."""
    map_2: NDArray[Any]
    """uint16 [H,W], their fractions."""
    blur: tuple[int, int]
    """Width and height of the box filter applied first, px, odd; (1, 1) is none."""

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Rectifies, crops and resizes.

        Args:
            image: uint8, uint16 or float32, [camera.height, camera.width] or with channels behind.

        Returns:
            [height, width] or [height, width, channels], same type.

        Raises:
            MsdepthError: The image's size is not the camera's, or its type cannot be resampled.
        """
        camera = self.camera
        if image.ndim not in (2, 3) or image.shape[:2] != (camera.height, camera.width):
            size = " x ".join(str(size) for size in image.shape[1::-1])
            raise MsdepthError(
                f"{camera.label}: image is {size} px but its calibration is for {camera.width} x {camera.height} px; "
                "give the camera_info or rig that belongs to these images"
            )
        if image.dtype not in (np.uint8, np.uint16, np.float32):
            raise MsdepthError(f"{camera.label}: cannot resample {image.dtype} images; use uint8, uint16 or float32")
        if self.blur != (1, 1):
            image = cv2.blur(image, self.blur, borderType=cv2.BORDER_REPLICATE)
        return cv2.remap(image, self.map_1, self.map_2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def to_sensor(self, values: NDArray[np.float32], *, fill: float = float("nan")) -> NDArray[np.float32]:
        """Brings a result back to the pixels of the sensor, through its distortion where it has some.

        Bilinear between finite values; next to a NaN or infinity the nearest value is taken, so that neither spreads.

        Args:
            values: float32 [height, width], depth along z or a confidence.
            fill: Value of sensor pixels that the network view does not cover.

        Returns:
            float32 [camera.height, camera.width].

        Raises:
            MsdepthError: `values` does not have the size of this view.
        """
        if values.shape != (self.height, self.width):
            raise MsdepthError(
                f"{self.camera.label}: expected values of {self.width} x {self.height} px, got shape {values.shape}"
            )
        coordinates, outside = self._sensor_map
        sensor = _sample(values, coordinates, cv2.INTER_LINEAR)
        unknown = ~np.isfinite(sensor)  # every pixel with a hole among its four neighbours: NaN and infinity spread
        if unknown.any():
            np.copyto(sensor, _sample(values, coordinates, cv2.INTER_NEAREST), where=unknown)
        if outside is not None:
            sensor[outside] = fill
        return sensor

    def prepare(self) -> None:
        """Does now what the first `to_sensor` would do once: inverting the lens, tens of milliseconds."""
        self._sensor_map  # noqa: B018

    @cached_property
    def _sensor_map(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], NDArray[np.bool_] | None]:
        """Network x and y of every sensor pixel [h,w], clamped, and which pixels are outside; None: none is."""
        x, y = self._sensor_points()
        shape = (self.camera.height, self.camera.width)
        inside = (np.abs(2 * x + 1 - self.width) <= self.width + 1e-6) & (
            np.abs(2 * y + 1 - self.height) <= self.height + 1e-6
        )
        x_map, y_map = (
            np.ascontiguousarray(np.broadcast_to(np.clip(np.nan_to_num(values), 0, size - 1), shape), np.float32)
            for values, size in ((x, self.width), (y, self.height))
        )
        return (x_map, y_map), None if inside.all() else ~inside

    def _sensor_points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Network x and y of every sensor pixel, broadcastable to [h,w]; NaN where no ray reaches the pixel."""
        camera = self.camera
        if camera.is_pinhole:
            columns = np.linspace(0, camera.width - 1, camera.width)[None, :]
            rows = np.linspace(0, camera.height - 1, camera.height)[:, None]
            x = (columns - camera.k[0, 2]) / camera.k[0, 0]
            y = (rows - camera.k[1, 2]) / camera.k[1, 1]
        else:
            columns = np.linspace(0, camera.width - 1, -(-camera.width // INVERSION_STEP_PX) + 1)
            rows = np.linspace(0, camera.height - 1, -(-camera.height // INVERSION_STEP_PX) + 1)
            pixels = np.stack(np.meshgrid(columns, rows), axis=-1)
            rays = undistort(
                camera.rays(pixels.reshape(-1, 2)),
                camera.distortion_model,
                camera.distortion,
                tolerance=ROUND_TRIP_TOLERANCE_PX / min(camera.k[0, 0], camera.k[1, 1]),
            ).reshape(pixels.shape)
            rays = _stretched(_stretched(rays, camera.height, 0), camera.width, 1)
            x, y = rays[..., 0], rays[..., 1]
        k = self.intrinsics
        return x * k[0, 0] + k[0, 2], y * k[1, 1] + k[1, 2]


def make_view(camera: CameraModel, width: int, height: int) -> ViewMap:
    """Builds the map from a camera to a network image of `width` x `height` px.

    The view is the largest window about the centre of the undistorted image that lies within the sensor and needs a
    stretch of at most MAX_STRETCH.

    Raises:
        MsdepthError: The size is not positive, or the distortion leaves no usable window.
    """
    if width < 1 or height < 1:
        raise MsdepthError(f"{camera.label}: network image of {width} x {height} px; both must be at least 1")
    window = _clean_window(camera, _largest_window(camera, width, height))
    scale_x, scale_y = width / window.width, height / window.height
    intrinsics = np.eye(3)
    intrinsics[0, 0] = scale_x * camera.k[0, 0]
    intrinsics[1, 1] = scale_y * camera.k[1, 1]
    intrinsics[0, 2] = scale_x * (camera.k[0, 2] + 0.5 - window.left) - 0.5
    intrinsics[1, 2] = scale_y * (camera.k[1, 2] + 0.5 - window.top) - 0.5
    shares = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    source = _source_pixels(camera, window, *shares).astype(np.float32)
    map_1, map_2 = cv2.convertMaps(source[..., 0], source[..., 1], cv2.CV_16SC2)
    blur = (_blur_size(1 / scale_x), _blur_size(1 / scale_y))
    return ViewMap(camera, width, height, intrinsics, map_1, map_2, blur)


def _largest_window(camera: CameraModel, width: int, height: int) -> Window:
    """Crops about the centre until the stretch to width x height is within MAX_STRETCH."""
    fx, fy = camera.k[0, 0], camera.k[1, 1]
    stretch = (fx * width / camera.width) / (fy * height / camera.height)
    window_width, window_height = float(camera.width), float(camera.height)
    if stretch > MAX_STRETCH:
        window_height *= MAX_STRETCH / stretch
    elif stretch < 1 / MAX_STRETCH:
        window_width *= stretch * MAX_STRETCH
    left, top = (camera.width - window_width) / 2, (camera.height - window_height) / 2
    return Window(left, top, window_width, window_height)


def _clean_window(camera: CameraModel, window: Window) -> Window:
    """Scales a window about its centre: the largest that the lens images on the sensor, without folding."""
    if camera.is_pinhole:
        return window
    low, high = ZOOM_LIMITS
    if not _is_clean(camera, _zoomed(window, low)):
        raise MsdepthError(
            f"{camera.label}: {camera.distortion_model} coefficients {list(camera.distortion)} leave no usable image; "
            "calibrate again"
        )
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if _is_clean(camera, _zoomed(window, middle)) else (low, middle)
    return _zoomed(window, low)


def _is_clean(camera: CameraModel, window: Window) -> bool:
    """Tells whether a grid over the window, its outline included, lands on the sensor, in order."""
    shares = np.linspace(0.0, 1.0, GRID_SIZE)
    source = _source_pixels(camera, window, shares, shares)
    on_sensor = np.all((source >= -0.5) & (source <= np.array([camera.width, camera.height]) - 0.5))
    in_order = np.all(np.diff(source[..., 0], axis=1) > 0) and np.all(np.diff(source[..., 1], axis=0) > 0)
    return bool(on_sensor and in_order)


def _zoomed(window: Window, zoom: float) -> Window:
    """Scales a window about its centre."""
    width, height = zoom * window.width, zoom * window.height
    return Window(window.left + (window.width - width) / 2, window.top + (window.height - height) / 2, width, height)


def _source_pixels(
    camera: CameraModel, window: Window, x_shares: NDArray[np.float64], y_shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns [Y,X,2]: the sensor pixels at shares, 0 to 1, of a window's width and height."""
    x = window.left + x_shares * window.width - 0.5
    y = window.top + y_shares * window.height - 0.5
    pixels = np.stack(np.meshgrid(x, y), axis=-1)
    if camera.is_pinhole:
        return pixels
    rays = ((pixels - camera.k[:2, 2]) / np.diag(camera.k)[:2]).reshape(-1, 2)  # of the view, which has no skew
    return camera.pixels(distort(rays, camera.distortion_model, camera.distortion)).reshape(pixels.shape)


def _blur_size(reduction: float) -> int:
    """Returns the odd box size that suits a reduction; 1 is no filter."""
    return 2 * (int(reduction + 1e-9) // 2) + 1


def _stretched(values: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """Interpolates along an axis to a size, its ends kept."""
    position = np.linspace(0, values.shape[axis] - 1, size)
    index = np.minimum(position.astype(np.int64), values.shape[axis] - 2)
    weight = (position - index).reshape([-1 if axis == other else 1 for other in range(values.ndim)])
    return np.asarray(values.take(index, axis) * (1 - weight) + values.take(index + 1, axis) * weight, np.float64)


def _sample(
    values: NDArray[np.float32], coordinates: tuple[NDArray[np.float32], NDArray[np.float32]], interpolation: int
) -> NDArray[np.float32]:
    """Samples values at network coordinates."""
    return np.asarray(cv2.remap(values, *coordinates, interpolation, borderMode=cv2.BORDER_REPLICATE), np.float32)
