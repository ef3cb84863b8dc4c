"""Stage 2, fuse: depth from the set of views."""

from __future__ import annotations

import torch
from torch import Tensor

from msdepth_training.augment import Batch
from msdepth_training.objective import objective
from msdepth_training.stages.module import StageModule


class FuseModule(StageModule):
    """Recipe msdepth."""

    stage = "fuse"

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `objective`."""
        out = self.network(batch.images, batch.k, batch.view_from_reference, batch.reference_k(), batch.present)
        return objective(
            out,
            batch,
            max_m=self.config.network.max_m,
            alignment_weight=self.config.fuse.alignment_weight,
            generator=generator,
        )
