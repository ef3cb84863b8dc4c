"""Arrays become messages, and what comes back of them."""

from array import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from msdepth_ros.core.camera.camera_info import camera_model_from_info
from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros.messages import array_to_image, header_at, pinhole_camera_info, stamp_to_ns

GENERATOR = np.random.default_rng(3)
COLOUR = GENERATOR.integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = GENERATOR.integers(0, 256, (6, 10), dtype=np.uint8)
DEEP = GENERATOR.integers(0, 65536, (6, 10), dtype=np.uint16)


@pytest.mark.parametrize(
    ("pixels", "encoding"), [(COLOUR, "rgb8"), (COLOUR, "bgr8"), (GREY, "mono8"), (DEEP, "mono16")]
)
def test_images_of_ros_decode_without_a_copy(pixels: np.ndarray, encoding: str) -> None:
    message = array_to_image(Header(), pixels, encoding)
    decoded = decode_image(message)
    np.testing.assert_array_equal(decoded.pixels, pixels)
    message.data[0] ^= 0xFF
    assert decoded.pixels.reshape(-1).view(np.uint8)[0] == message.data[0]


def test_compressed_images_of_ros_decode() -> None:
    message = CompressedImage(format="16UC1; png", data=array("B", cv2.imencode(".png", DEEP)[1].tobytes()))
    np.testing.assert_array_equal(decode_image(message).pixels, DEEP)


def test_depth_survives_the_round_trip() -> None:
    depth_m = np.array([[1.5, np.nan], [np.inf, 80.0]], np.float32)
    message = array_to_image(Header(), depth_m, "32FC1")
    assert (message.width, message.height, message.step) == (2, 2, 8)
    np.testing.assert_array_equal(decode_image(message).pixels, depth_m)


def test_array_to_image_takes_views_that_are_not_contiguous() -> None:
    np.testing.assert_array_equal(decode_image(array_to_image(Header(), GREY.T, "mono8")).pixels, GREY.T)


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
