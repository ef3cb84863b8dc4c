"""The same 3-D points in two views, found with ground-truth depth and tested for occlusion."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from msdepth_training import losses
from msdepth_training.batch import Batch
from msdepth_training.geometry import (
    full_precision,
    pixel_rays,
    relative_to,
    reproject,
    sample_rows,
    scale_intrinsics,
    visible,
)
from msdepth_training.objective.truth import RANGE_M, subsample

PAIRS = ((0, 1), (0, 2), (1, 2))
"""Of spectra."""


class Points(NamedTuple):
    """P points in B scenes, each in two views."""

    cell: Tensor
    """int [P], where they are in the first view's level: row * width + column."""
    u: Tensor
    """[B, P] column in the second view's level, px."""
    v: Tensor
    """[B, P] row in the second view's level, px."""
    seen: Tensor
    """bool [B, P], whether depth is known there and the second view sees the very point."""


def corresponding(
    batch: Batch, stride: int, pair: tuple[int, int], *, count: int, generator: torch.Generator
) -> Points:
    """Random cells of one view's level and where another view sees them.

    Args:
        batch: with depth in each camera's frame.
        stride: of the level.
        pair: the two views.
        count: P, points drawn in each scene (the same cells in every scene of the batch, each at most once).
        generator: on the CPU, draws the cells.
    """
    first, second = pair
    height, width = (size // stride for size in batch.depth_m.shape[-2:])
    k = scale_intrinsics(batch.k, 1.0 / stride, 1.0 / stride)
    depth = subsample(batch.depth_m, stride)
    cell = torch.randperm(height * width, generator=generator)[:count].to(depth.device)
    rays = pixel_rays(k[:, first], height, width).flatten(2)[:, :, cell].unsqueeze(2)
    picked = depth[:, first].flatten(1)[:, cell]
    known = picked < RANGE_M
    at = torch.where(known, picked, 1.0)[:, None, None]
    pose = relative_to(batch.view_from_reference, torch.full_like(batch.reference, first))[:, second : second + 1]
    u, v, z = (x[:, 0, 0, 0] for x in reproject(at, rays, pose, k[:, second : second + 1]))
    return Points(cell, u, v, (visible(u, v, z, depth[:, second], tolerance=0.1) > 0) & known)


def rows_at(first: Tensor, second: Tensor, points: Points) -> tuple[Tensor, Tensor]:
    """Unit channel vectors [B, P, D] at the points in maps [B, D, h, w] of the two views."""
    query = first.flatten(2)[:, :, points.cell].transpose(1, 2)
    key = sample_rows(second, points.u, points.v)
    return F.normalize(query.float(), dim=-1, eps=1e-3), F.normalize(key.float(), dim=-1, eps=1e-3)


def alignment_loss(features: Tensor, batch: Batch, points: Points, pair: tuple[int, int]) -> Tensor:
    """InfoNCE between two spectra at corresponding 3-D points; negatives are other positions and other scenes.

    Args:
        features: [B, 3, D, h, w] of the level that the points lie in, of any length.
        batch: what the network was given.
        points: from `corresponding`.
        pair: the two views.

    Returns:
        Scalar, 0 if no two points are seen by both.
    """
    query, key = rows_at(features[:, pair[0]], features[:, pair[1]], points)
    with full_precision(query):
        return losses.info_nce(query.flatten(0, 1), key.flatten(0, 1), points.seen.flatten())


def recall_at_1(query: Tensor, key: Tensor) -> Tensor:
    """Share of rows of `query` whose nearest row of `key`, by cosine, is the one of the same index.

    Args:
        query: [M, D] of one spectrum at M points, of any length.
        key: [M, D] of another spectrum at the same points.

    Returns:
        Scalar in [0, 1]; guessing gives 1 / M. A tie counts as found only for the first of the equal rows.

    Raises:
        ValueError: there is no point.
    """
    if query.shape[0] == 0:
        raise ValueError("recall of no points is not defined")
    similarity = F.normalize(query.float(), dim=-1) @ F.normalize(key.float(), dim=-1).T
    nearest = similarity.argmax(dim=1)
    return (nearest == torch.arange(len(query), device=query.device)).float().mean()


def alignment_recall(
    features: Tensor,
    batch: Batch,
    stride: int,
    pair: tuple[int, int],
    *,
    generator: torch.Generator,
    points: int = 1000,
) -> float | None:
    """How often features of the same point in two spectra are nearest neighbours.

    Args:
        features: [B, 3, D, h, w], of any length.
        batch: what the network was given.
        stride: of the features.
        pair: the two views.
        generator: on the CPU, draws the points.
        points: among how many, from all scenes of the batch together.

    Returns:
        Recall@1 in [0, 1], None where fewer than `points` points are seen by both views.
    """
    cells = features.shape[-2] * features.shape[-1]
    found = corresponding(batch, stride, pair, count=cells, generator=generator)
    query, key = rows_at(features[:, pair[0]], features[:, pair[1]], found)
    query, key = query[found.seen], key[found.seen]
    if len(query) < points:
        return None
    chosen = torch.randperm(len(query), generator=generator)[:points].to(query.device)
    return float(recall_at_1(query[chosen], key[chosen]))
