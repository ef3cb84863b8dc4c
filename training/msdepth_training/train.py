"""Training: stages of growing image size, one schedule, checkpoints and exact resume."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import pickle
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from msdepth_training.augment import Batch, augment
from msdepth_training.config import Stage, TrainConfig, from_mapping
from msdepth_training.datasets.scenes import SKY_M, Samples, SceneSet, load_set, render_set, shrink
from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth
from msdepth_training.objective import objective

REFERENCE_SHARES = (0.6, 0.2, 0.2)
"""How often the output frame is that of the RGB, NIR, thermal camera."""


def commit() -> str:
    """The commit the code is at; "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def scene_set(stage: Stage) -> SceneSet:
    """The training scenes of a stage."""
    return SceneSet("train", stage.first_seed, stage.sequences, stage.height * stage.shrink, stage.width * stage.shrink)


def make_batch(samples: Samples, index: Tensor, reference: Tensor) -> Batch:
    """A batch, nothing augmented and all views present.

    Args:
        samples: to pick from.
        index: int [B], which frames.
        reference: int [B], the camera (0 rgb, 1 nir, 2 thermal) in whose frame the output is to be.
    """
    rows = torch.arange(len(index))
    pose = samples.vehicle_from_camera[index]
    view_from_reference = torch.linalg.inv(pose) @ pose[rows, reference].unsqueeze(1)
    depth = samples.depth_m[index].float()
    depth = torch.where(depth >= SKY_M, torch.inf, depth)
    return Batch(
        samples.views(index), depth, samples.k[index], view_from_reference, reference, torch.ones(len(index), 3)
    )


class Trainer:
    """One run: network, its moving average, optimiser, and where it is in the schedule.

    Args:
        config: what to train.
        run: folder of the checkpoint and the log.
        device: where to compute.
        data: folder of rendered scenes.
        workers: processes that render what is missing.
    """

    def __init__(self, config: TrainConfig, run: Path, *, device: torch.device, data: Path, workers: int) -> None:
        self.config, self.run, self.device, self.data, self.workers = config, run, device, data, workers
        torch.manual_seed(config.seed)
        # channels last: a sixth faster on the CPU, and what tensor cores want
        self.network = MsDepth(config.network).to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.stages[0].learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.step = 0
        self.history: list[dict[str, object]] = []
        self.total_steps = sum(s.steps for s in config.stages)
        self.seconds = 0.0

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then constant within a stage; in the last stage half a cosine down to 2 %."""
        first = 0
        for stage in self.config.stages[:-1]:
            if step < first + stage.steps:
                return stage.learning_rate * min(1.0, (step + 1) / self.config.warmup_steps)
            first += stage.steps
        last = self.config.stages[-1]
        falling = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * (step - first) / max(1, last.steps)))
        return last.learning_rate * falling * min(1.0, (step + 1) / self.config.warmup_steps)

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "config": dataclasses.asdict(self.config),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        self.run.mkdir(parents=True, exist_ok=True)
        part = self.run / "checkpoint.part"
        torch.save(state, part)
        part.rename(self.run / "checkpoint.pt")

    def resume(self, *, change_config: bool = False) -> None:
        """Continue from the run's checkpoint if there is one.

        Args:
            change_config: go on although the configuration is another now; the checkpoint's history remembers it.

        Raises:
            TrainingError: it is not a checkpoint, or that of another network or configuration.
        """
        path = self.run / "checkpoint.pt"
        if path.exists():
            state, config = _read(path, self.device), dataclasses.asdict(self.config)
            if state["config"]["network"] != config["network"]:
                raise TrainingError(f"{path} was trained with another network; choose a new --run folder")
            changed = sorted(key for key in config if state["config"].get(key) != config[key])
            if changed and not change_config:
                raise TrainingError(
                    f"{path} was trained with another {', '.join(changed)}; "
                    "choose a new --run folder, or say --change-config"
                )
            self.step, self.seconds, self.history = state["step"], state["seconds"], state.get("history", [])
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
        gpu = self.device.type == "cuda"
        where = torch.cuda.get_device_name(self.device) if gpu else f"{os.cpu_count()} CPU cores"
        self.history = [*self.history, {"from_step": self.step, "commit": commit(), "device": where}]

    def batches(self, samples: Samples, stage: Stage, first: int, last: int) -> Iterator[Batch]:
        """Augmented batches for steps first to last - 1.

        Each depends on the seed and its step alone, so that a resumed run sees what an uninterrupted one sees.
        """
        for step in range(first, last):
            rng = np.random.default_rng([self.config.seed, step])
            index = torch.from_numpy(rng.choice(len(samples), stage.batch, replace=False))
            reference = torch.from_numpy(rng.choice(3, stage.batch, p=REFERENCE_SHARES))
            batch = make_batch(samples, index, reference)
            batch = Batch(*(t.to(self.device) for t in batch))
            previous = samples.views(samples.previous[index]).to(self.device)
            yield augment(batch, previous, rng, fault_share=self.config.fault_share)

    def update(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; returns the terms of the loss, see `objective`."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(self.step)
        self.network.train()
        rows = torch.arange(batch.reference.shape[0], device=self.device)
        out = self.network(
            batch.images, batch.k, batch.view_from_reference, batch.k[rows, batch.reference], batch.present
        )
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        terms = objective(
            out,
            batch,
            max_m=self.config.network.max_m,
            alignment_weight=self.config.alignment_weight,
            generator=generator,
        )
        self.optimiser.zero_grad(set_to_none=True)
        terms["total"].backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        self._follow()
        self.step += 1
        return {name: value.item() for name, value in terms.items()}

    def _follow(self) -> None:
        """Exponential moving average of the weights; batch-norm statistics are taken as they are."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1.0 - decay)
            for mean, new in zip(self.average.buffers(), self.network.buffers(), strict=True):
                mean.copy_(new)

    def train(self, *, stop_after_s: float = math.inf) -> bool:
        """Run all stages that are left.

        Args:
            stop_after_s: stop, with a checkpoint, when this much time has passed in this call.

        Returns:
            Whether training is complete.
        """
        started, done_before = time.monotonic(), 0
        for stage in self.config.stages:
            end = done_before + stage.steps
            if self.step < end:
                render_set(scene_set(stage), self.data, workers=self.workers)
                samples = shrink(load_set(scene_set(stage), self.data), stage.shrink)
                if not self._stage(samples, stage, end, started + stop_after_s):
                    return False
            done_before = end
        return True

    def _stage(self, samples: Samples, stage: Stage, end: int, deadline: float) -> bool:
        """Steps up to end; False if the deadline (of the monotonic clock, s) came first."""
        log = self.run / "log.jsonl"
        self.run.mkdir(parents=True, exist_ok=True)
        clock, smooth = time.monotonic(), {}
        with (
            tqdm(
                total=end, initial=self.step, desc=f"train {stage.height}x{stage.width}", unit="step", mininterval=5
            ) as bar,
            log.open("a") as file,
        ):
            for batch in self.batches(samples, stage, self.step, end):
                terms = self.update(batch)
                smooth = {k: 0.98 * smooth.get(k, v) + 0.02 * v for k, v in terms.items()}
                bar.update()
                now = time.monotonic()
                self.seconds, clock = self.seconds + now - clock, now
                if self.step % 50 == 0:
                    bar.set_postfix({k: f"{v:.3f}" for k, v in smooth.items()})
                    file.write(json.dumps({"step": self.step, "seconds": round(self.seconds), **smooth}) + "\n")
                    file.flush()
                if self.step % self.config.checkpoint_every == 0 or now > deadline:
                    self.save()
                if now > deadline:
                    return False
        self.save()
        return True


def _read(checkpoint: Path, device: torch.device) -> dict[str, Any]:
    refused = TrainingError(f"{checkpoint} is not a checkpoint of msdepth-train; choose another --run folder")
    try:
        state = torch.load(checkpoint, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise refused from error
    if not isinstance(state, dict) or "average" not in state:
        raise refused
    return state


def load_network(checkpoint: Path) -> tuple[MsDepth, TrainConfig, dict[str, Any]]:
    """What a checkpoint holds.

    Args:
        checkpoint: file written by `Trainer.save`.

    Returns:
        The averaged network on the CPU in eval mode, its configuration, and `step` and `seconds` of training so far.

    Raises:
        TrainingError: the file is missing or not a checkpoint of this package.
    """
    if not checkpoint.exists():
        raise TrainingError(f"{checkpoint} does not exist; train first with msdepth-train train")
    state = _read(checkpoint, torch.device("cpu"))
    config: TrainConfig = from_mapping(TrainConfig, state["config"], str(checkpoint))
    network = MsDepth(config.network)
    network.load_state_dict(state["average"])
    return network.eval(), config, {key: state.get(key) for key in ("step", "seconds", "history")}
