"""How the synchronizer builds sets."""

from __future__ import annotations

from dataclasses import dataclass

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA, check_spectrum

MS = 1_000_000


@dataclass(frozen=True)
class SynchronizerConfig:
    """How to build sets; all times in nanoseconds.

    Attributes:
        spectra: The spectra that may come.
        reference: The spectrum whose camera defines the output frame; it need not be one of `spectra`.
        tolerance_ns: Largest distance of an image from the set's stamp; less than half a frame period is wise.
        deadline_ns: Longest wait for a missing image, from the first arrival of a set.
        stale_after_ns: A spectrum silent for longer is not waited for; more than the slowest camera's period.
        reset_after_ns: Stamps that go back by more than this are a jump of the clock, not a late image.
        capacity: Images that may wait per spectrum.
    """

    spectra: tuple[str, ...] = SPECTRA
    reference: str = "rgb"
    tolerance_ns: int = 40 * MS
    deadline_ns: int = 60 * MS
    stale_after_ns: int = 500 * MS
    reset_after_ns: int = 500 * MS
    capacity: int = 16

    def __post_init__(self) -> None:
        """Refuses what cannot work."""
        if not self.spectra or len(set(self.spectra)) != len(self.spectra):
            raise MsdepthError(f"synchronizer: spectra {list(self.spectra)} must name at least one, each once")
        for name in (*self.spectra, self.reference):
            check_spectrum(name)
        for name in ("tolerance_ns", "deadline_ns", "stale_after_ns", "reset_after_ns"):
            if getattr(self, name) < 0:
                raise MsdepthError(f"synchronizer: {name} is {getattr(self, name)}; it must not be negative")
        if self.capacity < 1:
            raise MsdepthError(f"synchronizer: capacity is {self.capacity}; it must be at least 1")
