"""Sizes of the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; the defaults are `tiny`."""

    channels: tuple[int, ...] = (16, 32, 48, 96, 192)
    """Of the encoder: stem, then stride 4, 8, 16, 32."""
    blocks: tuple[int, ...] = (0, 2, 3, 3)
    """Residual blocks of the encoder at stride 4, 8, 16, 32."""
    fused: tuple[int, ...] = (16, 32, 64, 96)
    """Channels of the fused features at stride 4, 8, 16, 32."""
    decoder: tuple[int, ...] = (32, 64, 96, 128)
    """Channels of the state at stride 4, 8, 16, 32."""
    descriptor: int = 8
    """Channels of the descriptors that are compared between views."""
    min_m: float = 1.0
    """Least depth, metres."""
    max_m: float = 100.0
    """Largest depth, metres; the sky counts as this."""
    start_depth_m: float = 20.0
    """Depth at which features are warped at stride 32, metres."""
