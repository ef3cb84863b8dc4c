"""Supervised depth and scale of one frame, the same for every network."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

from msdepth_training import losses
from msdepth_training.errors import TrainingError
from msdepth_training.networks.encoder import ViewFeatures
from msdepth_training.objective.truth import log_truth_and_weight, subsample

COARSE_WEIGHTS = {32: 0.15, 16: 0.2, 8: 0.3, 4: 0.4}
SMOOTH_L1_WEIGHT, SILOG_WEIGHT = 0.1, 0.1
"""Bring metres, and the factor 10 of SILog, to about the size of the other terms."""

DepthLoss = Literal["log_l1", "silog", "smooth_l1"]
"""How depth at full size is compared with the truth; all else stays the same."""


class DepthOutput(Protocol):
    """What every network says of M frames at H x W."""

    @property
    def log_depth(self) -> Tensor:
        """[M, H, W] log metres."""

    @property
    def log_scale(self) -> Tensor:
        """[M, H, W] log of the Laplace scale of log depth."""

    @property
    def coarse_log_depth(self) -> dict[int, Tensor]:
        """Stride to [M, 1, H/stride, W/stride]."""


def depth_loss(log_depth: Tensor, log_truth: Tensor, weight: Tensor, kind: DepthLoss) -> Tensor:
    """Depth at full size, [M, H, W] each; with `silog` the mean over frames, which may differ in scale."""
    if kind == "log_l1":
        matching = losses.gradient_matching(log_depth, log_truth, weight)
        return losses.log_l1(log_depth, log_truth, weight) + 0.3 * matching
    if kind == "silog":
        frames = zip(log_depth, log_truth, weight, strict=True)
        return SILOG_WEIGHT * torch.stack([losses.silog(d, t, w) for d, t, w in frames]).mean()
    if kind == "smooth_l1":
        # beyond e^6 m its gradient would be what the first steps consist of
        return SMOOTH_L1_WEIGHT * losses.smooth_l1(log_depth.clamp(max=6.0).exp(), log_truth.exp(), weight)
    raise TrainingError(f"no depth loss {kind!r}; known are log_l1, silog, smooth_l1")


def depth_and_scale_loss(out: DepthOutput, truth_m: Tensor, max_m: float, kind: DepthLoss = "log_l1") -> Tensor:
    """Depth at full size and at every stride, and the scale; truth_m [M, H, W]."""
    truth, weight = log_truth_and_weight(truth_m, max_m)
    total = depth_loss(out.log_depth, truth, weight, kind)
    # the scale learns how wrong the depth is, without pulling the depth towards what is easily predicted
    total = total + 0.3 * losses.laplace_nll(out.log_depth.detach(), out.log_scale.float(), truth, weight)
    for stride, log_depth in out.coarse_log_depth.items():
        truth, weight = log_truth_and_weight(subsample(truth_m, stride), max_m)
        total = total + COARSE_WEIGHTS[stride] * losses.log_l1(log_depth[:, 0], truth, weight)
    return total


def evidence_loss(view: ViewFeatures, depth_m: Tensor, max_m: float) -> Tensor:
    """The encoder's own depth and scale at stride 8, each view in its own frame; depth_m [M, H, W]."""
    truth, weight = log_truth_and_weight(subsample(depth_m, 8), max_m)
    log_depth, log_scale = view.log_depth[:, 0], view.log_scale[:, 0]
    return losses.log_l1(log_depth, truth, weight) + 0.3 * losses.laplace_nll(
        log_depth.detach(), log_scale, truth, weight
    )
