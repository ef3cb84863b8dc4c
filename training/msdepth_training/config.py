"""Configuration: frozen dataclasses read from YAML; unknown keys raise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from msdepth_training.errors import TrainingError
from msdepth_training.networks import NetworkConfig


@dataclass(frozen=True)
class Stage:
    """A part of training at one image size."""

    height: int = 256
    width: int = 640
    sequences: int = 320
    first_seed: int = 0
    batch: int = 4
    steps: int = 1000
    shrink: int = 1
    """Frames are rendered this many times larger and averaged down: several stages can share one set of scenes."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run."""

    name: str = "tiny"
    version: str = "0.1.0"
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    stages: tuple[Stage, ...] = (Stage(),)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    warmup_steps: int = 200
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    alignment_weight: float = 0.1
    fault_share: float = 0.12
    checkpoint_every: int = 200
    validation_sequences: int = 60


def _build(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TrainingError(f"{where}: expected a mapping, got {value!r}")
        hints = get_type_hints(kind)
        unknown = sorted(set(value) - set(hints))
        if unknown:
            raise TrainingError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(hints))}")
        return kind(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})  # type: ignore[operator]
    if get_origin(kind) is tuple:
        return tuple(_build(get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
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
        raise TrainingError(f"cannot read {path}: {error}") from error
    config: TrainConfig = _build(TrainConfig, content or {}, str(path))
    return config
