"""Stage 2, fuse: depth from the set of views, by either recipe."""

from __future__ import annotations

import torch
from torch import Tensor

from msdepth_training.augment import Batch
from msdepth_training.objective import objective, paper_fuse_objective
from msdepth_training.stages.module import StageModule


class FuseModule(StageModule):
    """Recipe msdepth: everything is trained; views are dropped at random, that of the output frame included."""

    stage = "fuse"

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `objective`."""
        out = self.network(batch.images, batch.k, batch.view_from_reference, batch.reference_k(), batch.present)
        weight = self.config.fuse.alignment_weight
        return objective(out, batch, max_m=self.config.network.max_m, alignment_weight=weight, generator=generator)


class PaperFuseModule(StageModule):
    """Recipe paper: the aligned network is frozen; all three views, each in turn the anchor."""

    stage = "fuse"

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `paper_fuse_objective`."""
        outs = self.network.all_anchors(batch.images, batch.k, batch.view_from_reference)
        limits = self.config.network
        return paper_fuse_objective(outs, batch, min_m=limits.min_m, max_m=limits.max_m)
