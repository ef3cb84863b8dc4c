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


def smooth_l1(depth_m: Tensor, truth_m: Tensor, weight: Tensor, *, beta_m: float = 1.0) -> Tensor:
    """Mean smooth L1 (Huber) of metric depth: quadratic up to an error of beta_m, linear beyond.

    Args:
        depth_m: metres.
        truth_m: metres, finite everywhere.
        weight: 0 where there is no truth.
        beta_m: where it becomes linear, metres.

    Returns:
        Scalar.
    """
    return weighted_mean(F.smooth_l1_loss(depth_m, truth_m, reduction="none", beta=beta_m), weight)


def silog(
    log_depth: Tensor, log_truth: Tensor, weight: Tensor, *, scale: float = 10.0, variance_focus: float = 0.85
) -> Tensor:
    """Scale-invariant log error: scale * sqrt(mean(e^2) - variance_focus * mean(e)^2), e the error of log depth.

    Eigen et al. 2014, with the scale and the root of Lee et al., BTS (2019).

    Args:
        log_depth: log metres.
        log_truth: log metres, finite everywhere.
        weight: 0 where there is no truth.
        scale: factor of the whole.
        variance_focus: lambda; at 1 a wrong scale of the depth costs nothing.

    Returns:
        Scalar; 0 without any truth.
    """
    error = log_depth - log_truth
    mean = weighted_mean(error, weight)
    spread = weighted_mean(error.square(), weight) - variance_focus * mean.square()
    # the root of 0 has no finite gradient
    positive = spread > 1e-12
    return scale * torch.where(positive, torch.where(positive, spread, 1.0).sqrt(), 0.0 * spread)


def geometric_consistency(computed_m: Tensor, projected_m: Tensor, weight: Tensor) -> Tensor:
    """Mean |computed - projected| / (computed + projected), in [0, 1] (Bian et al., SC-SfMLearner, 2019).

    Args:
        computed_m: depth of one view's points in another view's frame, positive metres.
        projected_m: what the other view says there, positive metres.
        weight: 0 where the other view does not see the point.
    """
    return weighted_mean((computed_m - projected_m).abs() / (computed_m + projected_m), weight)


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


def info_nce_against(
    query: Tensor, key: Tensor, negatives: Tensor, valid: Tensor, *, temperature: float = 0.1
) -> Tensor:
    """Contrastive loss of corresponding descriptors, one way, with further negatives.

    Args:
        query: [M, D] unit vectors.
        key: [M, D] unit vectors; row i is the positive of query i, every other valid row a negative.
        negatives: [K, D] unit vectors, negatives of every query.
        valid: [M] bool; invalid rows are neither positives nor negatives.
        temperature: of the softmax.

    Returns:
        Scalar; 0 where no row is valid or there is nothing to tell the positive from.
    """
    query, key = query[valid], key[valid]
    if query.shape[0] == 0 or query.shape[0] + negatives.shape[0] < 2:
        return (query.sum() + key.sum() + negatives.sum()) * 0.0
    logits = query @ torch.cat((key, negatives)).T / temperature
    return F.cross_entropy(logits, torch.arange(query.shape[0], device=query.device))


def global_info_nce(shared: Tensor, specific: Tensor, *, temperature: float = 0.1) -> Tensor:
    """The paper's L_global, on one channel vector for each view.

    Query: shared RGB of a scene, without gradient. Positives: shared NIR and shared thermal of the same scene.
    Negatives: every specific half and, so that one constant vector is no solution, shared halves of other scenes.

    Args:
        shared: [B, S, D], spectra in canonical order, RGB first; pooled over the image, of any length.
        specific: [B, S, D].
        temperature: of the softmax.

    Returns:
        Scalar, the mean over scenes and positives.
    """
    shared, specific = F.normalize(shared, dim=-1), F.normalize(specific, dim=-1)
    valid = torch.ones_like(shared[:, 0, 0], dtype=torch.bool)
    query, negatives = shared[:, 0].detach(), specific.flatten(0, 1)
    others = range(1, shared.shape[1])
    terms = [info_nce_against(query, shared[:, n], negatives, valid, temperature=temperature) for n in others]
    return torch.stack(terms).mean()


def dense_info_nce(shared: Tensor, specific: Tensor, valid: Tensor, *, temperature: float = 0.1) -> Tensor:
    """The paper's L_local, on the channel vectors of corresponding positions.

    Query: shared RGB. Positives: shared NIR and shared thermal at the same position of the same scene. Negatives: the
    specific halves and, so that one constant vector is no solution, the shared half at other positions and in other
    scenes. Gradients reach all sides.

    Args:
        shared: [B, S, P, D] at P positions, spectra in canonical order, RGB first; of any length.
        specific: [B, S, P, D].
        valid: [B, S, P] bool, whether the spectrum sees the position.
        temperature: of the softmax.

    Returns:
        Scalar, the mean over positives; those seen nowhere together with RGB count 0.
    """
    shared, specific = F.normalize(shared, dim=-1), F.normalize(specific, dim=-1)
    query, negatives = shared[:, 0].flatten(0, 1), specific[valid]
    terms = []
    for other in range(1, shared.shape[1]):
        both = (valid[:, 0] & valid[:, other]).flatten()
        key = shared[:, other].flatten(0, 1)
        terms.append(info_nce_against(query, key, negatives, both, temperature=temperature))
    return torch.stack(terms).mean()
