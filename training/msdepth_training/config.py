"""Configuration: frozen dataclasses read from YAML; unknown keys raise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from msdepth_training.augment import VIEW_SHARES
from msdepth_training.errors import TrainingError
from msdepth_training.networks import NetworkConfig


@dataclass(frozen=True)
class Stage:
    """A part of training at one image size."""

    height: int = 256
    """Rows of the images, a multiple of 32."""
    width: int = 640
    """Columns of the images, a multiple of 32."""
    sequences: int = 320
    """Scenes to render; each gives two frames."""
    first_seed: int = 0
    batch: int = 4
    """Sets of three views per step."""
    steps: int = 1000
    learning_rate: float = 2e-3
    """Constant, but for the last stage, where it falls along half a cosine."""
    view_shares: tuple[float, ...] = VIEW_SHARES
    """How often the fusion gets three, two, one views."""
    shrink: int = 1
    """Frames are rendered this many times larger and averaged down: several stages can share one set of scenes."""

    def __post_init__(self) -> None:
        if len(self.view_shares) != 3 or min(self.view_shares) < 0 or abs(sum(self.view_shares) - 1.0) > 1e-6:
            raise TrainingError(f"view_shares: {self.view_shares} must be three probabilities that sum to 1")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run."""

    name: str = "tiny"
    """Of the exported model and its file."""
    version: str = "0.1.0"
    """Of the exported model."""
    seed: int = 0
    """Of the first weights, the order of frames and the augmentation."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    stages: tuple[Stage, ...] = (Stage(),)
    """One after the other."""
    weight_decay: float = 1e-3
    warmup_steps: int = 200
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Of the moving average of the weights, which is what is exported."""
    alignment_weight: float = 0.1
    """Of the contrastive term in the loss."""
    fault_share: float = 0.12
    """Probability that a view is broken."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    validation_sequences: int = 60
    """Held-out scenes that confidence is calibrated on."""


def from_mapping(kind: Any, value: Any, where: str) -> Any:
    """A value of a dataclass, or of the type of one of its fields, from what YAML or a checkpoint holds.

    Args:
        kind: dataclass, tuple[X, ...], float, int or str.
        value: mapping, list, number or text.
        where: begins the message of an error.

    Raises:
        TrainingError: an unknown key or a wrong type; the message names it.
    """
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TrainingError(f"{where}: expected a mapping, got {value!r}")
        hints = get_type_hints(kind)
        unknown = sorted(set(value) - set(hints))
        if unknown:
            raise TrainingError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(hints))}")
        return kind(**{k: from_mapping(hints[k], v, f"{where}.{k}") for k, v in value.items()})  # type: ignore[operator]
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise TrainingError(f"{where}: expected a list, got {value!r}")
        return tuple(from_mapping(get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TrainingError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def load_config(path: Path) -> TrainConfig:
    """Read a YAML file.

    Raises:
        TrainingError: it cannot be read, or a key or type is wrong; the message names it.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    config: TrainConfig = from_mapping(TrainConfig, content or {}, str(path))
    return config
