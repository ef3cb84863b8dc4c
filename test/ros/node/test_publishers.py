"""Depth is published by REP 117 and REP 118: metres, NaN for unknown, +Inf beyond range, never 0 for unknown."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from std_msgs.msg import Header

from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.core.model.published_depth import published_depth_m
from msdepth_ros.ros.node.publishers import _confidence_image

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("depth_m", "confidence", "expected_m"),
    [
        (5.0, 0.9, 5.0),
        (0.5, 0.9, 0.5),
        (0.4, 0.9, NAN),
        (0.0, 0.9, NAN),
        (-1.0, 0.9, NAN),
        (NAN, 0.9, NAN),
        (79.9, 0.9, 79.9),
        (80.0, 0.9, INF),
        (INF, 0.9, INF),
        (5.0, 0.2, NAN),
        (80.0, 0.2, NAN),
        (5.0, 0.3, 5.0),
        (5.0, NAN, NAN),
    ],
)
def test_rules_of_one_pixel(depth_m: float, confidence: float, expected_m: float) -> None:
    shape = (2, 3)
    result = SimpleNamespace(
        depth_m=np.full(shape, depth_m, np.float32), confidence=np.full(shape, confidence, np.float32)
    )
    published_m = published_depth_m(result, min_m=0.5, max_m=80.0, min_confidence=0.3)
    assert published_m.dtype == np.float32
    np.testing.assert_array_equal(published_m, np.full(shape, expected_m, np.float32))


def test_zero_is_never_published_even_where_everything_is_allowed() -> None:
    result = SimpleNamespace(depth_m=np.zeros((1, 1), np.float32), confidence=np.ones((1, 1), np.float32))
    assert np.isnan(published_depth_m(result, min_m=0.0, max_m=80.0, min_confidence=0.0)).all()


def test_the_result_is_left_alone() -> None:
    result = SimpleNamespace(depth_m=np.array([[0.1, 100.0]], np.float32), confidence=np.ones((1, 2), np.float32))
    published_depth_m(result, min_m=0.5, max_m=80.0, min_confidence=0.0)
    np.testing.assert_array_equal(result.depth_m, np.array([[0.1, 100.0]], np.float32))


def test_confidence_stays_in_its_range() -> None:
    message = _confidence_image(Header(), np.array([[NAN, -0.5, 0.25, 1.5]], np.float32))
    np.testing.assert_array_equal(decode_image(message).pixels, np.array([[0.0, 0.0, 0.25, 1.0]], np.float32))
