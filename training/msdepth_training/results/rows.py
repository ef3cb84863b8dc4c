"""The rows of the table: which run, which cameras, which output frame, what is broken."""

from __future__ import annotations

from dataclasses import dataclass

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.scenes.faults import FAULTS

RGB = SPECTRA.index("rgb")


@dataclass(frozen=True)
class Row:
    """One row."""

    name: str
    run: str
    """Name of the run folder whose network is measured."""
    views: tuple[int, ...]
    """Cameras it gets."""
    reference: int
    """Camera in whose frame depth is scored."""
    fault: str = ""
    """What one camera of each frame suffers, a name of `scenes.faults.FAULTS`."""


def _alone(prefix: str, run: str) -> list[Row]:
    """Each spectrum by itself, in its own frame."""
    return [Row(f"{prefix}_{s}", run.format(spectrum=s), (n,), n) for n, s in enumerate(SPECTRA)]


def _fused(recipe: str) -> list[Row]:
    """All cameras, in the RGB frame and in the others."""
    run, every = f"fuse_{recipe}", tuple(range(len(SPECTRA)))
    rows = [Row(f"fused_{recipe}", run, every, RGB)]
    return rows + [Row(f"fused_{recipe}_in_{s}", run, every, n) for n, s in enumerate(SPECTRA) if n != RGB]


def _subsets() -> list[Row]:
    """Fewer cameras, in the RGB frame, so that the same pixels are compared."""
    run = "fuse_msdepth"
    rows = [
        Row(f"fused_msdepth_without_{s}", run, tuple(i for i in range(len(SPECTRA)) if i != n), RGB)
        for n, s in enumerate(SPECTRA)
    ]
    return rows + [Row(f"fused_msdepth_only_{s}", run, (n,), RGB) for n, s in enumerate(SPECTRA)]


ROWS: tuple[Row, ...] = (
    *_alone("before", "align_none"),
    *_alone("after", "align_msdepth"),
    *_alone("after_paper", "align_paper"),
    *_alone("specialist", "specialist_{spectrum}"),
    *_fused("paper"),
    *_fused("msdepth"),
    *_subsets(),
    *(Row(f"fused_msdepth_fault_{f}", "fuse_msdepth", tuple(range(len(SPECTRA))), RGB, f) for f in FAULTS),
)
"""Every row."""
