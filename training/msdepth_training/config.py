"""Configuration: frozen dataclasses read from YAML; unknown keys raise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import load_yaml
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.augment import VIEW_SHARES
from msdepth_training.errors import TrainingError
from msdepth_training.networks import NetworkConfig
from msdepth_training.scenes.style import scene_style

CONFIGS = Path(__file__).parent / "configs"
"""Folder of the configurations that ship."""
ALIGNMENTS = ("none", "paper", "msdepth")
"""What the align stage adds to supervision: nothing, the paper's losses, ours."""
RECIPES = ("paper", "msdepth")
"""Ways to fuse."""


@dataclass(frozen=True)
class Phase:
    """A part of a stage's training at one image size."""

    height: int = 256
    """Rows of the images, a multiple of 32."""
    width: int = 640
    """Columns of the images, a multiple of 32."""
    sequences: int = 320
    """Scenes to render."""
    frames: int = 2
    """Of each scene. One gives twice the scenes for the same time of rendering, and no camera can repeat a frame."""
    first_seed: int = 0
    batch: int = 4
    """Sets of three views per step, over all devices together."""
    steps: int = 1000
    learning_rate: float = 2e-3
    """Constant, but for the last phase, where it falls along half a cosine."""
    view_shares: tuple[float, ...] = VIEW_SHARES
    """How often the fusion gets three, two, one views."""
    shrink: float = 1.0
    """Frames are rendered this many times larger and averaged down: several phases can share one set of scenes. The
    size they are rendered at is rounded to whole pixels."""

    def __post_init__(self) -> None:
        if len(self.view_shares) != 3 or min(self.view_shares) < 0 or abs(sum(self.view_shares) - 1.0) > 1e-6:
            raise TrainingError(f"view_shares: {self.view_shares} must be three probabilities that sum to 1")
        if min(self.batch, self.steps, self.sequences, self.frames, self.shrink) < 1:
            raise TrainingError("batch, steps, sequences, frames and shrink of a phase must be at least 1")


@dataclass(frozen=True)
class AlignConfig:
    """First stage: depth from each view alone, and features that mean the same in every spectrum."""

    alignment: str = "msdepth"
    """What is added to supervision: none, paper or msdepth."""
    spectra: tuple[str, ...] = SPECTRA
    """What the network is shown: all, or one for a specialist."""
    phases: tuple[Phase, ...] = (Phase(),)
    """One after the other."""

    def __post_init__(self) -> None:
        if self.alignment not in ALIGNMENTS:
            raise TrainingError(f"alignment: {self.alignment!r} must be one of {', '.join(ALIGNMENTS)}")
        if not self.spectra or set(self.spectra) - set(SPECTRA) or len(set(self.spectra)) < len(self.spectra):
            raise TrainingError(f"spectra: {self.spectra} must be some of {', '.join(SPECTRA)}, each once")
        if len(self.spectra) < len(SPECTRA) and self.alignment != "none":
            raise TrainingError(f"alignment {self.alignment} needs all spectra; a specialist has alignment none")


@dataclass(frozen=True)
class FuseConfig:
    """Second stage: depth from the set of views."""

    recipe: str = "msdepth"
    """msdepth trains everything, from an aligned network if there is one; paper freezes the aligned network."""
    alignment_weight: float = 0.1
    """Of the contrastive term in the loss of recipe msdepth."""
    matching_weight: float = 0.2
    """Of what supervises matching between the views in the loss of recipe msdepth."""
    references: int = 1
    """In how many cameras' frames a step of recipe msdepth asks for a set's depth, with other views missing each time;
    a step of recipe paper asks in all three."""
    phases: tuple[Phase, ...] = (Phase(),)
    """One after the other."""

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise TrainingError(f"recipe: {self.recipe!r} must be one of {', '.join(RECIPES)}")
        if not 1 <= self.references <= len(SPECTRA):
            raise TrainingError(f"references: {self.references} must be 1 to {len(SPECTRA)}")


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
    align: AlignConfig = field(default_factory=AlignConfig)
    fuse: FuseConfig = field(default_factory=FuseConfig)
    weight_decay: float = 1e-3
    warmup_steps: int = 200
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Of the moving average of the weights, which is what is kept, measured and exported."""
    backbone_weights: str = ""
    """Folder with published weights of the backbone that training from nothing starts with; empty for random ones."""
    scenes: str = "street"
    """Style of the rendered scenes, see `scenes.style`."""
    fault_share: float = 0.12
    """Probability that a view is broken."""
    crop_share: float = 0.0
    """Probability that a set shows an enlarged part of its images: more focal lengths."""
    world_scale: bool = False
    """Whether sets whose scale can be measured are made larger or smaller, see `augment.scale_world`."""
    encoder_rate: float = 0.25
    """Learning rate of a published backbone, over that of the rest."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    validation_sequences: int = 60
    """Held-out scenes that confidence is calibrated on."""

    def __post_init__(self) -> None:
        scene_style(self.scenes)  # an unknown one raises, and names those that there are


@dataclass(frozen=True)
class PlanConfig:
    """All runs that the table of results needs: every stage and recipe with the same encoder, data and steps."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """Of every run; alignment, spectra, recipe and seed are set by the plan."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the headline rows."""
    specialist_seeds: tuple[int, ...] = (0,)
    """Of the three networks that know one spectrum each."""
    parallel: int = 1
    """Runs at a time on one machine: small networks leave a GPU idle most of the time."""
    precision: str = "32-true"
    """16-mixed, bf16-mixed, ... as Lightning has it."""
    half: bool = True
    """Store final weights as 16-bit numbers."""


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
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TrainingError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def read_yaml(kind: Any, path: Path) -> Any:
    """Read a dataclass from a YAML file.

    Raises:
        TrainingError: it cannot be read, or a key or type is wrong; the message names it.
    """
    try:
        content = load_yaml(path, "configuration", f"see those in {CONFIGS}")
    except MsdepthError as error:
        raise TrainingError(str(error)) from error
    return from_mapping(kind, content or {}, str(path))


def find_config(name: str) -> Path:
    """The file of a configuration: a YAML file itself, or the shipped one of that name."""
    path = Path(name)
    shipped = CONFIGS / path.name
    if path.suffix in (".yaml", ".yml"):
        return shipped if not path.exists() and shipped.exists() else path
    return CONFIGS / f"{name}.yaml"


def load_config(path: Path) -> TrainConfig:
    """Read the configuration of a training run; see `read_yaml`."""
    config: TrainConfig = read_yaml(TrainConfig, path)
    return config
