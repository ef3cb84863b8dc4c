"""Geometry-guided fusion of a set of views: permutation-invariant, for any number of views from one.

Here features are rows: [B, N, P, C] with P = h * w reference pixels. Warping gathers rows, and mixing channels is a
matrix product, both of which run several times faster in ONNX Runtime on a CPU than on channel planes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.geometry import inside, reproject, sample_rows
from msdepth_training.networks.cameras import Views


class Warped(NamedTuple):
    """Features brought into the reference frame, as rows."""

    features: Tensor
    """[B, N, P, C]."""
    seen: Tensor
    """[B, N, P, 1] 1 where the view sees the pixel, else 0."""
    z: Tensor
    """[B, N, P, 1] depth of the assumed point in the view's frame, metres."""


def warp(
    features: Tensor, depth_m: Tensor, views: Views, *, weights: Tensor | None = None, masked: bool = False
) -> Warped:
    """Bring features into the reference frame.

    Args:
        features: [B, N, C, h, w].
        depth_m: [B, S, h, w] what the reference's depth is taken to be, S assumptions.
        views: geometry at this level.
        weights: [B, N, P] to multiply the views' features with.
        masked: features that a view does not see are 0, not the nearest ones at its border.

    Returns:
        Rows of P = S * h * w points.
    """
    batch, count, channels, height, width = features.shape
    u, v, z = (
        x.reshape(batch, count, -1)
        for x in reproject(depth_m, views.reference_rays, views.view_from_reference, views.k)
    )
    seen = inside(u, v, z, height, width) * views.present.unsqueeze(-1)
    gain = seen if masked else None
    if weights is not None:
        gain = weights if gain is None else weights * gain
    maps = features.reshape(batch * count, channels, height, width)
    rows = sample_rows(maps, u.flatten(0, 1), v.flatten(0, 1), None if gain is None else gain.flatten(0, 1))
    return Warped(rows.view(batch, count, -1, channels), seen.unsqueeze(-1), z.unsqueeze(-1))


def to_maps(rows: Tensor, height: int, width: int) -> Tensor:
    """[B, P, C] rows to [B, C, height, width]."""
    return rows.transpose(1, 2).unflatten(2, (height, width))


class SetFusion(nn.Module):
    """Weighted mean over views; the weights are learned reliabilities per pixel, no spectrum is the judge.

    A view's weight comes from its features, its distance from the mean of the views that see the pixel, and its
    pose, so that a view that disagrees with the others can be left out. Views that do not see the pixel weigh nothing.

    Args:
        inputs: channels of the encoder's features.
        channels: channels of the fused features; features are reduced to these before they are warped.
        evidence: further channels per view.
    """

    def __init__(self, inputs: int, channels: int, evidence: int = 0) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, channels, 1)
        self.pose = nn.Linear(12, channels)
        self.evidence = nn.Linear(evidence, channels) if evidence else None
        self.compare = nn.Linear(channels, 16)
        self.weigh = nn.Linear(32, 1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, warped: Warped, views: Views, evidence: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fuse.

        Args:
            warped: embedded features in the reference frame.
            views: for the poses.
            evidence: [B, N, P, E] or None.

        Returns:
            Fused rows [B, P, C] and weights [B, N, P, 1]; the sum over N is 1 where any view sees the pixel, else 0.
        """
        x = warped.features + self.pose(views.view_from_reference[..., :3, :].flatten(2)).unsqueeze(2)
        if self.evidence is not None and evidence is not None:
            x = x + self.evidence(evidence)
        x = F.relu(x)
        compared = self.compare(x)
        mean = (compared * warped.seen).sum(dim=1, keepdim=True) / warped.seen.sum(dim=1, keepdim=True).clamp(min=1.0)
        logits = self.weigh(torch.cat((F.relu(compared), (compared - mean).abs()), dim=-1))
        unnormalised = logits.float().clamp(-6.0, 6.0).exp() * warped.seen
        weights = unnormalised / unnormalised.sum(dim=1, keepdim=True).clamp(min=1e-4)
        return (x * weights).sum(dim=1), weights


class Matching(NamedTuple):
    """What matching between the views says of S hypotheses of depth, at one level."""

    logits: Tensor
    """[B, S, h, w] how well the views agree, 0 where fewer than two see the point."""
    log_depth: Tensor
    """[B, S, h, w] the hypotheses, log metres, ascending."""
    compared: Tensor
    """[B, S, h, w] 1 where at least two views see the point, else 0."""

    def summary(self) -> Tensor:
        """[B, 2, h, w] expected log depth less the mean of the hypotheses, and the greatest probability."""
        # exp and one division: ONNX Runtime's Softmax over an inner axis is slow
        likely = (self.logits - self.logits.amax(dim=1, keepdim=True)).float().exp()
        share = likely / likely.sum(dim=1, keepdim=True)
        middle = self.log_depth.mean(dim=1, keepdim=True)
        expected = (share * (self.log_depth - middle)).sum(dim=1, keepdim=True)
        return torch.cat((expected, share.amax(dim=1, keepdim=True)), dim=1)


class PlaneSweep(nn.Module):
    """Do the views agree at this depth? Mean pairwise cosine of descriptors at several hypotheses of depth.

    With descriptors d_n and visibilities v_n, |sum v d|^2 - sum v |d|^2 is the sum of pairwise products, so agreement
    needs no order of the views and is 0 where fewer than two see the point.

    Args:
        inputs: channels of the encoder's features.
        channels: of the descriptors.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.describe = nn.Conv2d(inputs, channels, 1)
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        """Log of the factor from cosines to logits."""

    def descriptors(self, features: Tensor) -> Tensor:
        """Unit descriptors [M, D, h, w] of features [M, C, h, w]."""
        x = self.describe(features)
        return x / (x.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()

    def forward(self, descriptors: Tensor, log_depth: Tensor, views: Views) -> Matching:
        """Compare the views.

        Args:
            descriptors: [B, N, D, h, w], unit length.
            log_depth: [B, S, h, w] hypotheses in the reference frame, log metres.
            views: geometry at this level.
        """
        warped = warp(descriptors, log_depth.exp(), views, masked=True)
        total, count = warped.features.sum(dim=1), warped.seen.sum(dim=1)
        # a descriptor between two pixels is shorter than one, so its own square is subtracted, not 1
        own = warped.features.square().sum(dim=1)
        products = (total.square() - own).sum(dim=-1, keepdim=True)
        agreement = products / (count * (count - 1.0)).clamp(min=1.0)
        several = (count > 1.5).to(agreement.dtype)
        logits = agreement * self.sharpness.exp()
        return Matching(logits.view(log_depth.shape), log_depth, several.view(log_depth.shape))
