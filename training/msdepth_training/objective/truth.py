"""What counts as ground truth, and how much."""

from __future__ import annotations

import torch
from torch import Tensor

RANGE_M = 80.0
"""Beyond it (and in the sky) truth counts less, as there is nothing to measure."""
FAR_WEIGHT = 0.25
NEAREST_M = 0.1
"""Least truth whose logarithm is taken."""


def log_truth_and_weight(depth_m: Tensor, max_m: float) -> tuple[Tensor, Tensor]:
    """Log of depth limited to max_m (sky included), and its weight; any shape.

    Args:
        depth_m: metres; inf is sky, NaN unknown.
        max_m: metres.

    Returns:
        Log metres, finite everywhere, and weights: 1, less beyond `RANGE_M`, 0 where depth is unknown.
    """
    known = ~depth_m.isnan()
    weight = torch.where(depth_m < RANGE_M, 1.0, FAR_WEIGHT) * known
    return torch.where(known, depth_m, max_m).clamp(NEAREST_M, max_m).log(), weight


def subsample(depth_m: Tensor, stride: int) -> Tensor:
    """Every stride-th pixel of [..., H, W], near the cells' centres; never an average across an edge."""
    return depth_m[..., stride // 2 :: stride, stride // 2 :: stride]
