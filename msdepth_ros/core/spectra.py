"""Spectrum names, their canonical order, and how each one's images become network input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

SPECTRA = ("rgb", "nir", "thermal")
"""Every spectrum, in the order used wherever spectra are listed."""

NORMALISATION: dict[str, str] = {"rgb": "scale", "nir": "scale", "thermal": "percentile_1_99"}
"""The rule of each spectrum, as written into the metadata of a model."""

PERCENTILES = (1.0, 99.0)
SUBSAMPLE_STRIDE = 4
FLAT_VALUE = 0.5


def check_spectrum(name: str) -> str:
    """Returns `name` if it is a known spectrum.

    Raises:
        MsdepthError: It is not.
    """
    if name not in SPECTRA:
        raise MsdepthError(f"unknown spectrum {name!r}: use one of {', '.join(SPECTRA)}")
    return name


def in_canonical_order(spectra: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct spectra in canonical order.

    Raises:
        MsdepthError: One of them is unknown.
    """
    present = {check_spectrum(name) for name in spectra}
    return tuple(name for name in SPECTRA if name in present)


def spectra_of_topic(topic: str) -> tuple[str, ...]:
    """Which spectra a topic names, for bags, Kalibr files and options alike: whole words only.

    A whole segment says more than a word that is a part of one, so `/rgb_nir/thermal/image` is thermal.

    Returns:
        The spectra in canonical order: one for a topic that tells whose it is.

    >>> spectra_of_topic("/omnirig/rgb/image_raw"), spectra_of_topic("/flir_thermal0/image")
    (('rgb',), ('thermal',))
    >>> spectra_of_topic("/rgb_nir/stream0/image"), spectra_of_topic("/omnirig/image")
    (('rgb', 'nir'), ())
    """
    segments = topic.strip("/").split("/")
    words = {word for segment in segments for word in _words(segment)}
    for names in ({segment.lower() for segment in segments}, words):
        named = tuple(name for name in SPECTRA if name in names)
        if named:
            return named
    return ()


def _words(segment: str) -> Iterator[str]:
    """Words of a segment, numbers behind them left out: `leftRgb_cam2` is left, rgb and cam."""
    for part in re.split(r"[^A-Za-z0-9]+", segment):
        for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", part):
            yield word.lower()


def spectra_key(spectra: Iterable[str]) -> str:
    """Names a subset of the spectra, the same way in every report.

    >>> spectra_key(["thermal", "rgb"])
    'rgb+thermal'
    >>> spectra_key([])
    'none'
    """
    return "+".join(in_canonical_order(spectra)) or "none"


def key_order(key: str) -> tuple[int, list[int]]:
    """Orders names that `spectra_key` made: most spectra first."""
    spectra = key.split("+")
    return -len(spectra), [SPECTRA.index(spectrum) for spectrum in spectra]


def normalise(spectrum: str, image: NDArray[Any], *, bits: int | None = None) -> NDArray[np.float32]:
    """Turns an image that already has network size into network input.

    Args:
        spectrum: Which rule to apply.
        image: rgb: uint8 [H,W,3] in RGB order. nir and thermal: uint8 or uint16 [H,W].
        bits: Significant bits of a uint16 nir image, 1 to 16; all 16 when not given. The other rules ignore it.

    Returns:
        float32 [3,H,W] in [0,1], contiguous; one-channel spectra are repeated.

    Raises:
        MsdepthError: Wrong type, shape or number of bits.
    """
    check_spectrum(spectrum)
    if spectrum == "rgb":
        return _scale_rgb(image)
    if image.ndim != 2 or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(
            f"{spectrum}: expected a uint8 or uint16 image [H,W], got {image.dtype} {list(image.shape)}; "
            "publish it as mono8, mono16 or 16UC1"
        )
    plane = _scale(image, spectrum, bits) if NORMALISATION[spectrum] == "scale" else _stretch(image)
    planes = np.empty((3, *image.shape), np.float32)
    planes[:] = plane
    return planes


def _scale_rgb(image: NDArray[Any]) -> NDArray[np.float32]:
    """Maps [0,255] to [0,1], channels first."""
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise MsdepthError(
            f"rgb: expected a uint8 image [H,W,3], got {image.dtype} {list(image.shape)}; publish it as rgb8 or bgr8"
        )
    planes = np.empty((3, *image.shape[:2]), np.float32)
    np.divide(image.transpose(2, 0, 1), np.float32(255.0), out=planes)
    return planes


def _scale(image: NDArray[Any], spectrum: str, bits: int | None) -> NDArray[np.float32]:
    """Maps [0, 2^bits - 1] to [0,1]; what lies above the stated bits is clipped."""
    stored_bits = 8 * image.dtype.itemsize
    significant = stored_bits if bits is None or image.dtype == np.uint8 else bits
    if not 1 <= significant <= stored_bits:
        raise MsdepthError(f"{spectrum}: {bits} significant bits in a {stored_bits}-bit image; use 1 to {stored_bits}")
    plane: NDArray[np.float32] = np.divide(image, np.float32(2**significant - 1), dtype=np.float32)
    np.minimum(plane, np.float32(1.0), out=plane)
    return plane


def _stretch(image: NDArray[Any]) -> NDArray[np.float32]:
    """Maps the 1st to 99th percentile of a stride-4 subsample to [0,1]; a flat image becomes 0.5 everywhere."""
    low, high = np.percentile(image[::SUBSAMPLE_STRIDE, ::SUBSAMPLE_STRIDE], PERCENTILES)
    if not high > low:
        return np.full(image.shape, FLAT_VALUE, np.float32)
    plane: NDArray[np.float32] = np.subtract(image, np.float32(low), dtype=np.float32)
    plane *= np.float32(1.0 / (high - low))
    np.clip(plane, np.float32(0.0), np.float32(1.0), out=plane)
    return plane
