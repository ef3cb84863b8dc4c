"""Whether 16-bit images use their 16 bits: a camera of 12 bits that nobody has named gives nearly black pictures."""

from __future__ import annotations

from msdepth_ros.core.health.findings import Fault, Finding, Level

SENSOR_BITS = (8, 10, 12, 14)
"""Significant bits that sensors have, besides 16."""
SURE_AFTER = 5
"""Images after which a camera that never went beyond some bits does not have more."""


class BitsUse:
    """The highest value that 16-bit images of one camera have ever had."""

    def __init__(self, spectrum: str) -> None:
        """Nothing has come yet."""
        self._spectrum = spectrum
        self._peak = self._count = 0

    def take(self, peak: int) -> None:
        """Takes an image's highest value; 0 for one that is not of 16 bits, or whose bits are stated."""
        if peak:
            self._peak = max(self._peak, peak)
            self._count += 1

    def findings(self) -> list[Finding]:
        """What is to be said of it."""
        bits = next((bits for bits in SENSOR_BITS if self._peak < 2**bits), 0)
        if not bits or self._count < SURE_AFTER:
            return []
        text = (
            f"16-bit images never use more than {bits} bits (highest value {self._peak}), so they look "
            f"{2 ** (16 - bits)} times too dark: set {self._spectrum}.bits to what the camera has ({bits}?)"
        )
        return [Finding(Fault.BITS, Level.WARN, text)]
