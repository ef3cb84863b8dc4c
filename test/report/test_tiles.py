"""Pictures of a report: right colours, right shape, scales in metres."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from msdepth_ros.bags.images import DecodedImage
from msdepth_ros.core.visualize import FAR_M, NEAR_M
from msdepth_ros.report.tiles import error_picture, input_picture, make_scales, squared


def test_pictures_show_colour_in_the_right_order_and_a_dead_camera_dark() -> None:
    red_bgr = np.zeros((4, 4, 3), np.uint8)
    red_bgr[..., 2] = 255
    np.testing.assert_array_equal(input_picture("rgb", DecodedImage(red_bgr, "bgr8"))[0, 0], [255, 0, 0])
    np.testing.assert_array_equal(input_picture("rgb", DecodedImage(red_bgr, "rgb8"))[0, 0], [0, 0, 255])
    assert input_picture("nir", DecodedImage(np.full((4, 4), 2, np.uint8), "mono8")).max() == 2
    ramp = np.linspace(3000, 6000, 1000, dtype=np.uint16).reshape(10, 100)
    assert input_picture("thermal", DecodedImage(ramp, "mono16")).max() == 255
    assert input_picture("rgb", DecodedImage(np.zeros((384, 1280, 3), np.uint8), "bgr8")).shape == (192, 640, 3)


def test_an_error_at_infinity_counts_and_an_unknown_one_does_not() -> None:
    depth_m = np.array([[10.0, np.inf, np.nan, 10.0]], np.float32)
    truth_m = np.array([[10.0, 40.0, 10.0, np.nan]], np.float32)
    right, beyond, no_depth, no_truth = error_picture(depth_m, truth_m)[0]
    assert right.sum() < 20
    assert beyond.sum() > 500
    np.testing.assert_array_equal(no_depth, no_truth)


def test_a_stretched_view_is_shown_with_square_pixels() -> None:
    assert squared(np.zeros((256, 640), np.float32), 0.784, cv2.INTER_NEAREST).shape == (201, 640)


def test_scales_have_metres_at_their_place() -> None:
    scales = make_scales()
    places = {tick.text: tick.at for tick in scales.depth.ticks}
    assert (places[f"{NEAR_M:.0f} m"], places[f"{FAR_M:.0f} m"]) == (0.0, 100.0)
    assert places["10 m"] == pytest.approx(100 * np.log(10) / np.log(80), abs=0.01)
    header, data = scales.depth.strip.split(",")
    assert header == "data:image/png;base64"
    assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR).shape == (1, 256, 3)
