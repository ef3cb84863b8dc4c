"""The shared encoder: one set of weights for every spectrum, and each view's own monocular evidence."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.networks.blocks import Downsample, ResidualBlock, conv_bn
from msdepth_training.networks.cameras import CAMERA_MAPS, TYPICAL_LOG_DEPTH, CameraRays

LOG_SCALES = (-4.0, 2.0)
"""Range of the log of a Laplace scale."""
STRIDES = (4, 8, 16, 32)
"""Of the levels of every pyramid."""


def upsample(x: Tensor) -> Tensor:
    """Bilinear, twice the size: [M, C, h, w] to [M, C, 2h, 2w]."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ViewFeatures(NamedTuple):
    """Of M views; level strides 4, 8, 16, 32."""

    pyramid: dict[int, Tensor]
    """Stride to features [M, C_stride, H/stride, W/stride]."""
    log_depth: Tensor
    """[M, 1, H/8, W/8] the view's own depth along its own z axis, log metres."""
    log_scale: Tensor
    """[M, 1, H/8, W/8] log of the Laplace scale of that log depth."""


class PyramidEncoder(nn.Module):
    """Four levels, a top-down path to stride 8 and each view's own evidence: [M, 3, H, W] in [0, 1] to `ViewFeatures`.

    A subclass makes the levels. Features at stride 4 are shallow, without the top-down path: they sharpen edges, and at
    that size every operation counts.
    """

    lateral: nn.ModuleList
    smooth: ResidualBlock
    evidence: nn.Sequential

    def add_top_down(self, levels: tuple[int, ...]) -> None:
        """Make the path and the evidence head; `levels` are the channels at stride 4, 8, 16, 32."""
        self.lateral = nn.ModuleList(
            conv_bn(deep, shallow, relu=False) for shallow, deep in zip(levels[1:-1], levels[2:], strict=True)
        )
        self.smooth = ResidualBlock(levels[1])
        self.evidence = nn.Sequential(conv_bn(levels[1], 32), nn.Conv2d(32, 2, 1))

    def bottom_up(self, images: Tensor, cameras: CameraRays) -> list[Tensor]:
        """Images [M, 3, H, W] in [0, 1] to [M, C_stride, H/stride, W/stride] at stride 4, 8, 16, 32."""
        raise NotImplementedError

    def forward(self, images: Tensor, k: Tensor) -> ViewFeatures:
        """Images [M, 3, H, W] in [0, 1] and their K [M, 3, 3] to features and monocular evidence."""
        levels = self.bottom_up(images, CameraRays(k, *images.shape[-2:]))
        levels[2] = levels[2] + upsample(self.lateral[1](levels[3]))
        levels[1] = self.smooth(levels[1] + upsample(self.lateral[0](levels[2])))
        # in full precision: half of it would round log depth to 1 %
        log_depth, log_scale = self.evidence(levels[1]).float().split(1, dim=1)
        pyramid = dict(zip(STRIDES, levels, strict=True))
        return ViewFeatures(pyramid, log_depth + TYPICAL_LOG_DEPTH, log_scale.clamp(*LOG_SCALES))


class Encoder(PyramidEncoder):
    """Our own: separable convolutions.

    Args:
        channels: stem, stride 4, 8, 16, 32.
        blocks: residual blocks at stride 4, 8, 16, 32.
    """

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        stem, *levels = channels
        # batch norm learns the mean and deviation of images: one pass over them less
        self.stem = conv_bn(3, stem, 3, stride=2)
        inputs = (stem, levels[0], levels[1] + CAMERA_MAPS, levels[2] + CAMERA_MAPS)
        self.stages = nn.ModuleList(
            nn.Sequential(Downsample(i, o), *(ResidualBlock(o) for _ in range(n)))
            for i, o, n in zip(inputs, levels, blocks, strict=True)
        )
        self.add_top_down(tuple(levels))

    def bottom_up(self, images: Tensor, cameras: CameraRays) -> list[Tensor]:
        """See `PyramidEncoder`; the camera is told before the stages to stride 16 and 32."""
        x = self.stem(images)
        levels: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            if index >= 2:
                x = torch.cat((x, cameras.maps(cameras.at_stride(2 ** (index + 1)))), dim=1)
            x = stage(x)
            levels.append(x)
        return levels
