"""Arrays to ROS messages, and stamps; nothing here knows a node or a topic."""

from __future__ import annotations

import sys
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header


def pinhole_camera_info(header: Header, width: int, height: int, intrinsics: NDArray[np.float64]) -> CameraInfo:
    """Describes an ideal pinhole camera.

    Args:
        header: of the image it belongs to.
        width: pixels.
        height: pixels.
        intrinsics: [3,3] K, pixels of the width x height image.
    """
    message = CameraInfo(header=header, width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [float(value) for value in intrinsics.reshape(9)]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [float(value) for row in intrinsics for value in (*row, 0.0)]
    return message


def array_to_image(header: Header, pixels: NDArray[Any], encoding: str) -> Image:
    """Wraps pixels in an Image message.

    Args:
        header: stamp and frame.
        pixels: [H,W] or [H,W,C], as the encoding says.
        encoding: for example ``32FC1`` or ``rgb8``.
    """
    pixels = np.ascontiguousarray(pixels)
    data = array("B")
    data.frombytes(pixels.data.cast("B"))  # one copy; a list of integers would cost milliseconds
    return Image(
        header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"), step=pixels.strides[0], data=data,
    )  # fmt: skip


def stamp_to_ns(stamp: Any) -> int:  # noqa: ANN401  generated message classes are untyped
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def header_at(stamp_ns: int, frame_id: str) -> Header:
    """A header with a stamp in nanoseconds."""
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return header
