"""Faults put into camera images on purpose: what there is, how it is written, and what it does to a picture."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA


class FaultKind(NamedTuple):
    """One kind of fault.

    Attributes:
        meaning: what happens to the camera, one sentence for people.
        amount: how strong it is by default; 0 where there is nothing to set.
        unit: of the amount; empty where there is nothing to set.
    """

    meaning: str
    amount: float = 0.0
    unit: str = ""


PICTURE_KINDS = {
    "black": FaultKind("the picture is black"),
    "white": FaultKind("the picture is overexposed"),
    "noise": FaultKind("grey levels scatter", 0.25, "share of the picture's own range"),
    "blur": FaultKind("the picture is out of focus", 0.03, "share of the width"),
    "wiper": FaultKind("a dark blade sweeps over the picture", 0.2, "share of the width"),
}
"""Faults of the picture: `apply_fault`."""

MESSAGE_KINDS = {
    "encoding": FaultKind("the encoding has a name that nobody knows"),
    "size": FaultKind("the picture is half as large as its camera_info says"),
    "truncate": FaultKind("data end early", 0.5, "share that is left"),
    "random": FaultKind("size, step, encoding and data are random bytes"),
    "nan_calibration": FaultKind("intrinsics in camera_info are not numbers"),
}
"""Faults of the message around the picture."""

STREAM_KINDS = {
    "drop": FaultKind("images are lost", 1.0, "share"),
    "delay": FaultKind("images come late", 0.4, "s"),
    "jitter": FaultKind("images come late by random times, in order", 0.3, "s, at most"),
    "reorder": FaultKind("every second image comes after the next one"),
    "duplicate": FaultKind("every image comes twice"),
    "freeze": FaultKind("the last good picture is repeated under new stamps"),
    "stamp_jump": FaultKind("stamps are wrong", 5.0, "s ahead"),
    "dead": FaultKind("the publishers are gone, as when the driver has ended"),
}
"""Faults of when images come and how they are stamped."""

KINDS = {**STREAM_KINDS, **PICTURE_KINDS, **MESSAGE_KINDS}
"""Every kind, by name."""

_PATTERN = re.compile(
    r"(?P<kind>\w+)(=(?P<amount>-?[\d.]+))?:(?P<spectrum>\w+)(@(?P<start>[\d.]+)-(?P<end>[\d.]+)?s?)?"
)


class FaultSpan(NamedTuple):
    """One fault of one camera for some time.

    Attributes:
        kind: one of KINDS.
        spectrum: of the camera.
        start_s: from when on, seconds from the beginning.
        end_s: until when; infinite for good.
        amount: how strong, in the unit of its kind.
    """

    kind: str
    spectrum: str
    start_s: float = 0.0
    end_s: float = math.inf
    amount: float = 0.0

    def covers(self, seconds: float) -> bool:
        """Whether what happens at this time has the fault."""
        return self.start_s <= seconds < self.end_s

    def __str__(self) -> str:
        """As it is written on the command line."""
        amount = "" if self.amount == KINDS[self.kind].amount else f"={self.amount:g}"
        end = "" if math.isinf(self.end_s) else f"{self.end_s:g}"
        return f"{self.kind}{amount}:{self.spectrum}@{self.start_s:g}-{end}s"


def parse_span(text: str, kinds: Iterable[str] = KINDS) -> FaultSpan:
    """Reads ``KIND[=AMOUNT]:SPECTRUM[@START-[END]s]``.

    Args:
        text: without a time, it is for good; without an end, from the start on.
        kinds: those that are allowed here.

    Raises:
        MsdepthError: it is written wrongly.

    >>> parse_span("black:rgb@3-5s")
    FaultSpan(kind='black', spectrum='rgb', start_s=3.0, end_s=5.0, amount=0.0)
    >>> str(parse_span("drop=0.3:nir"))
    'drop=0.3:nir@0-s'
    """
    allowed = tuple(kinds)
    match = _PATTERN.fullmatch(text)
    try:
        if match and match["kind"] in allowed and match["spectrum"] in SPECTRA:
            start_s, end_s = float(match["start"] or 0), float(match["end"] or "inf")
            kind = KINDS[match["kind"]]
            amount = float(match["amount"]) if match["amount"] else kind.amount
            if start_s < end_s and (kind.unit or not match["amount"]) and _fits(match["kind"], amount):
                return FaultSpan(match["kind"], match["spectrum"], start_s, end_s, amount)
    except ValueError:  # two points in a number
        pass
    raise MsdepthError(
        f"fault {text!r}: write KIND:SPECTRUM@START-ENDs, for example black:rgb@3-5s, or drop=0.3:rgb for a share of "
        f"the images; KIND is one of {', '.join(allowed)}, SPECTRUM one of {', '.join(SPECTRA)}, times are seconds "
        "from the beginning"
    )


def _fits(kind: str, amount: float) -> bool:
    """Whether an amount makes sense: shares are at most 1, only stamps go both ways, nobody waits for minutes."""
    if kind == "stamp_jump":
        return abs(amount) <= 1e6
    return 0 <= amount <= (60.0 if kind in ("delay", "jitter") else 1.0)


def tour(kinds: Iterable[str], spectra: Iterable[str], *, hold_s: float = 3.0, pause_s: float = 3.0) -> list[FaultSpan]:
    """A schedule of one fault after the other on one camera after the other, with pauses in which all is well.

    Args:
        kinds: of KINDS.
        spectra: of the cameras.
        hold_s: how long each fault lasts, seconds.
        pause_s: how long nothing is wrong, also at the beginning, seconds.
    """
    pairs = [(kind, spectrum) for kind in kinds for spectrum in spectra]
    starts_s = [pause_s + index * (hold_s + pause_s) for index in range(len(pairs))]
    return [
        FaultSpan(kind, spectrum, start_s, start_s + hold_s, KINDS[kind].amount)
        for (kind, spectrum), start_s in zip(pairs, starts_s, strict=True)
    ]


def apply_fault(kind: str, image: NDArray[Any], seed: int, amount: float | None = None) -> NDArray[Any]:
    """A picture with a fault.

    Args:
        kind: one of PICTURE_KINDS.
        image: uint8 or uint16, [H,W] or [H,W,C]; it is not changed.
        seed: makes the noise, and moves the wiper by a step from one to the next; the same seed gives the same result.
        amount: how strong, in the unit of the kind; its default where not given.

    Returns:
        A new array of the same shape and type.
    """
    strength = PICTURE_KINDS[kind].amount if amount is None else amount
    if kind == "black":
        return np.zeros_like(image)
    if kind == "white":
        return np.full_like(image, np.iinfo(image.dtype).max)
    if kind == "blur":
        size = 2 * int(strength * image.shape[1]) + 3
        blurred: NDArray[Any] = cv2.blur(image, (size, size))
        return blurred.reshape(image.shape)  # OpenCV drops a channel axis of length 1
    return _wiped(image, seed, strength) if kind == "wiper" else _noisy(image, seed, strength)


_WIPER_STEPS = 12


def _wiped(image: NDArray[Any], seed: int, share: float) -> NDArray[Any]:
    """A dark bar that goes from left to right in so many images, and begins anew."""
    width = image.shape[1]
    blade = max(1, round(share * width))
    left = round((seed % _WIPER_STEPS) / (_WIPER_STEPS - 1) * (width - blade))
    wiped: NDArray[Any] = image.copy()
    wiped[:, left : left + blade] = image.min()  # thermal counts of a cold rubber, not of empty space
    return wiped


def _noisy(image: NDArray[Any], seed: int, share: float) -> NDArray[Any]:
    """Normal noise, as strong as a share of the image's own range: thermal counts fill a small part of 16 bits."""
    low, high = np.percentile(image[::4, ::4], (1, 99))
    deviation = share * max(float(high - low), 1.0)
    noise = np.random.default_rng(seed % 2**63).standard_normal(image.shape, np.float32) * np.float32(deviation)
    return np.asarray(np.clip(image + noise, 0, np.iinfo(image.dtype).max), image.dtype)


def mutated(data: bytes, seed: int, share: float = 0.01) -> bytes:
    """Bytes of which some are replaced by random ones; at least one, where there are any.

    Args:
        data: of any length.
        seed: the same one gives the same result.
        share: of the bytes, 0 to 1.
    """
    if not data:
        return data
    generator = np.random.default_rng(seed % 2**63)
    values = np.frombuffer(data, np.uint8).copy()
    count = max(1, int(share * values.size))
    values[generator.integers(0, values.size, count)] = generator.integers(0, 256, count, np.uint8)
    return bytes(values)
