"""Where the cameras are and how they project: intrinsics from camera_info, poses from tf or from a rig file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time

from msdepth_ros.core.behaviour import output_frame
from msdepth_ros.core.camera.frames import Frames, NoFrames, optical_doubts, same_frame_problem
from msdepth_ros.core.camera.ground import NO_SOURCE, UNKNOWN, GroundPlane, GroundSource, find_ground
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig, RigViews
from msdepth_ros.core.camera.transforms import rigid_matrix
from msdepth_ros.core.errors import MsdepthError

_DOUBT_EVERY_S = 1.0
_OPTICAL = "_optical_frame"


class PoseSource(Protocol):
    """Poses of the cameras, wherever they come from."""

    def view_from_reference(self, view: str, reference: str, frames: dict[str, str]) -> NDArray[np.float64]:
        """Returns the [4,4] that maps points from the reference camera's optical frame into the view's, metres.

        Args:
            view: spectrum.
            reference: spectrum.
            frames: frame ids seen so far, by spectrum.

        Raises:
            MsdepthError: the pose is not known, or not known yet.
        """

    def close(self) -> None:
        """Frees subscriptions."""

    def known_frames(self) -> Frames:
        """Returns what is known of the frames around the cameras."""


class FilePoses:
    """Poses from a Kalibr camchain; its intrinsics serve until a camera_info arrives.

    Raises:
        MsdepthError: unreadable file, or it lacks a camera.
    """

    def __init__(self, path: str, spectra: Iterable[str]) -> None:
        self.rig = Rig.load(Path(path))
        missing = [spectrum for spectrum in spectra if spectrum not in self.rig.cameras]
        if missing:
            raise MsdepthError(
                f"{path} lacks the camera {', '.join(missing)}; add it, or take it out of the parameter spectra"
            )

    def view_from_reference(self, view: str, reference: str, frames: dict[str, str]) -> NDArray[np.float64]:
        """See `PoseSource`."""
        return self.rig.view_from_reference(view, reference)

    def close(self) -> None:
        """Nothing to free."""

    def known_frames(self) -> Frames:
        """See `PoseSource`."""
        return NoFrames()


class TfPoses:
    """Poses from the tf tree, newest known transform; camera poses are static.

    Args:
        node: to subscribe with.
        wanted_by: what needs tf, for people.
        instead: what to do without it.

    Raises:
        MsdepthError: tf2_ros is not installed.
    """

    def __init__(
        self,
        node: Node,
        wanted_by: str = "calibration.source is tf",
        instead: str = "set calibration.source to file and calibration.file to a Kalibr camchain YAML",
    ) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise MsdepthError(
                f"{wanted_by}, which needs tf2_ros; install ros-<distro>-tf2-ros-py, or {instead}"
            ) from error
        self._tf2_ros = tf2_ros
        self._buffer = tf2_ros.Buffer()  # given a node, it would leave a service behind
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def view_from_reference(self, view: str, reference: str, frames: dict[str, str]) -> NDArray[np.float64]:
        """See `PoseSource`."""
        for spectrum in (view, reference):
            if not frames.get(spectrum):
                raise MsdepthError(f"no frame_id of the {spectrum} camera yet; its driver must set header.frame_id")
        if problem := same_frame_problem(frames, (view, reference)):
            raise MsdepthError(
                f"{problem}; set calibration.source to file and calibration.file to a rig file, or let each driver "
                "name its own frame"
            )
        return self.lookup(frames[view], frames[reference])

    def lookup(self, target: str, source: str) -> NDArray[np.float64]:
        """Returns the [4,4] that maps points from one frame to another, metres.

        Raises:
            MsdepthError: nothing connects them, or nothing yet.
        """
        try:
            stamped = self._buffer.lookup_transform(target, source, Time())
        except self._tf2_ros.TransformException as error:
            raise MsdepthError(f"no transform from {source} to {target}: {error}; publish it on /tf_static") from error
        t, q = stamped.transform.translation, stamped.transform.rotation
        return rigid_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))

    def close(self) -> None:
        """Frees the subscriptions to /tf and /tf_static."""
        self._listener.unregister()

    def known_frames(self) -> Frames:
        """See `PoseSource`."""
        return _BufferFrames(self._buffer, self._tf2_ros.TransformException)


class _BufferFrames:
    """The frames of a tf2 buffer at this moment."""

    def __init__(self, buffer: Any, error: type[Exception]) -> None:  # noqa: ANN401  of tf2_ros
        self._buffer, self._error = buffer, error
        known = yaml.safe_load(buffer.all_frames_as_yaml() or "{}")
        self._parents = {str(child): str(about["parent"]) for child, about in (known or {}).items()}

    @property
    def frames(self) -> tuple[str, ...]:
        """See `Frames`."""
        return tuple(sorted({*self._parents, *self._parents.values()}))

    def children(self, frame: str) -> tuple[str, ...]:
        """See `Frames`."""
        return tuple(sorted(child for child, parent in self._parents.items() if parent == frame))

    def lookup(self, target: str, source: str) -> NDArray[np.float64] | None:
        """See `Frames`."""
        try:
            stamped = self._buffer.lookup_transform(target, source, Time())
        except self._error:
            return None
        t, q = stamped.transform.translation, stamped.transform.rotation
        return rigid_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


class FrameLookup(Protocol):
    """A tree of frames, such as tf's."""

    def lookup(self, target: str, source: str) -> NDArray[np.float64]:
        """Returns the [4,4] that maps points from one frame to another, metres; raises MsdepthError."""

    def close(self) -> None:
        """Frees subscriptions."""


class Road(NamedTuple):
    """What is known of the road now.

    Attributes:
        plane: in the reference camera's frame; None where it is not known.
        problem: why not, where somebody says where it is; empty where nobody does.
    """

    plane: GroundPlane | None
    problem: str = ""

    def __str__(self) -> str:
        """For people."""
        return str(self.plane) if self.plane else f"unknown: {self.problem}" if self.problem else "unknown"


class Calibration:
    """Everything known about the cameras and the road so far. Updated by callbacks, read by the inference thread.

    Args:
        reference: spectrum of the output frame.
        poses: where the poses come from.
        ground: what parameters say of the road.
        tree: where the frame of `ground` is looked up; it may be the same as `poses`.

    Raises:
        MsdepthError: no road is as the parameters or the file say.
    """

    def __init__(
        self,
        *,
        reference: str,
        poses: PoseSource,
        ground: GroundSource = NO_SOURCE,
        tree: FrameLookup | None = None,
    ) -> None:
        self._reference, self._poses, self._tree = reference, poses, tree
        self._file_cameras = dict(poses.rig.cameras) if isinstance(poses, FilePoses) else {}
        self._cameras: dict[str, CameraModel] = dict(self._file_cameras)
        self._frames: dict[str, str] = {}
        self._lock = threading.Lock()
        self._views: RigViews | None = None
        self._views_of: tuple[Any, ...] = ()
        self._doubts: dict[str, str] = {}
        self._doubted_s = float("-inf")
        self.check_ground(ground)
        self._ground = ground

    def set_camera(self, spectrum: str, camera: CameraModel) -> None:
        """Takes the intrinsics of a camera_info.

        Raises:
            MsdepthError: its size is not that of the same camera in the rig file.
        """
        known = self._file_cameras.get(spectrum)
        if known and (known.width, known.height) != (camera.width, camera.height):
            raise MsdepthError(
                f"camera_info is for {camera.width} x {camera.height}, the rig file for {known.width} x {known.height}"
                "; calibrate for the size the driver sends"
            )
        with self._lock:
            self._cameras[spectrum] = camera

    def check_ground(self, ground: GroundSource) -> None:
        """Judges what parameters are to say of the road.

        Raises:
            MsdepthError: no road is like that, as far as can be told without tf.
        """
        if isinstance(self._poses, FilePoses) and not ground.frame:
            self._find_ground(ground)

    def set_ground(self, ground: GroundSource) -> None:
        """Takes what parameters say of the road; see `check_ground`."""
        self._ground = ground

    def road(self) -> Road:
        """The road as it is known now."""
        try:
            return Road(self._find_ground(self._ground))
        except MsdepthError as error:
            return Road(None, str(error))

    def _find_ground(self, ground: GroundSource) -> GroundPlane | None:
        """The road by what `ground` says, or else the rig file."""
        with self._lock:
            frames = dict(self._frames)
        return find_ground(
            ground,
            self._poses.rig.ground if isinstance(self._poses, FilePoses) else None,
            reference=self._reference,
            camera_from_reference=lambda label: self._poses.view_from_reference(label, self._reference, frames),
            frame_from_reference=self._frame_from_reference,
        )

    def _frame_from_reference(self, frame: str) -> NDArray[np.float64]:
        """The pose of a tf frame."""
        own = self._frames.get(self._reference)
        if self._tree is None or not own:
            raise MsdepthError(f"no frame_id of the {self._reference} camera yet; its driver must set header.frame_id")
        return self._tree.lookup(frame, own)

    def set_frame(self, spectrum: str, frame_id: str) -> None:
        """Takes the frame id of an image or camera_info."""
        if frame_id and self._frames.get(spectrum) != frame_id:
            with self._lock:
                self._frames[spectrum] = frame_id

    def camera(self, spectrum: str) -> CameraModel | None:
        """The intrinsics of a camera, None until they are known."""
        return self._cameras.get(spectrum)

    def frame_doubt(self, spectrum: str) -> str:
        """Why a camera's frame cannot be its optical one; empty where nothing speaks against it."""
        now_s = time.monotonic()
        if now_s - self._doubted_s > _DOUBT_EVERY_S:
            self._doubted_s = now_s
            with self._lock:
                frames = dict(self._frames)
            self._doubts = optical_doubts(frames, self._poses.known_frames())
        return self._doubts.get(spectrum, "")

    @property
    def output_frame(self) -> str:
        """Frame id of everything published."""
        return output_frame(self._frames, self._reference)

    @property
    def reference_is_named(self) -> bool:
        """Whether the reference camera has said what its frame is called."""
        return self._reference in self._frames

    def frames_below_reference(self) -> dict[str, NDArray[np.float64]]:
        """What nobody else can know of tf, as poses [4,4] in the output frame, metres.

        The frames of the rig file's other cameras as far as they have names, and the road's, unless it comes from tf.
        The road's is named after the reference camera's: rgb_ground for rgb_optical_frame.
        """
        with self._lock:
            names = dict(self._frames)
        found: dict[str, NDArray[np.float64]] = {}
        if isinstance(self._poses, FilePoses):
            rig = self._poses.rig
            found = {
                frame: rig.view_from_reference(self._reference, label)
                for label, frame in names.items()
                if frame != self.output_frame and label in rig.cameras
            }
        plane = None if self._ground.frame else self.road().plane
        if plane is not None:
            found[f"{self.output_frame.removesuffix(_OPTICAL)}_ground"] = plane.road_pose()
        return found

    def views(self, spectra: Iterable[str], width: int, height: int) -> tuple[RigViews, dict[str, str]]:
        """Geometry for a set of images.

        Args:
            spectra: of the set.
            width: of the network's image, pixels.
            height: of the network's image, pixels.

        Returns:
            The views, which cover every camera that is calibrated; and for the others of `spectra`, why they are not.

        Raises:
            MsdepthError: the reference camera's intrinsics are not known, so there is no output frame.
        """
        with self._lock:
            cameras, frames = dict(self._cameras), dict(self._frames)
        if self._reference not in cameras:
            raise MsdepthError(
                f"no camera_info of the reference camera {self._reference} yet, so the depth has no frame; publish it, "
                "or set calibration.source to file"
            )
        poses, missing = self._known_poses(cameras, frames)
        key = (width, height, *((name, cameras[name], pose.tobytes()) for name, pose in poses.items()))
        if self._views is None or key != self._views_of:
            rig = Rig(cameras={name: cameras[name] for name in poses}, camera_from_rig=poses)
            self._views, self._views_of = rig.views(width, height, self._reference), key
        plane = self.road().plane
        vector = UNKNOWN if plane is None else plane.vector()
        if not np.array_equal(vector, self._views.ground_plane):  # a vehicle rocks, and parameters change
            self._views = replace(self._views, ground_plane=vector)
        return self._views, {name: missing[name] for name in spectra if name in missing}

    def _known_poses(
        self, cameras: dict[str, CameraModel], frames: dict[str, str]
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
        """Each calibrated camera's pose, the reference camera being the rig's origin, and why others have none."""
        poses, missing = {self._reference: np.eye(4)}, {}
        for spectrum in cameras:
            if spectrum == self._reference:
                continue
            try:
                poses[spectrum] = self._poses.view_from_reference(spectrum, self._reference, frames)
            except MsdepthError as error:
                missing[spectrum] = str(error)
        return poses, missing

    def close(self) -> None:
        """Frees what the pose source and the tree hold."""
        self._poses.close()
        if self._tree is not None and self._tree is not self._poses:
            self._tree.close()
