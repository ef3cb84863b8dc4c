"""Stage fuse of recipe `paper`: supervised depth in every anchor's frame, consistent with the best anchor's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training import losses
from msdepth_training.batch import Batch
from msdepth_training.geometry import full_precision, inside, pixel_rays, relative_to, reproject, sample_rows
from msdepth_training.networks.paper import PaperOutput
from msdepth_training.objective.depth import DepthLoss, depth_and_scale_loss
from msdepth_training.objective.truth import log_truth_and_weight

CONSISTENCY_WEIGHT = 0.5
HIDDEN = 1.5
"""A point further away than this times what the best anchor says there counts as occluded; nearer, as wrong."""
STRIDE = 2
"""Depth is compared between anchors at every second pixel."""


def errors(outs: Sequence[PaperOutput], batch: Batch, max_m: float) -> Tensor:
    """[B, 3] mean error of log depth in every anchor's frame, without gradient."""
    rows = []
    for n, out in enumerate(outs):
        truth, weight = log_truth_and_weight(batch.depth_m[:, n], max_m)
        wrong = ((out.log_depth.detach() - truth).abs() * weight).sum(dim=(1, 2))
        rows.append(wrong / weight.sum(dim=(1, 2)).clamp(min=1e-6))
    return torch.stack(rows, dim=1)


def consistency(outs: Sequence[PaperOutput], batch: Batch, best: Tensor, *, min_m: float, max_m: float) -> Tensor:
    """Geometric consistency of every anchor's depth with that of the best one.

    Points of an anchor are brought into the best anchor's frame with the anchor's K and depth and projected with the
    best anchor's K. The best anchor is the teacher: it gets no gradient.

    Args:
        outs: of the three anchors.
        batch: for the cameras.
        best: int [B], an anchor for each scene; here the one whose depth is least wrong, not always thermal.
        min_m: limit of depth, metres.
        max_m: limit of depth, metres.

    Returns:
        Scalar, the mean over the points that the best anchor sees: inside, in front, not occluded.
    """
    row = torch.arange(len(best), device=best.device)
    depths = torch.stack([out.log_depth for out in outs], dim=1).exp().clamp(min_m, max_m)
    teacher = depths[row, best].detach()
    height, width = teacher.shape[-2:]
    computed, projected, weights = [], [], []
    for n in range(len(outs)):
        pose = relative_to(batch.view_from_reference, torch.full_like(best, n))[row, best].unsqueeze(1)
        rays = pixel_rays(batch.k[:, n], height, width)[..., ::STRIDE, ::STRIDE]
        depth = depths[:, n : n + 1, ::STRIDE, ::STRIDE]
        u, v, z = (x.flatten(1) for x in reproject(depth, rays, pose, batch.k[row, best].unsqueeze(1)))
        there = sample_rows(teacher.unsqueeze(1), u.detach(), v.detach())[..., 0]
        seen = inside(u, v, z, height, width) * (z < HIDDEN * there) * (best != n).unsqueeze(1)
        computed.append(torch.where(seen > 0, z, 1.0))
        projected.append(there)
        weights.append(seen)
    return losses.geometric_consistency(torch.cat(computed), torch.cat(projected), torch.cat(weights).detach())


def paper_fuse_objective(
    outs: Sequence[PaperOutput],
    batch: Batch,
    *,
    max_m: float,
    min_m: float = 1.0,
    consistency_weight: float = CONSISTENCY_WEIGHT,
    depth_loss: DepthLoss = "log_l1",
) -> dict[str, Tensor]:
    """All terms and their sum under `total`.

    Args:
        outs: of `PaperFusion.all_anchors`, in canonical order.
        batch: what it was given; all views count as present, as the paper's recipe drops none.
        max_m: depth beyond it, and the sky, counts as this, metres.
        min_m: least depth, metres.
        consistency_weight: of the geometric consistency in the sum.
        depth_loss: of the depth at full size.

    Returns:
        Scalars `rgb`, `nir`, `thermal` (supervised, in that anchor's frame), `consistency` and `total`.
    """
    with full_precision(batch.depth_m):
        terms = {
            spectrum: depth_and_scale_loss(out, batch.depth_m[:, n], max_m, depth_loss)
            for n, (spectrum, out) in enumerate(zip(SPECTRA, outs, strict=True))
        }
        best = errors(outs, batch, max_m).argmin(dim=1)
        terms["consistency"] = consistency(outs, batch, best, min_m=min_m, max_m=max_m)
    terms["total"] = sum((terms[s] for s in SPECTRA), consistency_weight * terms["consistency"])
    return terms
