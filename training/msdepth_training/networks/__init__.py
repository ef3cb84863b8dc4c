"""The networks, as small modules that read top to bottom."""

from msdepth_training.networks.msdepth import MsDepth, NetworkConfig, NetworkOutput

__all__ = ["MsDepth", "NetworkConfig", "NetworkOutput"]
