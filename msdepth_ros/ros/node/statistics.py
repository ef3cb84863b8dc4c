"""Counters of the running node: written by its threads, read for diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np

from msdepth_ros.core.health.cameras import Fault, Health, Seen, Thresholds
from msdepth_ros.core.spectra import spectra_key

_WINDOW = 300
_RECENT_NS = 1_000_000_000

ViewT = TypeVar("ViewT")


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

    def look(self, view: Callable[[Health, int], ViewT]) -> ViewT:
        """Returns what a function makes of the health of the cameras and the present, steady nanoseconds."""
        with self._lock:
            return view(self._health, time.monotonic_ns())

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

    def count(self, name: str) -> int:
        """How many were counted under a name of `note`, or as ``errors``."""
        return self._counts[name]

    def age_s(self, name: str) -> float:
        """Seconds since something was last counted under this name; infinite before the first."""
        counted_ns = self._counted_ns.get(name)
        return float("inf") if counted_ns is None else (time.monotonic_ns() - counted_ns) * 1e-9

    def recently(self, name: str) -> bool:
        """Whether something was counted under this name within the last second."""
        return self.age_s(name) * 1e9 <= _RECENT_NS

    @property
    def last_error(self) -> str:
        """The newest error's reason."""
        return self._last_error

    def sets_by_spectra(self) -> dict[str, int]:
        """Published sets by the spectra they were made of."""
        with self._lock:
            return dict(self._sets_by_spectra)

    def inference_ms(self) -> dict[str, float]:
        """Percentiles of the engine's time."""
        with self._lock:
            return self._inference_ms.get()

    def latency_ms(self) -> dict[str, float]:
        """Percentiles of the time from stamp to publication."""
        with self._lock:
            return self._latency_ms.get()
