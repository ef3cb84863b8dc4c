"""From features to depth, coarse to fine: the steps that both recipes share, and the decoder of a single view."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.networks.blocks import ResidualBlock, conv_bn
from msdepth_training.networks.cameras import CAMERA_MAPS, TYPICAL_LOG_DEPTH, CameraRays
from msdepth_training.networks.encoder import LOG_SCALES, STRIDES, upsample


class Level(nn.Module):
    """One step from coarse to fine: fused features, agreement and the coarser state to a finer state and log depth.

    Args:
        inputs: channels of all that is known at this level, without the log depth itself.
        coarse: channels of the coarser level's state, 0 if there is none.
        outputs: channels of the state.
        blocks: residual blocks.
    """

    def __init__(self, inputs: int, coarse: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.mix = conv_bn(inputs + 1, outputs, relu=False)
        self.coarse = conv_bn(coarse, outputs, relu=False) if coarse else None
        self.blocks = nn.Sequential(nn.ReLU(inplace=True), *(ResidualBlock(outputs) for _ in range(blocks)))
        self.head = nn.Conv2d(outputs, 2, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: list[Tensor], state: Tensor | None, log_depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One level.

        Args:
            inputs: [B, ., h, w] each, of `inputs` channels together.
            state: [B, coarse, h/2, w/2] of the coarser level, None at the coarsest.
            log_depth: [B, 1, h, w] so far, log metres.

        Returns:
            State [B, outputs, h, w], log depth and log scale [B, 1, h, w].
        """
        x = self.mix(torch.cat([*inputs, log_depth - TYPICAL_LOG_DEPTH], dim=1))
        if self.coarse is not None and state is not None:
            x = x + upsample(self.coarse(state))
        x = self.blocks(x)
        change, log_scale = self.head(x).float().split(1, dim=1)
        return x, log_depth + change, log_scale.clamp(*LOG_SCALES)


def upsample_convex(log_depth: Tensor, logits: Tensor) -> Tensor:
    """Twice the size: fine pixels are learned convex combinations of their 3 x 3 coarse neighbours, as in RAFT.

    Args:
        log_depth: [B, 1, h, w] log metres.
        logits: [B, 36, h, w], nine for each of the four fine pixels of a coarse one.

    Returns:
        [B, 1, 2h, 2w] log metres.
    """
    height, width = log_depth.shape[-2:]
    # exp and one division: ONNX Runtime's Softmax over an inner axis took 100 ms here
    weights = logits.float().clamp(-10.0, 10.0).exp().unflatten(1, (9, 4))
    padded = F.pad(log_depth, (1, 1, 1, 1), mode="replicate")
    neighbours = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    fine = (weights * torch.stack(neighbours, dim=1)).sum(dim=1) / weights.sum(dim=1)
    return F.pixel_shuffle(fine, 2)


class Decoded(NamedTuple):
    """Depth of M views at H x W, each in its own frame."""

    log_depth: Tensor
    """[M, H, W] log metres."""
    log_scale: Tensor
    """[M, H, W] log of the Laplace scale of log depth."""
    coarse_log_depth: dict[int, Tensor]
    """Stride to [M, 1, H/stride, W/stride], for deep supervision."""


class Decoder(nn.Module):
    """Depth of a single view from its pyramid.

    Args:
        levels: channels of the pyramid at stride 4, 8, 16, 32.
        widths: channels of the state at stride 4, 8, 16, 32.
    """

    def __init__(self, levels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        coarser, told = (*widths[1:], 0), (0, CAMERA_MAPS, CAMERA_MAPS, CAMERA_MAPS)
        self.levels = nn.ModuleDict(
            {
                str(stride): Level(inputs + maps, coarse, outputs, 1)
                for stride, inputs, maps, coarse, outputs in zip(STRIDES, levels, told, coarser, widths, strict=True)
            }
        )
        self.upsampling = nn.Conv2d(widths[0], 9 * 4, 1)

    def forward(self, pyramid: dict[int, Tensor], cameras: CameraRays) -> Decoded:
        """Stride to features [M, C_stride, H/stride, W/stride], and their M cameras, to depth."""
        coarsest = pyramid[STRIDES[-1]]
        log_depth = torch.full_like(coarsest[:, :1], TYPICAL_LOG_DEPTH, dtype=torch.float32)
        state, coarse = None, {}
        for stride in reversed(STRIDES):
            inputs = [pyramid[stride]]
            if stride > STRIDES[0]:
                inputs.append(cameras.maps(cameras.at_stride(stride)))
            if state is not None:
                log_depth = upsample(log_depth)
            state, log_depth, log_scale = self.levels[str(stride)](inputs, state, log_depth)
            coarse[stride] = log_depth
        full = upsample(upsample_convex(log_depth, self.upsampling(state)))
        scale = F.interpolate(log_scale, scale_factor=4.0, mode="bilinear", align_corners=False)
        return Decoded(full[:, 0], scale[:, 0], coarse)
