"""Decoding images, raw and compressed, and refusing what is broken."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bags import compressed_image, raw_image

from msdepth_ros.bags.images import DecodedImage, decode_image, depth_metres
from msdepth_ros.core.errors import MsdepthError

COLOUR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
GREY16 = np.arange(24, dtype=np.uint16).reshape(4, 6) * 997


@pytest.mark.parametrize(("pixels", "encoding"), [
    (COLOUR, "bgr8"), (COLOUR, "rgb8"), (COLOUR[..., 0], "mono8"), (GREY16, "mono16"), (GREY16, "16UC1"),
    (GREY16.astype(np.float32), "32FC1"),
])  # fmt: skip
def test_raw_images_keep_pixels_and_encoding(pixels: np.ndarray, encoding: str) -> None:
    decoded = decode_image("/t", raw_image(0, "f", np.ascontiguousarray(pixels), encoding))
    assert decoded.encoding == encoding
    np.testing.assert_array_equal(decoded.pixels, pixels)


def test_padded_rows_and_big_endian_are_understood() -> None:
    padded = np.zeros((4, 16), np.uint8)
    padded[:, :12] = GREY16.astype(">u2").view(np.uint8)
    message = SimpleNamespace(
        encoding="mono16", height=4, width=6, step=16, is_bigendian=1, data=padded.ravel(), header=None
    )
    decoded = decode_image("/t", message)
    np.testing.assert_array_equal(decoded.pixels, GREY16)
    assert decoded.pixels.dtype == np.dtype(np.uint16)


@pytest.mark.parametrize(("pixels", "encoding"), [(COLOUR, "bgr8"), (COLOUR[..., 0], "mono8"), (GREY16, "16UC1")])
def test_png_is_lossless(pixels: np.ndarray, encoding: str) -> None:
    decoded = decode_image("/t", compressed_image(0, "f", pixels, "png"))
    assert decoded.encoding == encoding
    np.testing.assert_array_equal(decoded.pixels, pixels)


def test_the_format_tells_mono16_from_16uc1() -> None:
    message = compressed_image(0, "f", GREY16, "png")
    message.format = "mono16; png compressed mono16"
    assert decode_image("/t", message).encoding == "mono16"


def test_a_cut_jpeg_is_refused_whatever_opencv_makes_of_it() -> None:
    message = compressed_image(0, "f", np.tile(COLOUR, (16, 16, 1)), "jpg")
    assert decode_image("/t", message).encoding == "bgr8"
    message.data = message.data[: message.data.size // 2]
    with pytest.raises(MsdepthError, match="/t: .*damaged"):
        decode_image("/t", message)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_image_are_refused(data: bytes) -> None:
    message = SimpleNamespace(format="png", data=np.frombuffer(data, np.uint8))
    with pytest.raises(MsdepthError, match="/t: .*not a whole JPEG or PNG"):
        decode_image("/t", message)


@pytest.mark.parametrize("change", [
    {"encoding": "nv21"}, {"step": 1}, {"height": 5}, {"width": 0, "height": 0}, {"width": 7}, {"data": b"12"},
])  # fmt: skip
def test_a_raw_image_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    message = raw_image(0, "f", COLOUR, "bgr8")
    values = {name: getattr(message, name) for name in ("encoding", "height", "width", "step", "is_bigendian", "data")}
    with pytest.raises(MsdepthError, match="/camera"):
        decode_image("/camera", SimpleNamespace(**{**values, **change}))


def test_millimetres_become_metres_and_zero_unknown() -> None:
    depth = depth_metres("/d", DecodedImage(np.array([[0, 1500, 65535]], np.uint16), "16UC1"))
    np.testing.assert_allclose(depth, [[np.nan, 1.5, 65.535]], rtol=1e-6)


def test_metres_stay_and_what_is_not_positive_is_unknown() -> None:
    pixels = np.array([[0.0, -1.0, 2.5, np.nan, np.inf]], np.float32)
    np.testing.assert_array_equal(
        depth_metres("/d", DecodedImage(pixels, "32FC1")), np.array([[np.nan, np.nan, 2.5, np.nan, np.inf]], np.float32)
    )


def test_colour_is_no_depth() -> None:
    with pytest.raises(MsdepthError, match="/d: depth must be 32FC1"):
        depth_metres("/d", DecodedImage(COLOUR, "bgr8"))
