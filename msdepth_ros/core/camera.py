"""Cameras and their poses.

Coordinates are OpenCV's: the centre of the first pixel is (0, 0), z looks forward, and scaling an image by s maps cx
to s * (cx + 0.5) - 0.5. `a_from_b` maps points from b to a.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.kalibr import ChainCamera, read_camchain, write_camchain
from msdepth_ros.core.lens import check_distortion
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.view import MAX_STRETCH, ViewMap, make_view

__all__ = ["MAX_STRETCH", "CameraModel", "Rig", "RigViews", "ViewMap"]

MAX_SIZE_PX = 32767
"""The largest image side that fixed-point maps can address."""
RIGID_TOLERANCE = 1e-3
MAX_BASELINE_M = 20.0


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
        if min(left, top) < 0 or left + roi_width > width or top + roi_height > height:
            raise MsdepthError(f"{label}: roi {roi} leaves the sensor of {width} x {height} px; correct camera_info")
        for row, offset, binning in ((0, left, max(binning_x, 1)), (1, top, max(binning_y, 1))):
            full[row, row] /= binning
            full[row, 2] = (full[row, 2] - offset + 0.5) / binning - 0.5
        size = roi_width // max(binning_x, 1), roi_height // max(binning_y, 1)
        return cls(label, *size, full, distortion_model, tuple(d))

    def rays(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Applies the inverse of `k`: [N,2] px to normalised coordinates, distortion left as it is."""
        return (pixels - self.k[:2, 2]) / np.diag(self.k)[:2]

    def view_map(self, width: int, height: int) -> ViewMap:
        """Returns the map to a network image of width x height px."""
        return make_view(self, width, height)


@dataclass(frozen=True, eq=False)
class RigViews:
    """Everything about a rig that one network size needs."""

    reference: str
    """The spectrum in whose frame results are; it need not deliver images."""
    maps: dict[str, ViewMap]
    """By spectrum."""
    view_from_reference: dict[str, NDArray[np.float32]]
    """By spectrum: 4x4, metres."""
    reference_intrinsics: NDArray[np.float32]
    """3x3 pinhole matrix of the reference's network image, px."""

    def depth_to_sensor(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brings depth [H,W] to the reference camera's pixels; NaN where its view does not reach."""
        return self.maps[self.reference].to_sensor(depth_m)

    def confidence_to_sensor(self, confidence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brings a confidence [H,W] to the reference camera's pixels; 0 where its view does not reach."""
        return self.maps[self.reference].to_sensor(confidence, fill=0.0)


@dataclass(frozen=True, eq=False)
class Rig:
    """Cameras by label, and where they are."""

    cameras: dict[str, CameraModel]
    camera_from_rig: dict[str, NDArray[np.float64]]
    """4x4 each, metres. The rig's frame is usually the first camera's optical frame."""

    def __post_init__(self) -> None:
        """Checks that every camera has a rigid pose."""
        if not self.cameras:
            raise MsdepthError("rig: it has no cameras; give at least one")
        if set(self.cameras) != set(self.camera_from_rig):
            raise MsdepthError(
                f"rig: cameras {sorted(self.cameras)} but poses of {sorted(self.camera_from_rig)}; give one pose each"
            )
        for label, pose in self.camera_from_rig.items():
            _check_rigid(label, pose)

    @classmethod
    def load(cls, path: str | Path) -> Rig:
        """Reads a Kalibr camchain YAML, where T_cn_cnm1 maps the previous camera's points into this camera.

        Args:
            path: The file. Each camera is known by its `label`, or by the one spectrum its `rostopic` names.

        Raises:
            MsdepthError: The file, a camera or a pose is not usable, or no camera is of a known spectrum.
        """
        cameras: dict[str, CameraModel] = {}
        poses: dict[str, NDArray[np.float64]] = {}
        pose = np.eye(4)
        for entry in read_camchain(path):
            fx, fy, cx, cy = entry.intrinsics
            k = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
            try:
                camera = CameraModel(
                    entry.label, entry.width, entry.height, k, entry.distortion_model, entry.distortion
                )
                _check_rigid(entry.label, entry.camera_from_previous)
            except MsdepthError as error:
                raise MsdepthError(f"{path}: {error}") from error
            pose = entry.camera_from_previous @ pose
            cameras[entry.label], poses[entry.label] = camera, pose
        if not set(cameras) & set(SPECTRA):
            raise MsdepthError(
                f"{path}: no camera is labelled {', '.join(SPECTRA)}, only {', '.join(cameras)}; add `label:` lines"
            )
        return cls(cameras, poses)

    def save(self, path: str | Path) -> None:
        """Writes the rig as a Kalibr camchain YAML.

        Raises:
            MsdepthError: The file cannot be written.
        """
        chain: list[ChainCamera] = []
        previous = ""
        for label, camera in self.cameras.items():
            k = camera.k
            intrinsics = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
            pose = self.view_from_reference(label, previous or label)
            chain.append(
                ChainCamera(
                    label, camera.width, camera.height, intrinsics, camera.distortion_model, camera.distortion, pose
                )
            )
            previous = label
        write_camchain(path, chain)

    @property
    def spectra(self) -> tuple[str, ...]:
        """The spectra that have a camera, in canonical order."""
        return tuple(name for name in SPECTRA if name in self.cameras)

    def camera(self, label: str) -> CameraModel:
        """Returns a camera.

        Raises:
            MsdepthError: The rig lacks it.
        """
        if label not in self.cameras:
            raise MsdepthError(
                f"rig: it has no camera {label!r}, only {', '.join(self.cameras)}; add its calibration to the rig"
            )
        return self.cameras[label]

    def view_from_reference(self, view: str, reference: str) -> NDArray[np.float64]:
        """Returns the 4x4 matrix that maps the reference camera's points into the view's frame, metres.

        Raises:
            MsdepthError: The rig lacks one of the cameras.
        """
        self.camera(view), self.camera(reference)
        if view == reference:
            return np.eye(4)
        return self.camera_from_rig[view] @ np.linalg.inv(self.camera_from_rig[reference])

    def subset(self, spectra: Iterable[str]) -> Rig:
        """Returns a rig with these cameras only, in the frame of the first one.

        Raises:
            MsdepthError: The rig lacks one of them.
        """
        labels = list(dict.fromkeys(spectra))
        cameras = {label: self.camera(label) for label in labels}
        return Rig(cameras, {label: self.view_from_reference(label, labels[0]) for label in labels})

    def views(self, width: int, height: int, reference: str) -> RigViews:
        """Prepares the camera of every spectrum for a network of width x height px.

        Raises:
            MsdepthError: The rig lacks the reference, or a camera cannot be mapped.
        """
        self.camera(reference)
        labels = dict.fromkeys((*self.spectra, reference))
        maps = {label: self.cameras[label].view_map(width, height) for label in labels}
        poses = {label: self.view_from_reference(label, reference).astype(np.float32) for label in labels}
        maps[reference].prepare()
        return RigViews(reference, maps, poses, maps[reference].intrinsics.astype(np.float32))


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
    if not np.array_equal(matrix * [[0, 1, 0], [1, 0, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 0], [0, 0, 1]]):
        raise MsdepthError(f"{label}: K must be [fx 0 cx; 0 fy cy; 0 0 1], got {matrix.tolist()}")
    matrix.setflags(write=False)
    return matrix


def _check_rigid(label: str, pose: NDArray[np.float64]) -> None:
    """Raises unless a pose is a rotation and a translation of a vehicle's size."""
    if pose.shape != (4, 4) or not np.all(np.isfinite(pose)):
        raise MsdepthError(f"{label}: its pose must be 4 x 4 finite numbers; correct the calibration")
    rotation, translation = pose[:3, :3], pose[:3, 3]
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    last_row_error = float(np.abs(pose[3] - [0.0, 0.0, 0.0, 1.0]).max())
    if max(error, last_row_error) > RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise MsdepthError(
            f"{label}: its pose is not rigid (off by {max(error, last_row_error):.2g}, determinant "
            f"{np.linalg.det(rotation):.3f}); its upper left 3 x 3 must be a rotation, its last row 0 0 0 1"
        )
    distance = float(np.linalg.norm(translation))
    if distance > MAX_BASELINE_M:
        raise MsdepthError(
            f"{label}: {distance:.0f} m from the camera before it; poses are in metres, this looks like millimetres"
        )
