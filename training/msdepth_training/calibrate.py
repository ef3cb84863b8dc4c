"""Recalibration of confidence on held-out scenes: a straight line on the log scale, fitted to what turned out right."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from msdepth_training.augment import augment
from msdepth_training.confidence import CONFIDENCE_FACTOR, probability_within_factor
from msdepth_training.datasets.scenes import Samples
from msdepth_training.export import Calibration
from msdepth_training.networks import MsDepth
from msdepth_training.objective import RANGE_M, subsample
from msdepth_training.train import REFERENCE_SHARES, make_batch

PIXELS = 2000
"""Per image; neighbouring pixels tell little more."""


def fit_line(log_scale: Tensor, correct: Tensor, *, steps: int = 200) -> tuple[float, float]:
    """Slope and offset of log scale that make the stated probabilities most likely.

    Args:
        log_scale: [M] as predicted.
        correct: [M] 1 where depth was within the factor, else 0.
        steps: of the optimiser.

    Returns:
        Slope (kept positive) and offset.
    """
    line = torch.tensor([0.0, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        p = probability_within_factor(log_scale * line[0].exp() + line[1]).clamp(1e-5, 1 - 1e-5)
        loss = -(correct * p.log() + (1 - correct) * (1 - p).log()).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(line[0].detach().exp()), float(line[1].detach())


def _pick(log_depth: Tensor, log_scale: Tensor, truth_m: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Log scale and correctness (1 or 0) at `PIXELS` random pixels with known depth; arguments of one size."""
    known = (truth_m.flatten() < RANGE_M).nonzero()[:, 0]
    chosen = known[torch.randperm(len(known), generator=generator)[:PIXELS]]
    error = (log_depth.flatten()[chosen] - truth_m.flatten()[chosen].log()).abs()
    return log_scale.flatten()[chosen], (error < math.log(CONFIDENCE_FACTOR)).float()


def calibrate(network: MsDepth, samples: Samples, *, seed: int = 0, fault_share: float = 0.12) -> Calibration:
    """Fit both lines, over random subsets of views, frames and faults as in training.

    Args:
        network: trained, in eval mode.
        samples: held-out frames.
        seed: of the draws.
        fault_share: probability that a view is broken.

    Returns:
        The lines for the fused and for the views' own confidence.
    """
    fused: list[tuple[Tensor, Tensor]] = []
    views: list[tuple[Tensor, Tensor]] = []
    generator = torch.Generator().manual_seed(seed)
    for step in range(len(samples)):
        rng = np.random.default_rng([seed, step, 5])
        index = torch.tensor([step])
        reference = torch.from_numpy(rng.choice(3, 1, p=REFERENCE_SHARES))
        batch = augment(
            make_batch(samples, index, reference), samples.views(samples.previous[index]), rng, fault_share=fault_share
        )
        with torch.no_grad():
            out = network(batch.images, batch.k, batch.view_from_reference, batch.k[0, reference], batch.present)
        fused.append(_pick(out.log_depth, out.log_scale, batch.depth_m[0, reference], generator))
        truth = subsample(batch.depth_m[0], 8)
        views.append(_pick(out.view.log_depth, out.view.log_scale, truth, generator))
    lines = [fit_line(torch.cat([a for a, _ in rows]), torch.cat([b for _, b in rows])) for rows in (fused, views)]
    return Calibration(fused=lines[0], view=lines[1])
