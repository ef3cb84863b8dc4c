"""Images as cameras publish and record them, raw or compressed, as arrays.

The node and the replay both decode here. Messages are read by attribute, so that those of a ROS 2 distribution and
those of a bag reader serve alike. Nothing is allocated before the sizes that a message states have been checked.
"""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.bridge import bridged_pixels
from msdepth_ros.core.camera.containers import JPEG, PNG, TIFF, Content, look_at
from msdepth_ros.core.errors import MsdepthError

MAX_PIXELS = 1 << 26
"""A compressed image that claims more is refused: 67 megapixels, twice 8K."""


class DecodedImage(NamedTuple):
    """Pixels and the ROS name of their encoding.

    Attributes:
        pixels: Array [H,W] or [H,W,3] of uint8, uint16 or float32 in the machine's byte order; the message's own
            memory where nothing had to be converted.
        encoding: `rgb8`, `bgr8`, `8UC3` (blue first), `rgb16`, `bgr16`, `mono8`, `8UC1`, `mono16`, `16UC1` or `32FC1`.
    """

    pixels: NDArray[Any]
    encoding: str


class CameraImage(NamedTuple):
    """An image as the engine takes it for its spectrum.

    Attributes:
        pixels: rgb uint8 [H,W,3], red first; nir and thermal uint8 or uint16 [H,W].
        peak: Highest value of a 16-bit image of whose significant bits nobody has said anything; 0 for others.
    """

    pixels: NDArray[Any]
    peak: int = 0


class _Encoding(NamedTuple):
    """How one encoding lies in memory, and the OpenCV code that makes it RGB (None: it is handed on as it is)."""

    dtype: type
    channels: int
    to_rgb: int | None = None


FULL_BITS = 16
GREY_SPREAD, GREY_SHARE = 8, 0.001
"""Grey in colour: channels differ by at most so many of 256 levels, as after JPEG, in all but this share of pixels."""
_OTHER_FORMATS = frozenset({"webp", "jxl", "jp2", "j2k", "avif", "heif", "heic", "bmp", "gif", "h264", "h265", "hevc",
                            "theora", "ffmpeg", "vp8", "vp9", "av1", "rvl"})  # fmt: skip
_CELSIUS_BELOW, _KELVIN_AT_0_CELSIUS, _CENTIKELVIN = 170.0, 273.15, 100.0
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
    "rgb16": _Encoding(np.uint16, 3),
    "bgr16": _Encoding(np.uint16, 3),
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
_BLUE_FIRST = ("bgr8", "8UC3", "bgr16")


def decode_image(message: Any) -> DecodedImage:
    """Decodes a sensor_msgs/Image or sensor_msgs/CompressedImage.

    Args:
        message: Either of them; it is an Image if it has a `step`.

    Raises:
        MsdepthError: The encoding is unknown, or the data do not fit what the message says of itself.
    """
    return _decode_raw(message) if hasattr(message, "step") else _decode_compressed(message)


def camera_image(spectrum: str, message: Any, *, bits: int = FULL_BITS) -> CameraImage:
    """Decodes an image as the engine takes it for a spectrum: what the node and the replay do with every image.

    Args:
        spectrum: Of the camera.
        message: A sensor_msgs/Image or sensor_msgs/CompressedImage.
        bits: Significant bits of the camera's 16-bit images.

    Raises:
        MsdepthError: It cannot be decoded, or is no image of this spectrum.
    """
    decoded = decode_image(message)
    unstated = spectrum != "thermal" and bits == FULL_BITS and decoded.pixels.dtype == np.uint16
    return CameraImage(spectrum_image(spectrum, decoded, bits=bits), int(decoded.pixels.max()) if unstated else 0)


def spectrum_image(spectrum: str, image: DecodedImage, *, bits: int = FULL_BITS) -> NDArray[Any]:
    """Makes an image what the engine takes for a spectrum: rgb uint8 [H,W,3], nir and thermal uint8 or uint16 [H,W].

    Args:
        spectrum: Of the camera.
        image: Decoded.
        bits: Significant bits of 16-bit images; those of rgb become 8 bits.

    Raises:
        MsdepthError: The image cannot be of this spectrum.
    """
    pixels = image.pixels
    if spectrum == "thermal" and pixels.dtype == np.float32 and pixels.ndim == 2:
        return _centikelvin(pixels)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(f"{pixels.dtype} pixels on the {spectrum} camera; publish 8 or 16 bits")
    if spectrum == "rgb" and pixels.ndim != 3:
        raise MsdepthError("the rgb camera sends images of one channel; publish rgb8 or bgr8")
    if spectrum == "thermal" and pixels.ndim == 3 and not is_grey(pixels):
        raise MsdepthError("the thermal camera sends colour, which hides temperature; publish mono8, mono16 or 16UC1")
    if pixels.ndim == 2:
        return pixels
    pixels = as_rgb(image)
    return _eight_bits(pixels, bits) if spectrum == "rgb" else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def is_grey(pixels: NDArray[Any]) -> bool:
    """Whether an image [H,W,3] of uint8 or uint16 has no colour: equal channels, but for what compression does."""
    red, green, blue = (pixels[:, :, channel].astype(np.int32) for channel in range(3))
    spread = np.maximum(np.abs(red - green), np.abs(blue - green))
    limit = GREY_SPREAD * (256 if pixels.dtype == np.uint16 else 1)
    return float((spread > limit).mean()) <= GREY_SHARE


def as_rgb(image: DecodedImage) -> NDArray[Any]:
    """Pixels with red first; those of one channel as they are."""
    return cv2.cvtColor(image.pixels, cv2.COLOR_BGR2RGB) if image.encoding in _BLUE_FIRST else image.pixels


def image_size(message: Any) -> tuple[int, int] | None:
    """Width and height that an Image or CompressedImage claims, without decoding it; None if it tells none."""
    if hasattr(message, "step"):
        size = int(message.width), int(message.height)
        return size if min(size) > 0 else None
    return compressed_size(message.data)


def compressed_size(data: Any) -> tuple[int, int] | None:
    """Width and height that a JPEG, PNG or TIFF claims, without decoding it; None if it is none, or cut off.

    Args:
        data: Bytes of a message, in any buffer; they are not copied.
    """
    return look_at(data).size


def _decode_raw(message: Any) -> DecodedImage:
    """Views the data of an Image, or converts them to RGB."""
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        try:
            return DecodedImage(*bridged_pixels(message))
        except MsdepthError as error:
            known = ", ".join(_ENCODINGS)
            raise MsdepthError(
                f"encoding {message.encoding!r} is not supported; publish one of {known}. {error}"
            ) from error
    pixels = _view(message, encoding)
    if encoding.to_rgb is None:
        return DecodedImage(pixels, message.encoding)
    return _to_rgb(pixels, message.encoding)


def _to_rgb(pixels: NDArray[Any], name: str) -> DecodedImage:
    """Converts pixels of an encoding that needs it to RGB of as many bits."""
    code = _ENCODINGS[name].to_rgb
    assert code is not None  # asked for only where there is one
    try:
        pixels = cv2.cvtColor(pixels, code)
    except cv2.error as error:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise MsdepthError(f"{size} {name} cannot be converted to RGB: {error}") from error
    return DecodedImage(pixels, "rgb16" if pixels.dtype == np.uint16 else "rgb8")


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
    """Decodes a JPEG, PNG or TIFF; colour comes out as OpenCV has it, blue first."""
    data = memoryview(message.data)
    content = look_at(data)
    size = content.size if content.end else None
    if size and size[0] * size[1] > MAX_PIXELS:
        raise MsdepthError(
            f"{len(data)} bytes of {message.format!r} claim to be an image of {size[0]} x {size[1]} pixels, more than "
            f"any camera gives ({MAX_PIXELS} pixels); it is damaged or was made to exhaust memory"
        )
    try:
        whole = np.frombuffer(data, np.uint8, content.end or 0)
        pixels = cv2.imdecode(whole, cv2.IMREAD_UNCHANGED) if size and min(size) else None
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise MsdepthError(_why_not_decoded(len(data), str(message.format), content))
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = np.ascontiguousarray(pixels[:, :, 0])  # grey and alpha
    stored = str(message.format).partition(";")[0].strip()
    if pixels.ndim == 2:
        return _one_channel(pixels, stored, str(message.format))
    if pixels.dtype == np.float32:
        raise MsdepthError(f"{message.format!r} holds colour of 32 bits; publish 8 or 16 bits")
    # compressed_image_transport writes "rgb8; jpeg compressed rgb8" where it stored red and blue exchanged.
    order = "rgb" if "compressed rgb" in message.format else "bgr"
    return DecodedImage(np.ascontiguousarray(pixels[:, :, :3]), f"{order}{8 * pixels.itemsize}")


def _one_channel(pixels: NDArray[Any], stored: str, stated: str) -> DecodedImage:
    """Decoded pixels of one channel: a mosaic where the format says that it was one, grey otherwise."""
    if pixels.dtype == np.float32:
        return DecodedImage(pixels, "32FC1")
    mosaic = f"{stored.rstrip('0123456789')}{8 * pixels.itemsize}"
    if stored.startswith("bayer_") and mosaic in _ENCODINGS and "compressed mono" not in stated:
        return _to_rgb(pixels, mosaic)
    if pixels.dtype == np.uint8:
        return DecodedImage(pixels, "mono8")
    return DecodedImage(pixels, "mono16" if "mono16" in stated else "16UC1")


def _why_not_decoded(size: int, stated: str, content: Content) -> str:
    """Why compressed data cannot be decoded, and what they are."""
    if content.kind and content.kind not in (JPEG, PNG, TIFF):
        return f"{size} bytes of {stated!r} are {content.kind}, which is not supported; publish JPEG, PNG or TIFF"
    if not content.kind and (words := _OTHER_FORMATS & set(re.split(r"[^a-z0-9]+", stated.lower()))):
        return f"{size} bytes of {stated!r}: {min(words)} is not supported; publish JPEG, PNG or TIFF"
    kind = TIFF if content.kind == TIFF else "JPEG or PNG"
    return (
        f"{size} bytes of {stated!r} are not a whole {kind} image: damaged, truncated or of another kind; check the "
        "camera driver, the transport and the recording"
    )


def _eight_bits(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """The upper 8 of the significant bits; what lies above them is clipped. 8 bits as they are."""
    if pixels.dtype != np.uint16:
        return pixels
    return np.asarray(np.minimum(pixels >> (bits - 8), 255), np.uint8)


def _centikelvin(temperatures: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Temperatures in kelvin or degrees Celsius, 32FC1, as counts of 0.01 K, which radiometric 16UC1 has, too."""
    known = temperatures[np.isfinite(temperatures)]
    if not known.size:
        raise MsdepthError("the thermal camera sends 32FC1 without any finite temperature; check the driver")
    offset = _KELVIN_AT_0_CELSIUS if float(np.median(known)) < _CELSIUS_BELOW else 0.0
    counts = np.nan_to_num(_CENTIKELVIN * (temperatures + np.float32(offset)), nan=0.0, posinf=65535.0, neginf=0.0)
    return np.asarray(np.clip(np.rint(counts), 0, 65535), np.uint16)
