"""Stage 1, align: depth from each view alone, and features that mean the same in every spectrum."""

from __future__ import annotations

import torch
from torch import Tensor

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.batch import Batch
from msdepth_training.objective import align_objective
from msdepth_training.stages.module import StageModule


class AlignModule(StageModule):
    """Trains `SpectralDepth` on all spectra, or on some."""

    stage = "align"

    def terms(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `align_objective`."""
        settings = self.config.align
        views = [SPECTRA.index(spectrum) for spectrum in settings.spectra]
        out = self.network(batch.images[:, views].flatten(0, 1), batch.k[:, views].flatten(0, 1))
        limits = self.config.network
        return align_objective(
            out, batch, alignment=settings.alignment, spectra=settings.spectra, generator=generator,
            min_m=limits.min_m, max_m=limits.max_m,
        )  # fmt: skip
