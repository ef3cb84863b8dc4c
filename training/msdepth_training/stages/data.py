"""Training frames as Lightning wants them."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl

from msdepth_training.config import Phase, TrainConfig
from msdepth_training.stages.batches import BatchStream, Share
from msdepth_training.stages.sources import Source


class StageData(pl.LightningDataModule):
    """Batches of one stage for the process that asks: its share of each batch, on its device, from the step it is at.

    Args:
        source: of frames.
        config: seed and faults.
        phases: of the stage.
        ahead: batches made ahead.
    """

    def __init__(self, source: Source, config: TrainConfig, phases: Sequence[Phase], *, ahead: int) -> None:
        super().__init__()
        self.source, self.config, self.phases, self.ahead = source, config, phases, ahead

    def prepare_data(self) -> None:
        """Renders what is missing; Lightning calls it in one process of each machine."""
        for phase in self.phases:
            self.source.prepare(phase)

    def train_dataloader(self) -> BatchStream:
        """All batches that are left."""
        trainer = self.trainer
        return BatchStream(
            source=self.source,
            config=self.config,
            phases=self.phases,
            share=Share(trainer.global_rank, trainer.world_size),
            device=trainer.strategy.root_device,
            ahead=self.ahead,
            start=lambda: trainer.global_step,
        )
