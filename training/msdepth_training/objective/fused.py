"""Recipe `msdepth`: depth in the reference frame and in each view's, honest scales, aligned features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from msdepth_training.batch import Batch
from msdepth_training.geometry import full_precision
from msdepth_training.networks import NetworkOutput
from msdepth_training.objective.depth import depth_and_scale_loss, evidence_loss
from msdepth_training.objective.matching import matching_loss
from msdepth_training.objective.obstacles import OBSTACLE_WEIGHT, obstacle_loss
from msdepth_training.objective.points import PAIRS, alignment_loss, corresponding

CONTRASTIVE_POINTS = 96
"""In each scene."""


def random_pair(generator: torch.Generator) -> tuple[int, int]:
    """Two spectra."""
    return PAIRS[int(torch.randint(len(PAIRS), (1,), generator=generator))]


def aligned(features: dict[int, Tensor], batch: Batch, generator: torch.Generator) -> Tensor:
    """InfoNCE of two random spectra at every level, relative to that of a network that cannot tell points apart.

    Args:
        features: stride to [B, 3, D, h, w], of any length.
        batch: what the network was given.
        generator: on the CPU, draws the pair and the points.

    Returns:
        Scalar.
    """
    pair, total = random_pair(generator), batch.depth_m.new_zeros(())
    for stride, maps in features.items():
        points = corresponding(batch, stride, pair, count=CONTRASTIVE_POINTS, generator=generator)
        total = total + alignment_loss(maps, batch, points, pair)
    return total / math.log(CONTRASTIVE_POINTS)


def objective(
    outs: Sequence[NetworkOutput],
    batches: Sequence[Batch],
    *,
    max_m: float,
    alignment_weight: float,
    matching_weight: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """All terms and their sum under `total`.

    Args:
        outs: of the network, in the frames of one or several cameras, from the same encoded views.
        batches: what it was given for each of them: the same sets, with depth in every camera's frame.
        max_m: depth beyond it, and the sky, counts as this, metres.
        alignment_weight: of the alignment term in the sum.
        matching_weight: of the matching term in the sum.
        generator: on the CPU, draws the pair of spectra and the points of the alignment term.

    Returns:
        Scalars `fused`, `views`, `alignment`, `matching`, `obstacles` and `total`.
    """
    first, batch = outs[0], batches[0]
    rows = torch.arange(batch.reference.shape[0], device=batch.reference.device)
    with full_precision(batch.depth_m):
        fused, matching, obstacles = [], [], []
        for out, wanted in zip(outs, batches, strict=True):
            truth, plane = batch.depth_m[rows, wanted.reference], batch.ground_plane[rows, wanted.reference]
            fused.append(depth_and_scale_loss(out, truth, max_m))
            matching.append(matching_loss(out.matching, truth))
            obstacles.append(obstacle_loss(out, truth, plane, wanted.reference_k()))
        terms = {
            "fused": torch.stack(fused).mean(),
            "matching": torch.stack(matching).mean(),
            "obstacles": torch.stack(obstacles).mean(),
            "views": evidence_loss(first.view, batch.depth_m.flatten(0, 1), max_m),
            "alignment": aligned(first.descriptors, batch, generator),
        }
    terms["total"] = (
        terms["fused"] + 0.6 * terms["views"] + alignment_weight * terms["alignment"]
        + matching_weight * terms["matching"] + OBSTACLE_WEIGHT * terms["obstacles"]
    )  # fmt: skip
    return terms
