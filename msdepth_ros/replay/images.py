"""Image messages, raw or compressed, as arrays.

Messages are read by attribute, so that those of rosbags and those of a ROS 2 distribution serve alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

_ENCODINGS: dict[str, tuple[str, int]] = {
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "8UC3": ("u1", 3),
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}
_JPEG_END = b"\xff\xd9"


class DecodedImage(NamedTuple):
    """Pixels and the ROS name of their encoding.

    Attributes:
        pixels: Array [H,W] or [H,W,3] of uint8, uint16 or float32.
        encoding: `bgr8`, `rgb8`, `mono8`, `mono16`, `16UC1` or `32FC1`.
    """

    pixels: NDArray[Any]
    encoding: str


def decode_image(topic: str, message: Any) -> DecodedImage:
    """Decode a sensor_msgs/Image or sensor_msgs/CompressedImage.

    Args:
        topic: Where the message came from, for the error text.
        message: The message.

    Raises:
        MsdepthError: The encoding is unknown, or the data do not fit what the message says of itself.
    """
    return _decode_raw(topic, message) if hasattr(message, "step") else _decode_compressed(topic, message)


def _decode_raw(topic: str, message: Any) -> DecodedImage:
    """View the data of a sensor_msgs/Image as an array, without a copy where rows are not padded."""
    encoding, height, width, step = message.encoding, int(message.height), int(message.width), int(message.step)
    if encoding not in _ENCODINGS:
        raise MsdepthError(
            f"{topic}: encoding {encoding!r} is not supported here; record one of {', '.join(_ENCODINGS)}"
        )
    kind, channels = _ENCODINGS[encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    data = np.frombuffer(message.data, dtype=np.uint8)
    row_bytes = width * channels * dtype.itemsize
    if min(width, height) == 0 or step < row_bytes or data.size != step * height:
        raise MsdepthError(
            f"{topic}: an image of {width} x {height} {encoding} with step {step} cannot hold {data.size} bytes; "
            "the driver or the recording is broken"
        )
    rows = data.reshape(height, step)[:, :row_bytes]
    pixels = np.ascontiguousarray(rows).view(dtype).astype(dtype.newbyteorder("="), copy=False)
    return DecodedImage(pixels.reshape((height, width, 3) if channels == 3 else (height, width)), encoding)


def _decode_compressed(topic: str, message: Any) -> DecodedImage:
    """Decode a JPEG or PNG; colour comes out as bgr8, the order that OpenCV and most camera drivers use."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    cut = data[:2].tobytes() == b"\xff\xd8" and not data.tobytes().rstrip(b"\0").endswith(_JPEG_END)
    pixels = None if cut or not data.size else cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise MsdepthError(
            f"{topic}: {data.size} bytes of format {message.format!r} do not decode as a whole JPEG or PNG; "
            "the recording is damaged"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return DecodedImage(pixels, "bgr8")
    if pixels.ndim == 2 and pixels.dtype == np.uint8:
        return DecodedImage(pixels, "mono8")
    if pixels.ndim == 2 and pixels.dtype == np.uint16:
        return DecodedImage(pixels, "mono16" if "mono16" in message.format else "16UC1")
    raise MsdepthError(
        f"{topic}: a compressed image of shape {pixels.shape} and type {pixels.dtype} is not supported; "
        "record 8-bit colour, 8-bit grey or 16-bit grey"
    )


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
