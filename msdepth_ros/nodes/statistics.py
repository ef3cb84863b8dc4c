"""Counters of the running node: written by its threads, read once a second for diagnostics."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

import numpy as np

from msdepth_ros.core.spectra import spectra_key

_WINDOW = 300
_RATE_WINDOW = 100
_RATE_SPAN_S = 3.0


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
    """What happened since the node was configured. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inference_ms, self._latency_ms = Percentiles(), Percentiles()
        self._sets_by_spectra: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._last_error = ""

    def published(self, spectra: Iterable[str], *, inference_ms: float, latency_ms: float) -> None:
        """Counts a published set.

        Args:
            spectra: whose images it was made of.
            inference_ms: the engine's time.
            latency_ms: from the newest image's stamp to now.
        """
        with self._lock:
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


class CameraCounters:
    """What arrived from one camera. Written from the executor and the inference thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals_s: deque[float] = deque(maxlen=_RATE_WINDOW)
        self.received = 0
        self.rejected = 0
        self.last_rejection = ""

    def accept(self, now_s: float) -> None:
        """Counts a usable image."""
        with self._lock:
            self.received += 1
            self._arrivals_s.append(now_s)

    def reject(self, reason: str) -> None:
        """Counts a message that was dropped."""
        with self._lock:
            self.rejected += 1
            self.last_rejection = reason

    def age_s(self, now_s: float) -> float:
        """Seconds since the last usable image; infinite before the first."""
        with self._lock:
            return now_s - self._arrivals_s[-1] if self._arrivals_s else float("inf")

    def rate_hz(self, now_s: float) -> float:
        """Usable images per second lately."""
        with self._lock:
            recent = [arrival for arrival in self._arrivals_s if now_s - arrival < _RATE_SPAN_S]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0
