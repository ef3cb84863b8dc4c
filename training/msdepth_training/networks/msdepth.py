"""Recipe `msdepth`: any set of views in, depth in a chosen frame and calibrated confidence out, coarse to fine."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.networks.backbone import make_encoder
from msdepth_training.networks.cameras import CAMERA_MAPS, PLANE_MAPS, CameraRays, Cameras, Views, plane_maps
from msdepth_training.networks.config import NetworkConfig
from msdepth_training.networks.decoder import Level, upsample_convex
from msdepth_training.networks.encoder import ViewFeatures, upsample
from msdepth_training.networks.fusion import Matching, PlaneSweep, SetFusion, to_maps, warp

HYPOTHESES = 24
"""At stride 16: over the whole range, evenly in inverse depth, as parallax is."""
NEAREST_HYPOTHESIS_M = 1.6
STEPS = tuple(0.09 * n for n in range(-4, 5))
"""At stride 8: changes of the log depth of stride 16."""
MATCHED = 2
"""Channels of `Matching.summary`."""


class NetworkOutput(NamedTuple):
    """Of B sets of N views at H x W."""

    log_depth: Tensor
    """[B, H, W] log metres, in the reference frame."""
    log_scale: Tensor
    """[B, H, W] log of the Laplace scale of log depth."""
    coarse_log_depth: dict[int, Tensor]
    """Stride to [B, 1, H/stride, W/stride], for deep supervision."""
    view: ViewFeatures
    """Each view's own evidence in its own frame, M = B * N."""
    view_scale_in_reference: Tensor
    """[B, N, H/8, W/8] the view's log scale brought into the reference frame."""
    view_seen: Tensor
    """[B, N, H/8, W/8] 1 where the view sees the reference pixel."""
    descriptors: dict[int, Tensor]
    """Stride to unit descriptors [B, N, D, H/stride, W/stride]."""
    matching: dict[int, Matching]
    """Stride to what matching between the views says."""


class Refined(NamedTuple):
    """What coarse to fine ends with, at stride 4."""

    state: Tensor
    """[B, C, H/4, W/4]."""
    log_depth: dict[int, Tensor]
    """Stride to [B, 1, H/stride, W/stride] log metres."""
    log_scale: Tensor
    """[B, 1, H/4, W/4] log of the Laplace scale."""
    descriptors: dict[int, Tensor]
    """Stride to unit descriptors [B, N, D, H/stride, W/stride]."""
    matching: dict[int, Matching]
    """Stride to what matching between the views says."""


class Evidence(NamedTuple):
    """What the views say at stride 8, in the reference frame."""

    fused: Tensor
    """[B, C, h, w] features."""
    change: Tensor
    """[B, 2, h, w] weighted mean and spread of what the views say log depth should change by."""
    weights: Tensor
    """[B, N, h, w] the views' shares."""
    scale: Tensor
    """[B, N, h, w] log of the views' Laplace scales."""
    seen: Tensor
    """[B, N, h, w] 1 where the view sees the pixel, else 0."""


class MsDepth(nn.Module):
    """The fusion network. One set of weights for every spectrum and every subset of views."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        levels, fused, widths = config.channels[1:], config.fused, config.decoder
        self.encoder = make_encoder(config)
        self.fusions = nn.ModuleDict(
            {
                str(s): SetFusion(i, o, 2 if s == 8 else 0)
                for s, i, o in zip((8, 16, 32), levels[1:], fused[1:], strict=True)
            }
        )
        self.finest = nn.Conv2d(levels[0], fused[0], 1)
        self.sweeps = nn.ModuleDict(
            {
                "16": PlaneSweep(levels[2], config.descriptor),
                "8": PlaneSweep(levels[1], config.descriptor),
            }
        )
        inverse = torch.linspace(1.0 / config.max_m, 1.0 / NEAREST_HYPOTHESIS_M, HYPOTHESES).flip(0)
        self.register_buffer("hypotheses", -inverse.log().view(1, -1, 1, 1), persistent=False)
        self.register_buffer("steps", torch.tensor(STEPS).view(1, -1, 1, 1), persistent=False)
        told = CAMERA_MAPS + PLANE_MAPS
        self.levels = nn.ModuleDict(
            {
                "32": Level(fused[3] + told, 0, widths[3], 1),
                "16": Level(fused[2] + told + HYPOTHESES + MATCHED, widths[3], widths[2], 2),
                "8": Level(fused[1] + told + len(STEPS) + MATCHED + 2, widths[2], widths[1], 2),
                "4": Level(fused[0] + PLANE_MAPS, widths[1], widths[0], 1),
            }
        )
        self.upsampling = nn.Conv2d(widths[0], 9 * 4, 1)

    def forward(
        self,
        images: Tensor,
        intrinsics: Tensor,
        view_from_reference: Tensor,
        reference_intrinsics: Tensor,
        present: Tensor | None = None,
        ground_plane: Tensor | None = None,
    ) -> NetworkOutput:
        """Fuse.

        Args:
            images: [B, N, 3, H, W] in [0, 1]; H and W are multiples of 32.
            intrinsics: [B, N, 3, 3], px of the H x W images.
            view_from_reference: [B, N, 4, 4], metres.
            reference_intrinsics: [B, 3, 3], px of the H x W reference view.
            present: [B, N], 0 leaves a view out of the fusion (its own evidence is still computed); all by default.
            ground_plane: [B, 4] of the road in the reference's optical frame: unit normal pointing down, and height in
                metres; all 0 where unknown, as by default.

        Returns:
            See `NetworkOutput`.
        """
        view = self.encode(images, intrinsics)
        return self.fuse(view, intrinsics, view_from_reference, reference_intrinsics, present, ground_plane)

    def encode(self, images: Tensor, intrinsics: Tensor) -> ViewFeatures:
        """What each view says by itself; arguments as `forward`."""
        return self.encoder(images.flatten(0, 1), intrinsics.flatten(0, 1))

    def fuse(
        self,
        view: ViewFeatures,
        intrinsics: Tensor,
        view_from_reference: Tensor,
        reference_intrinsics: Tensor,
        present: Tensor | None = None,
        ground_plane: Tensor | None = None,
    ) -> NetworkOutput:
        """Fuse what was encoded, once for each frame that depth is wanted in; other arguments as `forward`."""
        present = torch.ones_like(intrinsics[:, :, 0, 0]) if present is None else present
        height, width = (4 * cells for cells in view.pyramid[4].shape[-2:])
        plane = reference_intrinsics.new_zeros(len(reference_intrinsics), 4) if ground_plane is None else ground_plane
        reference = CameraRays(reference_intrinsics, height, width)
        cameras = Cameras(intrinsics, view_from_reference, reference, present, plane)
        fine, evidence = self._coarse_to_fine(view, cameras)
        full = upsample(upsample_convex(fine.log_depth[4], self.upsampling(fine.state)))
        full_scale = F.interpolate(fine.log_scale, scale_factor=4.0, mode="bilinear", align_corners=False)
        return NetworkOutput(
            full[:, 0], full_scale[:, 0], fine.log_depth, view, evidence.scale, evidence.seen, fine.descriptors,
            fine.matching,
        )  # fmt: skip

    def _coarse_to_fine(self, view: ViewFeatures, cameras: Cameras) -> tuple[Refined, Evidence]:
        """Strides 32, 16, 8 and 4: each warps the views' features with the depth of the one before."""
        shape = cameras.present.shape
        start = torch.full_like(view.pyramid[32][: shape[0], :1], math.log(self.config.start_depth_m))
        # at a constant depth: parallax is below a cell of 32 px
        views = cameras.at_stride(32)
        maps = self._told(cameras, views)
        state, depth_32, _ = self.levels["32"]([self._fuse(32, view, start, views), maps], None, start)

        views = cameras.at_stride(16)
        maps = self._told(cameras, views)
        log_depth = upsample(depth_32)
        descriptors_16, matching_16 = self._match(
            16, view, self.hypotheses.expand(-1, -1, *log_depth.shape[-2:]), views
        )
        fused = self._fuse(16, view, log_depth, views)
        inputs = [fused, matching_16.logits, matching_16.summary(), maps]
        state, depth_16, _ = self.levels["16"](inputs, state, log_depth)

        views = cameras.at_stride(8)
        maps = self._told(cameras, views)
        log_depth = upsample(depth_16)
        descriptors_8, matching_8 = self._match(8, view, self._in_range(log_depth) + self.steps, views)
        evidence = self._fuse_with_evidence(view, log_depth, views)
        inputs = [evidence.fused, matching_8.logits, matching_8.summary(), evidence.change, maps]
        state, depth_8, _ = self.levels["8"](inputs, state, log_depth)

        views = cameras.at_stride(4)
        log_depth = upsample(depth_8)
        fused = self._fuse_finest(view.pyramid[4].unflatten(0, shape), evidence.weights, log_depth, views)
        state, depth_4, log_scale = self.levels["4"]([fused, self._plane(cameras, views)], state, log_depth)

        log_depths = {32: depth_32, 16: depth_16, 8: depth_8, 4: depth_4}
        descriptors, matching = {16: descriptors_16, 8: descriptors_8}, {16: matching_16, 8: matching_8}
        return Refined(state, log_depths, log_scale, descriptors, matching), evidence

    def _plane(self, cameras: Cameras, views: Views) -> Tensor:
        """What is told of the road at one level, [B, PLANE_MAPS, h, w]."""
        limits = self.config
        return plane_maps(cameras.ground_plane, views.reference_rays, min_m=limits.min_m, max_m=limits.max_m)

    def _told(self, cameras: Cameras, views: Views) -> Tensor:
        """What is told of the reference camera and the road at one level, [B, CAMERA_MAPS + PLANE_MAPS, h, w]."""
        return torch.cat((cameras.reference.maps(views.reference_rays), self._plane(cameras, views)), dim=1)

    def _match(self, stride: int, view: ViewFeatures, log_depth: Tensor, views: Views) -> tuple[Tensor, Matching]:
        """Descriptors [B, N, D, h, w], and how well the views agree at the hypotheses [B or 1, S, h, w]."""
        sweep = self.sweeps[str(stride)]
        descriptors = sweep.descriptors(view.pyramid[stride]).unflatten(0, views.present.shape)
        return descriptors, sweep(descriptors, log_depth.expand(views.present.shape[0], -1, -1, -1), views)

    def _fuse(self, stride: int, view: ViewFeatures, log_depth: Tensor, views: Views) -> Tensor:
        """Strides 32 and 16: the views' features, warped with the current depth, as one map [B, C, h, w]."""
        fusion = self.fusions[str(stride)]
        embedded = fusion.embed(view.pyramid[stride]).unflatten(0, views.present.shape)
        rows, _ = fusion(warp(embedded, self._depth(log_depth), views), views)
        return to_maps(rows, *log_depth.shape[-2:])

    def _depth(self, log_depth: Tensor) -> Tensor:
        """Log depth to metres; see `_in_range`."""
        return self._in_range(log_depth).exp()

    def _in_range(self, log_depth: Tensor) -> Tensor:
        """Log depth kept in range; geometry guides the warps but gets no gradient through the positions."""
        low, high = math.log(self.config.min_m), math.log(self.config.max_m)
        return log_depth.detach().clamp(low, high)

    def _fuse_with_evidence(self, view: ViewFeatures, log_depth: Tensor, views: Views) -> Evidence:
        """Stride 8: each view's own depth is brought along and compared with the current one."""
        fusion = self.fusions["8"]
        own = torch.cat((fusion.embed(view.pyramid[8]), view.log_depth, view.log_scale), dim=1)
        warped = warp(own.unflatten(0, views.present.shape), self._depth(log_depth), views)
        embedded, own_depth, scale = warped.features.split((own.shape[1] - 2, 1, 1), dim=-1)
        # a view's depth at the point over where the point is assumed to be: the same ratio holds in the reference
        says = (own_depth - warped.z.clamp(min=self.config.min_m).log()).clamp(-2.0, 2.0)
        rows, weights = fusion(warped._replace(features=embedded), views, torch.cat((says, scale), dim=-1))
        mean = (says * weights).sum(dim=1)
        spread = ((says - mean.unsqueeze(1)).abs() * weights).sum(dim=1)
        size = log_depth.shape[-2:]
        by_view = (x[..., 0].unflatten(2, size) for x in (weights, scale, warped.seen))
        return Evidence(to_maps(rows, *size), to_maps(torch.cat((mean, spread), dim=-1), *size), *by_view)

    def _fuse_finest(self, features: Tensor, weights: Tensor, log_depth: Tensor, views: Views) -> Tensor:
        """Stride 4: the views are weighed as at stride 8, which saves a third of the fusion's time."""
        embedded = self.finest(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        fine = F.interpolate(weights, scale_factor=2.0, mode="bilinear", align_corners=False).flatten(2)
        rows = warp(embedded, self._depth(log_depth), views, weights=fine, masked=True).features.sum(dim=1)
        return to_maps(F.relu(rows), *log_depth.shape[-2:])
