"""Where frames come from: rendered scenes, or MS2."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from msdepth_training.config import Phase
from msdepth_training.datasets.scenes import (
    TEST_SEED,
    VALIDATION_SEED,
    Samples,
    SceneSet,
    load_set,
    render_set,
    shrink,
)
from msdepth_training.scenes import CONDITIONS


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
    def condition(self) -> Tensor:
        """int [F], index into the source's conditions; -1 is none of them."""

    @property
    def previous(self) -> Tensor:
        """int [F], index of an earlier frame of the same sequence, or of the frame itself."""

    def __len__(self) -> int:
        """F."""

    def views(self, index: Tensor) -> Tensor:
        """Network images [B, 3, 3, H, W] in [0, 1] of the frames at index [B]."""


class Source(Protocol):
    """Training, validation and test frames at any image size."""

    conditions: tuple[str, ...]
    """Names of what `Frames.condition` counts."""
    name: str
    """For cards and pages: what was trained on."""

    def prepare(self, phase: Phase) -> None:
        """Make what a phase needs, once for all processes; may take minutes."""

    def training(self, phase: Phase) -> Frames:
        """The frames of a phase."""

    def validation(self, height: int, width: int, count: int) -> Frames:
        """Held-out frames that confidence is calibrated on."""

    def test(self, height: int, width: int, count: int) -> Frames:
        """Frames that are measured, never seen before."""


def scene_set(phase: Phase, style: str) -> SceneSet:
    """The training scenes of a phase."""
    height, width = phase.height * phase.shrink, phase.width * phase.shrink
    return SceneSet("train", phase.first_seed, phase.sequences, height, width, style=style)


@dataclass(frozen=True)
class SceneSource:
    """Rendered scenes, in a folder that all runs share."""

    folder: Path
    """Of the rendered scenes."""
    style: str = "street"
    """Of the scenes, see `scenes.style`."""
    workers: int = 1
    """Processes that render what is missing."""
    conditions: tuple[str, ...] = CONDITIONS
    name: str = "procedural scenes of msdepth_training"

    def prepare(self, phase: Phase) -> None:
        """Render what is missing."""
        render_set(scene_set(phase, self.style), self.folder, workers=self.workers)

    def training(self, phase: Phase) -> Samples:
        """Read and average down."""
        return shrink(load_set(scene_set(phase, self.style), self.folder), phase.shrink)

    def validation(self, height: int, width: int, count: int) -> Samples:
        """One frame of `count` sequences of the validation split."""
        return self._rendered(SceneSet("validation", VALIDATION_SEED, count, height, width, frames=1, style=self.style))

    def test(self, height: int, width: int, count: int) -> Samples:
        """One frame of `count` sequences of the test split."""
        return self._rendered(SceneSet("test", TEST_SEED, count, height, width, frames=1, style=self.style))

    def _rendered(self, scenes: SceneSet) -> Samples:
        render_set(scenes, self.folder, workers=self.workers)
        return load_set(scenes, self.folder)


def on_device(frames: Frames, device: torch.device) -> Frames:
    """Pictures and depth of frames that are in memory moved to a device, once; others are left where they are."""
    if not isinstance(frames, Samples) or device.type == "cpu":
        return frames
    return dataclasses.replace(frames, images=frames.images.to(device), depth_m=frames.depth_m.to(device))
