"""Several cameras and their poses.

`a_from_b` maps points from b to a. Coordinates are those of `camera.model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.ground import UNKNOWN, GroundPlane, GroundSource, find_ground
from msdepth_ros.core.camera.kalibr import Camchain, ChainCamera, read_camchain, write_camchain
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.view import ViewMap, make_view
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA

RIGID_TOLERANCE = 1e-3
MAX_BASELINE_M = 20.0


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
    ground_plane: NDArray[np.float32] = field(default_factory=lambda: UNKNOWN)
    """[4]: the road in the reference's frame, unit normal pointing down and height in metres; all 0 where unknown."""

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
    ground: GroundPlane | None = None
    """The road as one of the cameras sees it, where it is known."""

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
        if self.ground is not None:
            self.camera(self.ground.camera)

    @classmethod
    def load(cls, path: str | Path) -> Rig:
        """Reads a Kalibr camchain YAML, where T_cn_cnm1 maps the previous camera's points into this camera.

        Args:
            path: The file. Each camera is known by its `label`, or by the one spectrum its `rostopic` names. Beyond
                Kalibr's own keys, `ground` may say where the road is.

        Raises:
            MsdepthError: The file, a camera, a pose or the road is not usable, or no camera is of a known spectrum.
        """
        cameras: dict[str, CameraModel] = {}
        poses: dict[str, NDArray[np.float64]] = {}
        pose = np.eye(4)
        chain = read_camchain(path)
        for entry in chain.cameras:
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
        return cls(cameras, poses, chain.ground)

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
        write_camchain(path, Camchain(chain, self.ground))

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
        """Returns a rig with these cameras only, in the frame of the first one; what is known of the road stays.

        Raises:
            MsdepthError: The rig lacks one of them.
        """
        labels = list(dict.fromkeys(spectra))
        cameras = {label: self.camera(label) for label in labels}
        ground = self.ground
        if ground is not None and ground.camera not in cameras:
            ground = ground.of_camera(labels[0], self.view_from_reference(ground.camera, labels[0]))
        return Rig(cameras, {label: self.view_from_reference(label, labels[0]) for label in labels}, ground)

    def with_ground(
        self,
        source: GroundSource,
        reference: str,
        frame_from_reference: Callable[[str], NDArray[np.float64]] | None = None,
    ) -> Rig:
        """Returns the rig with the road in the reference camera's frame, as parameters or options or the file say.

        Args:
            source: What is said beside the rig; it goes before what the rig says.
            reference: The camera whose frame is wanted.
            frame_from_reference: Called with a tf frame for its pose, see `find_ground`; not needed without a frame.

        Raises:
            MsdepthError: No road is like that, or the rig lacks a camera.
        """
        ground = find_ground(
            source,
            self.ground,
            reference=reference,
            camera_from_reference=lambda label: self.view_from_reference(label, reference),
            frame_from_reference=frame_from_reference or _no_frame,
        )
        return replace(self, ground=ground)

    def views(self, width: int, height: int, reference: str) -> RigViews:
        """Prepares the camera of every spectrum for a network of width x height px.

        Raises:
            MsdepthError: The rig lacks the reference, a camera cannot be mapped, or its road cannot be seen from there.
        """
        self.camera(reference)
        labels = dict.fromkeys((*self.spectra, reference))
        maps = {label: make_view(self.cameras[label], width, height) for label in labels}
        poses = {label: self.view_from_reference(label, reference).astype(np.float32) for label in labels}
        maps[reference].prepare()
        ground = UNKNOWN
        if self.ground is not None:
            pose = self.view_from_reference(self.ground.camera, reference)
            ground = self.ground.of_camera(reference, pose).vector()
        return RigViews(reference, maps, poses, maps[reference].intrinsics.astype(np.float32), ground)


def _no_frame(frame: str) -> NDArray[np.float64]:
    """Says that nobody knows tf frames here."""
    raise MsdepthError(f"there is no tf to look the frame {frame} up; give a height instead")


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
