"""Images as cameras publish and record them, raw or compressed, as arrays.

The node and the replay both decode here. Messages are read by attribute, so that those of a ROS 2 distribution and
those of a bag reader serve alike. Nothing is allocated before the sizes that a message states have been checked.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

MAX_PIXELS = 1 << 26
"""A compressed image that claims more is refused: 67 megapixels, twice 8K."""


class DecodedImage(NamedTuple):
    """Pixels and the ROS name of their encoding.

    Attributes:
        pixels: Array [H,W] or [H,W,3] of uint8, uint16 or float32 in the machine's byte order; the message's own
            memory where nothing had to be converted.
        encoding: `rgb8`, `bgr8`, `8UC3` (blue first), `mono8`, `8UC1`, `mono16`, `16UC1` or `32FC1`.
    """

    pixels: NDArray[Any]
    encoding: str


class _Encoding(NamedTuple):
    """How one encoding lies in memory, and the OpenCV code that makes it RGB (None: it is handed on as it is)."""

    dtype: type
    channels: int
    to_rgb: int | None = None


_AS_IT_IS = -1  # no conversion but that to 8 bits
_ENCODINGS = {
    "rgb8": _Encoding(np.uint8, 3),
    "bgr8": _Encoding(np.uint8, 3),
    "8UC3": _Encoding(np.uint8, 3),
    "mono8": _Encoding(np.uint8, 1),
    "8UC1": _Encoding(np.uint8, 1),
    "mono16": _Encoding(np.uint16, 1),
    "16UC1": _Encoding(np.uint16, 1),
    "32FC1": _Encoding(np.float32, 1),
    "rgba8": _Encoding(np.uint8, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "8UC4": _Encoding(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    "rgb16": _Encoding(np.uint16, 3, _AS_IT_IS),
    "bgr16": _Encoding(np.uint16, 3, cv2.COLOR_BGR2RGB),
    "rgba16": _Encoding(np.uint16, 4, cv2.COLOR_RGBA2RGB),
    "bgra16": _Encoding(np.uint16, 4, cv2.COLOR_BGRA2RGB),
    # OpenCV names a Bayer pattern by its second row, ROS by its first.
    "bayer_rggb8": _Encoding(np.uint8, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _Encoding(np.uint8, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _Encoding(np.uint8, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _Encoding(np.uint8, 1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": _Encoding(np.uint16, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr16": _Encoding(np.uint16, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg16": _Encoding(np.uint16, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg16": _Encoding(np.uint16, 1, cv2.COLOR_BayerGB2RGB),
    "yuv422": _Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Encoding(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2),
}
_BLUE_FIRST = ("bgr8", "8UC3")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK_BYTES = 12  # length, kind and checksum around the content


def decode_image(message: Any) -> DecodedImage:
    """Decodes a sensor_msgs/Image or sensor_msgs/CompressedImage.

    Args:
        message: Either of them; it is an Image if it has a `step`.

    Raises:
        MsdepthError: The encoding is unknown, or the data do not fit what the message says of itself.
    """
    return _decode_raw(message) if hasattr(message, "step") else _decode_compressed(message)


def spectrum_image(spectrum: str, image: DecodedImage) -> NDArray[Any]:
    """Makes an image what the engine takes for a spectrum: rgb uint8 [H,W,3], nir and thermal uint8 or uint16 [H,W].

    Raises:
        MsdepthError: The image cannot be of this spectrum.
    """
    pixels = image.pixels
    if pixels.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(f"{pixels.dtype} pixels on the {spectrum} camera; publish 8 or 16 bits")
    if spectrum == "rgb" and (pixels.ndim != 3 or pixels.dtype != np.uint8):
        raise MsdepthError("the rgb camera sends images of one channel; publish rgb8 or bgr8")
    if spectrum == "thermal" and pixels.ndim == 3:
        raise MsdepthError("the thermal camera sends colour, which hides temperature; publish mono8, mono16 or 16UC1")
    if pixels.ndim == 2:
        return pixels
    pixels = as_rgb(image)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if spectrum == "nir" else pixels


def as_rgb(image: DecodedImage) -> NDArray[Any]:
    """Pixels with red first; those of one channel as they are."""
    return cv2.cvtColor(image.pixels, cv2.COLOR_BGR2RGB) if image.encoding in _BLUE_FIRST else image.pixels


def image_size(message: Any) -> tuple[int, int] | None:
    """Width and height that an Image or CompressedImage claims, without decoding it; None if it tells none."""
    if hasattr(message, "step"):
        size = int(message.width), int(message.height)
        return size if min(size) > 0 else None
    return compressed_size(bytes(memoryview(message.data)))


def compressed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG or PNG claims, without decoding it; None if it is neither, or cut off."""
    if data.startswith(_PNG_START):
        ihdr = data[16:24] if data[12:16] == b"IHDR" else b""
        return (int.from_bytes(ihdr[:4], "big"), int.from_bytes(ihdr[4:], "big")) if len(ihdr) == 8 else None
    return _jpeg_size(data) if data.startswith(_JPEG_START) else None


def _decode_raw(message: Any) -> DecodedImage:
    """Views the data of an Image, or converts them to RGB of 8 bits."""
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise MsdepthError(f"encoding {message.encoding!r} is not supported; publish one of {', '.join(_ENCODINGS)}")
    pixels = _view(message, encoding)
    if encoding.to_rgb is None:
        return DecodedImage(pixels, message.encoding)
    if encoding.to_rgb != _AS_IT_IS:
        try:
            pixels = cv2.cvtColor(pixels, encoding.to_rgb)
        except cv2.error as error:
            size = f"{message.width} x {message.height}"
            raise MsdepthError(f"{size} {message.encoding} cannot be converted to RGB: {error}") from error
    return DecodedImage(_eight_bits(pixels), "rgb8")


def _view(message: Any, encoding: _Encoding) -> NDArray[Any]:
    """Views the message's data, rows possibly padded."""
    dtype = np.dtype(encoding.dtype)
    width, height, step = int(message.width), int(message.height), int(message.step)
    row_bytes = width * encoding.channels * dtype.itemsize
    size = f"{width} x {height} {message.encoding}"
    if not width or not height:
        raise MsdepthError(f"image is {size}: it has no pixels; check the camera driver")
    if step < row_bytes:
        raise MsdepthError(f"step {step} is too small for {size} ({row_bytes} bytes a row); check the driver")
    if len(message.data) != step * height:
        raise MsdepthError(
            f"{len(message.data)} bytes of data, but {size} with step {step} is {step * height} bytes: truncated or "
            "wrongly sized; check the driver and the transport"
        )
    if bool(message.is_bigendian) != (sys.byteorder == "big") and dtype.itemsize > 1:
        dtype = dtype.newbyteorder()
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, dtype.itemsize * encoding.channels)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    pixels: NDArray[Any] = np.ndarray(shape, dtype, memoryview(message.data), strides=strides)
    return pixels if dtype.isnative else pixels.astype(encoding.dtype)


def _decode_compressed(message: Any) -> DecodedImage:
    """Decodes a JPEG or PNG; colour comes out as OpenCV has it, blue first."""
    data = bytes(memoryview(message.data))
    size = compressed_size(data) if _is_whole(data) else None
    if size and size[0] * size[1] > MAX_PIXELS:
        raise MsdepthError(
            f"{len(data)} bytes of {message.format!r} claim to be an image of {size[0]} x {size[1]} pixels, more than "
            f"any camera gives ({MAX_PIXELS} pixels); it is damaged or was made to exhaust memory"
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if size and min(size) else None
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(
            f"{len(data)} bytes of {message.format!r} are not a whole JPEG or PNG image: damaged, truncated or of "
            "another kind; check the camera driver, the transport and the recording"
        )
    if pixels.ndim == 2:
        if pixels.dtype == np.uint8:
            return DecodedImage(pixels, "mono8")
        return DecodedImage(pixels, "mono16" if "mono16" in message.format else "16UC1")
    # compressed_image_transport writes "rgb8; jpeg compressed rgb8" where it stored red and blue exchanged.
    order = "rgb8" if "compressed rgb" in message.format else "bgr8"
    return DecodedImage(np.ascontiguousarray(_eight_bits(pixels)[:, :, :3]), order)


def _eight_bits(pixels: NDArray[Any]) -> NDArray[Any]:
    """The upper byte of 16 bits; 8 bits as they are."""
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _is_whole(data: bytes) -> bool:
    """Whether compressed data end as their format ends: decoders fill up what is missing with grey."""
    if data.startswith(_JPEG_START):
        return data[-64:].rstrip(b"\0").endswith(_JPEG_END)
    return data.startswith(_PNG_START) and _png_is_whole(data)


def _png_is_whole(data: bytes) -> bool:
    """Whether every chunk lies within the data: decoders allocate what a chunk claims before they read it."""
    at = len(_PNG_START)
    while at + _PNG_CHUNK_BYTES <= len(data):
        kind, at = data[at + 4 : at + 8], at + _PNG_CHUNK_BYTES + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return at <= len(data) and not data[at:].strip(b"\0")
    return False


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Size by the first start-of-frame segment, found as libjpeg finds it."""
    at = len(_JPEG_START)
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":
            at += 1
        marker = data[at] if at < len(data) else 0xD9
        if marker in (0xD9, 0xDA):  # the image ends, or its data begin, before any frame
            return None
        at += 1
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:  # stuffing and restarts have no length
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 3 : at + 5], data[at + 5 : at + 7]
            return (int.from_bytes(width, "big"), int.from_bytes(height, "big")) if len(width) == 2 else None
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return None
