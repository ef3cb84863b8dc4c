"""Offline side of msdepth_ros: scenes with ground truth, networks, training, export and measurement (PyTorch)."""

__version__ = "0.1.0"
