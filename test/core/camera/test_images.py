"""Images of all kinds as arrays; what contradicts itself is refused before it costs memory."""

import struct
import tracemalloc
import zlib
from array import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.camera.containers import look_at
from msdepth_ros.core.camera.images import (
    DecodedImage,
    as_rgb,
    camera_image,
    compressed_size,
    decode_image,
    spectrum_image,
)
from msdepth_ros.core.errors import MsdepthError

GENERATOR = np.random.default_rng(3)
COLOUR = GENERATOR.integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = GENERATOR.integers(0, 256, (6, 10), dtype=np.uint8)
DEEP = GENERATOR.integers(0, 65536, (6, 10), dtype=np.uint16)


def image(pixels: np.ndarray, stored_as: str, **changes: object) -> Any:
    pixels = np.ascontiguousarray(pixels)
    fields = {
        "height": pixels.shape[0], "width": pixels.shape[1], "encoding": stored_as, "is_bigendian": 0,
        "step": pixels.strides[0], "data": array("B", pixels.tobytes()),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def compressed(stated: str, data: bytes) -> Any:
    return SimpleNamespace(format=stated, data=array("B", data))


@pytest.mark.parametrize(
    ("stored", "encoding", "expected"),
    [
        (COLOUR, "rgb8", COLOUR),
        (COLOUR[:, :, ::-1], "bgr8", COLOUR),
        (COLOUR[:, :, ::-1], "8UC3", COLOUR),
        (np.dstack([COLOUR, GREY]), "rgba8", COLOUR),
        (np.dstack([COLOUR[:, :, ::-1], GREY]), "bgra8", COLOUR),
        (COLOUR.astype(np.uint16) << 8, "rgb16", COLOUR.astype(np.uint16) << 8),
        (COLOUR[:, :, ::-1].astype(np.uint16) << 8, "bgr16", COLOUR.astype(np.uint16) << 8),
        (np.dstack([COLOUR, GREY]).astype(np.uint16) << 8, "rgba16", COLOUR.astype(np.uint16) << 8),
        (GREY, "mono8", GREY),
        (GREY, "8UC1", GREY),
        (DEEP, "mono16", DEEP),
        (DEEP, "16UC1", DEEP),
        (DEEP.astype(np.float32), "32FC1", DEEP.astype(np.float32)),
    ],
)
def test_reads_common_encodings(stored: np.ndarray, encoding: str, expected: np.ndarray) -> None:
    pixels = as_rgb(decode_image(image(stored, encoding)))
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == expected.dtype


def mosaic(pattern: str, colour: tuple[int, int, int], dtype: type) -> np.ndarray:
    value = dict(zip("rgb", colour, strict=True))
    tile = np.array([[value[pattern[0]], value[pattern[1]]], [value[pattern[2]], value[pattern[3]]]])
    return np.tile(tile, (8, 8)).astype(dtype) << (8 if dtype is np.uint16 else 0)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_bayer_patterns_are_named_by_their_first_row(pattern: str, bits: int, dtype: type) -> None:
    decoded = decode_image(image(mosaic(pattern, (200, 100, 30), dtype), f"bayer_{pattern}{bits}"))
    assert decoded.encoding == f"rgb{bits}"
    pixels = spectrum_image("rgb", decoded)
    np.testing.assert_array_equal(pixels[4:12, 4:12], np.broadcast_to((200, 100, 30), (8, 8, 3)))


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv_gives_the_colour_that_went_in(encoding: str, order: str) -> None:
    yuv = cv2.cvtColor(np.full((1, 1, 3), (180, 90, 60), np.uint8), cv2.COLOR_RGB2YCrCb)[0, 0]
    value = dict(zip("yvu", yuv, strict=True))
    packed = np.tile([value[name] for name in order], (4, 4)).astype(np.uint8).reshape(4, 8, 2)
    pixels = decode_image(image(packed, encoding)).pixels
    assert pixels.shape == (4, 8, 3)
    assert np.abs(pixels.astype(int) - (180, 90, 60)).max() < 25  # full against limited range


@pytest.mark.parametrize(
    ("pixels", "encoding"), [(COLOUR, "rgb8"), (COLOUR, "bgr8"), (GREY, "mono8"), (DEEP, "mono16")]
)
def test_views_without_a_copy(pixels: np.ndarray, encoding: str) -> None:
    message = image(pixels, encoding)
    view = decode_image(message).pixels
    message.data[0] ^= 0xFF
    assert view.reshape(-1).view(np.uint8)[0] == message.data[0]


def test_reads_padded_rows() -> None:
    padded = np.pad(DEEP, ((0, 0), (0, 3)))
    np.testing.assert_array_equal(decode_image(image(padded, "mono16", width=10)).pixels, DEEP)


def test_reads_big_endian() -> None:
    pixels = decode_image(image(DEEP.astype(">u2"), "mono16", is_bigendian=1)).pixels
    np.testing.assert_array_equal(pixels, DEEP)
    assert pixels.dtype.isnative


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoding": "rainbow7"}, "encoding 'rainbow7' is not supported"),
        ({"encoding": ""}, "encoding '' is not supported"),
        ({"width": 0}, "no pixels"),
        ({"height": 0}, "no pixels"),
        ({"step": 9}, "step 9 is too small"),
        ({"height": 7}, "truncated or wrongly sized"),
        ({"width": 5, "step": 5}, "truncated or wrongly sized"),
        ({"data": array("B", bytes(59))}, "truncated or wrongly sized"),
        ({"data": array("B")}, "truncated or wrongly sized"),
        ({"width": 2**32 - 1, "height": 2**32 - 1, "step": 2**32 - 1}, "truncated or wrongly sized"),
        ({"encoding": "mono16"}, "step 10 is too small"),
        ({"width": 5, "encoding": "yuv422"}, "cannot be converted to RGB"),
    ],
)
def test_refuses_what_contradicts_itself(changes: dict, reason: str) -> None:
    with pytest.raises(MsdepthError, match=reason):
        decode_image(image(GREY, "mono8", **changes))


@pytest.mark.parametrize(
    ("pixels", "kind", "stated", "encoding"),
    [
        (GREY, ".png", "mono8; png", "mono8"),
        (DEEP, ".png", "16UC1; png", "16UC1"),
        (DEEP, ".png", "mono16; png compressed mono16", "mono16"),
        (GREY, ".jpg", "mono8; jpeg", "mono8"),
    ],
)
def test_decodes_one_channel(pixels: np.ndarray, kind: str, stated: str, encoding: str) -> None:
    smooth = cv2.resize(pixels, (40, 24), interpolation=cv2.INTER_LINEAR)
    decoded = decode_image(compressed(stated, cv2.imencode(kind, smooth)[1].tobytes()))
    assert decoded.encoding == encoding
    assert decoded.pixels.dtype == smooth.dtype
    tolerance = 0 if kind == ".png" else 12
    assert np.abs(decoded.pixels.astype(int) - smooth).max() <= tolerance


@pytest.mark.parametrize("stated", ["bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed bgr8", "jpeg", "png"])
@pytest.mark.parametrize(("alpha", "dtype"), [(False, np.uint8), (True, np.uint8), (False, np.uint16)])
def test_decoded_colour_is_rgb(stated: str, alpha: bool, dtype: type) -> None:
    red = np.zeros((16, 16, 4 if alpha else 3), np.uint8)
    red[:, :, 2] = 255  # as OpenCV stores it
    kind = ".png" if stated == "png" else ".jpg"
    if dtype is np.uint16 or alpha:
        kind, red = ".png", red.astype(dtype) * (257 if dtype is np.uint16 else 1)
    pixels = spectrum_image("rgb", decode_image(compressed(stated, cv2.imencode(kind, red)[1].tobytes())))
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert pixels[8, 8, 0] > 250
    assert pixels[8, 8, 2] < 5


def test_red_and_blue_exchanged_by_the_driver_are_put_right() -> None:
    stored = np.zeros((16, 16, 3), np.uint8)
    stored[:, :, 0] = 255
    data = cv2.imencode(".png", stored)[1].tobytes()
    assert as_rgb(decode_image(compressed("rgb8; png compressed rgb8", data)))[8, 8, 0] == 255


@pytest.mark.parametrize("kind", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95])
def test_refuses_truncated_files(kind: str, kept: float) -> None:
    data = cv2.imencode(kind, cv2.resize(COLOUR, (64, 48)))[1].tobytes()
    with pytest.raises(MsdepthError, match="not a whole JPEG or PNG"):
        decode_image(compressed("x", data[: int(kept * len(data))]))


@given(data=st.binary(max_size=200), start=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]))
def test_refuses_random_bytes(data: bytes, start: bytes) -> None:
    with pytest.raises(MsdepthError, match="not a whole (JPEG or PNG|TIFF)|claim to be|is not supported"):
        decode_image(compressed("jpeg", start + data))


@given(kind=st.sampled_from([".png", ".jpg"]), width=st.integers(1, 70), height=st.integers(1, 70), deep=st.booleans())
def test_the_claimed_size_is_that_of_the_decoded_image(kind: str, width: int, height: int, deep: bool) -> None:
    pixels = np.zeros((height, width), np.uint16 if deep and kind == ".png" else np.uint8)
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(deep)] if kind == ".jpg" else []
    assert compressed_size(cv2.imencode(kind, pixels, progressive)[1].tobytes()) == (width, height)


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def jpeg_bomb(width: int, height: int) -> bytes:
    data = bytearray(cv2.imencode(".jpg", GREY)[1].tobytes())
    frame = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, height, width)
    return bytes(data)


@pytest.mark.parametrize("data", [png_bomb(30_000, 30_000), png_bomb(2**31 - 1, 2**31 - 1), jpeg_bomb(65_500, 65_500)])
def test_a_bomb_is_refused_before_memory_is_allocated(data: bytes) -> None:
    message = compressed("png", data)
    tracemalloc.start()
    try:
        with pytest.raises(MsdepthError, match="claim to be an image of"):
            decode_image(message)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def numpy_buffer(data: bytes) -> np.ndarray:
    """As rosbags gives them."""
    return np.frombuffer(data, np.uint8)


def ros_buffer(data: bytes) -> array:
    """As rclpy gives them."""
    return array("B", data)


STARTS = st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"])
KINDS_OF_BUFFER = [bytes, bytearray, memoryview, ros_buffer, numpy_buffer]


@pytest.mark.parametrize("buffer", KINDS_OF_BUFFER)
@pytest.mark.parametrize("kind", [".png", ".jpg"])
@pytest.mark.parametrize("colour", [False, True])
def test_compressed_data_are_not_copied(kind: str, colour: bool, buffer: Any) -> None:
    shape = (600, 800, 3) if colour else (600, 800)
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)  # which nothing compresses
    data = cv2.imencode(kind, noise, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    message = SimpleNamespace(format=kind, data=buffer(data))
    decode_image(message)  # OpenCV loads its decoders
    tracemalloc.start()
    try:
        image = decode_image(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < image.pixels.nbytes + len(data) // 10
    assert compressed_size(message.data) == (800, 600)


@given(st.binary(max_size=40), st.sampled_from(KINDS_OF_BUFFER), STARTS)
def test_a_size_does_not_depend_on_the_kind_of_buffer(data: bytes, buffer: Any, start: bytes) -> None:
    assert compressed_size(buffer(start + data)) == compressed_size(start + data)


@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(0, 65535), st.integers(0, 65535))
def test_a_size_is_found_wherever_it_lies(before: int, fill: int, width: int, height: int) -> None:
    frame = b"\xff" * fill + b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width)
    assert compressed_size(b"\xff\xd8" + bytes(before) + frame) == (width, height)


def test_a_thumbnail_does_not_hide_the_size() -> None:
    small, bomb = cv2.imencode(".jpg", GREY)[1].tobytes(), jpeg_bomb(65_500, 65_500)
    with_thumbnail = bomb[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + bomb[2:]
    with pytest.raises(MsdepthError, match="claim to be an image of 65500 x 65500"):
        decode_image(compressed("jpeg", with_thumbnail))


def test_each_spectrum_takes_what_it_can_use() -> None:
    assert spectrum_image("rgb", DecodedImage(COLOUR, "rgb8")) is COLOUR
    np.testing.assert_array_equal(spectrum_image("rgb", DecodedImage(COLOUR, "bgr8")), COLOUR[:, :, ::-1])
    assert spectrum_image("thermal", DecodedImage(DEEP, "mono16")) is DEEP
    for order in ("rgb8", "bgr8"):
        np.testing.assert_array_equal(spectrum_image("nir", DecodedImage(np.dstack([GREY] * 3), order)), GREY)
    with pytest.raises(MsdepthError, match="one channel"):
        spectrum_image("rgb", DecodedImage(GREY, "mono8"))
    with pytest.raises(MsdepthError, match="hides temperature"):
        spectrum_image("thermal", DecodedImage(COLOUR, "rgb8"))
    with pytest.raises(MsdepthError, match="float32 pixels"):
        spectrum_image("nir", DecodedImage(GREY.astype(np.float32), "32FC1"))


@pytest.mark.parametrize(
    ("bits", "value", "expected"),
    [(16, 65535, 255), (12, 4095, 255), (12, 2048, 128), (12, 9000, 255), (10, 512, 128), (8, 200, 200)],
)
def test_significant_bits_of_colour(bits: int, value: int, expected: int) -> None:
    image_ = DecodedImage(np.full((2, 2, 3), value, np.uint16), "rgb16")
    assert spectrum_image("rgb", image_, bits=bits).tolist() == np.full((2, 2, 3), expected).tolist()


def test_the_highest_value_is_told_while_nobody_has_stated_the_bits() -> None:
    assert camera_image("nir", image(DEEP, "mono16")).peak == DEEP.max()
    assert camera_image("nir", image(DEEP, "mono16"), bits=12).peak == 0
    assert camera_image("nir", image(GREY, "mono8")).peak == 0
    assert camera_image("thermal", image(DEEP, "mono16")).peak == 0


def test_grey_in_colour_is_grey() -> None:
    smooth = cv2.resize(GREY, (64, 48))
    stored = cv2.imencode(".jpg", cv2.cvtColor(smooth, cv2.COLOR_GRAY2BGR))[1].tobytes()
    assert np.abs(camera_image("thermal", compressed("jpeg", stored)).pixels.astype(int) - smooth).max() < 20
    neutral = np.dstack([np.full((4, 8), 128, np.uint8), np.arange(32, dtype=np.uint8).reshape(4, 8) * 4 + 60])
    assert camera_image("thermal", image(neutral, "uyvy", step=16, width=8)).pixels.ndim == 2
    deep = np.dstack([DEEP] * 3)
    np.testing.assert_array_equal(camera_image("thermal", image(deep, "bgr16")).pixels, DEEP)
    coloured = cv2.applyColorMap(smooth, cv2.COLORMAP_JET)
    with pytest.raises(MsdepthError, match="hides temperature"):
        camera_image("thermal", image(coloured, "bgr8"))


@pytest.mark.parametrize("offset", [0.0, -273.15])
def test_temperatures_become_counts_of_a_hundredth_kelvin(offset: float) -> None:
    kelvin = np.array([[290.0, 300.0], [310.0, np.nan]], np.float32)
    counts = camera_image("thermal", image(kelvin + np.float32(offset), "32FC1")).pixels
    assert counts.dtype == np.uint16
    assert np.abs(counts.ravel()[:3].astype(int) - [29000, 30000, 31000]).max() <= 1
    assert counts[1, 1] == 0


@pytest.mark.parametrize("pixels", [GREY, DEEP, COLOUR])
@pytest.mark.parametrize("compression", [1, 5, 32946])
def test_tiff(pixels: np.ndarray, compression: int) -> None:
    data = cv2.imencode(".tiff", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1].tobytes()
    assert compressed_size(data) == (10, 6)
    np.testing.assert_array_equal(decode_image(compressed("x; tiff compressed x", data)).pixels, pixels)
    for kept in (8, len(data) // 3):
        with pytest.raises(MsdepthError, match="not a whole TIFF"):
            decode_image(compressed("tiff", data[:kept]))


@given(data=st.binary(max_size=300), order=st.sampled_from([b"II*\0", b"MM\0*"]))
def test_random_tiff_is_refused(data: bytes, order: bytes) -> None:
    with pytest.raises(MsdepthError, match="not a whole TIFF|claim to be"):
        decode_image(compressed("tiff", order + data))


@given(cut=st.integers(0, 2000), tail=st.binary(max_size=40), progressive=st.booleans())
def test_the_end_of_a_jpeg_is_found(cut: int, tail: bytes, progressive: bool) -> None:
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    data = cv2.imencode(".jpg", cv2.resize(COLOUR, (64, 48)), options)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", GREY)[1].tobytes()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    assert look_at(data + tail).end == len(data)
    if cut and cut < len(data):
        assert look_at(data[:-cut]).end is None


@pytest.mark.parametrize("claimed", [2**31 - 1, 2**32 - 1, 10_000_000])
def test_a_png_chunk_that_claims_more_than_there_is_allocates_nothing(claimed: int) -> None:
    import resource

    data = bytearray(cv2.imencode(".png", GREY)[1].tobytes())
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = claimed.to_bytes(4, "big")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MsdepthError, match="not a whole JPEG or PNG"):
        decode_image(compressed("png", bytes(data)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000
