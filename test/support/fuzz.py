"""Messages that no sound driver sends: mutated bytes, and fields with values at their limits."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from msdepth_ros.core.injection.faults import mutated

ENCODINGS = (
    "rgb8", "bgr8", "8UC3", "mono8", "8UC1", "mono16", "16UC1", "32FC1", "rgba8", "bgra16", "rgb16", "bayer_rggb8",
    "bayer_grbg16", "yuv422", "yuyv", "nv21", "", "unheard_of", "\N{SNOWMAN}" * 50, "mono8\0rgb8",
)  # fmt: skip
SIZES = (0, 1, 2, 3, 7, 16, 31, 32, 64, 80, 150, 160, 480, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, math.inf, -math.inf, math.nan, 100.0, 1e9)
MODELS = ("", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "unheard_of")


def mutants(good: Any, count: int, seed: int) -> Iterator[Any]:
    """Changed copies of a message; some of them may still be good.

    Args:
        good: an Image, CompressedImage or CameraInfo.
        count: how many; mutated bytes that cannot be read as a message do not count, the transport drops them.
        seed: the same one gives the same messages.
    """
    from rclpy._rclpy_pybind11 import RMWError
    from rclpy.serialization import deserialize_message, serialize_message

    generator = np.random.default_rng(seed)
    payload = bytes(serialize_message(good))
    made = 0
    for number in itertools.count():
        if made == count:
            return
        if generator.random() < 0.4:
            share = float(10 ** generator.uniform(-4, -1))
            try:
                message = deserialize_message(mutated(payload, seed + number, share), type(good))
            except (RMWError, UnicodeDecodeError):
                continue
        else:
            message = deserialize_message(payload, type(good))
            _change(message, generator)
        made += 1
        yield message


def _change(message: Any, generator: np.random.Generator) -> None:
    """Changes one to three fields."""
    kind = type(message).__name__
    changes = {"Image": _IMAGE, "CompressedImage": _COMPRESSED, "CameraInfo": _INFO}[kind]
    for _ in range(int(generator.integers(1, 4))):
        changes[int(generator.integers(len(changes)))](message, generator)


def _pick(generator: np.random.Generator, values: tuple) -> Any:
    return values[int(generator.integers(len(values)))]


def _stamp(message: Any, generator: np.random.Generator) -> None:
    message.header.stamp.sec = int(_pick(generator, (-(2**31), -1, 0, 1, 2**31 - 1)))
    message.header.stamp.nanosec = int(_pick(generator, (0, 1, 999_999_999, 2**32 - 1)))


def _frame(message: Any, generator: np.random.Generator) -> None:
    message.header.frame_id = _pick(generator, ("", "rgb_optical_frame", "x" * 10_000, "/a b\n", "\N{SNOWMAN}"))


def _cut(message: Any, generator: np.random.Generator) -> None:
    message.data = message.data[: int(generator.integers(0, len(message.data) + 1))]


def _grow(message: Any, generator: np.random.Generator) -> None:
    message.data = message.data + array("B", generator.bytes(int(generator.integers(1, 1000))))


def _scatter(message: Any, generator: np.random.Generator) -> None:
    message.data = array("B", mutated(message.data.tobytes(), int(generator.integers(2**31)), 0.05))


def _set(name: str, values: tuple) -> Any:
    def change(message: Any, generator: np.random.Generator) -> None:
        setattr(message, name, _pick(generator, values))

    return change


def _numbers(name: str, count: int | None) -> Any:
    def change(message: Any, generator: np.random.Generator) -> None:
        length = int(generator.integers(0, 20)) if count is None else count
        values = np.array(getattr(message, name), np.float64)
        values = np.resize(values, length) if values.size else np.zeros(length)
        if length:
            values[int(generator.integers(length))] = _pick(generator, NUMBERS)
        setattr(message, name, values if count else values.tolist())

    return change


def _region(message: Any, generator: np.random.Generator) -> None:
    for name in ("x_offset", "y_offset", "width", "height"):
        setattr(message.roi, name, int(_pick(generator, SIZES)))


_HEADER = (_stamp, _frame)
_DATA = (_cut, _grow, _scatter)
_SIZE = (_set("width", SIZES), _set("height", SIZES))
_IMAGE = (
    *_HEADER, *_DATA, *_SIZE, _set("step", SIZES), _set("encoding", ENCODINGS), _set("is_bigendian", (0, 1, 7, 255)),
)  # fmt: skip
_COMPRESSED = (*_HEADER, *_DATA, *_DATA, _set("format", (*ENCODINGS, "jpeg", "png", "16UC1; compressedDepth png")))
_INFO = (
    *_HEADER, *_SIZE, _region, _numbers("k", 9), _numbers("d", None), _set("distortion_model", MODELS),
    _set("binning_x", SIZES), _set("binning_y", SIZES),
)  # fmt: skip
