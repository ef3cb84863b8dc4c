"""Rigid transforms between named frames, as /tf_static publishes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError


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


class TransformTree:
    """Static transforms; a later one between the same two frames replaces an earlier one."""

    def __init__(self) -> None:
        """Start with no frame known."""
        self._links: dict[str, dict[str, NDArray[np.float64]]] = {}

    def add(self, parent: str, child: str, parent_from_child: NDArray[np.float64]) -> None:
        """Takes one transform.

        Args:
            parent: Frame id; a leading slash is dropped, as tf2 does.
            child: Frame id.
            parent_from_child: [4,4], metres.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        self._links.setdefault(parent, {})[child] = parent_from_child
        self._links.setdefault(child, {})[parent] = np.asarray(np.linalg.inv(parent_from_child), np.float64)

    @property
    def frames(self) -> tuple[str, ...]:
        """Every frame known, sorted."""
        return tuple(sorted(self._links))

    def lookup(self, target: str, source: str) -> NDArray[np.float64] | None:
        """Returns the [4,4] that maps points from `source` to `target`, metres; None where nothing connects them."""
        target, source = target.lstrip("/"), source.lstrip("/")
        if target == source:
            return np.eye(4)
        reached = {target: np.eye(4)}
        waiting = deque([target])
        while waiting:
            frame = waiting.popleft()
            for neighbour, frame_from_neighbour in self._links.get(frame, {}).items():
                if neighbour not in reached:
                    reached[neighbour] = reached[frame] @ frame_from_neighbour
                    waiting.append(neighbour)
        return reached.get(source)


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
