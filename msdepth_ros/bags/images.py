"""Images of a recording as arrays; `core.camera.images` decodes them, here errors learn the topic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera import images
from msdepth_ros.core.camera.images import DecodedImage
from msdepth_ros.core.errors import MsdepthError

__all__ = ["DecodedImage", "decode_image", "depth_metres"]


def decode_image(topic: str, message: Any) -> DecodedImage:
    """Decodes a sensor_msgs/Image or sensor_msgs/CompressedImage.

    Args:
        topic: Where the message came from, for the error text.
        message: The message.

    Raises:
        MsdepthError: The encoding is unknown, or the data do not fit what the message says of itself.
    """
    try:
        return images.decode_image(message)
    except MsdepthError as error:
        raise MsdepthError(f"{topic}: {error}") from error


def depth_metres(topic: str, image: DecodedImage) -> NDArray[np.float32]:
    """Depth along z in metres, NaN where unknown, from 16UC1 (millimetres, 0 unknown) or 32FC1 (metres).

    Args:
        topic: Where the image came from, for the error text.
        image: A decoded depth image.

    Returns:
        float32 [H,W].
    """
    if image.encoding in ("16UC1", "mono16"):
        metres: NDArray[np.float32] = image.pixels.astype(np.float32) * np.float32(0.001)
    elif image.encoding == "32FC1":
        metres = image.pixels.astype(np.float32)
    else:
        raise MsdepthError(f"{topic}: depth must be 32FC1 (metres) or 16UC1 (millimetres), not {image.encoding}")
    metres[~(metres > 0)] = np.nan
    return metres
