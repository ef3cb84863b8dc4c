"""What /diagnostics must say of each fault, and the bars: the table to complete when a fault is added."""

from __future__ import annotations

from typing import NamedTuple

from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.injection.faults import KINDS
from msdepth_ros.core.spectra import SPECTRA

KILL = "kill"
"""SIGKILL for the process of a camera: unlike `dead`, nobody is told that it has gone."""

NAMED_AS: dict[str, frozenset[Fault]] = {
    "drop": frozenset({Fault.SILENT}),
    "delay": frozenset({Fault.SKEWED, Fault.UNMATCHED, Fault.SILENT}),
    "jitter": frozenset({Fault.UNMATCHED, Fault.SKEWED, Fault.SLOW}),
    "reorder": frozenset({Fault.JUMPING, Fault.UNMATCHED}),
    "duplicate": frozenset({Fault.UNMATCHED}),
    "freeze": frozenset({Fault.FROZEN, Fault.SHUTTER}),  # a thermal camera may calibrate, for a second
    "stamp_jump": frozenset({Fault.JUMPING, Fault.SKEWED}),
    "dead": frozenset({Fault.NO_PUBLISHER}),
    KILL: frozenset({Fault.SILENT, Fault.NO_PUBLISHER}),
    "black": frozenset({Fault.BLACK}),
    "white": frozenset({Fault.OVEREXPOSED}),
    "noise": frozenset({Fault.NOISY}),
    "blur": frozenset({Fault.BLURRED}),
    "wiper": frozenset(),  # most of the picture is good: weighing it is the network's business, pixel by pixel
    "encoding": frozenset({Fault.REJECTED}),
    "size": frozenset({Fault.CALIBRATION}),
    "truncate": frozenset({Fault.REJECTED}),
    "random": frozenset({Fault.REJECTED, Fault.CALIBRATION}),
    "nan_calibration": frozenset({Fault.CALIBRATION}),
}
"""Each fault, and the words of which at least one must be said; none where nothing needs to be said."""

WORST = ("drop", "dead", "black", "freeze", "truncate", "stamp_jump")
"""Tried on pairs of cameras, too."""
PAIRS = (("rgb", "nir"), ("rgb", "thermal"), ("nir", "thermal"))

LOST = "drop"
"""The fault by which the latency without a camera is measured."""


class Bars(NamedTuple):
    """What must be reached.

    Attributes:
        named_within_s: from the first faulty image to the first diagnostics that say so, seconds.
        gap_s: the longest time between two depth images, seconds.
        frames: depth images after the fault's end until the camera is used again, that one included.
        latency_ratio: p50 without a camera to that of the clean run.
        accuracy_ratio: AbsRel with a faulty camera to that without it.
        restart_s: from the start of a new node to its first depth, seconds.
        rss_mb_per_10_min: how fast the memory of the node may grow, MB in ten minutes.
        latency_growth: how much the latency may grow in all, share of it.
        lost_share: sets that may get lost although there was time for them, share of all.
        memory_share: how much memory may grow while bad messages come, share of it.
        health_ms: what judging one image may cost, ms.
        excused: words that are no false alarm.
    """

    named_within_s: float = 1.0
    gap_s: float = 1.0
    frames: int = 3
    latency_ratio: float = 1.2
    accuracy_ratio: float = 1.1
    restart_s: float = 3.0
    rss_mb_per_10_min: float = 1.0
    latency_growth: float = 0.1
    lost_share: float = 0.0
    memory_share: float = 0.05
    health_ms: float = 1.0
    excused: frozenset[str] = frozenset()

    def for_a_busy_machine(self, load: float) -> Bars:
        """What can be asked for where so many processes want each core.

        There, times are longer, and images that come late or slowly are the machine's doing, and rightly reported.
        """
        if load <= 1.0:
            return self
        return self._replace(
            named_within_s=self.named_within_s * load, gap_s=self.gap_s * load, restart_s=self.restart_s * load,
            latency_ratio=self.latency_ratio * load,
            excused=frozenset({Fault.SLOW.value, Fault.UNMATCHED.value, Fault.SILENT.value}),
        )  # fmt: skip


class Trial(NamedTuple):
    """One fault on some cameras at once."""

    kind: str
    spectra: tuple[str, ...]


def full() -> list[Trial]:
    """Every fault on every camera, and the worst ones on every pair."""
    single = [Trial(kind, (spectrum,)) for kind in NAMED_AS for spectrum in SPECTRA]
    return [*single, *(Trial(kind, pair) for kind in WORST for pair in PAIRS)]


def short() -> list[Trial]:
    """Every fault once, the cameras taking turns, and a pair."""
    turns = [Trial(kind, (SPECTRA[number % len(SPECTRA)],)) for number, kind in enumerate(NAMED_AS)]
    return [*turns, Trial("black", ("rgb", "nir"))]


assert set(NAMED_AS) == {*KINDS, KILL}, "every fault needs an expectation"
