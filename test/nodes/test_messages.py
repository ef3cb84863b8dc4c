"""Messages become arrays and back; what contradicts itself is refused with a reason."""

from array import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.nodes.messages import (
    array_to_image,
    camera_model_from_info,
    compressed_to_array,
    header_at,
    image_to_array,
    pinhole_camera_info,
    spectrum_image,
    stamp_to_ns,
)

GENERATOR = np.random.default_rng(3)
COLOUR = GENERATOR.integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = GENERATOR.integers(0, 256, (6, 10), dtype=np.uint8)
DEEP = GENERATOR.integers(0, 65536, (6, 10), dtype=np.uint16)


def image(pixels: np.ndarray, stored_as: str, **changes: object) -> Image:
    message = array_to_image(Header(), pixels, stored_as)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("stored", "encoding", "expected"),
    [
        (COLOUR, "rgb8", COLOUR),
        (COLOUR[:, :, ::-1], "bgr8", COLOUR),
        (COLOUR[:, :, ::-1], "8UC3", COLOUR),
        (np.dstack([COLOUR, GREY]), "rgba8", COLOUR),
        (np.dstack([COLOUR[:, :, ::-1], GREY]), "bgra8", COLOUR),
        (GREY, "mono8", GREY),
        (GREY, "8UC1", GREY),
        (DEEP, "mono16", DEEP),
        (DEEP, "16UC1", DEEP),
    ],
)
def test_reads_common_encodings(stored: np.ndarray, encoding: str, expected: np.ndarray) -> None:
    pixels, bits = image_to_array(image(stored, encoding))
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == expected.dtype
    assert bits == 8 * expected.itemsize


@pytest.mark.parametrize(("pixels", "encoding"), [(COLOUR, "rgb8"), (GREY, "mono8"), (DEEP, "mono16")])
def test_views_without_a_copy(pixels: np.ndarray, encoding: str) -> None:
    message = image(pixels, encoding)
    view, _ = image_to_array(message)
    message.data[0] ^= 0xFF
    assert view.reshape(-1).view(np.uint8)[0] == message.data[0]


def test_reads_padded_rows() -> None:
    padded = np.pad(DEEP, ((0, 0), (0, 3)))
    message = image(padded, "mono16", width=10)
    np.testing.assert_array_equal(image_to_array(message)[0], DEEP)


def test_reads_big_endian() -> None:
    message = image(DEEP.astype(">u2"), "mono16", is_bigendian=1)
    pixels, _ = image_to_array(message)
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
    ],
)
def test_refuses_what_contradicts_itself(changes: dict, reason: str) -> None:
    with pytest.raises(MsdepthError, match=reason):
        image_to_array(image(GREY, "mono8", **changes))


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "yuv422", "rgb16"])
def test_names_cv_bridge_where_it_is_needed_and_missing(encoding: str) -> None:
    try:
        import cv_bridge  # noqa: F401
    except ImportError:
        with pytest.raises(MsdepthError, match="needs cv_bridge, which is not installed"):
            image_to_array(image(DEEP, encoding))
    else:
        pytest.skip("cv_bridge is installed")


@pytest.mark.parametrize(
    ("pixels", "kind", "stated"),
    [(GREY, ".png", "mono8; png"), (DEEP, ".png", "16UC1; png"), (GREY, ".jpg", "mono8; jpeg")],
)
def test_decodes_one_channel(pixels: np.ndarray, kind: str, stated: str) -> None:
    smooth = cv2.resize(pixels, (40, 24), interpolation=cv2.INTER_LINEAR)
    message = CompressedImage(format=stated, data=array("B", cv2.imencode(kind, smooth)[1].tobytes()))
    decoded, bits = compressed_to_array(message)
    assert decoded.dtype == smooth.dtype
    assert bits == 8 * smooth.itemsize
    tolerance = 0 if kind == ".png" else 12
    assert np.abs(decoded.astype(int) - smooth).max() <= tolerance


@pytest.mark.parametrize("stated", ["bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed bgr8", "jpeg", "png"])
def test_decoded_colour_is_rgb(stated: str) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 2] = 255  # as OpenCV stores it
    kind = ".png" if stated == "png" else ".jpg"
    data = array("B", cv2.imencode(kind, red)[1].tobytes())
    pixels, _ = compressed_to_array(CompressedImage(format=stated, data=data))
    assert pixels[8, 8, 0] > 250
    assert pixels[8, 8, 2] < 5


@pytest.mark.parametrize("kind", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95])
def test_refuses_truncated_files(kind: str, kept: float) -> None:
    data = cv2.imencode(kind, cv2.resize(COLOUR, (64, 48)))[1].tobytes()
    with pytest.raises(MsdepthError, match="not a whole JPEG or PNG"):
        compressed_to_array(CompressedImage(format="x", data=array("B", data[: int(kept * len(data))])))


def test_refuses_random_bytes() -> None:
    data = array("B", GENERATOR.bytes(500))
    with pytest.raises(MsdepthError, match="not a whole JPEG or PNG"):
        compressed_to_array(CompressedImage(format="jpeg", data=data))


def test_each_spectrum_takes_what_it_can_use() -> None:
    assert spectrum_image("rgb", COLOUR) is COLOUR
    assert spectrum_image("thermal", DEEP) is DEEP
    np.testing.assert_array_equal(spectrum_image("nir", np.dstack([GREY] * 3)), GREY)
    with pytest.raises(MsdepthError, match="one channel"):
        spectrum_image("rgb", GREY)
    with pytest.raises(MsdepthError, match="hides temperature"):
        spectrum_image("thermal", COLOUR)
    with pytest.raises(MsdepthError, match="float32 pixels"):
        spectrum_image("thermal", GREY.astype(np.float32))


def test_depth_survives_the_round_trip() -> None:
    depth_m = np.array([[1.5, np.nan], [np.inf, 80.0]], np.float32)
    message = array_to_image(Header(), depth_m, "32FC1")
    assert (message.width, message.height, message.step) == (2, 2, 8)
    np.testing.assert_array_equal(image_to_array(message)[0], depth_m)


def test_array_to_image_takes_views_that_are_not_contiguous() -> None:
    np.testing.assert_array_equal(image_to_array(array_to_image(Header(), GREY.T, "mono8"))[0], GREY.T)


def test_camera_info_round_trip() -> None:
    k = np.array([[388.0, 0.0, 300.8], [0.0, 387.5, 151.6], [0.0, 0.0, 1.0]])
    message = pinhole_camera_info(header_at(5, "rgb_optical_frame"), 640, 256, k)
    model = camera_model_from_info("rgb", message)
    np.testing.assert_array_equal(model.k, k)
    assert (model.width, model.height, model.distortion_model) == (640, 256, "none")
    np.testing.assert_array_equal(np.reshape(message.p, (3, 4))[:, :3], k)
    assert message.header.frame_id == "rgb_optical_frame"


@pytest.mark.parametrize("bad", [np.zeros(9), np.full(9, np.nan), np.full(9, np.inf)])
def test_refuses_bad_intrinsics(bad: np.ndarray) -> None:
    message = pinhole_camera_info(Header(), 640, 256, np.eye(3))
    message.k = bad
    with pytest.raises(MsdepthError, match="nir"):
        camera_model_from_info("nir", message)


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_700_000_000_123_456_789])
def test_stamps_keep_every_nanosecond(stamp_ns: int) -> None:
    assert stamp_to_ns(header_at(stamp_ns, "x").stamp) == stamp_ns
