"""The words in which health is told: levels, faults, findings, and the thresholds behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

S = 1_000_000_000


class Level(IntEnum):
    """How bad it is; the numbers are those of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


class Verdict(NamedTuple):
    """A level, and the reason in one line: what is wrong and what to do."""

    level: Level
    message: str


class Fault(str, Enum):
    """What can be wrong with a camera, in one word for scripts."""

    SILENT = "silent"
    NO_PUBLISHER = "no_publisher"
    QOS = "qos"
    REJECTED = "rejected"
    CALIBRATION = "calibration"
    SLOW = "slow"
    FROZEN = "frozen"
    SHUTTER = "shutter"
    BLACK = "black"
    OVEREXPOSED = "overexposed"
    FLAT = "flat"
    NOISY = "noisy"
    BLURRED = "blurred"
    BITS = "bits"
    FRAME = "frame"
    UNSTAMPED = "unstamped"
    JUMPING = "jumping"
    SKEWED = "skewed"
    CHANGED = "changed"
    UNMATCHED = "unmatched"


REPEATED = frozenset({Fault.FROZEN, Fault.SHUTTER})
"""Faults of an image that shows what was: only where another camera shows that things move."""
UNUSABLE = REPEATED | {Fault.BLACK, Fault.OVEREXPOSED, Fault.FLAT}
"""Faults of an image that shows nothing, or nothing of now: it is left out of its set. Others are doubts."""


class Finding(NamedTuple):
    """One fault of one camera: how bad, and a sentence for people."""

    fault: Fault
    level: Level
    message: str


@dataclass(frozen=True)
class Thresholds:
    """From where on something is a fault: the parameters ``health.*``, where each is described.

    Durations are seconds; shares, levels and contrasts are between 0 and 1.
    """

    leave_out: bool = True
    confirm_images: int = 2
    clear_images: int = 2
    silent_after_s: float = 0.7
    min_rate_hz: float = 2.0
    min_rate_share: float = 0.7
    frozen_after_s: float = 0.5
    black_level: float = 0.02
    overexposed_share: float = 0.75
    flat_contrast: float = 0.02
    flat_thermal_counts: float = 30.0
    noise_ratio: float = 3.0
    blur_ratio: float = 0.35
    stamp_jump_s: float = 0.5
    skew_s: float = 0.25
    unmatched_share: float = 0.3


def verdict_of(findings: Iterable[Finding], fine: str) -> Verdict:
    """Sums findings up: the worst level, the worst sentence first.

    Args:
        findings: of one camera; maybe none.
        fine: what to say where there are none.

    >>> verdict_of([Finding(Fault.NOISY, Level.WARN, "noisy"), Finding(Fault.BLACK, Level.ERROR, "black")], "10 Hz")
    Verdict(level=<Level.ERROR: 2>, message='black; noisy')
    """
    ordered = sorted(findings, key=lambda finding: -_SEVERITY[finding.level])
    if not ordered:
        return Verdict(Level.OK, fine)
    return Verdict(ordered[0].level, "; ".join(finding.message for finding in ordered))


_SEVERITY = {Level.OK: 0, Level.WARN: 1, Level.STALE: 2, Level.ERROR: 3}


class Latch:
    """A fault with hysteresis: it is on after so many bad images in a row, and off after so many good ones."""

    def __init__(self) -> None:
        """Starts off."""
        self.on = False
        self._against = 0

    def update(self, bad: bool, *, confirm: int, clear: int) -> bool:
        """Takes one image's judgement and returns whether the fault is on.

        Args:
            bad: whether this image shows the fault.
            confirm: bad images in a row that switch it on.
            clear: good images in a row that switch it off.
        """
        self._against = self._against + 1 if bad != self.on else 0
        if self._against >= (clear if self.on else confirm):
            self.on, self._against = bad, 0
        return self.on
