"""Folders of runs: what a stage leaves behind, and how it is read again.

A run lies in `runs/<seed>/<name>`, its name being align_none, align_paper, align_msdepth, specialist_<spectrum>,
fuse_paper or fuse_msdepth. It has `last.ckpt`, Lightning's checkpoint to go on with; `weights.pt`, averaged weights,
configuration and history, which is all that evaluation and export need; and TensorBoard's events.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from msdepth_training.config import Phase, TrainConfig, from_mapping
from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth, PaperFusion, SpectralDepth

CHECKPOINT, WEIGHTS = "last.ckpt", "weights.pt"
STAGES = ("align", "fuse")


def commit() -> str:
    """The commit the code is at; "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def device_name(device: torch.device) -> str:
    """What computed, for the history of a run."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"


def run_name(config: TrainConfig, stage: str) -> str:
    """Name of the folder of a stage's run."""
    if stage == "fuse":
        return f"fuse_{config.fuse.recipe}"
    if len(config.align.spectra) < 3:
        return f"specialist_{'_'.join(config.align.spectra)}"
    return f"align_{config.align.alignment}"


def phases_of(config: TrainConfig, stage: str) -> tuple[Phase, ...]:
    """The phases of a stage."""
    return config.align.phases if stage == "align" else config.fuse.phases


def relevant(config: TrainConfig, stage: str) -> dict[str, Any]:
    """What of a configuration decides a stage: all but the other stage's part, and the names."""
    content = dataclasses.asdict(config)
    other = STAGES[1 - STAGES.index(stage)]
    return {key: value for key, value in content.items() if key not in (other, "name", "version")}


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    steps: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    """Of training so far."""
    history: Sequence[dict[str, Any]] = ()
    """Where each part was trained: from_step, commit, device, and what it began with."""
    curve: Sequence[dict[str, float]] = ()
    """Step and terms of the loss."""

    @property
    def finished(self) -> bool:
        """All steps are done."""
        return self.steps >= self.total_steps


@dataclass(frozen=True)
class Run:
    """A trained network."""

    folder: Path
    stage: str
    config: TrainConfig
    network: nn.Module
    """Averaged weights, on the CPU, in eval mode."""
    progress: Progress

    @property
    def name(self) -> str:
        """As in `run_name`."""
        return run_name(self.config, self.stage)


def build_network(config: TrainConfig, stage: str) -> nn.Module:
    """A network with fresh weights from the configuration's seed."""
    torch.manual_seed(config.seed)
    if stage == "align":
        return SpectralDepth(config.network)
    return MsDepth(config.network) if config.fuse.recipe == "msdepth" else PaperFusion(SpectralDepth(config.network))


def save_weights(run: Run, *, half: bool = False) -> None:
    """Write `weights.pt` whole or not at all.

    Args:
        run: what to write.
        half: store weights as 16-bit numbers, in half the space; statistics of batch norm stay as they are.
    """
    trained = {name for name, _ in run.network.named_parameters()}
    state = {n: v.half() if half and n in trained else v for n, v in run.network.state_dict().items()}
    content = {
        "stage": run.stage,
        "config": dataclasses.asdict(run.config),
        "progress": dataclasses.asdict(run.progress),
        "network": state,
    }
    part = run.folder / f"{WEIGHTS}.part"
    torch.save(content, part)
    part.rename(run.folder / WEIGHTS)


def read_checkpoint(path: Path, expected: Sequence[str]) -> dict[str, Any]:
    """What a file of a run holds; nothing in it is executed.

    Args:
        path: `weights.pt` or `last.ckpt`.
        expected: keys it must have.

    Raises:
        TrainingError: it is neither.
    """
    refused = TrainingError(f"{path} is not a checkpoint of msdepth-train; choose another folder")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise refused from error
    if not isinstance(state, dict) or set(expected) - set(state):
        raise refused
    return state


def read_progress(folder: Path) -> Progress | None:
    """How far the run in a folder is; None if there is none."""
    path = folder / WEIGHTS
    return Progress(**read_checkpoint(path, ("progress",))["progress"]) if path.exists() else None


def load_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        TrainingError: there is none, or the file is not one of this package.
    """
    path = folder / WEIGHTS
    if not path.exists():
        raise TrainingError(f"{path} does not exist; train first with msdepth-train align or msdepth-train fuse")
    content = read_checkpoint(path, ("stage", "config", "progress", "network"))
    config: TrainConfig = from_mapping(TrainConfig, content["config"], str(path))
    network = build_network(config, content["stage"])
    network.load_state_dict(content["network"])
    return Run(folder, content["stage"], config, network.eval().requires_grad_(False), Progress(**content["progress"]))
