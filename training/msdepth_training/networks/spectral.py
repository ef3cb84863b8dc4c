"""One view at a time, one set of weights for every spectrum: alignment trains it, the paper's fusion freezes it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from msdepth_training.networks.backbone import make_encoder
from msdepth_training.networks.cameras import CameraRays
from msdepth_training.networks.config import NetworkConfig
from msdepth_training.networks.decoder import Decoder
from msdepth_training.networks.encoder import ViewFeatures


class SpectralOutput(NamedTuple):
    """Of M views at H x W, each in its own frame."""

    log_depth: Tensor
    """[M, H, W] log metres."""
    log_scale: Tensor
    """[M, H, W] log of the Laplace scale of log depth."""
    coarse_log_depth: dict[int, Tensor]
    """Stride to [M, 1, H/stride, W/stride], for deep supervision."""
    view: ViewFeatures
    """Features at every level, see `split`, and the encoder's own evidence at stride 8."""


def split(features: Tensor, dim: int = 1) -> tuple[Tensor, Tensor]:
    """Features to their halves of channels: what spectra share, and what is specific to one."""
    shared, specific = features.chunk(2, dim=dim)
    return shared, specific


class SpectralDepth(nn.Module):
    """Monocular depth. The encoder is that of `MsDepth`, so its weights carry over."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.encoder = make_encoder(config)
        self.decoder = Decoder(config.channels[1:], config.decoder)

    def forward(self, images: Tensor, k: Tensor) -> SpectralOutput:
        """Depth of each view.

        Args:
            images: [M, 3, H, W] in [0, 1]; H and W are multiples of 32.
            k: [M, 3, 3], px of the H x W images.

        Returns:
            See `SpectralOutput`.
        """
        view = self.encoder(images, k)
        return SpectralOutput(*self.decoder(view.pyramid, CameraRays(k, *images.shape[-2:])), view)
