"""What the network is trained for: depth in the reference frame and in each view's, honest scales, aligned features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from msdepth_training import losses
from msdepth_training.augment import Batch
from msdepth_training.geometry import pixel_rays, reproject, sample_rows, scale_intrinsics, visible
from msdepth_training.networks import NetworkOutput

RANGE_M = 80.0
"""Beyond it (and in the sky) truth counts less, as there is nothing to measure."""
FAR_WEIGHT = 0.25
COARSE_WEIGHTS = {32: 0.15, 16: 0.2, 8: 0.3, 4: 0.4}
CONTRASTIVE_POINTS = 96


def log_truth_and_weight(depth_m: Tensor, max_m: float) -> tuple[Tensor, Tensor]:
    """Log of depth limited to max_m (sky included), and its weight; any shape."""
    return depth_m.clamp(0.1, max_m).log(), torch.where(depth_m < RANGE_M, 1.0, FAR_WEIGHT)


def subsample(depth_m: Tensor, stride: int) -> Tensor:
    """Every stride-th pixel of [..., H, W], near the cells' centres; never an average across an edge."""
    return depth_m[..., stride // 2 :: stride, stride // 2 :: stride]


def fused_loss(out: NetworkOutput, truth_m: Tensor, max_m: float) -> Tensor:
    """Depth and scale in the reference frame; truth_m [B, H, W]."""
    truth, weight = log_truth_and_weight(truth_m, max_m)
    total = losses.log_l1(out.log_depth, truth, weight) + 0.3 * losses.gradient_matching(out.log_depth, truth, weight)
    # the scale learns how wrong the depth is, without pulling the depth towards what is easily predicted
    total = total + 0.3 * losses.laplace_nll(out.log_depth.detach(), out.log_scale, truth, weight)
    for stride, log_depth in out.coarse_log_depth.items():
        truth, weight = log_truth_and_weight(subsample(truth_m, stride), max_m)
        total = total + COARSE_WEIGHTS[stride] * losses.log_l1(log_depth[:, 0], truth, weight)
    return total


def view_loss(out: NetworkOutput, depth_m: Tensor, max_m: float) -> Tensor:
    """Each view's own depth and scale, in its own frame; depth_m [B, N, H, W]."""
    truth, weight = log_truth_and_weight(subsample(depth_m.flatten(0, 1), 8), max_m)
    log_depth, log_scale = out.view.log_depth[:, 0], out.view.log_scale[:, 0]
    return losses.log_l1(log_depth, truth, weight) + 0.3 * losses.laplace_nll(
        log_depth.detach(), log_scale, truth, weight
    )


def alignment_loss(
    out: NetworkOutput, batch: Batch, stride: int, pair: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """InfoNCE between two spectra at corresponding 3-D points, found with ground-truth depth and tested for occlusion.

    Args:
        out: of the network.
        batch: what it was given.
        stride: level of the descriptors.
        pair: the two views.
        generator: draws the points.

    Returns:
        Scalar, 0 if no two points are seen by both.
    """
    device = batch.k.device
    height, width = (size // stride for size in batch.depth_m.shape[-2:])
    k = scale_intrinsics(batch.k, 1.0 / stride, 1.0 / stride)
    first, second = pair
    depth = subsample(batch.depth_m, stride)
    picked = torch.randint(height * width, (CONTRASTIVE_POINTS,), generator=generator).to(device)
    rays = pixel_rays(k[:, first], height, width).flatten(2)[:, :, picked].unsqueeze(2)
    picked_depth = depth[:, first].flatten(1)[:, picked]
    second_from_first = batch.view_from_reference[:, second] @ torch.linalg.inv(batch.view_from_reference[:, first])
    known = picked_depth < RANGE_M
    at = torch.where(known, picked_depth, 1.0)[:, None, None]
    u, v, z = (x[:, 0, 0, 0] for x in reproject(at, rays, second_from_first[:, None], k[:, second : second + 1]))
    seen = visible(u, v, z, depth[:, second], tolerance=0.1) > 0
    query = out.descriptors[stride][:, first].flatten(2)[:, :, picked].transpose(1, 2)
    key = sample_rows(out.descriptors[stride][:, second], u, v)
    key = key / key.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    return losses.info_nce(query.flatten(0, 1), key.flatten(0, 1), (seen & known).flatten())


def objective(
    out: NetworkOutput, batch: Batch, *, max_m: float, alignment_weight: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """All terms and their sum under `total`.

    Args:
        out: of the network.
        batch: what it was given, with depth in every camera's frame.
        max_m: depth beyond it, and the sky, counts as this, metres.
        alignment_weight: of the alignment term in the sum.
        generator: draws the pair of spectra and the points of the alignment term.

    Returns:
        Scalars `fused`, `views`, `alignment` and `total`.
    """
    rows = torch.arange(batch.reference.shape[0], device=batch.reference.device)
    pairs = ((0, 1), (0, 2), (1, 2))
    pair = pairs[int(torch.randint(3, (1,), generator=generator))]
    terms = {
        "fused": fused_loss(out, batch.depth_m[rows, batch.reference], max_m),
        "views": view_loss(out, batch.depth_m, max_m),
        "alignment": sum((alignment_loss(out, batch, s, pair, generator) for s in out.descriptors), torch.zeros(()))
        / math.log(CONTRASTIVE_POINTS),
    }
    terms["total"] = terms["fused"] + 0.6 * terms["views"] + alignment_weight * terms["alignment"]
    return terms
