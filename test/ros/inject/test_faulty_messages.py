"""Serialized messages get the fault that was asked for, and keep everything else."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.injection.faults import KINDS, MESSAGE_KINDS, PICTURE_KINDS, apply_fault
from msdepth_ros.ros.inject.faulty_messages import faulty_camera_info, faulty_image, stamp_of, with_stamp
from msdepth_ros.ros.messages import array_to_image, header_at, pinhole_camera_info, stamp_to_ns

GENERATOR = np.random.default_rng(8)
STAMP_NS = 1_700_000_000_123_456_789
PIXELS = {
    "bgr8": GENERATOR.integers(0, 256, (12, 20, 3), np.uint8),
    "mono8": GENERATOR.integers(0, 256, (12, 20), np.uint8),
    "16UC1": GENERATOR.integers(21_000, 23_000, (12, 20), np.uint16),
}


def image(encoding: str) -> bytes:
    message = array_to_image(header_at(STAMP_NS, "rgb_optical_frame"), PIXELS[encoding], encoding)
    return bytes(serialize_message(message))


def changed(payload: bytes, **faults: float) -> Any:
    return deserialize_message(faulty_image(payload, Image, faults, 3), Image)


def stored(message: Any, encoding: str) -> np.ndarray:
    pixels = np.frombuffer(message.data, PIXELS[encoding].dtype)
    return pixels.reshape(message.height, message.width, *PIXELS[encoding].shape[2:])


def test_stamps_are_read_and_replaced_where_they_are() -> None:
    payload = image("mono8")
    assert stamp_of(payload) == STAMP_NS
    moved = deserialize_message(with_stamp(payload, 7), Image)
    assert stamp_to_ns(moved.header.stamp) == 7
    assert stored(moved, "mono8").tobytes() == PIXELS["mono8"].tobytes()
    assert stamp_of(with_stamp(payload, -5)) == 0


def test_a_message_without_a_header_is_refused() -> None:
    for payload in (b"", b"\0\1\0\0", b"\0\1\0\0\1\2\3"):
        with pytest.raises(MsdepthError, match="has no header"):
            stamp_of(payload)


@pytest.mark.parametrize("encoding", PIXELS)
@pytest.mark.parametrize("kind", PICTURE_KINDS)
def test_faults_of_the_picture_keep_the_encoding(kind: str, encoding: str) -> None:
    message = changed(image(encoding), **{kind: PICTURE_KINDS[kind].amount})
    pixels = PIXELS[encoding].reshape(12, 20, -1)
    expected = apply_fault(kind, pixels, 3)
    assert (message.encoding, message.width, message.height) == (encoding, 20, 12)
    assert message.header == header_at(STAMP_NS, "rgb_optical_frame")
    np.testing.assert_array_equal(stored(message, encoding).reshape(expected.shape), expected)
    decode_image(message)  # is still a good image


@pytest.mark.parametrize("kind", sorted({*MESSAGE_KINDS} - {"nan_calibration", "size"}))
def test_faults_of_the_message_make_it_unreadable(kind: str) -> None:
    message = changed(image("bgr8"), **{kind: MESSAGE_KINDS[kind].amount})
    assert stamp_to_ns(message.header.stamp) == STAMP_NS
    with pytest.raises(MsdepthError):
        decode_image(message)


def test_random_messages_are_refused_whatever_the_seed() -> None:
    for seed in range(200):
        message = deserialize_message(faulty_image(image("mono8"), Image, {"random": 0.0}, seed), Image)
        with pytest.raises(MsdepthError):
            decode_image(message)


@pytest.mark.parametrize("encoding", PIXELS)
def test_a_wrong_size_is_half_of_it(encoding: str) -> None:
    message = changed(image(encoding), size=0.0)
    np.testing.assert_array_equal(stored(message, encoding), PIXELS[encoding][::2, ::2])


def test_faults_add_up() -> None:
    message = changed(image("mono8"), black=0.0, truncate=0.5)
    assert set(message.data) == {0}
    assert len(message.data) == PIXELS["mono8"].size // 2


def test_rows_with_padding_and_big_endian_counts_are_understood() -> None:
    padded = np.pad(PIXELS["16UC1"].astype(">u2"), ((0, 0), (0, 4)))
    message = array_to_image(Header(), padded, "16UC1")
    message.width, message.is_bigendian = 20, 1
    wiped = changed(bytes(serialize_message(message)), wiper=0.2)
    expected = apply_fault("wiper", PIXELS["16UC1"], 3, 0.2)
    np.testing.assert_array_equal(decode_image(wiped).pixels[:, :20], expected)


@pytest.mark.parametrize(("encoding", "extension"), [("bgr8", ".jpg"), ("16UC1", ".png")])
def test_compressed_images_fail_the_same_way(encoding: str, extension: str) -> None:
    data = array("B", cv2.imencode(extension, PIXELS[encoding])[1].tobytes())
    payload = bytes(serialize_message(CompressedImage(format=f"{encoding}; {extension[1:]}", data=data)))

    def faulty(**faults: float) -> Any:
        return deserialize_message(faulty_image(payload, CompressedImage, faults, 3), CompressedImage)

    assert decode_image(faulty(black=0.0)).pixels.max() == 0
    assert decode_image(faulty(size=0.0)).pixels.shape[:2] == (6, 10)
    for kind in ("truncate", "encoding", "random"):
        with pytest.raises(MsdepthError):
            decode_image(faulty(**{kind: MESSAGE_KINDS[kind].amount}))


def test_calibration_loses_its_numbers_and_nothing_else() -> None:
    info = pinhole_camera_info(header_at(STAMP_NS, "x"), 640, 256, np.eye(3))
    payload = bytes(serialize_message(info))
    assert faulty_camera_info(payload, {"black": 0.0}) == payload
    broken = deserialize_message(faulty_camera_info(payload, {"nan_calibration": 0.0}), CameraInfo)
    assert np.isnan(broken.k).all()
    assert (broken.width, broken.height, broken.header) == (640, 256, info.header)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {*PICTURE_KINDS, *MESSAGE_KINDS}))
def test_faults_of_the_stream_leave_the_message_alone(kind: str) -> None:
    assert faulty_image(image("mono8"), Image, {kind: 1.0}, 3) == image("mono8")
