"""Tests of spectrum names and of each one's normalisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import (
    NORMALISATION,
    SPECTRA,
    check_spectrum,
    in_canonical_order,
    normalise,
    spectra_key,
)


def test_unknown_spectrum_is_refused_by_name() -> None:
    assert check_spectrum("nir") == "nir"
    with pytest.raises(MsdepthError, match=r"'infrared'.*rgb, nir, thermal"):
        check_spectrum("infrared")


@given(st.lists(st.sampled_from(SPECTRA)))
def test_key_depends_on_the_set_only(spectra: list[str]) -> None:
    assert spectra_key(spectra) == spectra_key(reversed(spectra)) == spectra_key(set(spectra))
    assert spectra_key(spectra) == ("+".join(in_canonical_order(spectra)) or "none")


def test_key_names_spectra_in_canonical_order() -> None:
    assert spectra_key(["thermal", "nir", "rgb"]) == "rgb+nir+thermal"
    assert spectra_key([]) == "none"
    with pytest.raises(MsdepthError, match="'depth'"):
        spectra_key(["rgb", "depth"])


def test_every_spectrum_has_a_rule() -> None:
    assert tuple(NORMALISATION) == SPECTRA


def test_rgb_is_scaled_channels_first() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[1, 2] = (255, 51, 0)
    planes = normalise("rgb", image)
    assert planes.dtype == np.float32 and planes.shape == (3, 2, 3) and planes.flags.c_contiguous
    assert planes[:, 1, 2].tolist() == [1.0, pytest.approx(0.2), 0.0]
    assert planes.sum() == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("image", "bits", "expected"),
    [
        (np.array([[0, 255]], np.uint8), None, [0.0, 1.0]),
        (np.array([[0, 255]], np.uint8), 12, [0.0, 1.0]),
        (np.array([[0, 65535]], np.uint16), None, [0.0, 1.0]),
        (np.array([[1023, 0]], np.uint16), 10, [1.0, 0.0]),
        (np.array([[819, 4095]], np.uint16), 12, [0.2, 1.0]),
        (np.array([[4096, 65535]], np.uint16), 12, [1.0, 1.0]),
    ],
)
def test_nir_is_scaled_by_its_significant_bits(image: np.ndarray, bits: int | None, expected: list[float]) -> None:
    planes = normalise("nir", image, bits=bits)
    assert planes.dtype == np.float32 and planes.flags.c_contiguous
    for plane in planes:
        assert plane[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("bits", [0, 17, -1])
def test_impossible_number_of_bits_is_refused(bits: int) -> None:
    with pytest.raises(MsdepthError, match=f"nir: {bits} significant bits"):
        normalise("nir", np.zeros((2, 2), np.uint16), bits=bits)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thermal_is_stretched_between_its_percentiles(dtype: type) -> None:
    image = np.tile(np.arange(101, dtype=dtype) + 100, (404, 1)).T.repeat(4, axis=0)
    planes = normalise("thermal", image)
    # Of the values 100 to 200, 101 is the 1st percentile and 199 the 99th.
    assert planes[0, 4, 0] == pytest.approx(0.0, abs=1e-6)
    assert planes[0, 200, 0] == pytest.approx(0.5)
    assert planes[0, 396, 0] == pytest.approx(1.0)
    assert planes.min() == 0.0 and planes.max() == 1.0
    assert np.array_equal(planes[0], planes[1]) and np.array_equal(planes[0], planes[2])


def test_thermal_does_not_depend_on_gain_and_offset() -> None:
    image = np.random.default_rng(1).integers(3000, 6000, (64, 80)).astype(np.uint16)
    changed = (image * 3 + 500).astype(np.uint16)
    np.testing.assert_allclose(normalise("thermal", image), normalise("thermal", changed), atol=1e-5)


@pytest.mark.parametrize("value", [0, 4000, 65535])
def test_flat_thermal_is_one_half(value: int) -> None:
    assert np.all(normalise("thermal", np.full((16, 16), value, np.uint16)) == 0.5)


def test_thermal_ignores_one_hot_pixel() -> None:
    image = np.random.default_rng(2).integers(4000, 4100, (128, 128)).astype(np.uint16)
    clean = normalise("thermal", image)
    image[0, 0] = 16383
    hot = normalise("thermal", image)
    assert hot[0, 0, 0] == 1.0
    np.testing.assert_allclose(hot[:, 1:], clean[:, 1:], atol=0.02)


@pytest.mark.parametrize(
    ("spectrum", "image"),
    [
        ("rgb", np.zeros((4, 4), np.uint8)),
        ("rgb", np.zeros((4, 4, 4), np.uint8)),
        ("rgb", np.zeros((4, 4, 3), np.float32)),
        ("rgb", np.zeros((0, 4, 3), np.uint8)),
        ("nir", np.zeros((4, 4, 3), np.uint8)),
        ("nir", np.zeros((4, 4), np.float32)),
        ("thermal", np.zeros((4, 4), np.int16)),
        ("thermal", np.zeros((4, 0), np.uint16)),
    ],
)
def test_wrong_type_or_shape_is_refused(spectrum: str, image: np.ndarray) -> None:
    with pytest.raises(MsdepthError, match=f"^{spectrum}: expected a .*; publish it as"):
        normalise(spectrum, image)


@given(
    st.sampled_from(["nir", "thermal"]),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_output_is_always_in_range(spectrum: str, dtype: type, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)
    planes = normalise(spectrum, image)
    assert planes.shape == (3, height, width)
    assert planes.min() >= 0.0 and planes.max() <= 1.0
