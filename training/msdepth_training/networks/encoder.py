"""The shared encoder: one set of weights for every spectrum, and each view's own monocular evidence."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.geometry import pixel_rays, scale_intrinsics
from msdepth_training.networks.blocks import Downsample, ResidualBlock, conv_bn

CANONICAL_FOCAL_PX = 400.0
"""Focal lengths are fed relative to this one, in px of the images: what a lens twice as long shows twice as large is as
far away. Relative to the image's width, depth learned at one image size was wrong by the ratio of sizes at another."""
TYPICAL_LOG_DEPTH = 2.7
"""Log of 15 m: depth heads start near the middle of the range."""


def upsample(x: Tensor) -> Tensor:
    """Bilinear, twice the size: [M, C, h, w] to [M, C, 2h, 2w]."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def camera_maps(k: Tensor, height: int, width: int, stride: int) -> Tensor:
    """What the network is told of a camera at every pixel, so that one network is metric for any focal length.

    Args:
        k: [M, 3, 3], px of the height x width level.
        height: rows of the level.
        width: columns of the level.
        stride: image pixels per pixel of the level.

    Returns:
        [M, 4, height, width]: x/z and y/z of the pixel's ray, log of fx and of fy over the canonical focal length.
    """
    rays = pixel_rays(k, height, width)[:, :2]
    focal = torch.stack((k[:, 0, 0], k[:, 1, 1]), dim=1) / (CANONICAL_FOCAL_PX / stride)
    return torch.cat((rays, focal.log()[..., None, None].expand(-1, -1, height, width)), dim=1)


class ViewFeatures(NamedTuple):
    """Of M views; level strides 4, 8, 16, 32."""

    pyramid: dict[int, Tensor]
    """Stride to features [M, C_stride, H/stride, W/stride]."""
    log_depth: Tensor
    """[M, 1, H/8, W/8] the view's own depth along its own z axis, log metres."""
    log_scale: Tensor
    """[M, 1, H/8, W/8] log of the Laplace scale of that log depth."""


class Encoder(nn.Module):
    """Separable pyramid with a top-down path; [M, 3, H, W] in [0, 1] to `ViewFeatures`.

    Args:
        channels: stem, stride 4, 8, 16, 32.
        blocks: residual blocks at stride 4, 8, 16, 32.
    """

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        stem, *levels = channels
        self.register_buffer("mean", torch.tensor(0.45))
        self.stem = conv_bn(3, stem, 3, stride=2)
        # the standard deviation of images, about a quarter, is part of the first weights: one pass over the images less
        nn.init.normal_(self.stem[0].weight, std=4.0 * (2.0 / 27.0) ** 0.5)
        inputs = (stem, levels[0], levels[1] + 4, levels[2] + 4)
        self.stages = nn.ModuleList(
            nn.Sequential(Downsample(i, o), *(ResidualBlock(o) for _ in range(n)))
            for i, o, n in zip(inputs, levels, blocks, strict=True)
        )
        self.lateral = nn.ModuleList(
            conv_bn(deep, shallow, relu=False) for shallow, deep in zip(levels[:-1], levels[1:], strict=True)
        )
        self.smooth = nn.ModuleList((nn.Identity(), *(ResidualBlock(c) for c in levels[1:-1])))
        self.evidence = nn.Sequential(conv_bn(levels[1], 32), nn.Conv2d(32, 2, 1))

    def forward(self, images: Tensor, k: Tensor) -> ViewFeatures:
        """Images [M, 3, H, W] in [0, 1] and their K [M, 3, 3] to features and monocular evidence."""
        height, width = images.shape[-2:]
        x = self.stem(images - self.mean)
        levels: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            if index >= 2:
                stride = 2 ** (index + 1)
                level_k = scale_intrinsics(k, 1.0 / stride, 1.0 / stride)
                x = torch.cat((x, camera_maps(level_k, height // stride, width // stride, stride)), dim=1)
            x = stage(x)
            levels.append(x)
        for index in (2, 1, 0):
            levels[index] = self.smooth[index](levels[index] + upsample(self.lateral[index](levels[index + 1])))
        log_depth, log_scale = self.evidence(levels[1]).split(1, dim=1)
        pyramid = dict(zip((4, 8, 16, 32), levels, strict=True))
        return ViewFeatures(pyramid, log_depth + TYPICAL_LOG_DEPTH, log_scale.clamp(-4.0, 2.0))
