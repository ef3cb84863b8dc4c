"""One picture of curves: how training went, AbsRel by condition, and whether confidence comes true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msdepth_training.errors import TrainingError
from msdepth_training.results.measure import Measured, MeasuredRun
from msdepth_training.results.table import Entry, Lookup
from msdepth_training.score import ALL

HEADLINES = ("before_rgb", "after_rgb", "after_nir", "after_thermal", "fused_paper", "fused_msdepth")
"""Rows of the picture."""
RARE = 0.002
"""Confidence that less than this share of the pixels states is not drawn: it would be noise."""


def _colour(row: str) -> str:
    """The same for a row in every part."""
    return f"C{HEADLINES.index(row)}"


def _training(axes: Any, runs: Sequence[MeasuredRun]) -> None:
    names = list(dict.fromkeys(run.run.name for run in runs))
    for run in runs:
        curve = run.run.progress.curve
        first = all(other.run.name != run.run.name for other in runs[: runs.index(run)])
        axes.plot(
            [p["step"] for p in curve], [p["total"] for p in curve], color=f"C{names.index(run.run.name) % 10}",
            label=run.run.name if first else None, linewidth=1,
        )  # fmt: skip
    axes.set(title="loss in training", xlabel="step", ylabel="loss")
    axes.legend(fontsize="small")


def _conditions(axes: Any, table: Sequence[Entry], conditions: Sequence[str]) -> None:
    lookup = Lookup(table)
    rows = [row for row in HEADLINES if lookup.entry(row)]
    every = (ALL, *conditions)
    for position, row in enumerate(rows):
        heights = [lookup.value(row, c) or 0.0 for c in every]
        deviations = [lookup.value(row, c, "abs_rel_std") or 0.0 for c in every]
        places = [i + 0.8 * position / len(rows) - 0.4 for i in range(len(every))]
        axes.bar(places, heights, 0.8 / len(rows), yerr=deviations, align="edge", color=_colour(row), label=row)
    axes.set(title="AbsRel, unscaled", xticks=range(len(every)), xticklabels=every)
    axes.legend(fontsize="small")


def often(reliability: Sequence[tuple[float, float, int]]) -> list[tuple[float, float]]:
    """Stated confidence and how often it was right, where enough pixels stated it."""
    total = sum(pixels for _, _, pixels in reliability)
    return [(stated, right) for stated, right, pixels in reliability if pixels >= RARE * total]


def _reliability(axes: Any, runs: Sequence[MeasuredRun]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    first: dict[str, Measured] = {}
    for run in runs:
        first |= {name: row for name, row in run.rows.items() if name not in first}
    faults = [name for name in first if "_fault_" in name]
    for name in faults:
        label = "fused_msdepth, each fault" if name == faults[0] else None
        axes.plot(*zip(*often(first[name].reliability), strict=True), "k:", linewidth=0.8, label=label)
    for name in (name for name in HEADLINES if name in first):
        axes.plot(*zip(*often(first[name].reliability), strict=True), color=_colour(name), linewidth=1.2, label=name)
    axes.set(title="confidence, first seed", xlabel="stated", ylabel="came true", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize="x-small")


def draw_curves(path: Path, runs: Sequence[MeasuredRun], table: Sequence[Entry], conditions: Sequence[str]) -> None:
    """Write the picture.

    Raises:
        TrainingError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError("curves need matplotlib; pip install 'msdepth_training[curves]'") from error
    figure = Figure(figsize=(15, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _training(left, runs)
    _conditions(middle, table, conditions)
    _reliability(right, runs)
    figure.savefig(path, dpi=100)
