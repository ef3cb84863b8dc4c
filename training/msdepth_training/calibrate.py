"""Recalibration of confidence on held-out scenes: a straight line on the log scale, fitted to what turned out right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.augment import augment
from msdepth_training.batch import Batch
from msdepth_training.confidence import CONFIDENCE_FACTOR, probability_within_factor
from msdepth_training.networks import MsDepth, NetworkOutput, PaperFusion, SpectralDepth
from msdepth_training.objective import RANGE_M, subsample
from msdepth_training.stages.batches import REFERENCE_SHARES, make_batch
from msdepth_training.stages.sources import Frames

PIXELS = 2000
"""Per image; neighbouring pixels tell little more."""
BATCH = 4
"""Frames at a time."""
Line = tuple[float, float]
"""Slope and offset of the log scale."""
FUSED_LINES = ("fused", *(f"{kind}_{spectrum}" for kind in ("fused", "view") for spectrum in SPECTRA))
"""Names of the lines of `MsDepth`."""
UNCALIBRATED: Mapping[str, Line] = dict.fromkeys((*SPECTRA, *FUSED_LINES), (1.0, 0.0))
"""Every line of every network, changing nothing."""


class Claim(NamedTuple):
    """What a network says of M images, and what is true."""

    log_depth: Tensor
    """[M, h, w] log metres."""
    log_scale: Tensor
    """[M, h, w] log of the Laplace scale."""
    truth_m: Tensor
    """[M, h, w] metres, inf sky, NaN unknown."""


def fit_line(log_scale: Tensor, correct: Tensor, *, steps: int = 200) -> Line:
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


def claims(network: nn.Module, batch: Batch) -> dict[str, Claim]:
    """What any of the networks says of a batch, by the name of the line that calibrates it.

    `SpectralDepth` and `PaperFusion` have a line for each spectrum, whose own frame it is; `MsDepth` has one for depth
    fused from several views, and for each spectrum one for depth from that view alone and one for its own evidence.
    """
    if isinstance(network, SpectralDepth):
        out = network(batch.images.flatten(0, 1), batch.k.flatten(0, 1))
        count = len(SPECTRA)
        return {
            s: Claim(out.log_depth[n::count], out.log_scale[n::count], batch.depth_m[:, n])
            for n, s in enumerate(SPECTRA)
        }
    if isinstance(network, PaperFusion):
        outs = network.all_anchors(batch.images, batch.k, batch.view_from_reference)
        return {
            s: Claim(out.log_depth, out.log_scale, batch.depth_m[:, n])
            for n, (s, out) in enumerate(zip(SPECTRA, outs, strict=True))
        }
    out = _fuse(network, batch)
    fused = Claim(out.log_depth, out.log_scale, _truth(batch))
    own = Claim(out.view.log_depth[:, 0], out.view.log_scale[:, 0], subsample(batch.depth_m.flatten(0, 1), 8))
    found = {"fused": _rows(fused, batch.present.sum(dim=1) > 1.5)}
    for n, spectrum in enumerate(SPECTRA):
        found[f"view_{spectrum}"] = Claim(*(part[n :: len(SPECTRA)] for part in own))
    return found


def depth_alone(network: nn.Module, batch: Batch) -> dict[str, Claim]:
    """What `MsDepth` says of depth from each view alone, by the name of the line; nothing of other networks."""
    if not isinstance(network, MsDepth):
        return {}
    found = {}
    for n, spectrum in enumerate(SPECTRA):
        present = torch.zeros_like(batch.present)
        present[:, n] = 1.0
        alone = batch._replace(present=present)
        out = _fuse(network, alone)
        found[f"fused_{spectrum}"] = Claim(out.log_depth, out.log_scale, _truth(alone))
    return found


def _fuse(network: nn.Module, batch: Batch) -> NetworkOutput:
    out: NetworkOutput = network(
        batch.images, batch.k, batch.view_from_reference, batch.reference_k(), batch.present, batch.reference_plane()
    )
    return out


def _truth(batch: Batch) -> Tensor:
    """[B, H, W] in the frame that the depth is in, metres."""
    return batch.depth_m[torch.arange(len(batch.reference), device=batch.reference.device), batch.reference]


def _rows(claim: Claim, chosen: Tensor) -> Claim:
    """Of the images that are chosen, bool [M]."""
    return Claim(*(part[chosen] for part in claim))


def _pick(claim: Claim, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Log scale and correctness (1 or 0) at `PIXELS` random pixels with known depth of each image."""
    scales, corrects = [], []
    for log_depth, log_scale, truth_m in zip(*(part.cpu() for part in claim), strict=True):
        known = (truth_m.flatten() < RANGE_M).nonzero()[:, 0]
        chosen = known[torch.randperm(len(known), generator=generator)[:PIXELS]]
        error = (log_depth.flatten()[chosen] - truth_m.flatten()[chosen].log()).abs()
        scales.append(log_scale.flatten()[chosen])
        corrects.append((error < math.log(CONFIDENCE_FACTOR)).float())
    return torch.cat(scales), torch.cat(corrects)


def calibrate(
    network: nn.Module, frames: Frames, *, seed: int = 0, fault_share: float = 0.12, device: torch.device | None = None
) -> Mapping[str, Line]:
    """Fit all lines of a network, over random subsets of views, frames and faults as in training.

    Args:
        network: trained, in eval mode.
        frames: held out.
        seed: of the draws.
        fault_share: probability that a view is broken.
        device: where the network is; the CPU by default.

    Returns:
        The lines, by the names of `claims`.
    """
    device = device or torch.device("cpu")
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(frames), BATCH):
        index = torch.arange(first, min(first + BATCH, len(frames)))
        rngs = [np.random.default_rng([seed, int(i), 5]) for i in index]
        reference = torch.tensor([int(rng.choice(3, p=REFERENCE_SHARES)) for rng in rngs])
        batch = augment(
            make_batch(frames, index, reference).to(device),
            frames.views(frames.previous[index]).to(device),
            rngs,
            fault_share=fault_share,
        )
        with torch.no_grad():
            said = claims(network, batch) | depth_alone(network, batch)
        for name, claim in ((name, claim) for name, claim in said.items() if len(claim.truth_m)):
            found.setdefault(name, []).append(_pick(claim, generator))
    return {
        name: fit_line(torch.cat([a for a, _ in rows]), torch.cat([b for _, b in rows])) for name, rows in found.items()
    }
