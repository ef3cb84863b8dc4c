"""Where frames come from: rendered scenes, or MS2."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from msdepth_training.config import Phase
from msdepth_training.datasets.ms2 import TEST_STEP, Ms2Samples, open_ms2
from msdepth_training.datasets.scenes import (
    TEST_SEED,
    VALIDATION_SEED,
    Samples,
    SceneSet,
    load_set,
    render_set,
)


class Frames(Protocol):
    """F frames of three cameras in canonical order (rgb, nir, thermal)."""

    @property
    def depth_m(self) -> Tensor:
        """[F, 3, H, W] metres along each camera's z; `SKY_M` or more is sky, NaN unknown."""

    @property
    def k(self) -> Tensor:
        """[F, 3, 3, 3], px."""

    @property
    def vehicle_from_camera(self) -> Tensor:
        """[F, 3, 4, 4], metres."""

    @property
    def ground_plane(self) -> Tensor:
        """[F, 4] the road, n . X = h in the vehicle's frame: unit normal n pointing down, h in metres; 0 unknown."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""

    @property
    def condition(self) -> Tensor:
        """Index [F] into `conditions`; -1 is none of them."""

    @property
    def previous(self) -> Tensor:
        """Index [F] of an earlier frame of the same sequence, or of the frame itself."""

    def __len__(self) -> int:
        """F."""

    def views(self, index: Tensor) -> Tensor:
        """Network images [B, 3, 3, H, W] in [0, 1] of the frames at index [B]."""


class Source(Protocol):
    """Training, validation and test frames at any image size."""

    @property
    def about(self) -> About:
        """For cards and pages."""

    def prepare(self, phase: Phase) -> None:
        """Make what a phase needs, once for all processes; may take minutes."""

    def training(self, phase: Phase) -> Frames:
        """The frames of a phase."""

    def validation(self, height: int, width: int, count: int) -> Frames:
        """Held-out frames that confidence is calibrated on."""

    def test(self, height: int, width: int, count: int, *, frames: int = 1) -> Frames:
        """Frames of `count` sequences that are measured, never seen before; two of each where `frames` is 2."""


@dataclass(frozen=True)
class About:
    """What a model should say of its training data."""

    data: str
    licence: str
    limits: str
    """What a model trained on it must not be used for."""


def scene_set(phase: Phase, style: str) -> SceneSet:
    """The training scenes of a phase."""
    height, width = round(phase.height * phase.shrink), round(phase.width * phase.shrink)
    return SceneSet("train", phase.first_seed, phase.sequences, height, width, frames=phase.frames, style=style)


SCENES = About(
    data="procedural multi-spectral driving scenes of msdepth_training, no recorded images",
    licence="Apache-2.0",
    limits="Depth was learned from rendered scenes only. Not for driving or any safety function. "
    "Metric scale relies on cameras 1 to 2.3 m above a road and on a calibration that is right. "
    "Glass, mirrors and thin wires are often missed.",
)
MS2 = About(
    data="MS2, multi-spectral stereo driving dataset (Shin, Park, Kweon, CVPR 2023)",
    licence="the terms of the MS2 dataset",
    limits="Trained on MS2 only, where LiDAR gives depth: nothing taught it the sky and what the LiDAR does not reach. "
    "Not for driving or any safety function. Metric scale relies on a calibration that is right.",
)


@dataclass(frozen=True)
class SceneSource:
    """Rendered scenes, in a folder that all runs share."""

    folder: Path
    """Of the rendered scenes."""
    style: str = "street"
    """Of the scenes, see `scenes.style`."""
    workers: int = 1
    """Processes that render what is missing."""
    about: About = SCENES

    def prepare(self, phase: Phase) -> None:
        """Render what is missing."""
        render_set(scene_set(phase, self.style), self.folder, workers=self.workers)

    def training(self, phase: Phase) -> Samples:
        """Read and average down."""
        return load_set(scene_set(phase, self.style), self.folder, shrink=phase.shrink)

    def validation(self, height: int, width: int, count: int) -> Samples:
        """One frame of each of `count` sequences of the validation split."""
        return self._rendered(SceneSet("validation", VALIDATION_SEED, count, height, width, frames=1, style=self.style))

    def test(self, height: int, width: int, count: int, *, frames: int = 1) -> Samples:
        """Frames of `count` sequences of the test split."""
        return self._rendered(SceneSet("test", TEST_SEED, count, height, width, frames=frames, style=self.style))

    def _rendered(self, scenes: SceneSet) -> Samples:
        render_set(scenes, self.folder, workers=self.workers)
        return load_set(scenes, self.folder)


@dataclass(frozen=True)
class Ms2Source:
    """MS2, read from its files at every access."""

    root: Path
    """The folder that has `sync_data`, `proj_depth` and the lists."""
    about: About = MS2

    def prepare(self, phase: Phase) -> None:
        """Nothing to make."""

    def training(self, phase: Phase) -> Ms2Samples:
        """Every frame of the training list; a phase's `sequences`, `first_seed` and `shrink` do not count."""
        return open_ms2(self.root, "train", height=phase.height, width=phase.width)

    def validation(self, height: int, width: int, count: int) -> Ms2Samples:
        """About `count` frames, evenly spread over the validation list."""
        every = open_ms2(self.root, "val", height=height, width=width)
        return open_ms2(self.root, "val", height=height, width=width, step=max(1, len(every) // max(1, count)))

    def test(self, height: int, width: int, count: int, *, frames: int = 1) -> Ms2Samples:
        """The frames that published tables score, however many are asked for."""
        return open_ms2(self.root, "test", height=height, width=width, step=TEST_STEP)


def on_device(frames: Frames, device: torch.device) -> Frames:
    """Pictures and depth of frames that are in memory moved to a device, once; others are left where they are."""
    if not isinstance(frames, Samples) or device.type == "cpu":
        return frames
    return dataclasses.replace(frames, images=frames.images.to(device), depth_m=frames.depth_m.to(device))
