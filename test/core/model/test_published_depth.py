"""Depth is published by REP 117 and REP 118: metres, NaN for unknown, +Inf beyond range, never 0 for unknown."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from msdepth_ros.core.model.published_depth import published_depth_m
from msdepth_ros.core.published_images import CONFIDENCE, VIEW_CONFIDENCE, published_image
from msdepth_ros.core.spectra import SPECTRA

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


confidences = arrays(np.float32, (2, 3), elements=st.floats(width=32))


@given(confidences, st.dictionaries(st.sampled_from(SPECTRA), confidences))
def test_confidence_stays_in_its_range_and_is_none_without_the_camera(
    fused: NDArray[np.float32], views: dict[str, NDArray[np.float32]]
) -> None:
    depth_m = np.full((2, 3), 7.0, np.float32)
    result: Any = SimpleNamespace(confidence=fused, view_confidence=views)
    stated = {CONFIDENCE: fused, **{name: views.get(spectrum) for name, spectrum in VIEW_CONFIDENCE.items()}}
    for name, confidence in stated.items():
        pixels, encoding = published_image(name, result, depth_m, min_m=0.5, max_m=80.0)
        expected = np.zeros((2, 3)) if confidence is None else np.nan_to_num(confidence, nan=0.0).clip(0.0, 1.0)
        assert encoding == "32FC1" and pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, expected)
