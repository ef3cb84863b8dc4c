"""MS2, the multi-spectral stereo driving dataset (Shin, Park, Kweon, CVPR 2023): left images and LiDAR depth.

Nothing here interpolates in time: thermal has its own trigger and is up to 33 ms off, so at 15 m/s up to half a metre.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.camera.view import ViewMap, make_view
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA, normalise
from msdepth_ros.infer import read_image
from msdepth_training.datasets.ms2_calibration import read_rig
from msdepth_training.datasets.ms2_layout import TEST_LISTS, Frame, Layout, find_frames, read_lists
from msdepth_training.errors import TrainingError

DEPTH_PER_M = 256.0
"""proj_depth has uint16, metres times this, 0 for no return."""
PREVIOUS_FRAMES = 5
"""The earlier frame that a frozen camera repeats is at least so many before, a third of a second at 15 Hz."""
TEST_STEP = 10
"""Published tables score every tenth frame of the test lists: 2,332 by day, 2,292 at night, 2,504 in rain."""
UNKNOWN = -1
"""Condition of a sequence whose list does not tell it."""


class View:
    """What the network sees of one camera of one sequence, and where its depth pixels go.

    Args:
        view_map: the product's rule for the window.
    """

    def __init__(self, view_map: ViewMap) -> None:
        self.map = view_map
        camera, k = view_map.camera, view_map.intrinsics
        columns = _landing(camera.width, camera.k[0, 0], camera.k[0, 2], k[0, 0], k[0, 2], view_map.width)
        rows = _landing(camera.height, camera.k[1, 1], camera.k[1, 2], k[1, 1], k[1, 2], view_map.height)
        self._inside = (rows >= 0)[:, None] & (columns >= 0)[None, :]
        self._target = rows[:, None] * view_map.width + columns[None, :]

    def depth(self, sensor_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sparse depth of the sensor, brought to the network's window.

        Every point goes to the pixel that it lands in; of several the nearest counts, so nothing is averaged across an
        edge. Depth along z does not change, since the window is a crop and a stretch of the same image plane.

        Args:
            sensor_m: [h, w] metres, NaN unknown.

        Returns:
            [H, W] metres, NaN where no point lands.
        """
        known = self._inside & np.isfinite(sensor_m)
        window = np.full(self.map.height * self.map.width, np.inf, np.float32)
        np.minimum.at(window, self._target[known], sensor_m[known])
        window[np.isinf(window)] = np.nan
        return window.reshape(self.map.height, self.map.width)


def _landing(size: int, f: float, c: float, window_f: float, window_c: float, window_size: int) -> NDArray[np.int64]:
    """Index in the window of each of `size` sensor columns or rows, -1 outside."""
    landed = np.floor((np.arange(size) - c) / f * window_f + window_c + 0.5).astype(np.int64)
    return np.where((landed >= 0) & (landed < window_size), landed, -1)


class DepthFiles:
    """Stands in for a tensor [F, 3, H, W] of depth: an index reads files.

    Args:
        samples: whose frames these are.
    """

    def __init__(self, samples: Ms2Samples) -> None:
        self._samples = samples

    def __getitem__(self, key: Tensor | int | tuple[Tensor | int, int]) -> Tensor:
        """Depth of one frame or of B frames, and of one view where it is named: [H, W], with 3, B or B, 3 before.

        Metres, NaN where there is no LiDAR return; the sky has none.
        """
        index, view = key if isinstance(key, tuple) else (key, None)
        views = range(len(SPECTRA)) if view is None else (operator.index(view),)
        rows = [torch.stack([torch.from_numpy(self._samples.read_depth(i, n)) for n in views]) for i in _indices(index)]
        depth = torch.stack(rows) if view is None else torch.stack(rows)[:, 0]
        return depth if isinstance(index, Tensor) and index.ndim else depth[0]


def _indices(index: Tensor | int) -> list[int]:
    return [int(i) for i in index.reshape(-1)] if isinstance(index, Tensor) else [operator.index(index)]


@dataclass(frozen=True)
class _Sequence:
    """What all frames of a sequence share."""

    views: tuple[View, ...]
    """In canonical order."""
    k: Tensor
    """[3, 3, 3], px of the window."""
    vehicle_from_camera: Tensor
    """[3, 4, 4], metres."""


class Ms2Samples:
    """Frames of MS2 by index; what `datasets.scenes.Samples` offers, read from the files at every access.

    It holds no open file and no decoded image, so that the workers of a loader can share it.

    Args:
        layout: where the files are.
        frames: F frames; those of one sequence in order of time.
        conditions: of each frame, index into `Ms2Samples.conditions` or `UNKNOWN`.
        height: of the network's images.
        width: of the network's images.
    """

    conditions = tuple(TEST_LISTS)
    """Names of the conditions."""

    def __init__(
        self, layout: Layout, frames: Sequence[Frame], conditions: Sequence[int], height: int, width: int
    ) -> None:
        self.layout, self.frames = layout, list(frames)
        names = list(dict.fromkeys(frame.sequence for frame in self.frames))
        first = {frame.sequence: frame for frame in reversed(self.frames)}
        self._sequences = [_open_sequence(layout, first[name], height, width) for name in names]
        position = {name: i for i, name in enumerate(names)}
        self._sequence = torch.tensor([position[frame.sequence] for frame in self.frames])
        self.k = torch.stack([s.k for s in self._sequences])[self._sequence]
        """[F, 3, 3, 3], px."""
        self.ground_plane = torch.zeros(len(self._sequence), 4)
        self.vehicle_from_camera = torch.stack([s.vehicle_from_camera for s in self._sequences])[self._sequence]
        """[F, 3, 4, 4], metres; the vehicle's frame is that of the left RGB camera."""
        self.condition = torch.tensor(conditions)
        """int [F], index into `conditions`, or `UNKNOWN`."""
        self.previous = torch.tensor(_previous(self.frames))
        """int [F], index of an earlier frame of the same sequence, or of the frame itself."""
        self.depth_m = DepthFiles(self)
        """As a float tensor [F, 3, H, W], metres along each camera's z; NaN unknown, sky included."""

    def __len__(self) -> int:
        return len(self.frames)

    def views(self, index: Tensor) -> Tensor:
        """Network images [B, 3, 3, H, W] in [0, 1] of the frames at index [B], made by the product's own rules."""
        rows = [
            torch.stack([torch.from_numpy(self._read_view(i, n)) for n in range(len(SPECTRA))]) for i in _indices(index)
        ]
        return torch.stack(rows)

    def _read_view(self, index: int, view: int) -> NDArray[np.float32]:
        path = self.layout.image(self.frames[index], SPECTRA[view])
        try:
            image = read_image(SPECTRA[view], path)
            return normalise(SPECTRA[view], self._view(index, view).map.apply(image))
        except MsdepthError as error:
            text = str(error)
            raise TrainingError(text if str(path) in text else f"{path}: {text}") from error

    def read_depth(self, index: int, view: int) -> NDArray[np.float32]:
        """Depth [H, W] of one view of one frame, metres, NaN unknown.

        Raises:
            TrainingError: the file is not a depth image of this camera.
        """
        path, target = self.layout.depth(self.frames[index], SPECTRA[view]), self._view(index, view)
        camera = target.map.camera
        raw = _decode(path)
        if raw.dtype != np.uint16 or raw.shape != (camera.height, camera.width):
            raise TrainingError(
                f"{path}: {raw.dtype} {list(raw.shape)}; projected depth is uint16 [{camera.height}, {camera.width}]"
            )
        return target.depth(np.where(raw > 0, raw / np.float32(DEPTH_PER_M), np.float32(np.nan)))

    def _view(self, index: int, view: int) -> View:
        return self._sequences[int(self._sequence[index])].views[view]


def open_ms2(root: Path, split: str, *, height: int, width: int, step: int = 1) -> Ms2Samples:
    """Frames of a split.

    Args:
        root: the folder that has `sync_data`, `proj_depth` and the lists.
        split: a key of `SPLITS`.
        height: of the network's images.
        width: of the network's images.
        step: every so many frames of all in a row; `TEST_STEP` gives those of published tables.

    Raises:
        TrainingError: anything is missing or not as it should be.
    """
    layout = Layout(root)
    frames: dict[Frame, int] = {}
    for entry in read_lists(root, split):
        condition = UNKNOWN if entry.condition is None else Ms2Samples.conditions.index(entry.condition)
        frames.update(dict.fromkeys(find_frames(layout, entry)[0], condition))
    order = {name: i for i, name in enumerate(dict.fromkeys(frame.sequence for frame in frames))}
    kept = sorted(frames, key=lambda frame: (order[frame.sequence], int(frame.number)))[::step]
    return Ms2Samples(layout, kept, [frames[frame] for frame in kept], height, width)


def _open_sequence(layout: Layout, frame: Frame, height: int, width: int) -> _Sequence:
    """Calibration and windows; the sizes of the images are those of one frame."""
    sizes = {s: _decode(layout.image(frame, s)).shape[1::-1] for s in SPECTRA}
    rig: Rig = read_rig(layout.calibration(frame.sequence), sizes)
    try:
        views = tuple(View(make_view(rig.cameras[s], width, height)) for s in SPECTRA)
    except MsdepthError as error:
        raise TrainingError(f"{layout.calibration(frame.sequence)}: {error}") from error
    k = np.stack([view.map.intrinsics for view in views])
    poses = np.stack([np.linalg.inv(rig.camera_from_rig[s]) for s in SPECTRA])
    return _Sequence(views, torch.from_numpy(k).float(), torch.from_numpy(poses).float())


def _decode(path: Path) -> NDArray[Any]:
    """Pixels of an image file as they are stored."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None:
        raise TrainingError(f"{path} is not a whole image; unpack its sequence again")
    return image


def _previous(frames: Sequence[Frame]) -> list[int]:
    """For each frame the index of the latest one of its sequence at least `PREVIOUS_FRAMES` before, or its own."""
    result, first, candidate = [], 0, 0
    for i, frame in enumerate(frames):
        if frame.sequence != frames[first].sequence:
            first = candidate = i
        while candidate + 1 < i and int(frames[candidate + 1].number) + PREVIOUS_FRAMES <= int(frame.number):
            candidate += 1
        is_before = int(frames[candidate].number) + PREVIOUS_FRAMES <= int(frame.number)
        result.append(candidate if is_before else i)
    return result
