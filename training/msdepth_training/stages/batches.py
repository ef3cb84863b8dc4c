"""Batches that depend on the seed and the step alone, so that a resumed run sees what an uninterrupted one sees."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from msdepth_training.augment import augment
from msdepth_training.batch import Batch
from msdepth_training.config import Phase, TrainConfig
from msdepth_training.datasets.scenes import SKY_M
from msdepth_training.errors import TrainingError
from msdepth_training.scenes.ground import plane_in_camera
from msdepth_training.stages.schedule import first_step, total_steps
from msdepth_training.stages.sources import Frames, Source, on_device

REFERENCE_SHARES = (0.6, 0.2, 0.2)
"""How often the output frame is that of the RGB, NIR, thermal camera."""


def make_batch(frames: Frames, index: Tensor, reference: Tensor) -> Batch:
    """A batch, nothing augmented, all views present and the network told nothing of the road.

    Args:
        frames: to pick from.
        index: int [B], which frames.
        reference: int [B], the camera (0 rgb, 1 nir, 2 thermal) in whose frame the output is to be.
    """
    rows = torch.arange(len(index))
    pose = frames.vehicle_from_camera[index]
    view_from_reference = torch.linalg.inv(pose) @ pose[rows, reference].unsqueeze(1)
    depth = frames.depth_m[index].float()
    depth = torch.where(depth >= SKY_M, torch.inf, depth)
    plane = plane_in_camera(frames.ground_plane[index].unsqueeze(1), pose)
    return Batch(
        frames.views(index), depth, frames.k[index], view_from_reference, reference, torch.ones(len(index), 3),
        plane, torch.zeros_like(plane),
    )  # fmt: skip


@dataclass(frozen=True)
class Share:
    """Which rows of every batch a process trains on: rank, rank + world, rank + 2 world, ..."""

    rank: int = 0
    world: int = 1


def training_batch(
    frames: Frames, phase: Phase, config: TrainConfig, *, step: int, share: Share, device: torch.device
) -> Batch:
    """The augmented batch of a step, or the share of it that falls to one of several processes.

    Every set has random numbers of its own, so that the shares of all processes together are the batch of one.
    """
    rng = np.random.default_rng([config.seed, step])
    mine = range(share.rank, phase.batch, share.world)
    index = torch.from_numpy(rng.choice(len(frames), phase.batch, replace=False))[share.rank :: share.world]
    reference = torch.from_numpy(rng.choice(3, phase.batch, p=REFERENCE_SHARES))[share.rank :: share.world]
    batch = make_batch(frames, index, reference).to(device)
    previous = frames.views(frames.previous[index]).to(device)
    rngs = [np.random.default_rng([config.seed, step, row]) for row in mine]
    return augment(
        batch, previous, rngs, fault_share=config.fault_share, view_shares=phase.view_shares,
        crop_share=config.crop_share, world_scale=config.world_scale,
    )  # fmt: skip


@dataclass(frozen=True)
class BatchStream:
    """All batches of a stage that are left, in order; the next ones are made in threads during a step."""

    source: Source
    config: TrainConfig
    phases: Sequence[Phase]
    share: Share
    device: torch.device
    ahead: int
    """How many batches are made in advance, each in a thread."""
    start: Callable[[], int]
    """The step to begin with, asked when iteration begins."""

    def __len__(self) -> int:
        """Of the whole stage, what is done already included."""
        return total_steps(self.phases)

    def __iter__(self) -> Iterator[Batch]:
        """Phase by phase; each one's frames are read when it begins."""
        step = self.start()
        for number, phase in enumerate(self.phases):
            end = first_step(self.phases, number + 1)
            if step < end:
                frames = self._frames(phase)
                yield from self._batches(frames, phase, step, end)
                del frames  # before the next phase's are read
                step = end

    def _frames(self, phase: Phase) -> Frames:
        frames = on_device(self.source.training(phase), self.device)
        if phase.batch > len(frames):
            raise TrainingError(f"a batch of {phase.batch} needs more than the {len(frames)} frames there are")
        if phase.batch % self.share.world:
            raise TrainingError(f"a batch of {phase.batch} cannot be shared by {self.share.world} processes evenly")
        return frames

    def _batches(self, frames: Frames, phase: Phase, first: int, last: int) -> Iterator[Batch]:
        def make(step: int) -> Batch:
            return training_batch(frames, phase, self.config, step=step, share=self.share, device=self.device)

        with ThreadPoolExecutor(max_workers=self.ahead) as pool:
            begun = range(first, min(first + self.ahead, last))
            queue: deque[Future[Batch]] = deque(pool.submit(make, step) for step in begun)
            for step in range(first, last):
                batch = queue.popleft().result()
                if step + self.ahead < last:
                    queue.append(pool.submit(make, step + self.ahead))
                yield batch
