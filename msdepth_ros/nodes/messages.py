"""ROS messages to arrays and back. Common encodings are viewed without a copy; nothing here knows a node or a topic."""

from __future__ import annotations

import sys
from array import array
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from msdepth_ros.core.camera import CameraModel
from msdepth_ros.core.errors import MsdepthError


class _Encoding(NamedTuple):
    """How one encoding lies in memory, and the OpenCV code that makes it RGB or grey (None: it already is)."""

    dtype: type
    channels: int
    conversion: int | None = None


_ENCODINGS = {
    "rgb8": _Encoding(np.uint8, 3),
    "bgr8": _Encoding(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "8UC3": _Encoding(np.uint8, 3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(np.uint8, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "8UC4": _Encoding(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(np.uint8, 1),
    "8UC1": _Encoding(np.uint8, 1),
    "mono16": _Encoding(np.uint16, 1),
    "16UC1": _Encoding(np.uint16, 1),
    "32FC1": _Encoding(np.float32, 1),
}
_CONVERTIBLE = ("bayer_", "yuv", "uyvy", "yuyv", "nv", "rgb", "bgr")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


def image_to_array(message: Image) -> tuple[NDArray[Any], int]:
    """Views or converts an image.

    Returns:
        uint8 [H,W,3] in RGB order, or [H,W] of uint8, uint16 or float32 in the machine's byte order; and its bits per
        channel. The array is the message's own memory where no conversion was needed.

    Raises:
        MsdepthError: unknown encoding, or data that do not fit the size, step and encoding the message states.
    """
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        return _convert_with_cv_bridge(message), 8
    pixels = _view(message, encoding)
    if encoding.conversion is not None:
        pixels = cv2.cvtColor(pixels, encoding.conversion)
    return pixels, 8 * pixels.dtype.itemsize


def _view(message: Image, encoding: _Encoding) -> NDArray[Any]:
    """Views the message's data, rows possibly padded."""
    dtype = np.dtype(encoding.dtype)
    row_bytes = message.width * encoding.channels * dtype.itemsize
    size = f"{message.width} x {message.height} {message.encoding}"
    if not message.width or not message.height:
        raise MsdepthError(f"image is {size}: it has no pixels; check the camera driver")
    if message.step < row_bytes:
        raise MsdepthError(f"step {message.step} is too small for {size} ({row_bytes} bytes a row); check the driver")
    if len(message.data) != message.step * message.height:
        raise MsdepthError(
            f"{len(message.data)} bytes of data, but {size} with step {message.step} is {message.step * message.height}"
            " bytes: truncated or wrongly sized; check the driver and the transport"
        )
    if message.is_bigendian != (sys.byteorder == "big") and dtype.itemsize > 1:
        dtype = dtype.newbyteorder()
    shape: tuple[int, ...] = (message.height, message.width)
    strides: tuple[int, ...] = (message.step, dtype.itemsize * encoding.channels)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    pixels: NDArray[Any] = np.ndarray(shape, dtype, memoryview(message.data), strides=strides)
    return pixels if dtype.isnative else pixels.astype(encoding.dtype)


def _convert_with_cv_bridge(message: Image) -> NDArray[Any]:
    """Converts Bayer, YUV and 16-bit colour to RGB."""
    if not message.encoding.lower().startswith(_CONVERTIBLE):
        raise MsdepthError(f"encoding {message.encoding!r} is not supported; publish one of {', '.join(_ENCODINGS)}")
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as error:
        raise MsdepthError(
            f"encoding {message.encoding!r} needs cv_bridge, which is not installed; install ros-<distro>-cv-bridge or "
            f"publish one of {', '.join(_ENCODINGS)}"
        ) from error
    try:
        converted: NDArray[Any] = CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8")
    except (CvBridgeError, cv2.error, ValueError, TypeError) as error:
        raise MsdepthError(f"cv_bridge cannot convert this {message.encoding!r} image: {error}") from error
    return converted


def compressed_to_array(message: CompressedImage) -> tuple[NDArray[Any], int]:
    """Decodes a JPEG or PNG; what comes back is as for `image_to_array`.

    Raises:
        MsdepthError: the data are truncated or not an image.
    """
    data = np.frombuffer(memoryview(message.data), np.uint8)
    pixels = None
    if _is_whole(message.data):
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(
            f"{data.size} bytes of {message.format!r} are not a whole JPEG or PNG image; check the camera driver and "
            "the transport"
        )
    if pixels.ndim == 3:
        pixels = _decoded_colour(pixels, message.format)
    return pixels, 8 * pixels.dtype.itemsize


def _is_whole(data: Any) -> bool:  # noqa: ANN401  array.array('B') has no common type with bytes
    """Whether compressed data end as their format ends: decoders fill up what is missing with grey."""
    head, tail = bytes(data[:4]), bytes(data[-64:]).rstrip(b"\0")
    if head.startswith(_JPEG_START):
        return tail.endswith(_JPEG_END)
    return tail.endswith(_PNG_END) if head == _PNG_START else bool(head)


def _decoded_colour(pixels: NDArray[Any], stated_format: str) -> NDArray[Any]:
    """Makes a decoded colour image uint8 RGB."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    # compressed_image_transport writes "rgb8; jpeg compressed rgb8" where it stored red and blue exchanged.
    if "compressed rgb" in stated_format:
        return np.ascontiguousarray(pixels[:, :, :3])
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def spectrum_image(spectrum: str, pixels: NDArray[Any]) -> NDArray[Any]:
    """Makes an image what the engine takes for a spectrum: rgb uint8 [H,W,3], nir and thermal uint8 or uint16 [H,W].

    Raises:
        MsdepthError: the image cannot be of this spectrum.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(f"{pixels.dtype} pixels on the {spectrum} camera; publish 8 or 16 bits")
    if spectrum == "rgb" and (pixels.ndim != 3 or pixels.dtype != np.uint8):
        raise MsdepthError("the rgb camera sends images of one channel; publish rgb8 or bgr8")
    if spectrum == "thermal" and pixels.ndim == 3:
        raise MsdepthError("the thermal camera sends colour, which hides temperature; publish mono8, mono16 or 16UC1")
    if spectrum == "nir" and pixels.ndim == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return pixels


def camera_model_from_info(label: str, message: CameraInfo) -> CameraModel:
    """Builds a camera model from a CameraInfo of raw images, binning and region of interest included.

    Raises:
        MsdepthError: intrinsics that are zero or not finite, an unknown distortion model, an empty size.
    """
    roi = message.roi
    return CameraModel.from_camera_info_fields(
        label, message.width, message.height, np.asarray(message.k, np.float64).reshape(3, 3), tuple(message.d),
        message.distortion_model, binning_x=message.binning_x, binning_y=message.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height) if roi.width and roi.height else None,
    )  # fmt: skip


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
