"""The networks, as small modules that read top to bottom."""

from msdepth_training.networks.backbone import load_backbone_weights, load_pretrained, make_encoder
from msdepth_training.networks.config import SMALL, TINY, NetworkConfig
from msdepth_training.networks.msdepth import MsDepth, NetworkOutput
from msdepth_training.networks.paper import PaperFusion, PaperOutput
from msdepth_training.networks.spectral import SpectralDepth, SpectralOutput, split

__all__ = [
    "SMALL",
    "TINY",
    "MsDepth",
    "NetworkConfig",
    "NetworkOutput",
    "PaperFusion",
    "PaperOutput",
    "SpectralDepth",
    "SpectralOutput",
    "load_backbone_weights",
    "load_pretrained",
    "make_encoder",
    "split",
]
