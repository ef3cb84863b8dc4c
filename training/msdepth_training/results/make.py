"""Make the table: measure every run, and write JSON, Markdown and the picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from msdepth_training.errors import TrainingError
from msdepth_training.results.bars import Bar, make_bars
from msdepth_training.results.costs import measure_costs
from msdepth_training.results.curves import draw_curves
from msdepth_training.results.deployed import measure_deployed
from msdepth_training.results.measure import MeasuredRun, find_runs, measure_run
from msdepth_training.results.page import bars_table, by_condition, make_page, write_section
from msdepth_training.results.table import Entry, make_table, missing_rows
from msdepth_training.stages.runs import Run, phases_of
from msdepth_training.stages.sources import Source

NAME = "results"
"""Of the files that are written."""


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    sequences: int = 120
    """Of the test split; two frames of each are scored."""
    device: str = "cpu"
    speed: bool = True
    """Also measure times, which takes an otherwise idle machine."""
    real: Path | None = None
    """Folder with real frames."""
    model: Path | None = None
    """File that is timed and scored on real frames; by default the first run of `fuse_msdepth` is exported."""


def image_size(runs: Sequence[Run]) -> tuple[int, int]:
    """Rows and columns that all runs ended their training with: what is compared must see the same images.

    Raises:
        TrainingError: they differ, or there is no run.
    """
    sizes = {(last.height, last.width): run for run in runs for last in phases_of(run.config, run.stage)[-1:]}
    if not sizes:
        raise TrainingError("no run was found; train first with msdepth-train align and msdepth-train fuse")
    if len(sizes) > 1:
        told = ", ".join(f"{run.folder} {height} x {width}" for (height, width), run in sizes.items())
        raise TrainingError(f"runs of different image sizes cannot be compared: {told}")
    return next(iter(sizes))


def _style(runs: Sequence[Run]) -> str:
    """Of the scenes that all runs were trained on."""
    styles = sorted({run.config.scenes for run in runs})
    if len(styles) > 1:
        raise TrainingError(f"runs trained on different scenes cannot be compared: {', '.join(styles)}")
    return styles[0]


def check_unique(runs: Sequence[Run]) -> None:
    """Raises `TrainingError` where two folders hold the same run of the same seed."""
    seen: dict[tuple[str, int], Path] = {}
    for run in runs:
        other = seen.setdefault((run.name, run.config.seed), run.folder)
        if other != run.folder:
            raise TrainingError(f"{other} and {run.folder} both hold {run.name} of seed {run.config.seed}; name one")


def evaluate_runs(
    folders: Sequence[Path], open_source: Callable[[str], Source], out: Path, settings: Settings, *, command: str
) -> tuple[list[Entry], list[Bar]]:
    """Measure all runs in some folders and write `results.json`, `results_bars.json`, `results.md`, `results.png`.

    Args:
        folders: that have runs in them, at any depth.
        open_source: style of the runs' scenes to the source of validation and test frames.
        out: folder of the results.
        settings: how to measure.
        command: for the page.

    Returns:
        The table and the bars.
    """
    runs = find_runs(folders)
    check_unique(runs)
    height, width = image_size(runs)
    source, device = open_source(_style(runs)), torch.device(settings.device)
    held_out = source.validation(height, width, max(run.config.validation_sequences for run in runs))
    test = source.test(height, width, settings.sequences, frames=2)
    conditions, workers = test.conditions, os.cpu_count() or 1
    measured = [measure_run(run, held_out, test, conditions, device=device, workers=workers) for run in runs]
    costs = measure_costs(runs) if settings.speed else {}
    deployed = measure_deployed(runs, source, speed=settings.speed, real=settings.real, model=settings.model)
    table = make_table(measured, conditions, costs)
    bars = make_bars(table, conditions, deployed)
    _write(out, measured, table, bars, conditions, deployed, command, f"{len(test)} test frames, {height} x {width}.")
    return table, bars


def _write(
    out: Path, measured: Sequence[MeasuredRun], table: Sequence[Entry], bars: Sequence[Bar], conditions: Sequence[str],
    deployed: dict[str, Any], command: str, tested: str,
) -> None:  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{NAME}.json").write_text(json.dumps(table, indent=1) + "\n")
    content = {"bars": [{**bar._asdict(), "met": bar.met} for bar in bars], **deployed}
    (out / f"{NAME}_bars.json").write_text(json.dumps(content, indent=1) + "\n")
    draw_curves(out / f"{NAME}.png", measured, table, conditions)
    page = make_page(
        [m.run for m in measured], table, bars, missing_rows(table),
        conditions=conditions, deployed=deployed, command=command, tested=tested,
    )  # fmt: skip
    write_section(out / f"{NAME}.md", page)
    print(by_condition(table, conditions, "abs_rel"))
    print()
    print(bars_table(bars))
