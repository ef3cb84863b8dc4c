"""Parts of the ground, and what is painted on a road."""

from __future__ import annotations

from dataclasses import dataclass

ASPHALT, MARKING, PAVEMENT, VERGE, FIELD, YELLOW, KERB_STONE, PATCH = range(8)
"""Offsets from the first of the `GROUND_ZONES`."""


@dataclass(frozen=True)
class Paint:
    """What a road has on it; the default is what every street of boxes has."""

    dash_m: float = 3.5
    period_m: float = 8.0
    line_m: float = 0.14
    """Width of a line."""
    edge: int = MARKING
    """Zone of the line along the edge, `ASPHALT` for none."""
    centre: int = ASPHALT
    """Zone of a double line in the middle, `ASPHALT` for none."""
    zebra_m: float = -100.0
    """z of a crossing."""
    patched: float = 0.0
    """Share of the surface that was mended."""
    verge_m: float = 4.0
    kerb_stone_m: float = 0.0
    """Width of the stones' top."""
