"""Pictures: colours mean what the scale says, and nothing is hidden or out of place."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import (
    UNKNOWN,
    colourise,
    colourise_confidence,
    colourise_error,
    depth_scale,
    displayable,
    overview,
)


def row(*values: float) -> NDArray[np.float32]:
    return np.array([values], np.float32)


def test_near_is_warm_and_far_is_cold() -> None:
    near, middle, far = colourise(row(1.5, 9.0, 60.0))[0].astype(int)
    assert near[0] > near[2] + 100
    assert middle[1] > middle[0] and middle[1] > middle[2]
    assert far[2] > far[0]


def test_scale_is_logarithmic() -> None:
    steps = colourise(row(*(80.0 ** np.linspace(0, 1, 256))), 1.0, 80.0)[0]
    assert len(np.unique(steps, axis=0)) > 200
    np.testing.assert_array_equal(colourise(row(2.0), 1.0, 4.0), colourise(row(20.0), 10.0, 40.0))


def test_out_of_range_takes_the_ends_and_unknown_is_grey() -> None:
    picture = colourise(row(0.1, 1.0, np.inf, 80.0, 500.0, np.nan, -np.inf), 1.0, 80.0)[0]
    np.testing.assert_array_equal(picture[0], picture[1])
    np.testing.assert_array_equal(picture[6], picture[1])
    np.testing.assert_array_equal(picture[2], picture[3])
    np.testing.assert_array_equal(picture[4], picture[3])
    assert tuple(picture[5]) == UNKNOWN
    assert not (colourise(row(*np.linspace(1, 80, 500)))[0] == UNKNOWN).all(axis=-1).any()


def test_colourise_does_not_change_its_input() -> None:
    depth_m = row(0.1, np.nan, 5.0)
    before = depth_m.copy()
    colourise(depth_m)
    np.testing.assert_array_equal(depth_m, before)


@pytest.mark.parametrize(("low", "high"), [(0.0, 10.0), (5.0, 5.0), (9.0, 2.0), (-1.0, 3.0)])
def test_impossible_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(MsdepthError, match="colour scale"):
        colourise(row(1.0), low, high)


def test_confidence_gets_brighter() -> None:
    brightness = colourise_confidence(row(0.0, 0.5, 1.0)).astype(int).sum(axis=-1)[0]
    assert brightness[0] < brightness[1] < brightness[2]


def test_error_is_relative_and_grey_where_either_is_unknown() -> None:
    picture = colourise_error(row(11, 22, 40, 5, np.nan, np.inf), row(10, 20, 20, 0, 7, 7))[0]
    np.testing.assert_array_equal(picture[0], picture[1])
    assert picture[2].astype(int).sum() > picture[0].astype(int).sum()
    for unknown in picture[3:]:
        assert tuple(unknown) == UNKNOWN
    np.testing.assert_array_equal(colourise_error(row(9), row(10)), colourise_error(row(11), row(10)))
    np.testing.assert_array_equal(colourise_error(row(30), row(10)), colourise_error(row(15), row(10)))


def test_thermal_counts_are_stretched_and_rgb_is_shown_as_it_is() -> None:
    counts = np.linspace(3200, 5800, 64 * 32).reshape(32, 64).astype(np.uint16)
    picture = displayable("thermal", counts)
    assert picture.dtype == np.uint8 and picture.min() == 0 and picture.max() == 255
    colour = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    np.testing.assert_array_equal(displayable("rgb", colour), colour)
    assert displayable("nir", np.full((4, 4), 1023, np.uint16), 10).min() == 255


@pytest.mark.parametrize(("width", "low", "high"), [(200, 1.0, 80.0), (900, 0.3, 10.0), (480, 2.0, 3.0)])
def test_depth_scale_shows_the_colours_of_depth_from_near_to_far(width: int, low: float, high: float) -> None:
    scale = depth_scale(width, low, high)
    assert scale.shape == (36, width, 3)
    bar = scale[10, 18 : width - 18]
    np.testing.assert_array_equal(bar[0], colourise(row(low), low, high)[0, 0])
    np.testing.assert_array_equal(bar[-1], colourise(row(high), low, high)[0, 0])
    assert (scale[20:] > 150).any()


def make_result(spectra: tuple[str, ...]) -> DepthResult:
    depth_m = np.geomspace(1.5, 70, 64 * 32).reshape(32, 64).astype(np.float32)
    half = np.full((32, 64), 0.75, np.float32)
    return DepthResult(depth_m, half, dict.fromkeys(spectra, half), spectra, 12.0, np.eye(3, dtype=np.float32))


IMAGES = {
    "rgb": np.full((48, 96, 3), (200, 30, 30), np.uint8),
    "nir": np.full((40, 40), 180, np.uint8),
    "thermal": np.linspace(3000, 6000, 32 * 64).reshape(32, 64).astype(np.uint16),
}


def has_colour(picture: NDArray[np.uint8], colour: NDArray[np.uint8]) -> bool:
    return bool((picture == colour).all(axis=-1).sum() > 500)


@pytest.mark.parametrize("truth", [False, True])
def test_overview_has_the_same_size_whatever_is_there(truth: bool) -> None:
    truth_m = np.full((32, 64), 10, np.float32) if truth else None
    whole = overview(IMAGES, make_result(SPECTRA), truth_m, title="a title")
    some = overview({"nir": IMAGES["nir"]}, make_result(("nir",)), truth_m)
    assert whole.dtype == np.uint8 and whole.shape == some.shape
    assert 1000 < whole.shape[1] < 2000 and 700 < whole.shape[0] < 1400


def test_overview_shows_inputs_and_confidences_that_are_there_only() -> None:
    red, viridis = np.array([200, 30, 30], np.uint8), colourise_confidence(row(0.75))[0, 0]
    whole, some = overview(IMAGES, make_result(SPECTRA)), overview({"nir": IMAGES["nir"]}, make_result(("nir",)))
    assert has_colour(whole, red) and not has_colour(some, red)
    tiles = [(picture == viridis).all(axis=-1).sum() for picture in (whole, some)]
    assert tiles[0] == pytest.approx(2 * tiles[1], rel=0.02)


def test_overview_shows_the_error_where_there_is_truth() -> None:
    result = make_result(SPECTRA)
    worst = colourise_error(row(9), row(3))[0, 0]
    assert not has_colour(overview(IMAGES, result), worst)
    assert has_colour(overview(IMAGES, result, result.depth_m / 3), worst)
    unknown = np.array(UNKNOWN, np.uint8)
    assert has_colour(overview(IMAGES, result, np.zeros_like(result.depth_m)), unknown)
