"""What stands on the road counts for more than the road, and too far more than too near: that is what is hit."""

from __future__ import annotations

import torch
from torch import Tensor

from msdepth_training import losses
from msdepth_training.geometry import height_above
from msdepth_training.objective.depth import DepthOutput
from msdepth_training.objective.truth import log_truth_and_weight

OBSTACLE_WEIGHT = 0.3
"""Of `obstacle_loss` in the sum of all terms."""
HEIGHTS_M = (0.3, 3.0)
"""Above the road."""
FARTHEST_M = 30.0
TOO_FAR_WEIGHT, TOO_NEAR_WEIGHT = 1.0, 0.5
"""Of an error to the one and to the other side."""


def obstacles(truth_m: Tensor, plane: Tensor, k: Tensor) -> Tensor:
    """Which pixels show an obstacle.

    Args:
        truth_m: [B, H, W] metres; inf sky, NaN unknown.
        plane: [B, 4] of the road in the camera's frame, all 0 where unknown: then nothing is an obstacle.
        k: [B, 3, 3], px of the H x W image.

    Returns:
        bool [B, H, W].
    """
    near = truth_m < FARTHEST_M
    height_m = height_above(plane, torch.where(near, truth_m, 1.0), k)
    return near & (height_m > HEIGHTS_M[0]) & (height_m < HEIGHTS_M[1]) & (plane[:, 3, None, None] > 0.0)


def obstacle_loss(out: DepthOutput, truth_m: Tensor, plane: Tensor, k: Tensor) -> Tensor:
    """Mean asymmetric error of log depth on obstacles, a quantile loss (Koenker and Bassett 1978).

    Args:
        out: of the network at H x W.
        truth_m: see `obstacles`, as for the other arguments.
        plane: [B, 4].
        k: [B, 3, 3].

    Returns:
        Scalar, 0 without any obstacle.
    """
    log_truth, _ = log_truth_and_weight(truth_m, FARTHEST_M)
    error = out.log_depth - log_truth
    cost = TOO_FAR_WEIGHT * error.clamp(min=0.0) - TOO_NEAR_WEIGHT * error.clamp(max=0.0)
    return losses.weighted_mean(cost, obstacles(truth_m, plane, k).to(cost.dtype))
