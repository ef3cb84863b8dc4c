"""What confidence means: the probability that depth is within a factor of the truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from msdepth_ros.core.image_score import CORRECT_WITHIN

CONFIDENCE_FACTOR = CORRECT_WITHIN
"""Confidence is the probability that depth is within this factor of the truth, either way."""
CONFIDENCE_DEFINITION = f"probability that depth is within a factor {CONFIDENCE_FACTOR} of the truth"


def probability_within_factor(log_scale: Tensor) -> Tensor:
    """P(|error of log depth| < log 1.25) for a Laplace distribution of scale b: 1 - exp(-log 1.25 / b).

    Args:
        log_scale: log b, any shape.

    Returns:
        Same shape, in [0, 1].
    """
    return 1.0 - torch.exp(-math.log(CONFIDENCE_FACTOR) * torch.exp(-log_scale))
