"""What is wrong with a camera, with the matching of the cameras, or with the whole: judged from counts and times.

Pure: time comes in as an argument. Like the synchronizer, it is for one thread or for a caller that guards it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from msdepth_ros.core.spectra import in_canonical_order, spectra_key
from msdepth_ros.core.stream import SpectrumCounts

S = 1_000_000_000
RATE_WINDOW = 32
RATE_SPAN_NS = 5 * S
SILENT_AFTER_NS = S
MAX_REASON_LENGTH = 300


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


class SpectrumHealth:
    """The images of one camera: how many came, how often, and why some were rejected.

    Attributes:
        received: Usable images.
        rejected: Messages that could not be used.
        last_rejection: Why the last one could not.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.received = 0
        self.rejected = 0
        self.last_rejection = ""
        self._arrivals_ns: deque[int] = deque(maxlen=RATE_WINDOW)
        self._rejected_ns: int | None = None

    def accept(self, now_ns: int) -> None:
        """Counts a usable image."""
        self.received += 1
        self._arrivals_ns.append(now_ns)

    def reject(self, reason: str, now_ns: int) -> None:
        """Counts a message that was dropped; an endless reason is cut."""
        self.rejected += 1
        self.last_rejection = reason if len(reason) <= MAX_REASON_LENGTH else reason[: MAX_REASON_LENGTH - 3] + "..."
        self._rejected_ns = now_ns

    def age_s(self, now_ns: int) -> float:
        """Returns the seconds since the last usable image; infinite before the first."""
        return (now_ns - self._arrivals_ns[-1]) / S if self._arrivals_ns else float("inf")

    def rate_hz(self, now_ns: int) -> float:
        """Returns the usable images per second in the last seconds; 0 where there are fewer than two."""
        recent = [arrival for arrival in self._arrivals_ns if now_ns - arrival <= RATE_SPAN_NS]
        if len(recent) < 2 or recent[-1] == recent[0]:
            return 0.0
        return (len(recent) - 1) * S / (recent[-1] - recent[0])

    def judge(self, now_ns: int) -> Verdict:
        """Says how this camera is doing."""
        rejecting = self._rejected_ns is not None and now_ns - self._rejected_ns <= SILENT_AFTER_NS
        silent = self.age_s(now_ns) * S > SILENT_AFTER_NS
        if rejecting:
            level = Level.ERROR if silent else Level.WARN
            return Verdict(level, f"{self.rejected} messages rejected, the last one: {self.last_rejection}")
        if not self.received:
            return Verdict(Level.STALE, "no image yet; check the topic and that the driver runs")
        if silent:
            return Verdict(Level.ERROR, f"no image for {self.age_s(now_ns):.1f} s; check the driver")
        return Verdict(Level.OK, f"{self.rate_hz(now_ns):.1f} Hz")


class Health:
    """All cameras, and whether anything comes out."""

    def __init__(self, spectra: Iterable[str]) -> None:
        """Nothing has come yet from any of these spectra."""
        self.spectra = {name: SpectrumHealth() for name in in_canonical_order(spectra)}
        self.published = 0
        self._published_ns: int | None = None
        self._last_failure = ""

    def publish(self, now_ns: int) -> None:
        """Counts a depth image that went out."""
        self.published += 1
        self._published_ns = now_ns
        self._last_failure = ""

    def fail(self, reason: str) -> None:
        """Remembers why a set gave no depth."""
        self._last_failure = reason[:MAX_REASON_LENGTH]

    def judge(self, now_ns: int) -> Verdict:
        """Says whether depth comes out, from which cameras, and if none comes, why."""
        alive = [name for name, one in self.spectra.items() if one.age_s(now_ns) * S <= SILENT_AFTER_NS]
        if self._published_ns is None or now_ns - self._published_ns > SILENT_AFTER_NS:
            return Verdict(Level.ERROR, f"no depth: {self._why_nothing(alive, now_ns)}")
        missing = [name for name in self.spectra if name not in alive]
        if missing:
            return Verdict(Level.WARN, f"depth from {spectra_key(alive)} only; missing: {', '.join(missing)}")
        return Verdict(Level.OK, f"depth from {spectra_key(alive)}")

    def _why_nothing(self, alive: list[str], now_ns: int) -> str:
        """The first cause in the chain from camera to output."""
        if alive:
            return self._last_failure or f"images of {spectra_key(alive)} come but no set has been computed yet"
        verdicts = {name: one.judge(now_ns) for name, one in self.spectra.items()}
        return "; ".join(f"{name}: {verdict.message}" for name, verdict in verdicts.items())


def judge_matching(spectrum: str, counts: SpectrumCounts, before: SpectrumCounts | None = None) -> Verdict:
    """Says why images of a camera do not get into sets.

    Args:
        spectrum: The camera.
        counts: The synchronizer's counts now.
        before: A copy of them at the last judgement; None judges everything since the start.
    """
    past = before or SpectrumCounts()
    received, used = counts.received - past.received, counts.used - past.used
    if not received:
        return Verdict(Level.STALE, "no image")
    reasons = {
        f"arrive after their set has left: raise sync.deadline_s, or correct sync.offset_s.{spectrum}": (
            counts.late - past.late
        ),
        f"are stamped ahead of the reference: synchronise the clocks, or set sync.offset_s.{spectrum}": (
            counts.ahead - past.ahead
        ),
        "repeat a stamp: the driver is stuck, or two of them publish": counts.duplicates - past.duplicates,
        "were pushed out by newer ones: this computer is overloaded": counts.overflow - past.overflow,
    }
    reason, count = max(reasons.items(), key=lambda entry: entry[1])
    if count == 0:
        return Verdict(Level.OK, f"{used} of {received} images in sets")
    level = Level.WARN if used else Level.ERROR
    return Verdict(level, f"{count} of {received} images {reason}")
