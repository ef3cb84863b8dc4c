"""Recipe `paper`: the fusion of Shin, Lee and Oh (ICRA 2025), attached to a frozen `SpectralDepth`.

Their known mistakes are not repeated. Where that, or what they leave open, makes a difference, the text says so.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.errors import TrainingError
from msdepth_training.geometry import relative_to
from msdepth_training.networks.cameras import CameraRays, Cameras, Views
from msdepth_training.networks.encoder import STRIDES
from msdepth_training.networks.fusion import to_maps, warp
from msdepth_training.networks.spectral import SpectralDepth, SpectralOutput, split
from msdepth_training.networks.swin import SwinBlock

OCCLUDED = 1.25
"""A point further away than this times what the view itself sees there is hidden from the view."""


class PaperOutput(NamedTuple):
    """Of B anchors at H x W."""

    log_depth: Tensor
    """[B, H, W] log metres, in the anchor's frame."""
    log_scale: Tensor
    """[B, H, W] log of the Laplace scale of log depth."""
    coarse_log_depth: dict[int, Tensor]
    """Stride to [B, 1, H/stride, W/stride], for deep supervision."""
    weights: dict[int, Tensor]
    """Stride to [B, N, H/stride, W/stride] of the gating: 1 for the anchor, 0 to 1 for the others."""


class Encoded(NamedTuple):
    """What the frozen base says of B sets of N views."""

    pyramid: dict[int, Tensor]
    """Stride to [B, N, C, H/stride, W/stride]."""
    depth_m: Tensor
    """[B, N, H, W] each view's own prediction, metres."""


class Gated(NamedTuple):
    """Features in the anchor's frame, as rows."""

    features: Tensor
    """[B, P, 2C] shared, then specific of the anchor and of the others."""
    weights: Tensor
    """[B, N, P]."""


def anchor_cameras(
    k: Tensor, view_from_reference: Tensor, anchor: Tensor, present: Tensor, *, height: int, width: int
) -> Cameras:
    """The cameras as their anchors see them; arguments as `PaperFusion.forward`, for images of height x width."""
    row = torch.arange(len(anchor), device=anchor.device)
    reference, unknown = CameraRays(k[row, anchor], height, width), k.new_zeros(len(row), 4)
    return Cameras(k, relative_to(view_from_reference, anchor), reference, present, unknown)


def bring(features: Tensor, depth_m: Tensor, views: Views, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Features into the anchor's frame, by the anchor's own predicted depth.

    Args:
        features: [B, N, C, h, w].
        depth_m: [B, N, h, w] each view's own prediction, metres.
        views: geometry at this level, the reference being the anchor.
        anchor: int [B].

    Returns:
        Rows [B, N, P, C], and [B, N, P] 1 where the view sees the point: inside its image, in front of it and not
        occluded (the paper tests neither of the latter two), else 0.
    """
    row = torch.arange(len(anchor), device=anchor.device)
    # a view's own depth is brought along, for the test of occlusion
    brought = torch.cat((features, depth_m.unsqueeze(2)), dim=2)
    warped = warp(brought, depth_m[row, anchor].unsqueeze(1), views)
    rows, sees_m = warped.features.split((features.shape[2], 1), dim=-1)
    seen = warped.seen * (warped.z < OCCLUDED * sees_m)
    # a warp onto itself would only add rounding
    own = F.one_hot(anchor, features.shape[1]).view(*features.shape[:2], 1, 1).bool()
    return torch.where(own, features.flatten(3).transpose(2, 3), rows), seen[..., 0]


def gate(rows: Tensor, seen: Tensor, anchor: Tensor) -> Gated:
    """Cosine gating.

    A view weighs what its shared half agrees with the anchor's. Here the weights may not go negative, and where a view
    does not see the point it weighs nothing; the anchor itself always weighs 1, so that something is left everywhere.

    Args:
        rows: [B, N, P, C] every view's features in the anchor's frame; the anchor's own are not warped.
        seen: [B, N, P] 1 where the view sees the point, else 0.
        anchor: int [B], which view is the anchor.

    Returns:
        See `Gated`.
    """
    batch, count = rows.shape[:2]
    row = torch.arange(batch, device=rows.device)
    shared, specific = split(rows, dim=-1)
    agreement = F.cosine_similarity(shared[row, anchor].unsqueeze(1), shared, dim=-1).clamp(min=0.0) * seen
    is_anchor = F.one_hot(anchor, count).to(agreement.dtype).unsqueeze(-1)
    weights = is_anchor + (1.0 - is_anchor) * agreement
    together = (shared * weights.unsqueeze(-1)).sum(dim=1) / weights.sum(dim=1).unsqueeze(-1)
    # the anchor first, so that one set of weights serves every anchor
    order = (anchor.unsqueeze(1) + torch.arange(count, device=rows.device)) % count
    by_role = (specific * weights.unsqueeze(-1))[row.unsqueeze(1), order]
    return Gated(torch.cat((together, by_role.transpose(1, 2).flatten(2)), dim=-1), weights)


class PaperLevel(nn.Module):
    """Swin block, layer norm, linear 2C to C.

    The result is added to the anchor's own features and starts as nothing: training starts from the frozen network as
    it is. The paper does not say how it starts; without this the baseline would first have to learn what it was given.

    Args:
        channels: C of the encoder's features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = SwinBlock(2 * channels)
        self.norm = nn.LayerNorm(2 * channels)
        self.reduce = nn.Linear(2 * channels, channels)
        nn.init.zeros_(self.reduce.weight)
        nn.init.zeros_(self.reduce.bias)

    def forward(self, gated: Tensor, own: Tensor) -> Tensor:
        """Gated rows [B, P, 2C] and the anchor's own features [B, C, h, w] to features [B, C, h, w]."""
        size = own.shape[-2:]
        mixed = self.block(gated.unflatten(1, size)).flatten(1, 2)
        return own + to_maps(self.reduce(self.norm(mixed)), *size)


class PaperFusion(nn.Module):
    """The paper's fusion of RGB, NIR and thermal, in the frame of an anchor that has to be there.

    Args:
        base: aligned network. It is frozen: no gradient, always in eval mode.
    """

    def __init__(self, base: SpectralDepth) -> None:
        super().__init__()
        self.base = base.requires_grad_(False).eval()
        self.config = base.config
        self.fusions = nn.ModuleDict(
            {str(s): PaperLevel(c) for s, c in zip(STRIDES, base.config.channels[1:], strict=True)}
        )

    def train(self, mode: bool = True) -> PaperFusion:
        """Train the fusion; statistics of the base's batch norms may not drift."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(
        self,
        images: Tensor,
        k: Tensor,
        view_from_reference: Tensor,
        reference: Tensor,
        present: Tensor | None = None,
    ) -> PaperOutput:
        """Fuse in the frame of one anchor for each set.

        Args:
            images: [B, 3, 3, H, W] of RGB, NIR, thermal in [0, 1]; H and W are multiples of 32.
            k: [B, 3, 3, 3], px.
            view_from_reference: [B, 3, 4, 4] from any frame of the set, metres.
            reference: int [B], the anchor: 0 RGB, 1 NIR, 2 thermal.
            present: [B, 3], 0 leaves a view out; all by default.

        Returns:
            See `PaperOutput`.

        Raises:
            TrainingError: there are not three views, or an anchor is absent: its own depth guides every warp.
        """
        present = torch.ones_like(k[:, :, 0, 0]) if present is None else present
        if not bool((present.gather(1, reference.unsqueeze(1)) > 0).all()):
            raise TrainingError("recipe paper needs the anchor's own image; the recipe that does without is msdepth")
        return self.fuse(self.encode(images, k), k, view_from_reference, reference, present)

    def all_anchors(self, images: Tensor, k: Tensor, view_from_reference: Tensor) -> tuple[PaperOutput, ...]:
        """Fuse in the frame of every view in turn, with all views; arguments as `forward`."""
        encoded, present = self.encode(images, k), torch.ones_like(k[:, :, 0, 0])
        anchors = (torch.full_like(present[:, 0], n, dtype=torch.long) for n in range(len(SPECTRA)))
        return tuple(self.fuse(encoded, k, view_from_reference, anchor, present) for anchor in anchors)

    @torch.no_grad()
    def encode(self, images: Tensor, k: Tensor) -> Encoded:
        """What the base says of each view; arguments as `forward`."""
        sets = images.shape[:2]
        if sets[1] != len(SPECTRA):
            raise TrainingError(f"recipe paper needs the views {', '.join(SPECTRA)}, got {sets[1]} views")
        out: SpectralOutput = self.base(images.flatten(0, 1), k.flatten(0, 1))
        depth_m = out.log_depth.float().exp().clamp(self.config.min_m, self.config.max_m)
        return Encoded({s: x.unflatten(0, sets) for s, x in out.view.pyramid.items()}, depth_m.unflatten(0, sets))

    def fuse(
        self, encoded: Encoded, k: Tensor, view_from_reference: Tensor, anchor: Tensor, present: Tensor
    ) -> PaperOutput:
        """The part that is trained, then the frozen decoder; arguments as `forward`."""
        row = torch.arange(len(anchor), device=anchor.device)
        height, width = encoded.depth_m.shape[-2:]
        cameras = anchor_cameras(k, view_from_reference, anchor, present, height=height, width=width)
        pyramid, weights = {}, {}
        for stride, features in encoded.pyramid.items():
            depth_m = F.interpolate(encoded.depth_m, scale_factor=1.0 / stride, mode="bilinear", align_corners=False)
            gated = gate(*bring(features, depth_m, cameras.at_stride(stride), anchor), anchor)
            pyramid[stride] = self.fusions[str(stride)](gated.features, features[row, anchor])
            weights[stride] = gated.weights.unflatten(2, features.shape[-2:])
        return PaperOutput(*self.base.decoder(pyramid, cameras.reference), weights)
