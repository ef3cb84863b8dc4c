"""Matching between views, supervised itself: the true depth must be the hypothesis at which they agree."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from msdepth_training import losses
from msdepth_training.networks.fusion import Matching
from msdepth_training.objective.truth import RANGE_M, subsample


def matching_loss(matching: dict[int, Matching], truth_m: Tensor) -> Tensor:
    """Mean cross-entropy over the levels, see `hypothesis_cross_entropy`.

    Args:
        matching: stride to what matching says, in the reference frame.
        truth_m: [B, H, W] depth in the reference frame, metres; inf sky, NaN unknown.

    Returns:
        Scalar; 0 where no pixel is seen by two views.
    """
    terms = [hypothesis_cross_entropy(found, subsample(truth_m, stride)) for stride, found in matching.items()]
    return torch.stack(terms).mean()


def hypothesis_cross_entropy(matching: Matching, truth_m: Tensor) -> Tensor:
    """Cross-entropy of the hypotheses with the two that enclose the true depth, weighted linearly in log depth.

    Pixels count where the truth lies within the hypotheses and at least two views see the point there.

    Args:
        matching: of one level.
        truth_m: [B, h, w] metres.

    Returns:
        Scalar.
    """
    known = truth_m < RANGE_M
    truth = torch.where(known, truth_m, 1.0).clamp(min=1e-3).log().unsqueeze(1)
    hypotheses = matching.log_depth
    below = (hypotheses <= truth).sum(dim=1, keepdim=True) - 1
    within = (below >= 0) & (below < hypotheses.shape[1] - 1)
    lower = below.clamp(0, hypotheses.shape[1] - 2)
    first, second = hypotheses.gather(1, lower), hypotheses.gather(1, lower + 1)
    share = ((truth - first) / (second - first)).clamp(0.0, 1.0)
    likely = F.log_softmax(matching.logits.float(), dim=1)
    cross_entropy = -(likely.gather(1, lower) * (1.0 - share) + likely.gather(1, lower + 1) * share)
    weight = known.unsqueeze(1) * within * matching.compared.gather(1, lower)
    return losses.weighted_mean(cross_entropy, weight)
