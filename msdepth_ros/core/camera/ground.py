"""The road near the vehicle as a plane in a camera's frame: what is said of it, checked, and whose word counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

MAX_HEIGHT_M = 10.0
MAX_TILT_DEG = 45.0
UNIT_TOLERANCE = 1e-3
"""A normal may be so much longer or shorter than 1, which is rounding; it is then made a unit vector."""
UNKNOWN: NDArray[np.float32] = np.zeros(4, np.float32)
"""What the network gets where nobody knows the road."""
UNKNOWN.flags.writeable = False


@dataclass(frozen=True)
class GroundPlane:
    """The points X with normal . X = height_m in a camera's optical frame.

    Attributes:
        camera: Label of the camera.
        normal: Unit vector, pointing down: about +y.
        height_m: Distance of the camera from the road, metres.
        origin: The file, parameter or option that says so, for people.
    """

    camera: str
    normal: tuple[float, float, float]
    height_m: float
    origin: str

    def __post_init__(self) -> None:
        """Makes the normal a unit vector; refuses a plane that no road is."""
        length = math.sqrt(sum(value * value for value in self.normal))
        if not (math.isfinite(length) and math.isfinite(self.height_m)):
            raise MsdepthError(f"{self._where}: normal and height must be finite numbers")
        if abs(length - 1) > UNIT_TOLERANCE:
            raise MsdepthError(f"{self._where}: its normal has length {length:.4g}; give a unit vector such as 0, 1, 0")
        x, y, z = (value / length for value in self.normal)
        if y <= 0:
            raise MsdepthError(
                f"{self._where}: its normal {x:.3f}, {y:.3f}, {z:.3f} does not point down, which is +y in an optical "
                "frame; turn it round, or correct the camera's pose"
            )
        tilt_deg = math.degrees(math.acos(min(1.0, y)))
        if tilt_deg > MAX_TILT_DEG:
            raise MsdepthError(
                f"{self._where}: it is tilted by {tilt_deg:.0f} degrees, more than {MAX_TILT_DEG:g}; correct its "
                "normal or angles, or the camera's pose"
            )
        if not 0 < self.height_m <= MAX_HEIGHT_M:
            raise MsdepthError(
                f"{self._where}: the camera is {self.height_m:.4g} m above it; it must be more than 0 and at most "
                f"{MAX_HEIGHT_M:g} m"
            )
        object.__setattr__(self, "normal", (x, y, z))

    @property
    def _where(self) -> str:
        return f"{self.origin}: ground plane of the {self.camera} camera"

    def of_camera(self, camera: str, self_from_camera: NDArray[np.float64]) -> GroundPlane:
        """The same road in another camera's frame.

        Args:
            camera: Label of the other one.
            self_from_camera: [4,4], maps its points into the frame of this plane's camera, metres.

        Raises:
            MsdepthError: No road looks so from there: the poses are wrong.
        """
        if camera == self.camera:
            return self
        normal = np.asarray(self.normal)
        x, y, z = (self_from_camera[:3, :3].T @ normal).tolist()
        height_m = self.height_m - float(normal @ self_from_camera[:3, 3])
        return GroundPlane(camera, (x, y, z), height_m, self.origin)

    def vector(self) -> NDArray[np.float32]:
        """The plane as the network takes it, [4]: normal and height."""
        return np.array([*self.normal, self.height_m], np.float32)

    def road_pose(self) -> NDArray[np.float64]:
        """The [4,4] that maps points from the road's frame into the camera's, metres.

        The road's frame has its origin below the camera, z up, and x where the camera looks.
        """
        up = -np.asarray(self.normal)
        # Within MAX_TILT_DEG the view axis is never along the normal, so there is always something left of it.
        forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
        forward /= np.linalg.norm(forward)
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = forward, np.cross(up, forward), up
        pose[:3, 3] = -self.height_m * up
        return pose

    def __str__(self) -> str:
        """The plane in words."""
        x, y, z = self.normal
        return (
            f"{self.height_m:.2f} m below the {self.camera} camera, normal {x:.3f} {y:.3f} {z:.3f}, from {self.origin}"
        )


def level_normal(pitch_deg: float, roll_deg: float) -> tuple[float, float, float]:
    """Which way is down for a camera that is not level.

    Args:
        pitch_deg: Positive where it looks down, as in REP 103.
        roll_deg: Then about its own view axis; positive where its right side is lower.

    Returns:
        Unit vector in its optical frame.

    >>> level_normal(0.0, 0.0)
    (0.0, 1.0, 0.0)
    """
    pitch, roll = math.radians(pitch_deg), math.radians(roll_deg)
    return math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch), math.sin(pitch)


def plane_of_frame(camera: str, frame_from_camera: NDArray[np.float64], origin: str) -> GroundPlane:
    """The plane z = 0 of a frame on the road whose z axis points up, in a camera's frame.

    Args:
        camera: Label of the camera.
        frame_from_camera: [4,4], maps the camera's points into the frame, metres.
        origin: What says so, for people.

    Raises:
        MsdepthError: No road looks so: it is not such a frame, or the poses are wrong.
    """
    x, y, z = (-frame_from_camera[2, :3]).tolist()
    return GroundPlane(camera, (x, y, z), float(frame_from_camera[2, 3]), origin)


class GroundSource(NamedTuple):
    """What somebody says of the road, beside a rig file.

    Attributes:
        frame: A tf frame on the road, z up; empty for none.
        height_m: Of a camera above the road, metres; 0 for unknown.
        camera: Label of that camera; empty for the reference.
        pitch_deg: Of that camera, see `level_normal`.
        roll_deg: The same.
        name: What `height_m` is called where it is set.
    """

    frame: str = ""
    height_m: float = 0.0
    camera: str = ""
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    name: str = "ground.height_m"

    def plane(self, reference: str) -> GroundPlane | None:
        """The plane that height and angles give; None without a height.

        Args:
            reference: The camera that is meant where none is named.

        Raises:
            MsdepthError: No road is like that.
        """
        if not self.height_m:
            return None
        if not (math.isfinite(self.pitch_deg) and math.isfinite(self.roll_deg)):
            raise MsdepthError(f"{self.name}: pitch {self.pitch_deg} and roll {self.roll_deg} must be finite degrees")
        normal = level_normal(self.pitch_deg, self.roll_deg)
        return GroundPlane(self.camera or reference, normal, self.height_m, self.name)


NO_SOURCE = GroundSource()


def find_ground(
    source: GroundSource,
    from_file: GroundPlane | None,
    *,
    reference: str,
    camera_from_reference: Callable[[str], NDArray[np.float64]],
    frame_from_reference: Callable[[str], NDArray[np.float64]],
) -> GroundPlane | None:
    """The road in the reference camera's frame: by a tf frame, else by a height, else by the rig file.

    Args:
        source: What parameters or options say.
        from_file: What the rig file says.
        reference: Label of the camera whose frame is wanted.
        camera_from_reference: Called with a camera's label for its pose [4,4], metres; may raise MsdepthError.
        frame_from_reference: Called with a tf frame for its pose [4,4], metres; may raise MsdepthError.

    Returns:
        None where nobody says anything.

    Raises:
        MsdepthError: No road is like that, or a pose is not known.
    """
    if source.frame:
        origin = f"ground.frame {source.frame}"
        try:
            frame = frame_from_reference(source.frame)
        except MsdepthError as error:
            raise MsdepthError(f"{origin}: {error}") from error
        return plane_of_frame(reference, frame, origin)
    plane = source.plane(reference) or from_file
    if plane is None or plane.camera == reference:
        return plane
    try:
        pose = camera_from_reference(plane.camera)
    except MsdepthError as error:
        raise MsdepthError(f"{plane.origin}: {error}") from error
    return plane.of_camera(reference, pose)


def read_ground(where: str, entry: object, cameras: Sequence[str]) -> GroundPlane:
    """The top-level `ground` of a rig file.

    Args:
        where: The file, for messages.
        entry: What stands there.
        cameras: Labels of the file's cameras.

    Raises:
        MsdepthError: It is not of that form, or no road.
    """
    form = f"{where}: ground must be like {{camera: {cameras[0]}, normal: [0, 1, 0], height_m: 1.6}}"
    if not isinstance(entry, dict) or set(entry) != {"camera", "normal", "height_m"}:
        raise MsdepthError(f"{form}, got {entry!r}")
    if entry["camera"] not in cameras:
        raise MsdepthError(f"{where}: ground is of the camera {entry['camera']!r}, but there are {', '.join(cameras)}")
    normal, height_m = entry["normal"], entry["height_m"]
    numbers = [*normal, height_m] if isinstance(normal, list) and len(normal) == 3 else []
    if not numbers or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in numbers):
        raise MsdepthError(f"{form}, got {entry!r}")
    try:
        x, y, z, height = map(float, numbers)
    except OverflowError as error:
        raise MsdepthError(f"{form}, got {entry!r}") from error
    return GroundPlane(entry["camera"], (x, y, z), height, where)
