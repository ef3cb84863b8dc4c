"""The node's rules, each by itself; REP 117 and REP 118 for depth: metres, NaN unknown, +Inf beyond range, never 0."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bags
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from msdepth_ros.core import behaviour
from msdepth_ros.core.behaviour import Refused, published_depth_m
from msdepth_ros.core.camera.images import CameraImage
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.sync.synchronizer import SpectralSynchronizer

NAN, INF = np.nan, np.inf
MS = 1_000_000
CAMERA = CameraModel("nir", 48, 24, np.array([[48.0, 0, 23.5], [0, 48.0, 11.5], [0, 0, 1]]))
SOUND: frozenset[Fault] = frozenset()


def settings(**changes: Any) -> Settings:
    return Settings.from_values({**DEFAULTS, **{name.replace("__", "."): value for name, value in changes.items()}})


def read(message: Any) -> Any:
    return behaviour.read_image(
        "nir", message, CAMERA, settings=settings(), calibration="its calibration", advice="record it again"
    )


# Images.


def test_an_image_that_fits_its_calibration_is_read_raw_and_compressed() -> None:
    pixels = bags.pixels_of("nir", 3)
    for message in (bags.raw_image(0, "nir", pixels, "mono8"), bags.compressed_image(0, "nir", pixels, "png")):
        np.testing.assert_array_equal(read(message).pixels, pixels)


def test_what_is_refused_names_the_fault() -> None:
    assert read(bags.raw_image(0, "nir", np.zeros((8, 8), np.uint8), "mono8")) == Refused(
        "image is 8 x 8, its calibration is for 48 x 24; record it again", Fault.CALIBRATION
    )
    refused = read(bags.raw_image(0, "nir", np.zeros((24, 48), np.uint8), "mono7"))
    assert isinstance(refused, Refused)
    assert refused.fault is Fault.REJECTED


def test_a_compressed_image_of_another_size_is_refused_undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    message = bags.compressed_image(0, "nir", np.zeros((4000, 4000), np.uint8), "png")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert read(message).fault is Fault.CALIBRATION


@given(st.integers(-300, 300), st.integers(-300, 300))
def test_constant_offsets_bring_clocks_together(nir_ms: int, thermal_ms: int) -> None:
    chosen = settings(**{"sync.offset_s.nir": nir_ms / 1000, "sync.offset_s.thermal": thermal_ms / 1000})
    sync = SpectralSynchronizer(chosen.synchronizer())
    sets = []
    for tick in range(3):
        stamp_ns = 10**18 + tick * 100 * MS
        for name, ahead_ms in (("rgb", 0), ("nir", -nir_ms), ("thermal", -thermal_ms)):
            image = np.full((24, 48, 3) if name == "rgb" else (24, 48), 9, np.uint8)
            seen = behaviour.look(name, CameraImage(image), stamp_ns + ahead_ms * MS, chosen)
            sets += sync.add(name, seen.stamp_ns, None, stamp_ns)
    assert set(sets[-1].items) == {"rgb", "nir", "thermal"}
    assert {item.stamp_ns for item in sets[-1].items.values()} == {10**18 + 200 * MS}


# Sets.


def test_bad_images_are_left_out_unless_told_otherwise() -> None:
    faults = {"rgb": frozenset({Fault.BLACK}), "nir": SOUND, "thermal": frozenset({Fault.NOISY})}
    assert behaviour.select(faults, settings()) == (("nir", "thermal"), {"rgb": "black"}, "")
    assert behaviour.select(faults, settings(health__leave_out=False)) == (("rgb", "nir", "thermal"), {}, "")


def test_a_set_without_a_usable_image_says_why() -> None:
    used, left_out, failure = behaviour.select({"rgb": frozenset({Fault.BLACK})}, settings())
    assert (used, left_out) == ((), {"rgb": "black"})
    assert failure.startswith("no image of the set is usable: rgb black")


def test_depth_has_the_reference_images_own_stamp_else_that_of_the_set() -> None:
    assert behaviour.depth_stamp_ns(7, {"rgb": 5, "nir": 6}, "rgb") == 5
    assert behaviour.depth_stamp_ns(7, {"nir": 6}, "rgb") == 7
    assert behaviour.output_frame({"rgb": "left"}, "rgb") == "left"
    assert behaviour.output_frame({"rgb": ""}, "rgb") == "rgb_optical_frame"


# Outputs.


def result(depth_m: Any, confidence: Any, **views: Any) -> DepthResult:
    return DepthResult(depth_m, confidence, views, tuple(views), 1.0, np.eye(3, dtype=np.float32))


def test_the_colours_end_where_the_depth_does() -> None:
    depth_m = np.array([[1.0, 30.0, 50.0]], np.float32)
    ones = np.ones_like(depth_m)
    published = behaviour.publishable(
        result(depth_m, ones), stamp_ns=3, frame_id="rgb", settings=settings(depth__max_m=200.0), model_max_m=40.0
    )
    assert (published.min_m, published.max_m) == (DEFAULTS["depth.min_m"], 40.0)
    np.testing.assert_array_equal(published.image("depth/image")[0], [[1.0, 30.0, INF]])
    nearer = behaviour.publishable(
        result(depth_m, ones), stamp_ns=3, frame_id="rgb", settings=settings(depth__max_m=40.0), model_max_m=200.0
    )
    for topic in behaviour.OUTPUT_IMAGES:
        np.testing.assert_array_equal(published.image(topic)[0], nearer.image(topic)[0])


confidences = arrays(np.float32, (2, 3), elements=st.floats(width=32))


@given(confidences, st.dictionaries(st.sampled_from(SPECTRA), confidences))
def test_confidence_stays_in_its_range_and_is_0_for_an_absent_spectrum(
    fused: NDArray[np.float32], views: dict[str, NDArray[np.float32]]
) -> None:
    published = behaviour.publishable(
        result(np.full((2, 3), 7.0, np.float32), fused, **views), stamp_ns=0, frame_id="rgb", settings=settings(),
        model_max_m=80.0,
    )  # fmt: skip
    stated = {"depth/confidence": fused, **{f"confidence/{spectrum}": views.get(spectrum) for spectrum in SPECTRA}}
    for topic, confidence in stated.items():
        pixels, encoding = published.image(topic)
        expected = np.zeros((2, 3)) if confidence is None else np.nan_to_num(confidence, nan=0.0).clip(0.0, 1.0)
        assert encoding == "32FC1" and pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, expected)


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
