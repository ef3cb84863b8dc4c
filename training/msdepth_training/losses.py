"""Losses: pure functions of tensors. Means are over the weights given; without any weight a loss is 0, never NaN."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Sum of value * weight over sum of weight; 0 where no weight is left (and with a gradient of 0)."""
    return (value * weight).sum() / weight.sum().clamp(min=1e-6)


def log_l1(log_depth: Tensor, log_truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error of log depth; all of one shape, log metres, truth finite also where weight is 0."""
    return weighted_mean((log_depth - log_truth).abs(), weight)


def laplace_nll(log_depth: Tensor, log_scale: Tensor, log_truth: Tensor, weight: Tensor) -> Tensor:
    """Negative log likelihood |error| / b + log 2b of a Laplace distribution on log depth.

    Args:
        log_depth: its location, log metres.
        log_scale: log b.
        log_truth: log metres, finite everywhere.
        weight: 0 where there is no truth.

    Returns:
        Scalar. Minimal over b at b = mean |error|.
    """
    error = (log_depth - log_truth).abs()
    return weighted_mean(error * torch.exp(-log_scale) + log_scale + math.log(2.0), weight)


def gradient_matching(
    log_depth: Tensor, log_truth: Tensor, weight: Tensor, *, steps: tuple[int, ...] = (1, 2, 4)
) -> Tensor:
    """Mean absolute difference of the image gradients of log depth; ignores offsets.

    Multi-scale as in Li and Snavely, MegaDepth (CVPR 2018), but by wider spacing, not by smaller images.

    Args:
        log_depth: [..., h, w] log metres.
        log_truth: [..., h, w] log metres, finite everywhere.
        weight: [..., h, w] at least 0.
        steps: spacings, px.

    Returns:
        Scalar.
    """
    difference = log_depth - log_truth
    total = difference.new_zeros(())
    for step in steps:
        across = (difference[..., :, step:] - difference[..., :, :-step]).abs()
        down = (difference[..., step:, :] - difference[..., :-step, :]).abs()
        total = total + weighted_mean(across, weight[..., :, step:] * weight[..., :, :-step])
        total = total + weighted_mean(down, weight[..., step:, :] * weight[..., :-step, :])
    return total / len(steps)


def info_nce(query: Tensor, key: Tensor, valid: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Contrastive loss of corresponding descriptors, both ways.

    Row i of query and row i of key show the same 3-D point in two spectra; every other valid row, from other positions
    and other scenes of the batch, is a negative (InfoNCE, van den Oord et al. 2018). Gradients reach both sides.

    Args:
        query: [M, D] unit vectors.
        key: [M, D] unit vectors.
        valid: [M] bool; invalid rows are neither positives nor negatives.
        temperature: of the softmax.

    Returns:
        Scalar; 0 with fewer than two valid rows, where there is nothing to tell apart.
    """
    query, key = query[valid], key[valid]
    if query.shape[0] < 2:
        return (query.sum() + key.sum()) * 0.0
    logits = query @ key.T / temperature
    target = torch.arange(query.shape[0], device=query.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
