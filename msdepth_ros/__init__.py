"""Dense metric depth from whichever of an RGB, a near-infrared and a thermal camera is usable, in real time."""

__version__ = "0.1.0"
