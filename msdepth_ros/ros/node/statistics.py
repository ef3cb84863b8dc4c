"""Counters of the running node: written by its threads, read for diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from msdepth_ros.core.health.cameras import Health, Seen
from msdepth_ros.core.health.findings import Fault, Finding, Thresholds, Verdict
from msdepth_ros.core.spectra import spectra_key

_WINDOW = 300


class Percentiles:
    """Percentiles of the newest values."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_WINDOW)

    def add(self, value: float) -> None:
        """Takes a value."""
        self._values.append(value)

    def get(self) -> dict[str, float]:
        """Returns p50, p95 and p99; empty before the first value."""
        if not self._values:
            return {}
        percents = (50, 95, 99)
        values = np.percentile(list(self._values), percents)
        return {f"p{percent}": float(value) for percent, value in zip(percents, values, strict=True)}


@dataclass(frozen=True)
class CameraSnapshot:
    """One camera at one moment.

    Attributes:
        received: usable messages.
        rejected: messages that could not be used.
        last_rejection: why the last of them could not.
        left_out: images left out of their set.
        shutter: shutter calibrations of a thermal camera.
        rate_hz: images per second.
        age_s: seconds since the last image; infinite before the first.
        skew_s: how far its stamps are from those of the others.
        stamps_ns: the newest stamps, aligned, oldest first.
        findings: what is wrong with it, by itself and compared with the others.
    """

    received: int
    rejected: int
    last_rejection: str
    left_out: int
    shutter: int
    rate_hz: float
    age_s: float
    skew_s: float
    stamps_ns: tuple[int, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Snapshot:
    """What had happened at one moment.

    Attributes:
        now_ns: the moment, steady time.
        cameras: by spectrum.
        alive: the cameras that send usable messages.
        used: the cameras whose images were in the depth of the last second.
        rate_hz: depth images per second.
        verdict: whether depth comes out and from which cameras.
        published_ns: when depth last came, steady time; None before the first.
        last_failure: why the newest set gave no depth; empty since one did.
        last_error: the newest error's reason.
        sets_by_spectra: published sets by the spectra they were made of.
        counts: by the names of `Statistics.note`, and ``errors``.
        counted_ns: when each of them was last counted.
        inference_ms: percentiles of the engine's time.
        latency_ms: percentiles of the time from stamp to publication.
    """

    now_ns: int
    cameras: Mapping[str, CameraSnapshot]
    alive: tuple[str, ...]
    used: tuple[str, ...]
    rate_hz: float
    verdict: Verdict
    published_ns: int | None
    last_failure: str
    last_error: str
    sets_by_spectra: Mapping[str, int]
    counts: Mapping[str, int]
    counted_ns: Mapping[str, int]
    inference_ms: Mapping[str, float]
    latency_ms: Mapping[str, float]

    def age_s(self, name: str) -> float:
        """Seconds since something was last counted under this name; infinite before the first."""
        counted_ns = self.counted_ns.get(name)
        return float("inf") if counted_ns is None else (self.now_ns - counted_ns) * 1e-9


class Statistics:
    """What happened since the node was configured. Safe to use from several threads.

    Args:
        spectra: the configured cameras.
        reference: the one that the others are compared with.
        limits: from where on something is a fault.
    """

    def __init__(self, spectra: Iterable[str], *, reference: str = "rgb", limits: Thresholds | None = None) -> None:
        self._lock = threading.Lock()
        self._spectra, self._reference = tuple(spectra), reference
        self._limits = limits or Thresholds()
        self._inference_ms, self._latency_ms = Percentiles(), Percentiles()
        self._sets_by_spectra: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._counted_ns: dict[str, int] = {}
        self._last_error = ""
        self.restart_health()

    def restart_health(self) -> None:
        """Forgets what the cameras did before: the node was not listening."""
        with self._lock:
            self._health = Health(self._spectra, reference=self._reference, limits=self._limits)

    def set_limits(self, limits: Thresholds) -> None:
        """Changes from where on something is a fault."""
        with self._lock:
            self._limits = self._health.limits = limits

    def snapshot(self) -> Snapshot:
        """Everything now; what comes later does not change it."""
        with self._lock:
            health, now_ns = self._health, time.monotonic_ns()
            skews_s = health.skews_s(now_ns)
            cameras = {
                name: CameraSnapshot(
                    one.received, one.rejected, one.last_rejection, one.left_out, one.shutter,
                    one.timing.rate_hz(now_ns),
                    one.timing.age_s(now_ns), skews_s.get(name, 0.0), tuple(one.timing.stamps_ns()),
                    tuple(health.findings(name, now_ns)),
                )
                for name, one in health.spectra.items()
            }  # fmt: skip
            return Snapshot(
                now_ns, cameras, health.alive(now_ns), health.used(now_ns), health.rate_hz(now_ns),
                health.judge(now_ns), health.published_ns, health.last_failure, self._last_error,
                dict(self._sets_by_spectra), dict(self._counts), dict(self._counted_ns),
                self._inference_ms.get(), self._latency_ms.get(),
            )  # fmt: skip

    def accepted(self, spectrum: str, seen: Seen) -> frozenset[Fault]:
        """Counts a usable message and returns the faults of its picture."""
        with self._lock:
            return self._health.spectra[spectrum].accept(seen, time.monotonic_ns(), self._limits)

    def rejected(self, spectrum: str, reason: str, fault: Fault = Fault.REJECTED) -> None:
        """Counts a message that was dropped."""
        with self._lock:
            self._health.spectra[spectrum].reject(reason, time.monotonic_ns(), fault=fault)

    def left_out(self, reasons: Mapping[str, str]) -> None:
        """Counts the images that were left out of a set, by spectrum."""
        with self._lock:
            for spectrum in reasons:
                self._health.spectra[spectrum].left_out += 1

    def published(self, spectra: Iterable[str], *, inference_ms: float, latency_ms: float | None) -> None:
        """Counts a published set.

        Args:
            spectra: whose images it was made of.
            inference_ms: the engine's time.
            latency_ms: from the newest image's stamp to now; None where there is no clock to tell.
        """
        used = tuple(spectra)
        with self._lock:
            self._health.publish(used, time.monotonic_ns())
            self._sets_by_spectra[spectra_key(used)] += 1
            self._inference_ms.add(inference_ms)
            if latency_ms is not None:
                self._latency_ms.add(latency_ms)

    def note(self, name: str, count: int = 1) -> None:
        """Counts what happened to a set.

        Args:
            name: ``formed`` by the synchronizer, ``dropped`` because a newer one replaced it before its turn
                (``dropped_while_idle``, too, if nothing else was computed when it came), ``skipped`` because nobody
                wants depth, or ``unusable`` because no image of it was.
            count: how many.
        """
        with self._lock:
            self._note(name, count)

    def failed(self, reason: str) -> None:
        """Counts a set or callback that ended with an error."""
        with self._lock:
            self._health.fail(reason)
            self._note("errors")
            self._last_error = reason

    def unusable(self, reason: str) -> None:
        """Counts a set whose images are all left out."""
        with self._lock:
            self._health.fail(reason)
            self._note("unusable")

    def _note(self, name: str, count: int = 1) -> None:
        self._counts[name] += count
        self._counted_ns[name] = time.monotonic_ns()
