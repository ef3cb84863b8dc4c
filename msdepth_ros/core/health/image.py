"""What is wrong with the pictures of one camera, judged from a few rows of each: a fraction of a millisecond."""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.health.bits import BitsUse
from msdepth_ros.core.health.findings import REPEATED, UNUSABLE, Fault, Finding, Latch, Level, S, Thresholds
from msdepth_ros.core.health.repeats import Repeats

ROWS = 24
"""Full rows that are looked at: their neighbours tell noise and blur, and nothing of a few degrees is overlooked."""
PIXELS = 32_768
"""Of wide images fewer rows are looked at, so that the cost stays the same."""

_SATURATED = 0.98  # of full scale: what compression leaves of white
_MARGIN = 1.2  # how much better than its threshold a picture must be for the fault to clear
_NOISE_FLOOR = 2.0  # grey levels: below it, quantisation decides
_SHARPNESS_FLOOR = 0.01
_LEARN_S = 1.0
_SLOWLY = 60.0
_KNOWN_AFTER = 10
_SHUTTER_AFTER = 2  # pictures beyond the usual: the second is stale beyond doubt, and metres old at 15 m/s
_SHUTTER_NS = S  # how much longer than a frozen picture a calibration may last; beyond, the camera is stuck


class ImageFacts(NamedTuple):
    """What a look at one image gives.

    Attributes:
        dark: 1st percentile, grey levels.
        bright: 99th percentile, grey levels.
        full_scale: highest grey level there can be.
        saturated: share of the pixels at full scale, 0 to 1.
        noise: median of the absolute second difference along the rows, grey levels.
        sharpness: 99th percentile of the absolute difference of neighbours, relative to bright - dark.
        digest: equal for equal pictures.
        peak: highest value of a 16-bit image of whose significant bits nobody has said anything; 0 for others.
    """

    dark: float
    bright: float
    full_scale: float
    saturated: float
    noise: float
    sharpness: float
    digest: int
    peak: int = 0


def measure(image: NDArray[Any], *, bits: int | None = None) -> ImageFacts:
    """Looks at an image.

    Args:
        image: uint8 [H,W,3], or uint8 or uint16 [H,W]; not empty.
        bits: significant bits of a uint16 image; all where not given.
    """
    count = max(1, min(ROWS, PIXELS // image.shape[1]))
    step = max(1, image.shape[0] // count)
    rows = np.ascontiguousarray(image[step // 2 :: step])
    grey = np.ascontiguousarray(rows[:, :, 1]) if rows.ndim == 3 else rows
    full_scale = float(2 ** (bits or 16) - 1 if grey.dtype == np.uint16 else 255)
    ordered = np.sort(grey, axis=None, kind="stable")  # a radix sort for such small integers
    dark, bright = float(ordered[ordered.size // 100]), float(ordered[-1 - ordered.size // 100])
    saturated = 1.0 - float(np.searchsorted(ordered, _SATURATED * full_scale)) / ordered.size
    first = np.diff(grey.astype(np.int32), axis=1)
    steps, curves = np.abs(first), np.abs(np.diff(first, axis=1))
    return ImageFacts(
        dark=dark, bright=bright, full_scale=full_scale, saturated=saturated, noise=_quantile(curves, 0.5),
        sharpness=_quantile(steps, 0.99) / max(1.0, bright - dark), digest=zlib.crc32(rows.data),
    )  # fmt: skip


def _quantile(values: NDArray[np.int32], share: float) -> float:
    """A quantile of differences of 16-bit values; 0 where there are none."""
    if not values.size:
        return 0.0
    ordered = np.sort(np.minimum(values, 65535).astype(np.uint16), axis=None, kind="stable")
    return float(ordered[int(share * (ordered.size - 1))])


class Usual:
    """What a number usually is: a moving average of its logarithm, which learns slowly while something is wrong.

    So a sudden change stands out, and one that stays becomes the usual after about a minute.
    """

    def __init__(self, learn_s: float = _LEARN_S) -> None:
        """Knows nothing.

        Args:
            learn_s: time constant, seconds.
        """
        self._learn_s = learn_s
        self._log = 0.0
        self._count = 0
        self._learned_ns = 0

    def ratio(self, value: float) -> float:
        """Returns the value relative to the usual; 1 until the usual is known."""
        return value / math.exp(self._log) if self._count >= _KNOWN_AFTER else 1.0

    def learn(self, value: float, now_ns: int, *, slowly: bool) -> None:
        """Takes a positive value.

        Args:
            value: above 0.
            now_ns: steady time.
            slowly: whether something is wrong at the moment.
        """
        elapsed_s = max(0, now_ns - self._learned_ns) / S
        weight = 1.0 - math.exp(-elapsed_s / (self._learn_s * (_SLOWLY if slowly else 1.0)))
        if self._count < _KNOWN_AFTER:
            weight = max(weight, 1.0 / (self._count + 1)) if self._count else 1.0
        self._log += weight * (math.log(value) - self._log)
        self._count += 1
        self._learned_ns = now_ns


class ImageHealth:
    """Judges the pictures of one camera, one after the other.

    Args:
        spectrum: of the camera. Brightness of a thermal image has no meaning: there only 0 is black.
    """

    def __init__(self, spectrum: str) -> None:
        """Has seen nothing yet."""
        self._thermal = spectrum == "thermal"
        self._latches = {fault: Latch() for fault in _SENTENCES}
        self._noise, self._sharpness = Usual(), Usual()
        self._facts: ImageFacts | None = None
        self._same_since_ns = 0
        self._bits, self._repeats = BitsUse(spectrum), Repeats()

    def look(self, facts: ImageFacts, now_ns: int, limits: Thresholds) -> frozenset[Fault]:
        """Takes the next image.

        Args:
            facts: of the image.
            now_ns: when it came, steady time.
            limits: in force now.

        Returns:
            The faults to reckon with for this image: those that are on, and whatever makes it unusable by itself.
        """
        if self._facts is None or facts.digest != self._facts.digest:
            self._same_since_ns = now_ns
        self._facts = facts
        self._bits.take(facts.peak)
        beyond_usual = self._repeats.take(facts.digest)
        bad = self._unusable(facts, now_ns, limits, calibrating=self._thermal and beyond_usual >= _SHUTTER_AFTER)
        if not bad:
            bad = self._doubts(facts, limits)
            doubtful = bool(bad)
            self._noise.learn(max(facts.noise, _NOISE_FLOOR), now_ns, slowly=doubtful)
            self._sharpness.learn(max(facts.sharpness, _SHARPNESS_FLOOR), now_ns, slowly=doubtful)
        for fault, latch in self._latches.items():
            confirm = 1 if fault in REPEATED else limits.confirm_images  # a time has confirmed it
            clear = 1 if fault is Fault.SHUTTER else limits.clear_images
            latch.update(fault in bad, confirm=confirm, clear=clear)
        return frozenset(self.faults() | (bad & UNUSABLE))

    def faults(self) -> set[Fault]:
        """Which faults are on."""
        return {fault for fault, latch in self._latches.items() if latch.on}

    def findings(self) -> list[Finding]:
        """The faults that are on, for people."""
        return [
            Finding(fault, _LEVELS.get(fault, Level.WARN), _SENTENCES[fault])
            for fault, latch in self._latches.items()
            if latch.on
        ] + self._bits.findings()

    def remarks(self) -> list[str]:
        """What is to be said of all images together, not of one."""
        return [finding.message for finding in self._bits.findings()]

    def _unusable(self, facts: ImageFacts, now_ns: int, limits: Thresholds, *, calibrating: bool) -> set[Fault]:
        """At most one of the faults that leave nothing to see; black and white pictures repeat, too."""
        contrast = facts.bright - facts.dark
        counts = self._thermal and facts.full_scale > 255
        flat_below = limits.flat_thermal_counts if counts else limits.flat_contrast * facts.full_scale
        black_below = 0.0 if self._thermal else limits.black_level * facts.full_scale
        if facts.bright <= black_below * self._margin(Fault.BLACK):
            return {Fault.BLACK}
        if facts.saturated * self._margin(Fault.OVEREXPOSED) >= limits.overexposed_share:
            return {Fault.OVEREXPOSED}
        if contrast <= flat_below * self._margin(Fault.FLAT):
            return {Fault.FLAT}
        same_ns = now_ns - self._same_since_ns
        if calibrating and same_ns < limits.frozen_after_s * S + _SHUTTER_NS:
            return {Fault.SHUTTER}
        return {Fault.FROZEN} if same_ns and same_ns >= limits.frozen_after_s * S else set()

    def _doubts(self, facts: ImageFacts, limits: Thresholds) -> set[Fault]:
        """What differs from how this camera's pictures usually are."""
        noise = self._noise.ratio(max(facts.noise, _NOISE_FLOOR)) * self._margin(Fault.NOISY)
        sharpness = self._sharpness.ratio(max(facts.sharpness, _SHARPNESS_FLOOR)) / self._margin(Fault.BLURRED)
        found = {Fault.NOISY} if noise >= limits.noise_ratio else set()
        return found | ({Fault.BLURRED} if sharpness <= limits.blur_ratio else set())

    def _margin(self, fault: Fault) -> float:
        return _MARGIN if self._latches[fault].on else 1.0


_LEVELS = {**dict.fromkeys(UNUSABLE, Level.ERROR), Fault.SHUTTER: Level.OK}
_SENTENCES = {
    Fault.BLACK: "the image is black; check lens cap, exposure and, for 16 bits, nir.bits",
    Fault.OVEREXPOSED: "the image is overexposed; check exposure and gain",
    Fault.FLAT: "the image is flat, without any contrast; check lens, shutter and focus",
    Fault.FROZEN: "the same picture comes again and again under new stamps; check the driver",
    Fault.SHUTTER: "shutter calibration: the same picture more often than usual; it is left out until it moves again",
    Fault.NOISY: "the image is much noisier than usual; check gain and cable",
    Fault.BLURRED: "the image is much less sharp than usual; check lens and focus",
}
PICTURE_FAULTS = tuple(_SENTENCES)
"""Everything that can be wrong with a picture by itself."""
