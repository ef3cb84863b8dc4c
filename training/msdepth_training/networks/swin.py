"""One Swin block (Liu et al., ICCV 2021): attention within windows, no shift, as the first block of a Swin stage."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED = -1e4
"""Logit of a padded token: nothing attends to it. Finite, as half precision and softmax want it."""


def relative_positions(window: int) -> Tensor:
    """Which of the (2 window - 1)^2 offsets lies between two tokens of a window: int [window^2, window^2]."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    place = torch.stack((rows.flatten(), columns.flatten()))
    offset = place[:, :, None] - place[:, None, :] + window - 1
    return offset[0] * (2 * window - 1) + offset[1]


def to_windows(x: Tensor, window: int) -> Tensor:
    """[B, h, w, C], h and w multiples of the window, to [B * windows, window^2, C]."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window * window, channels)


def from_windows(x: Tensor, window: int, height: int, width: int) -> Tensor:
    """Undo `to_windows`: [B * windows, window^2, C] to [B, height, width, C]."""
    channels = x.shape[-1]
    x = x.view(-1, height // window, width // window, window, window, channels)
    return x.transpose(2, 3).reshape(-1, height, width, channels)


class WindowAttention(nn.Module):
    """Multi-head attention among the tokens of each window, with a learned bias for each offset between two tokens.

    Args:
        channels: of the tokens, a multiple of `heads`.
        heads: of the attention.
        window: tokens along a side.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.inputs = nn.Linear(channels, 3 * channels)
        self.outputs = nn.Linear(channels, channels)
        self.bias = nn.Parameter(0.02 * torch.randn(heads, (2 * window - 1) ** 2))
        self.register_buffer("offsets", relative_positions(window), persistent=False)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Attend.

        Args:
            x: [M, window^2, C] tokens.
            real: [M, window^2] 1 for a token, 0 for padding, which is not attended to.

        Returns:
            [M, window^2, C].
        """
        query, key, value = self.inputs(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.bias[:, self.offsets] + (MASKED * (1.0 - real))[:, None, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.outputs(mixed.transpose(1, 2).flatten(2))


class SwinBlock(nn.Module):
    """Window attention and an MLP, each behind a layer norm and added to its input ([B, h, w, C] throughout).

    Args:
        channels: of the tokens.
        heads: of the attention.
        window: tokens along a side.
        expansion: of the MLP.
    """

    def __init__(self, channels: int, *, heads: int = 4, window: int = 7, expansion: int = 4) -> None:
        super().__init__()
        self.window = window
        self.norm_attention = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, C] of any size to the same shape; padded to whole windows in between."""
        x = x + self._attend(self.norm_attention(x))
        return x + self.mlp(self.norm_mlp(x))

    def _attend(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        below, right = -height % self.window, -width % self.window
        padded = F.pad(x, (0, 0, 0, right, 0, below))
        real = F.pad(torch.ones_like(x[..., :1]), (0, 0, 0, right, 0, below))
        mixed = self.attention(to_windows(padded, self.window), to_windows(real, self.window)[..., 0])
        return from_windows(mixed, self.window, height + below, width + right)[:, :height, :width]
