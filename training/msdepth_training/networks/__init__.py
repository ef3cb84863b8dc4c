"""The networks, as small modules that read top to bottom."""

from msdepth_training.networks.config import NetworkConfig
from msdepth_training.networks.msdepth import MsDepth, NetworkOutput

__all__ = ["MsDepth", "NetworkConfig", "NetworkOutput"]
