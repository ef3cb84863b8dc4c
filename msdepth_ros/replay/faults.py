"""Faults put into a recording on purpose, to see what the depth makes of them."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA

IMAGE_FAULTS = ("black", "white", "noise", "blur")
"""Faults that change the image."""
STREAM_FAULTS = ("drop", "freeze")
"""Faults that change which images come."""
_PATTERN = re.compile(r"(?P<kind>\w+):(?P<spectrum>\w+)(@(?P<start>[\d.]+)-(?P<end>[\d.]+)?s?)?")
_NOISE_SHARE = 0.25
_BLUR_SHARE = 0.03


class Fault(NamedTuple):
    """One fault.

    Attributes:
        kind: black, white, noise or blur change the image; drop leaves it out; freeze repeats the one before.
        spectrum: Whose images.
        start_s: From when on, seconds since the start of the recording.
        end_s: Until when.
    """

    kind: str
    spectrum: str
    start_s: float
    end_s: float

    def covers(self, seconds: float) -> bool:
        """Whether something recorded at this time has the fault."""
        return self.start_s <= seconds < self.end_s

    def __str__(self) -> str:
        """As it is written on the command line."""
        end = "" if math.isinf(self.end_s) else f"{self.end_s:g}"
        return f"{self.kind}:{self.spectrum}@{self.start_s:g}-{end}s"


def parse_fault(text: str) -> Fault:
    """Reads `KIND:SPECTRUM@START-ENDs`; without a time, all of the recording; without an end, all that follows.

    >>> parse_fault("black:rgb@3-5s")
    Fault(kind='black', spectrum='rgb', start_s=3.0, end_s=5.0)

    Raises:
        MsdepthError: It is written wrongly.
    """
    match = _PATTERN.fullmatch(text)
    try:
        if match and match["kind"] in (*IMAGE_FAULTS, *STREAM_FAULTS) and match["spectrum"] in SPECTRA:
            start_s, end_s = float(match["start"] or 0), float(match["end"] or "inf")
            if start_s < end_s:
                return Fault(match["kind"], match["spectrum"], start_s, end_s)
    except ValueError:  # two points in a number
        pass
    raise MsdepthError(
        f"fault {text!r}: write KIND:SPECTRUM@START-ENDs, for example black:rgb@3-5s; KIND is one of "
        f"{', '.join((*IMAGE_FAULTS, *STREAM_FAULTS))}, SPECTRUM one of {', '.join(SPECTRA)}, times are seconds from "
        "the start of the recording"
    )


def apply_fault(kind: str, image: NDArray[Any], seed: int) -> NDArray[Any]:
    """An image with a fault.

    Args:
        kind: One of IMAGE_FAULTS.
        image: uint8 or uint16, [h,w] or [h,w,3]; it is not changed.
        seed: Makes the noise; the same for the same image in every run.
    """
    top = int(np.iinfo(image.dtype).max)
    if kind == "black":
        return np.zeros_like(image)
    if kind == "white":
        return np.full_like(image, top)
    if kind == "blur":
        size = 2 * int(_BLUR_SHARE * image.shape[1]) + 3
        return cv2.blur(image, (size, size))
    # Of the image's own range: thermal counts fill a small part of their 16 bits.
    low, high = np.percentile(image[::4, ::4], (1, 99))
    deviation = _NOISE_SHARE * max(float(high - low), 1.0)
    noise = np.random.default_rng(seed % 2**63).normal(0.0, deviation, image.shape)
    return np.asarray(np.clip(image + noise, 0, top), image.dtype)
