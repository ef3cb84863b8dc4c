"""Which frame a camera's images are in, and whether that can be an optical frame: for the node and the replay alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.transforms import frame_name

_BODY_WORDS = frozenset({"link", "body", "base", "mount", "chassis", "footprint", "odom", "map", "world", "imu"})
"""Words in the names of frames with x forward and z up (REP 103 and REP 105)."""
_VEHICLE_WORDS = frozenset({"base", "chassis", "footprint", "odom", "map", "world", "vehicle", "ego"})
"""Words in the names of frames whose z axis points up, whatever the vehicle."""
_UPWARDS = 0.7
_ALONG_AXIS, _BASELINE_M = 0.9, 0.03
_ADVICE = "an optical frame has x right, y down and z forward (REP 103): name that one in header.frame_id"


class Frames(Protocol):
    """What is known of the frames around the cameras."""

    def lookup(self, target: str, source: str) -> NDArray[np.float64] | None:
        """Returns the [4,4] that maps points from `source` to `target`, metres; None where nothing connects them."""

    def children(self, frame: str) -> tuple[str, ...]:
        """Returns the frames whose parent a frame is."""

    @property
    def frames(self) -> tuple[str, ...]:
        """Every frame known."""


class NoFrames:
    """Nothing is known beyond the names."""

    frames: tuple[str, ...] = ()

    def lookup(self, target: str, source: str) -> None:
        """See `Frames`."""

    def children(self, frame: str) -> tuple[str, ...]:
        """See `Frames`."""
        return ()


class CameraFrame(NamedTuple):
    """The frame of a camera, and what to say if its messages disagree about it."""

    frame_id: str
    doubt: str = ""


def camera_frame(image_frame: str, info_frame: str) -> CameraFrame:
    """Decides what frame a camera's images are in: the one that the images name.

    Args:
        image_frame: Of the images; empty where it is not known.
        info_frame: Of camera_info; likewise.

    >>> camera_frame("", "rgb_optical_frame").frame_id
    'rgb_optical_frame'
    """
    if image_frame and info_frame and frame_name(image_frame) != frame_name(info_frame):
        text = f"images name frame {image_frame!r}, their camera_info {info_frame!r}; that of the images counts"
        return CameraFrame(image_frame, text)
    return CameraFrame(image_frame or info_frame)


def same_frame_problem(frames: Mapping[str, str], labels: Iterable[str]) -> str:
    """Why the poses of cameras are not known where several name one frame; empty where all differ.

    A frame is one place and one direction. What drivers fill in by default ("camera") says nothing about either.

    Args:
        frames: Frame id by camera; empty where it is not known.
        labels: The cameras that are asked for.

    >>> same_frame_problem({"rgb": "camera", "nir": "/camera"}, ("rgb", "nir"))
    "rgb and nir have one frame_id, 'camera', so nothing tells where they are to each other"
    """
    by_frame: dict[str, list[str]] = {}
    for label in labels:
        if frames.get(label):
            by_frame.setdefault(frame_name(frames[label]), []).append(label)
    for frame, sharing in by_frame.items():
        if len(sharing) > 1:
            names = " and ".join([", ".join(sharing[:-1]), sharing[-1]])
            return f"{names} have one frame_id, {frame!r}, so nothing tells where they are to each other"
    return ""


def optical_doubts(frames: Mapping[str, str], known: Frames) -> dict[str, str]:
    """Which cameras name a frame that cannot be their optical frame, and why.

    Told by the name, by an optical frame below it, by an axis that points up, and by cameras that would stand one
    behind the other. A frame that is called optical is not doubted.

    Args:
        frames: Frame id by camera; empty where it is not known.
        known: The frames around them.

    Returns:
        A sentence by camera.
    """
    doubts = {}
    for label, frame_id in frames.items():
        reason = _doubt(frame_name(frame_id), [frame_name(other) for other in frames.values()], known)
        if reason:
            doubts[label] = f"frame {frame_id!r} of the {label} camera {reason}; {_ADVICE}"
    return doubts


def _doubt(frame: str, cameras: list[str], known: Frames) -> str:
    """Why one frame cannot be optical; empty where nothing speaks against it."""
    if not frame or "optical" in frame.lower():
        return ""
    for base in known.frames:
        base_from_camera = known.lookup(base, frame) if _words(base) & _VEHICLE_WORDS and base != frame else None
        if base_from_camera is not None and base_from_camera[2, 2] > _UPWARDS:
            return f"cannot be optical: its z axis points up in {base}"
    beside = [one for one in known.frames if _stem(one) == _stem(frame)]  # rgb_frame and rgb_optical_frame
    below = next((one for one in (*known.children(frame), *beside) if "optical" in one.lower()), "")
    if below:
        return f"cannot be optical: the optical one is {below!r}"
    if _words(frame) & _BODY_WORDS:
        return "is no optical frame by its name"
    for other in cameras:
        other_from_frame = known.lookup(other, frame) if other and other != frame else None
        if other_from_frame is None:
            continue
        place = np.linalg.inv(other_from_frame)[:3, 3]
        distance_m = float(np.linalg.norm(place))
        if distance_m > _BASELINE_M and abs(place[2]) > _ALONG_AXIS * distance_m:
            return f"is hardly optical: {other!r} would stand {place[2]:+.2f} m along its line of sight"
    return ""


def _stem(frame: str) -> str:
    """What frames of one camera have in common."""
    return "_".join(part for part in frame.lower().split("_") if part not in ("optical", "frame", "link"))


def _words(frame: str) -> frozenset[str]:
    """The words of a frame id."""
    return frozenset(re.split(r"[^a-z]+", frame.lower()))
