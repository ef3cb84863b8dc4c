"""Faults in serialized camera messages. Nothing here knows a node, a topic or a time."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.injection.faults import MESSAGE_KINDS, PICTURE_KINDS, apply_fault

_IMAGE_KINDS = {*PICTURE_KINDS, *MESSAGE_KINDS} - {"nan_calibration"}
_DEEP = ("mono16", "16UC1")
_MOST_RANDOM_BYTES = 100_000


def stamp_of(payload: bytes) -> int:
    """Nanoseconds in the header with which a serialized message begins.

    Raises:
        MsdepthError: it is too short to have one.
    """
    try:
        seconds, nanoseconds = struct.unpack_from(_order(payload), payload, 4)
    except (struct.error, IndexError) as error:
        raise MsdepthError(f"a message of {len(payload)} bytes has no header; check who publishes it") from error
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def with_stamp(payload: bytes, stamp_ns: int) -> bytes:
    """The same serialized message with another stamp; one before 1970 becomes 0."""
    changed = bytearray(payload)
    struct.pack_into(_order(payload), changed, 4, *divmod(max(0, stamp_ns), 1_000_000_000))
    return bytes(changed)


def _order(payload: bytes) -> str:
    """How numbers lie in a serialized message: its second byte says which end comes first."""
    return "<iI" if payload[1] & 1 else ">iI"


def faulty_image(payload: bytes, kind: type, faults: Mapping[str, float], seed: int) -> bytes:
    """A serialized image with the faults of its picture and of its message.

    Args:
        payload: the image.
        kind: Image or CompressedImage.
        faults: amounts by kind; those that are not about one image are left alone.
        seed: of what is left to chance.

    Raises:
        MsdepthError: the picture cannot be read.
    """
    wanted = {name: amount for name, amount in faults.items() if name in _IMAGE_KINDS}
    if not wanted:
        return payload
    message = deserialize_message(payload, kind)
    drawn = [name for name in wanted if name in PICTURE_KINDS]
    if drawn or "size" in wanted:
        pixels = _pixels(message)
        for name in drawn:
            pixels = apply_fault(name, pixels, seed, wanted[name])
        _set_pixels(message, pixels[::2, ::2] if "size" in wanted else pixels)
    if "truncate" in wanted:
        message.data = message.data[: int(wanted["truncate"] * len(message.data))]
    if "encoding" in wanted:
        _hide_encoding(message)
    if "random" in wanted:
        _scramble(message, seed)
    return bytes(serialize_message(message))


def faulty_camera_info(payload: bytes, faults: Mapping[str, float]) -> bytes:
    """A serialized camera_info with the faults that concern it."""
    if "nan_calibration" not in faults:
        return payload
    message = deserialize_message(payload, CameraInfo)
    message.k = np.full(9, np.nan)
    return bytes(serialize_message(message))


def _pixels(message: Any) -> NDArray[Any]:  # noqa: ANN401
    """The picture as it is stored: [H,W,C], in the order of channels of its encoding, rows without padding."""
    if isinstance(message, CompressedImage):
        decoded = cv2.imdecode(np.frombuffer(memoryview(message.data), np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise MsdepthError(f"{len(message.data)} bytes of {message.format!r} cannot be decoded; check the driver")
        return decoded
    itemsize = 2 if message.encoding in _DEEP else 1
    if not message.width or len(message.data) != message.height * message.step:
        raise MsdepthError(f"image of {message.width} x {message.height} with {len(message.data)} bytes; check it")
    channels = max(1, message.step // (message.width * itemsize))
    rows = np.frombuffer(memoryview(message.data), np.uint8).reshape(message.height, message.step)
    used = np.ascontiguousarray(rows[:, : message.width * channels * itemsize])
    order = ">u2" if message.is_bigendian else "<u2"
    pixels = used.view(order).astype(np.uint16) if itemsize == 2 else used
    return pixels.reshape(message.height, message.width, channels)


def _set_pixels(message: Any, pixels: NDArray[Any]) -> None:  # noqa: ANN401
    """Puts a picture into the message it came from, in the same encoding."""
    if isinstance(message, CompressedImage):
        extension = ".png" if pixels.dtype == np.uint16 or "png" in message.format.lower() else ".jpg"
        message.data = _bytes(cv2.imencode(extension, pixels)[1])
        return
    pixels = np.ascontiguousarray(pixels)
    message.height, message.width = pixels.shape[:2]
    message.step = pixels.strides[0]
    message.is_bigendian = 0
    message.data = _bytes(pixels.astype("<u2") if pixels.dtype == np.uint16 else pixels)


def _hide_encoding(message: Any) -> None:  # noqa: ANN401
    """Makes nobody know how the picture is stored."""
    if isinstance(message, CompressedImage):
        message.format = "unheard_of"
        message.data = array("B", b"????") + message.data[4:]
    else:
        message.encoding = "unheard_of"


def _scramble(message: Any, seed: int) -> None:  # noqa: ANN401
    """Random fields of the right types; the header stays, so that it is known when it was sent."""
    generator = np.random.default_rng(seed)
    letters = generator.integers(33, 127, int(generator.integers(0, 20)), np.uint8)
    word = letters.tobytes().decode("ascii")
    message.data = _bytes(generator.integers(0, 256, int(generator.integers(0, _MOST_RANDOM_BYTES)), np.uint8))
    if isinstance(message, CompressedImage):
        message.format = word
        return
    message.encoding = word if generator.random() < 0.5 else message.encoding
    message.height, message.width, message.step = (int(2 ** (32 * generator.random()) - 1) for _ in range(3))
    message.is_bigendian = int(generator.integers(0, 2))


def _bytes(values: NDArray[Any]) -> array[int]:
    """Bytes as messages take them without a copy for each number."""
    data = array("B")
    data.frombytes(values.tobytes())
    return data
