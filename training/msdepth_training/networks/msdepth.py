"""Recipe `msdepth`: any set of views in, depth in a chosen frame and calibrated confidence out, coarse to fine."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.geometry import pixel_rays
from msdepth_training.networks.blocks import ResidualBlock, conv_bn
from msdepth_training.networks.encoder import Encoder, ViewFeatures, camera_maps, upsample
from msdepth_training.networks.fusion import PlaneSweep, SetFusion, Views, to_maps, warp

CONFIDENCE_FACTOR = 1.25
"""Confidence is the probability that depth is within this factor of the truth."""

SWEEP_STEPS = {16: (-0.8, -0.45, -0.2, 0.0, 0.2, 0.45, 0.8), 8: (-0.25, -0.1, 0.0, 0.1, 0.25)}
"""Stride to the changes of log depth at which the views' agreement is looked up."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; the defaults are `tiny`."""

    channels: tuple[int, ...] = (16, 32, 48, 96, 192)
    blocks: tuple[int, ...] = (1, 2, 4, 4)
    fused: tuple[int, ...] = (16, 32, 64, 96)
    decoder: tuple[int, ...] = (32, 64, 96, 128)
    descriptor: int = 12
    min_m: float = 1.0
    max_m: float = 100.0
    start_depth_m: float = 20.0


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


def probability_within_factor(log_scale: Tensor) -> Tensor:
    """P(|error of log depth| < log 1.25) for a Laplace distribution of scale b: 1 - exp(-log 1.25 / b)."""
    return 1.0 - torch.exp(-math.log(CONFIDENCE_FACTOR) * torch.exp(-log_scale))


class Level(nn.Module):
    """One step from coarse to fine: fused features, agreement and the coarser state to a finer state and log depth."""

    def __init__(self, fused: int, extra: int, coarse: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.mix = conv_bn(fused + extra + 4 + 1, outputs, relu=False)
        self.coarse = conv_bn(coarse, outputs, relu=False) if coarse else None
        self.blocks = nn.Sequential(nn.ReLU(inplace=True), *(ResidualBlock(outputs) for _ in range(blocks)))
        self.head = nn.Conv2d(outputs, 2, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: list[Tensor], state: Tensor | None, log_depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs at this level, the coarser state and the current log depth [B, 1, h, w] to state, log depth, log scale."""
        x = self.mix(torch.cat([*inputs, log_depth - 2.7], dim=1))
        if self.coarse is not None and state is not None:
            x = x + upsample(self.coarse(state))
        x = self.blocks(x)
        change, log_scale = self.head(x).split(1, dim=1)
        return x, log_depth + change, log_scale.clamp(-4.0, 2.0)


class MsDepth(nn.Module):
    """The fusion network. One set of weights for every spectrum and every subset of views."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        levels, fused, widths = config.channels[1:], config.fused, config.decoder
        self.encoder = Encoder(config.channels, config.blocks)
        self.fusions = nn.ModuleDict(
            {
                str(s): SetFusion(i, o, 2 if s == 8 else 0)
                for s, i, o in zip((8, 16, 32), levels[1:], fused[1:], strict=True)
            }
        )
        self.finest = nn.Conv2d(levels[0], fused[0], 1)
        self.sweeps = nn.ModuleDict(
            {
                "16": PlaneSweep(levels[2], config.descriptor, SWEEP_STEPS[16]),
                "8": PlaneSweep(levels[1], config.descriptor, SWEEP_STEPS[8]),
            }
        )
        self.levels = nn.ModuleDict(
            {
                "32": Level(fused[3], 0, 0, widths[3], 1),
                "16": Level(fused[2], len(SWEEP_STEPS[16]), widths[3], widths[2], 1),
                "8": Level(fused[1], len(SWEEP_STEPS[8]) + 2, widths[2], widths[1], 1),
                "4": Level(fused[0], 0, widths[1], widths[0], 1),
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
    ) -> NetworkOutput:
        """Fuse.

        Args:
            images: [B, N, 3, H, W] in [0, 1].
            intrinsics: [B, N, 3, 3], px of the H x W images.
            view_from_reference: [B, N, 4, 4], metres.
            reference_intrinsics: [B, 3, 3], px of the H x W reference view.
            present: [B, N], 0 leaves a view out of the fusion (its own evidence is still computed); all by default.

        Returns:
            See `NetworkOutput`.
        """
        height, width = images.shape[-2:]
        view = self.encoder(images.flatten(0, 1), intrinsics.flatten(0, 1))
        shape = images.shape[:2]
        present = torch.ones_like(intrinsics[:, :, 0, 0]) if present is None else present
        log_depth = torch.full_like(view.pyramid[32][: shape[0], :1], math.log(self.config.start_depth_m))
        state: Tensor | None = None
        coarse: dict[int, Tensor] = {}
        descriptors: dict[int, Tensor] = {}
        for stride in (32, 16, 8, 4):
            views, maps = self._at_level(
                stride, height, width, intrinsics, view_from_reference, reference_intrinsics, present
            )
            if stride != 32:
                log_depth = upsample(log_depth)
            extra: list[Tensor] = []
            features = view.pyramid[stride]
            if str(stride) in self.sweeps:
                sweep = self.sweeps[str(stride)]
                descriptors[stride] = sweep.descriptors(features).unflatten(0, shape)
                extra.append(sweep(descriptors[stride], self._depth(log_depth), views))
            if stride == 4:
                fused = self._fuse_finest(features.unflatten(0, shape), weights, log_depth, views)
            elif stride == 8:
                fused, weights, scale, seen, own = self._fuse_with_evidence(view, log_depth, views, shape)
                extra.append(own)
            else:
                fusion = self.fusions[str(stride)]
                rows, _ = fusion(warp(fusion.embed(features).unflatten(0, shape), self._depth(log_depth), views), views)
                fused = to_maps(rows, *log_depth.shape[-2:])
            state, log_depth, log_scale = self.levels[str(stride)]([fused, *extra, maps], state, log_depth)
            coarse[stride] = log_depth
        full = upsample(self._upsample_convex(log_depth, state))
        full_scale = F.interpolate(log_scale, scale_factor=4.0, mode="bilinear", align_corners=False)
        return NetworkOutput(full[:, 0], full_scale[:, 0], coarse, view, scale, seen, descriptors)

    def _depth(self, log_depth: Tensor) -> Tensor:
        """Log depth to metres, kept in range; geometry guides the warps but gets no gradient through the positions."""
        low, high = math.log(self.config.min_m), math.log(self.config.max_m)
        return log_depth.detach().clamp(low, high).exp()

    @staticmethod
    def _at_level(
        stride: int,
        height: int,
        width: int,
        k: Tensor,
        view_from_reference: Tensor,
        reference_k: Tensor,
        present: Tensor,
    ) -> tuple[Views, Tensor]:
        """Geometry at one level, and the reference camera's maps [B, 4, h, w]."""
        half = 0.5 * (1.0 - 1.0 / stride)
        offset = k.new_tensor([[0.0, 0.0, half], [0.0, 0.0, half], [0.0, 0.0, 0.0]])
        scale = k.new_tensor([[1.0 / stride], [1.0 / stride], [1.0]])
        level_k, level_reference = k * scale - offset, reference_k * scale - offset
        rays = pixel_rays(level_reference, height // stride, width // stride)
        maps = camera_maps(level_reference, height // stride, width // stride)
        return Views(level_k, view_from_reference, rays, present), maps

    def _fuse_with_evidence(
        self, view: ViewFeatures, log_depth: Tensor, views: Views, shape: torch.Size
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Stride 8: each view's own depth is brought along and compared with the current one.

        Returns:
            Fused features, the views' weights [B, N, h, w], log scales [B, N, h, w] and visibility [B, N, h, w] in the reference frame, and the
            weighted mean and spread [B, 2, h, w] of what the views say log depth should change by.
        """
        fusion = self.fusions["8"]
        own = torch.cat((fusion.embed(view.pyramid[8]), view.log_depth, view.log_scale), dim=1).unflatten(0, shape)
        warped = warp(own, self._depth(log_depth), views)
        embedded, own_depth, scale = warped.features.split((own.shape[2] - 2, 1, 1), dim=-1)
        # a view's depth at the point, relative to where the point is assumed to be: the same ratio holds in the reference
        says = (own_depth - warped.z.clamp(min=self.config.min_m).log()).clamp(-2.0, 2.0)
        rows, weights = fusion(warped._replace(features=embedded), views, torch.cat((says, scale), dim=-1))
        mean = (says * weights).sum(dim=1)
        spread = ((says - mean.unsqueeze(1)).abs() * weights).sum(dim=1)
        size = log_depth.shape[-2:]
        seen = warped.seen[..., 0].unflatten(2, size)
        own_says = to_maps(torch.cat((mean, spread), dim=-1), *size)
        return (
            to_maps(rows, *size),
            weights[..., 0].unflatten(2, size),
            scale[..., 0].unflatten(2, size),
            seen,
            own_says,
        )

    def _fuse_finest(self, features: Tensor, weights: Tensor, log_depth: Tensor, views: Views) -> Tensor:
        """Stride 4: the views are weighed as at stride 8, which saves a third of the fusion's time."""
        embedded = self.finest(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        warped = warp(embedded, self._depth(log_depth), views)
        fine = F.interpolate(weights, scale_factor=2.0, mode="bilinear", align_corners=False).flatten(2).unsqueeze(-1)
        rows = (warped.features * (fine * warped.seen)).sum(dim=1)
        return to_maps(F.relu(rows), *log_depth.shape[-2:])

    def _upsample_convex(self, log_depth: Tensor, state: Tensor) -> Tensor:
        """Twice the size: each fine pixel is a learned convex combination of its 3 x 3 coarse neighbours (as in RAFT)."""
        height, width = log_depth.shape[-2:]
        # exp and one division: ONNX Runtime's Softmax over an inner axis took 100 ms here
        weights = self.upsampling(state).clamp(-10.0, 10.0).exp().split(4, dim=1)
        padded = F.pad(log_depth, (1, 1, 1, 1), mode="replicate")
        neighbours = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        weighted = [w * n for w, n in zip(weights, neighbours, strict=True)]
        fine = functools.reduce(torch.add, weighted) / functools.reduce(torch.add, weights)
        return F.pixel_shuffle(fine, 2)
