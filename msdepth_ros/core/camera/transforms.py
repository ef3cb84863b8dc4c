"""Rigid transforms between named frames, as tf publishes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

QUATERNION_TOLERANCE = 0.01
"""How far the squared length of a quaternion may be from 1; tf2's own limit."""


def rigid_matrix(translation_m: Sequence[float], quaternion: Sequence[float]) -> NDArray[np.float64]:
    """The [4,4] of a translation and a rotation.

    Args:
        translation_m: x, y, z, metres.
        quaternion: x, y, z, w; it is normalised.

    Raises:
        MsdepthError: The quaternion is zero, or something is not finite.
    """
    values = np.array(quaternion, np.float64)
    norm = float(np.linalg.norm(values))
    if not (np.isfinite(norm) and norm > 0 and np.all(np.isfinite(translation_m))):
        raise MsdepthError(
            f"transform with quaternion {list(quaternion)} and translation {list(translation_m)}: it must be finite, "
            "and the quaternion not zero; correct what publishes /tf_static"
        )
    x, y, z, w = values / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation_m
    return matrix


def transform_problem(stamped: Any) -> str:
    """Why tf2 would ignore a geometry_msgs/TransformStamped; empty for one that can be used.

    tf2 warns of it and goes on without it, and so do we: one bad transform condemns nothing but itself.
    """
    parent, child = frame_name(stamped.header.frame_id), frame_name(stamped.child_frame_id)
    t, q = stamped.transform.translation, stamped.transform.rotation
    if not parent or not child:
        return "it lacks a frame id"
    if parent == child:
        return "parent and child are the same frame"
    if not np.all(np.isfinite([t.x, t.y, t.z, q.x, q.y, q.z, q.w])):
        return "it is not finite"
    if abs(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w - 1.0) > QUATERNION_TOLERANCE:
        return f"its quaternion {q.x:g} {q.y:g} {q.z:g} {q.w:g} is not of length 1"
    return ""


def frame_name(frame_id: str) -> str:
    """A frame id without a leading slash, as tf2 takes it."""
    return str(frame_id).lstrip("/")


class Parent(NamedTuple):
    """The one parent of a frame.

    Attributes:
        frame: Its name.
        parent_from_child: [4,4], metres.
    """

    frame: str
    parent_from_child: NDArray[np.float64]


class TransformTree:
    """Transforms between frames. A frame has one parent, the one that was named last, as in tf2.

    Attributes:
        left_out: Child frame, and why a transform to it was not taken.
    """

    def __init__(self) -> None:
        """Start with no frame known."""
        self._parents: dict[str, Parent] = {}
        self.left_out: dict[str, str] = {}

    def take(self, stamped: Any) -> None:
        """Takes a geometry_msgs/TransformStamped, or notes why it is left out."""
        problem = transform_problem(stamped)
        if problem:
            self.left_out.setdefault(frame_name(stamped.child_frame_id), problem)
            return
        t, q = stamped.transform.translation, stamped.transform.rotation
        self.add(stamped.header.frame_id, stamped.child_frame_id, rigid_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)))

    def add(self, parent: str, child: str, parent_from_child: NDArray[np.float64]) -> None:
        """Takes one transform; it replaces what was known of the child, its parent included.

        Args:
            parent: Frame id; a leading slash is dropped, as tf2 does.
            child: Frame id.
            parent_from_child: [4,4], metres.
        """
        self._parents[frame_name(child)] = Parent(frame_name(parent), np.asarray(parent_from_child, np.float64))

    @property
    def frames(self) -> tuple[str, ...]:
        """Every frame known, sorted."""
        return tuple(sorted({*self._parents, *(parent.frame for parent in self._parents.values())}))

    def children(self, frame: str) -> tuple[str, ...]:
        """The frames whose parent a frame is, sorted."""
        name = frame_name(frame)
        return tuple(sorted(child for child, parent in self._parents.items() if parent.frame == name))

    def lookup(self, target: str, source: str) -> NDArray[np.float64] | None:
        """Returns the [4,4] that maps points from `source` to `target`, metres; None where nothing connects them."""
        target, source = frame_name(target), frame_name(source)
        if target == source:
            return np.eye(4)
        above_target, above_source = self._ancestors(target), self._ancestors(source)
        for frame, frame_from_source in above_source.items():
            if frame in above_target:
                return np.asarray(np.linalg.inv(above_target[frame]) @ frame_from_source, np.float64)
        return None

    def _ancestors(self, frame: str) -> dict[str, NDArray[np.float64]]:
        """A frame and all above it, nearest first, each with the [4,4] that maps the frame's points into it."""
        found = {frame: np.eye(4)}
        while frame in self._parents and self._parents[frame].frame not in found:
            parent, parent_from_child = self._parents[frame]
            found[parent] = parent_from_child @ found[frame]
            frame = parent
        return found


def quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """The quaternion x, y, z, w of a rotation matrix [3,3], with w not negative.

    >>> quaternion(np.eye(3))
    (0.0, 0.0, 0.0, 1.0)
    """
    m = rotation
    # The eigenvector of the largest eigenvalue (Bar-Itzhack): no case distinction, and safe at half a turn.
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0.0, 0.0, 0.0],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0.0, 0.0],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0.0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    vector = np.linalg.eigh(k)[1][:, -1]
    x, y, z, w = (vector * (1.0 if vector[3] >= 0 else -1.0) + 0.0).tolist()
    return x, y, z, w
