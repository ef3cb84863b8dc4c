"""What both stages share: optimiser, schedule, moving average of the weights."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from msdepth_training.batch import Batch
from msdepth_training.config import Phase, TrainConfig
from msdepth_training.networks.efficientnet import EfficientNetLite
from msdepth_training.stages.schedule import learning_rate

PUBLISHED = "encoder.backbone."
"""In the names of the parameters of a published backbone."""
LOG_EVERY = 50
"""Steps between entries of the log; each is a mean over them."""


class StageModule(pl.LightningModule):
    """A network in training. What is random about a step depends on the seed and the step alone.

    Subclasses name their stage and say what the loss is.

    Args:
        network: to train; parameters that need no gradient stay as they are.
        config: optimiser and seed.
        phases: of the stage.
    """

    stage: str

    def __init__(self, network: nn.Module, config: TrainConfig, phases: Sequence[Phase]) -> None:
        super().__init__()
        self.config, self.phases = config, phases
        # channels last: a sixth faster on the CPU, and what tensor cores want
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.curve: list[dict[str, float]] = []
        """Step and mean of each term of the loss since the entry before."""
        self._sums: dict[str, Tensor] = {}
        self._summed = 0

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Terms of the loss and their weighted sum under `total`; random numbers come from the CPU generator."""
        raise NotImplementedError

    def on_train_start(self) -> None:
        """Frozen parts keep themselves in eval mode; by now they have the weights of the checkpoint, if any."""
        self.network.train()
        self.average.eval()
        for part in self.network.modules():
            if isinstance(part, EfficientNetLite):
                part.accelerate(torch.get_num_threads())

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """The learning rate is a function of the step, so that there is nothing to restore."""
        rate = learning_rate(self.phases, self.global_step, warmup_steps=self.config.warmup_steps)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["share"]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.global_step)
        terms = self.terms(batch, generator)
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value.detach() if name in self._sums else value.detach()
        self._summed += 1
        if (self.global_step + 1) % LOG_EVERY == 0:
            means = {name: value / self._summed for name, value in self._sums.items()}
            self.log_dict({f"loss/{name}": value for name, value in means.items()}, batch_size=1)
            self.log("loss", means["total"], prog_bar=True, logger=False, batch_size=1)
            self.curve.append({"step": self.global_step + 1, **{n: round(v.item(), 5) for n, v in means.items()}})
            self._sums, self._summed = {}, 0
        return terms["total"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on what is trained; a published backbone is changed more gently than the rest."""
        trained = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        published = [p for name, p in trained.items() if PUBLISHED in name]
        groups = [{"params": [p for name, p in trained.items() if PUBLISHED not in name], "share": 1.0}]
        if published:
            groups.append({"params": published, "share": self.config.encoder_rate})
        # Lightning cannot clip gradients in mixed precision where the optimiser is fused
        fused = "mixed" not in str(self.trainer.precision)
        return torch.optim.AdamW(
            groups, lr=self.phases[0].learning_rate, weight_decay=self.config.weight_decay, fused=fused
        )

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """One step, and the average follows, before anything can write a checkpoint."""
        done = self.global_step
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.follow(done)

    def follow(self, done: int) -> None:
        """Exponential moving average of the weights after step `done`; batch-norm statistics are taken as they are."""
        decay = min(self.config.ema_decay, (1 + done) / (10 + done))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1.0 - decay)
            pairs = list(zip(self.average.buffers(), self.network.buffers(), strict=True))
            for kind in {mean.dtype for mean, _ in pairs}:  # a GPU copies all of one type at once
                mine = [pair for pair in pairs if pair[0].dtype == kind]
                torch._foreach_copy_([mean for mean, _ in mine], [new for _, new in mine])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What this is of, and the curve, go along."""
        checkpoint["msdepth"] = {"stage": self.stage, "config": dataclasses.asdict(self.config), "curve": self.curve}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The curve comes back."""
        self.curve = checkpoint["msdepth"]["curve"]
