"""Stage 2, fuse: depth from the set of views, by either recipe."""

from __future__ import annotations

import torch
from torch import Tensor

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.batch import Batch
from msdepth_training.geometry import relative_to
from msdepth_training.objective import objective, paper_fuse_objective
from msdepth_training.stages.module import StageModule


def in_another_frame(batch: Batch, step: int) -> Batch:
    """The same sets, the output in the frame of a camera `step` further on; as many views present, but others."""
    if step == 0:
        return batch
    reference = (batch.reference + step) % len(SPECTRA)
    return batch._replace(
        reference=reference,
        view_from_reference=relative_to(batch.view_from_reference, reference),
        present=batch.present.roll(step, dims=1),
    )


class FuseModule(StageModule):
    """Recipe msdepth: everything is trained; views are dropped at random, that of the output frame included."""

    stage = "fuse"

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `objective`."""
        view, settings = self.network.encode(batch.images, batch.k), self.config.fuse
        wanted = [in_another_frame(batch, n) for n in range(settings.references)]
        outs = [
            self.network.fuse(view, b.k, b.view_from_reference, b.reference_k(), b.present, b.reference_plane())
            for b in wanted
        ]
        return objective(
            outs, wanted, max_m=self.config.network.max_m, alignment_weight=settings.alignment_weight,
            matching_weight=settings.matching_weight, generator=generator,
        )  # fmt: skip


class PaperFuseModule(StageModule):
    """Recipe paper: the aligned network is frozen; all three views, each in turn the anchor."""

    stage = "fuse"

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `paper_fuse_objective`."""
        outs = self.network.all_anchors(batch.images, batch.k, batch.view_from_reference)
        limits = self.config.network
        return paper_fuse_objective(outs, batch, min_m=limits.min_m, max_m=limits.max_m)
