"""What the node publishes for a result beside the numbers: its image topics, and what is in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import colourise

_NEAREST_COLOUR_M = 0.1
DEPTH, CONFIDENCE, COLOUR = "depth/image", "depth/confidence", "depth/image_color"
VIEW_CONFIDENCE = {f"confidence/{spectrum}": spectrum for spectrum in SPECTRA}
IMAGES = (DEPTH, CONFIDENCE, COLOUR, *VIEW_CONFIDENCE)
"""Names of the image topics below the node's own name."""
CAMERA_INFO = "depth/camera_info"


class PublishedImage(NamedTuple):
    """The content of an image message.

    Attributes:
        pixels: [H,W] or [H,W,3].
        encoding: of ROS, such as `32FC1`.
    """

    pixels: NDArray[Any]
    encoding: str


def published_image(
    name: str, result: DepthResult, depth_m: NDArray[np.float32], *, min_m: float, max_m: float
) -> PublishedImage:
    """What is published on one of the topics `IMAGES`.

    Args:
        name: of the topic.
        result: of the network.
        depth_m: float32 [H,W] of `published_depth_m`.
        min_m: lower end of the colour scale, metres.
        max_m: its upper end, metres: that of `published_depth_m`.
    """
    if name == DEPTH:
        return PublishedImage(depth_m, "32FC1")
    if name == COLOUR:
        return PublishedImage(colourise(depth_m, max(min_m, _NEAREST_COLOUR_M), max_m), "rgb8")
    confidence = result.confidence if name == CONFIDENCE else result.view_confidence.get(VIEW_CONFIDENCE[name])
    if confidence is None:
        confidence = np.zeros_like(depth_m)
    # in [0,1], and what is not a number is no confidence
    return PublishedImage(np.fmin(np.fmax(confidence, np.float32(0.0)), np.float32(1.0)), "32FC1")
