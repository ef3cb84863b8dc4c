"""Counters of the running node: written by its threads, read once a second for diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from msdepth_ros.core.health import Health
from msdepth_ros.core.spectra import spectra_key

_WINDOW = 300

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
    """

    def __init__(self, spectra: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._spectra = tuple(spectra)
        self._health = Health(self._spectra)
        self._inference_ms, self._latency_ms = Percentiles(), Percentiles()
        self._sets_by_spectra: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._last_error = ""

    def restart_health(self) -> None:
        """Forgets what the cameras did before: the node was not listening."""
        with self._lock:
            self._health = Health(self._spectra)

    def look(self, view: Callable[[Health, int], ViewT]) -> ViewT:
        """Returns what a function makes of the health of the cameras and the present, steady nanoseconds."""
        with self._lock:
            return view(self._health, time.monotonic_ns())

    def accepted(self, spectrum: str) -> None:
        """Counts a usable image."""
        with self._lock:
            self._health.spectra[spectrum].accept(time.monotonic_ns())

    def rejected(self, spectrum: str, reason: str) -> None:
        """Counts a message that was dropped."""
        with self._lock:
            self._health.spectra[spectrum].reject(reason, time.monotonic_ns())

    def published(self, spectra: Iterable[str], *, inference_ms: float, latency_ms: float) -> None:
        """Counts a published set.

        Args:
            spectra: whose images it was made of.
            inference_ms: the engine's time.
            latency_ms: from the newest image's stamp to now.
        """
        with self._lock:
            self._health.publish(time.monotonic_ns())
            self._sets_by_spectra[spectra_key(spectra)] += 1
            self._inference_ms.add(inference_ms)
            self._latency_ms.add(latency_ms)

    def dropped(self) -> None:
        """Counts a set that a newer one replaced before its turn."""
        with self._lock:
            self._counts["dropped"] += 1

    def skipped(self) -> None:
        """Counts a set that was not computed because nobody subscribes."""
        with self._lock:
            self._counts["skipped"] += 1

    def failed(self, reason: str) -> None:
        """Counts a set or callback that ended with an error."""
        with self._lock:
            self._health.fail(reason)
            self._counts["errors"] += 1
            self._last_error = reason

    def count(self, name: str) -> int:
        """How many were ``dropped``, ``skipped`` or ended as ``errors``."""
        return self._counts[name]

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
