"""Encodings that our own table does not know, by cv_bridge where that is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError


def bridged_pixels(message: Any) -> tuple[NDArray[Any], str]:
    """Lets cv_bridge convert an Image: what is called mono to mono16, anything else to rgb8.

    Args:
        message: A sensor_msgs/Image, of ROS 2 or of a bag reader.

    Returns:
        Pixels [H,W] or [H,W,3], and their encoding.

    Raises:
        MsdepthError: cv_bridge is not installed, or does not know the encoding either.
    """
    try:
        from cv_bridge import CvBridge
    except ImportError as error:  # or one of its own imports is missing
        raise MsdepthError(f"cv_bridge, which may know it, is not installed ({error})") from error
    wanted = "mono16" if "mono" in message.encoding.lower() else "rgb8"
    try:
        pixels = np.asarray(CvBridge().imgmsg_to_cv2(message, wanted))
    except Exception as error:  # of OpenCV, of NumPy, or a lookup: cv_bridge raises whatever it meets
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MsdepthError(f"cv_bridge does not know it either ({reason})") from error
    channels = 1 if wanted == "mono16" else 3
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != (2 if channels == 1 else 3):
        raise MsdepthError(f"cv_bridge makes {pixels.dtype} {list(pixels.shape)} of it")
    return pixels, wanted
