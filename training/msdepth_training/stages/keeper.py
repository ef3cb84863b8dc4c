"""A callback that keeps what a run has reached, and ends it in time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from msdepth_training.batch import Batch
from msdepth_training.stages.runs import CHECKPOINT, Progress, Run, commit, device_name, save_weights
from msdepth_training.stages.schedule import total_steps


class Keeper(pl.Callback):
    """Writes `last.ckpt` every so many steps and at the end, and `weights.pt` at the end.

    Args:
        folder: of the run.
        stop_at: time of the monotonic clock, seconds, at which the run stops with a checkpoint.
        half: see `save_weights`.
        origin: the command and what the weights began with, for the history.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stop_at: float = math.inf,
        half: bool = False,
        origin: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.stop_at, self.half, self.origin = folder, stop_at, half, dict(origin or {})
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self._clock = 0.0
        self.progress = Progress()
        """When training has ended."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """A new entry of the history."""
        entry = {
            "from_step": trainer.global_step, "commit": commit(), "devices": trainer.world_size,
            "device": device_name(trainer.strategy.root_device), "precision": str(trainer.precision),
        }  # fmt: skip
        self.history = [*self.history, {**entry, **self.origin}]
        self._clock = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Counts time, writes the checkpoint when one is due, and stops when time is over."""
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        over = now > self.stop_at
        if math.isfinite(self.stop_at) and trainer.world_size > 1:  # all stop after the same step
            over = trainer.strategy.reduce_boolean_decision(over, all=False)
        done = trainer.global_step
        # here and not at the end of training: by then Lightning takes a stopped epoch for a complete one
        if over or done % module.config.checkpoint_every == 0 or done == total_steps(module.phases):
            trainer.save_checkpoint(self.folder / CHECKPOINT)
        if over:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Writes the weights."""
        self.progress = Progress(
            trainer.global_step, total_steps(module.phases), self.seconds, self.history, module.curve
        )
        if trainer.is_global_zero:
            save_weights(Run(self.folder, module.stage, module.config, module.average, self.progress), half=self.half)

    def state_dict(self) -> dict[str, Any]:
        """Goes into the checkpoint."""
        return {"seconds": self.seconds, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Comes back from it."""
        self.seconds, self.history = state_dict["seconds"], state_dict["history"]


def described(run: Run) -> str:
    """A run in a few words, for the history of what begins with it."""
    return f"{run.name}, seed {run.config.seed}, {run.progress.steps} steps"
