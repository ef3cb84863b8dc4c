"""What is wrong with a camera, with the matching of the cameras, or with the whole: judged from counts and times.

Pure: time comes in as an argument. Like the synchronizer, it is for one thread or for a caller that guards it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msdepth_ros.core.health.findings import REPEATED, UNUSABLE, Fault, Finding, Level, S, Thresholds, Verdict
from msdepth_ros.core.health.image import ImageFacts, ImageHealth
from msdepth_ros.core.health.timing import Timing, skew_text, skews_s
from msdepth_ros.core.spectra import in_canonical_order, spectra_key
from msdepth_ros.core.sync.stream import SpectrumCounts

__all__ = [
    "Fault", "Finding", "Health", "Level", "Seen", "SpectrumHealth", "Thresholds", "Verdict", "blame_unmatched",
    "judge_matching", "leave_out", "nothing_usable",
]  # fmt: skip

SILENT_AFTER_NS = S
MAX_REASON_LENGTH = 300
_CLEAR_SHARE = 0.8  # of its threshold, below which a skew is over


class Seen(NamedTuple):
    """One usable message of a camera.

    Attributes:
        stamp_ns: of its header, the configured offset added.
        facts: what a look at the picture gives.
        form: size and encoding, for people.
    """

    stamp_ns: int
    facts: ImageFacts
    form: str


class SpectrumHealth:
    """The images of one camera: how many came, how often, what they show, and why some were rejected.

    Attributes:
        received: Usable messages.
        rejected: Messages that could not be used.
        left_out: Images left out of their set.
        shutter: Shutter calibrations of a thermal camera.
        last_rejection: Why the last rejected one could not be used.
        timing: When the images came.
    """

    def __init__(self, spectrum: str) -> None:
        """Nothing has come yet."""
        self.received = self.rejected = self.left_out = self.shutter = 0
        self.last_rejection = ""
        self.timing = Timing()
        self._images = ImageHealth(spectrum)
        self._rejection = Fault.REJECTED
        self._rejected_ns: int | None = None
        self._form, self._change = "", ""
        self._changed_ns: int | None = None

    def accept(self, seen: Seen, now_ns: int, limits: Thresholds) -> frozenset[Fault]:
        """Counts a usable message.

        Returns:
            The faults of its picture.
        """
        self.received += 1
        self.timing.accept(seen.stamp_ns, now_ns, limits)
        if self._form and seen.form != self._form:
            self._change, self._changed_ns = f"images changed from {self._form} to {seen.form}", now_ns
        self._form = seen.form
        before = Fault.SHUTTER in self._images.faults()
        faults = self._images.look(seen.facts, now_ns, limits)
        self.shutter += Fault.SHUTTER in faults and not before
        return faults

    def reject(self, reason: str, now_ns: int, *, fault: Fault = Fault.REJECTED) -> None:
        """Counts a message that was dropped; an endless reason is cut.

        Args:
            reason: for people.
            now_ns: steady time.
            fault: whether the message itself is wrong, or the calibration.
        """
        self.rejected += 1
        self.last_rejection = reason if len(reason) <= MAX_REASON_LENGTH else reason[: MAX_REASON_LENGTH - 3] + "..."
        self._rejected_ns, self._rejection = now_ns, fault

    def findings(self, now_ns: int, limits: Thresholds) -> list[Finding]:
        """All that is wrong with this camera by itself."""
        silent = self.timing.age_s(now_ns) > limits.silent_after_s
        found = self.timing.findings(now_ns, limits)
        if self._rejected_ns is not None and now_ns - self._rejected_ns <= SILENT_AFTER_NS:
            text = f"{self.rejected} messages rejected, the last one: {self.last_rejection}"
            found.append(Finding(self._rejection, Level.ERROR if silent else Level.WARN, text))
        if not self.received and not found:
            text = "no image yet; check the topic and that the driver runs"
            found.append(Finding(Fault.SILENT, Level.STALE, text))
        if self._changed_ns is not None and now_ns - self._changed_ns <= SILENT_AFTER_NS:
            found.append(Finding(Fault.CHANGED, Level.WARN, self._change))
        return found if silent else found + self._images.findings()


class Health:
    """All cameras, and whether anything comes out.

    Attributes:
        limits: From where on something is a fault; may be replaced at any time.
        spectra: The cameras.
        published: Depth images that went out.
        last_failure: Why the newest set gave no depth; empty since one did.
    """

    def __init__(self, spectra: Iterable[str], *, reference: str = "rgb", limits: Thresholds | None = None) -> None:
        """Nothing has come yet from any of these spectra."""
        self.limits = limits or Thresholds()
        self.spectra = {name: SpectrumHealth(name) for name in in_canonical_order(spectra)}
        self.published = 0
        self._published_ns: deque[int] = deque(maxlen=256)
        self.last_failure = ""
        self._reference = reference
        self._used_ns: dict[str, int] = {}
        self._skewed: set[str] = set()

    def publish(self, spectra: Iterable[str], now_ns: int) -> None:
        """Counts a depth image that went out, made of these cameras' images."""
        self.published += 1
        self._published_ns.append(now_ns)
        self._used_ns.update(dict.fromkeys(spectra, now_ns))
        self.last_failure = ""

    @property
    def published_ns(self) -> int | None:
        """When the newest depth image went out; None before the first."""
        return self._published_ns[-1] if self._published_ns else None

    def fail(self, reason: str) -> None:
        """Remembers why a set gave no depth."""
        self.last_failure = reason[:MAX_REASON_LENGTH]

    def findings(self, spectrum: str, now_ns: int) -> list[Finding]:
        """All that is wrong with a camera, by itself and compared with the others."""
        found = self.spectra[spectrum].findings(now_ns, self.limits)
        if any(finding.fault is Fault.FROZEN for finding in found) and not self._somebody_moves(spectrum, now_ns):
            text = "the same picture comes again and again; it is used, since no other camera shows that things move"
            found = [finding for finding in found if finding.fault is not Fault.FROZEN]
            found.append(Finding(Fault.FROZEN, Level.WARN, text))
        skew_s = self.skews_s(now_ns).get(spectrum, 0.0)
        if abs(skew_s) <= self.limits.skew_s * (_CLEAR_SHARE if spectrum in self._skewed else 1.0):
            self._skewed.discard(spectrum)
        else:
            self._skewed.add(spectrum)
            found.append(Finding(Fault.SKEWED, Level.WARN, skew_text(spectrum, skew_s)))
        return found

    def skews_s(self, now_ns: int) -> dict[str, float]:
        """How far each camera's stamps are from those of the others; only cameras that are heard."""
        offsets = {name: camera.timing.offset_ns(now_ns) for name, camera in self.spectra.items()}
        credible = [name for name, camera in self.spectra.items() if camera.timing.is_credible]
        heard = {name: offset for name, offset in offsets.items() if offset is not None}
        return skews_s(heard, self._reference, credible)

    def used(self, now_ns: int) -> tuple[str, ...]:
        """The cameras whose images were in the depth of the last second."""
        return tuple(
            name for name in self.spectra if now_ns - self._used_ns.get(name, -SILENT_AFTER_NS - 1) <= SILENT_AFTER_NS
        )

    def rate_hz(self, now_ns: int) -> float:
        """Depth images per second, over the last second."""
        return float(sum(now_ns - one <= SILENT_AFTER_NS for one in self._published_ns))

    def judge(self, now_ns: int) -> Verdict:
        """Says whether depth comes out and from which cameras."""
        used = self.used(now_ns)
        if not used:
            return Verdict(Level.ERROR, "no depth")
        missing = [name for name in self.spectra if name not in used]
        if missing:
            return Verdict(Level.WARN, f"depth from {spectra_key(used)} only; missing: {', '.join(missing)}")
        return Verdict(Level.OK, f"depth from {spectra_key(used)}")

    def alive(self, now_ns: int) -> tuple[str, ...]:
        """The cameras that send usable messages."""
        return tuple(
            name for name, one in self.spectra.items() if one.timing.age_s(now_ns) <= self.limits.silent_after_s
        )

    def _somebody_moves(self, spectrum: str, now_ns: int) -> bool:
        others = (self.spectra[name] for name in self.alive(now_ns) if name != spectrum)
        return any(
            not any(finding.fault in UNUSABLE for finding in other.findings(now_ns, self.limits)) for other in others
        )


def leave_out(faults: Mapping[str, frozenset[Fault]]) -> dict[str, str]:
    """Decides which images of a set are not used.

    A repeated picture is only a fault where a sound one shows that things move: a simulated vehicle that stands still
    repeats all of them.

    Args:
        faults: of each image of the set, by spectrum.

    Returns:
        The fault of each image to leave out, by spectrum.

    >>> leave_out({"rgb": frozenset({Fault.BLACK}), "nir": frozenset({Fault.NOISY})})
    {'rgb': 'black'}
    >>> leave_out({"rgb": frozenset({Fault.FROZEN}), "nir": frozenset({Fault.FROZEN})})
    {}
    """
    moving = any(not found & UNUSABLE for found in faults.values())
    found_in = {name: found & (UNUSABLE if moving else UNUSABLE - REPEATED) for name, found in faults.items()}
    return {name: min(fault.value for fault in found) for name, found in found_in.items() if found}


def nothing_usable(reasons: Mapping[str, str]) -> str:
    """What to say of a set all of whose images were left out, with the fault of each by spectrum."""
    text = ", ".join(f"{spectrum} {reason}" for spectrum, reason in reasons.items())
    return f"no image of the set is usable: {text}; look at the cameras"


def judge_matching(
    spectrum: str, counts: SpectrumCounts, before: SpectrumCounts | None = None, *, share: float = 0.0
) -> Verdict:
    """Says why images of a camera do not get into sets.

    Args:
        spectrum: The camera.
        counts: The synchronizer's counts now.
        before: A copy of them at the last judgement; None judges everything since the start.
        share: Of the images that may fail to get into a set, 0 to 1; above 0, so may any one.
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
    if count <= (max(share * received, 1) if share else 0):
        return Verdict(Level.OK, f"{used} of {received} images in sets")
    level = Level.WARN if used else Level.ERROR
    return Verdict(level, f"{count} of {received} images {reason}")


def blame_unmatched(findings: Mapping[str, list[Finding]], matching: Mapping[str, Verdict]) -> dict[str, list[Finding]]:
    """Adds to what is wrong with each camera that its images get into no set, where that is its own fault.

    While the stamps of one camera are off, those of a sound one may find no partner.

    Args:
        findings: of each camera.
        matching: of `judge_matching`, of each camera.
    """
    off = {name for name, found in findings.items() if any(one.fault in _STAMPS_OFF for one in found)}
    blamed = {name: list(found) for name, found in findings.items()}
    for name, verdict in matching.items():
        if verdict.level in (Level.WARN, Level.ERROR) and (not off or name in off):
            blamed[name].append(Finding(Fault.UNMATCHED, verdict.level, verdict.message))
    return blamed


_STAMPS_OFF = frozenset({Fault.JUMPING, Fault.SKEWED})
