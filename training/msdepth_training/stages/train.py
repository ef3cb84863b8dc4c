"""Run a stage: network, data, Lightning's trainer, resume."""

from __future__ import annotations

import logging
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger

from msdepth_training.config import TrainConfig, from_mapping
from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth, PaperFusion, SpectralDepth, load_pretrained
from msdepth_training.stages.align import AlignModule
from msdepth_training.stages.data import StageData
from msdepth_training.stages.fuse import FuseModule, PaperFuseModule
from msdepth_training.stages.keeper import Keeper, described
from msdepth_training.stages.module import LOG_EVERY, StageModule
from msdepth_training.stages.runs import (
    CHECKPOINT,
    Progress,
    Run,
    build_network,
    phases_of,
    read_checkpoint,
    read_progress,
    relevant,
)
from msdepth_training.stages.schedule import total_steps
from msdepth_training.stages.sources import Source


@dataclass(frozen=True)
class Machine:
    """Where and how to compute: nothing here changes what is trained, but for rounding."""

    accelerator: str = "auto"
    """cpu, gpu, ... as Lightning has it; auto takes a GPU where there is one."""
    devices: str = "1"
    """How many, or which: "2", "0,3", "auto"."""
    num_nodes: int = 1
    strategy: str = "auto"
    """ddp, fsdp, ... as Lightning has it."""
    precision: str = "32-true"
    """16-mixed, bf16-mixed, ... as Lightning has it."""
    ahead: int = 1
    """Batches made ahead, each in a thread."""
    progress_bar: bool = True

    def trainer(self, folder: Path, keeper: Keeper, config: TrainConfig, *, steps: int) -> pl.Trainer:
        """Lightning's trainer with a progress bar, TensorBoard and the keeper."""
        several = self.devices not in ("1", "auto") or self.num_nodes > 1
        # views that are dropped leave parameters without a gradient
        strategy = "ddp_find_unused_parameters_true" if self.strategy in ("auto", "ddp") and several else self.strategy
        return pl.Trainer(
            accelerator=self.accelerator,
            devices=self.devices,
            num_nodes=self.num_nodes,
            strategy=strategy,
            precision=self.precision,
            max_epochs=-1,
            max_steps=steps,
            gradient_clip_val=config.gradient_clip,
            log_every_n_steps=LOG_EVERY,
            logger=TensorBoardLogger(folder, name="", version=""),
            callbacks=[keeper, *([TQDMProgressBar(refresh_rate=10)] if self.progress_bar else [])],
            enable_progress_bar=self.progress_bar,
            enable_checkpointing=False,
            enable_model_summary=False,
        )


def carry_over(aligned: SpectralDepth, network: MsDepth) -> None:
    """Start a fusion with an aligned encoder, and with its decoder where shapes agree.

    That is all of the decoder but the convolutions that take in a level's inputs, which the fusion has others of.
    """
    network.encoder.load_state_dict(aligned.encoder.state_dict())
    mine = network.state_dict()
    fitting = {n: v for n, v in aligned.decoder.state_dict().items() if n in mine and mine[n].shape == v.shape}
    network.load_state_dict(fitting, strict=False)


def make_module(
    config: TrainConfig, stage: str, begin_with: Run | None = None, *, resumed: bool = False
) -> StageModule:
    """A stage's network, as it is before the first step.

    Args:
        config: of the run.
        stage: align or fuse.
        begin_with: an aligned run: recipe paper is attached to it, msdepth starts with its encoder and decoder.
        resumed: a checkpoint will replace all weights.

    Raises:
        TrainingError: what it is to begin with is missing or another network.
    """
    network = build_network(config, stage)
    if begin_with is not None:
        if begin_with.stage != "align" or begin_with.config.network != config.network:
            raise TrainingError(f"{begin_with.folder} is no aligned network of this configuration's sizes")
        if isinstance(network, PaperFusion):
            network.base.load_state_dict(begin_with.network.state_dict())
        else:
            carry_over(begin_with.network, network)
    elif isinstance(network, PaperFusion) and not resumed:
        raise TrainingError("recipe paper fuses an aligned network; name its run folder with --from")
    elif not resumed:
        load_pretrained(network.encoder, config.backbone_weights)
    kind = AlignModule if stage == "align" else PaperFuseModule if isinstance(network, PaperFusion) else FuseModule
    return kind(network, config, phases_of(config, stage))


def _check_checkpoint(path: Path, config: TrainConfig, stage: str, *, change_config: bool) -> None:
    """Raises unless the checkpoint is of this configuration, or of one that may change."""
    stored = read_checkpoint(path, ("state_dict", "msdepth"))["msdepth"]
    before, now = (relevant(c, stage) for c in (from_mapping(TrainConfig, stored["config"], str(path)), config))
    if stored["stage"] != stage or before["network"] != now["network"]:
        raise TrainingError(f"{path} was trained with another network; choose a new --run folder")
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed and not change_config:
        raise TrainingError(
            f"{path} was trained with another {', '.join(changed)}; choose a new --run folder, or say --change-config"
        )


def train_stage(
    stage: str, config: TrainConfig, folder: Path, source: Source, *, machine: Machine, begin_with: Run | None = None,
    minutes: float = math.inf, change_config: bool = False, half: bool = False, command: str = "",
) -> Progress:  # fmt: skip
    """Train a stage, or go on where its folder's checkpoint is; returns how far it is. Nothing to do if finished.

    Args:
        stage: align or fuse.
        config: what to train.
        folder: of the run.
        source: of frames.
        machine: where and how to compute.
        begin_with: aligned run that the fuse stage begins with.
        minutes: stop, with a checkpoint, when this much time has passed in this call.
        change_config: go on although the configuration is another now.
        half: store the final weights as 16-bit numbers.
        command: that does this, for the history.

    Raises:
        TrainingError: the folder's checkpoint is not one, or that of another network or configuration.
    """
    stop_at = time.monotonic() + 60.0 * minutes
    checkpoint = folder / CHECKPOINT
    resumed = checkpoint.exists()
    if resumed:
        _check_checkpoint(checkpoint, config, stage, change_config=change_config)
    folder.mkdir(parents=True, exist_ok=True)
    before = read_progress(folder)
    if before is not None and before.finished and not change_config:
        return before
    quiet_lightning()
    module = make_module(config, stage, begin_with, resumed=resumed)
    origin = {"command": command, "begun_with": described(begin_with) if begin_with else ""}
    keeper = Keeper(folder, stop_at=stop_at, half=half, origin={key: text for key, text in origin.items() if text})
    data = StageData(source, config, module.phases, ahead=machine.ahead)
    trainer = machine.trainer(folder, keeper, config, steps=total_steps(module.phases))
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint if resumed else None, weights_only=True)
    return keeper.progress


def quiet_lightning() -> None:
    """Lightning tells what it finds on the machine, at length; errors are enough."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="pytorch_lightning")
