"""The table: rows and conditions with means and spreads over seeds, as plain numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from msdepth_ros.core.metrics import DepthMetrics
from msdepth_training.results.measure import Measured, MeasuredRun
from msdepth_training.results.rows import ROWS, Row
from msdepth_training.score import ALL, Score

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta_1", "delta_2", "delta_3", "silog")
"""Fields of `DepthMetrics` in the table, each also with `_std` and `_median_scaled`."""
DIGITS = 5
Costs = Mapping[tuple[str, int], Mapping[str, float]]
"""Run name and number of views to parameters, gflops, ms."""
Entry = dict[str, Any]
"""One object of `results.json`."""


def _named(metrics: DepthMetrics, suffix: str = "") -> dict[str, float]:
    return {f"{name}{suffix}": getattr(metrics, name) for name in METRICS}


def seed_values(measured: Measured, score: Score, condition: str) -> dict[str, float]:
    """All that one seed says of a row in a condition."""
    values = {**_named(score.metrics), **_named(score.median_scaled, "_median_scaled")}
    values |= {"ece": score.ece, "ause": score.ause}
    views = {
        view: by_condition[condition] for view, by_condition in measured.views.items() if condition in by_condition
    }
    return values | {f"view_ece_{view}": s.ece for view, s in views.items()}


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation over seeds; None of one seed."""
    return statistics.stdev(values) if len(values) > 1 else None


def entry(row: Row, condition: str, seeds: Sequence[Mapping[str, float]], images: int) -> Entry:
    """Mean over seeds of every value, with `_std` for the unscaled metrics, ECE and AUSE.

    Args:
        row: of the table.
        condition: or `all`.
        seeds: values of each seed.
        images: that were scored, for each seed.
    """
    found: Entry = {"row": row.name, "condition": condition, "seed_count": len(seeds), "images": images}
    for name in seeds[0]:
        values = [seed[name] for seed in seeds if name in seed]
        found[name] = round(statistics.fmean(values), DIGITS)
        if name in (*METRICS, "ece", "ause"):
            deviation = spread(values)
            found[f"{name}_std"] = None if deviation is None else round(deviation, DIGITS)
    return found


def make_table(
    runs: Sequence[MeasuredRun], conditions: Sequence[str], costs: Costs, rows: Sequence[Row] = ROWS
) -> list[Entry]:
    """All entries of the table that something was measured for, in order of rows and conditions.

    Args:
        runs: of any seeds.
        conditions: without `all`.
        costs: of the networks; a row without has no such values.
        rows: of the table.
    """
    table = []
    for row in rows:
        mine = [run for run in runs if row.name in run.rows]
        for condition in (ALL, *conditions):
            seeds, images = [], 0
            for run in mine:
                measured = run.rows[row.name]
                if condition in measured.scores:
                    score = measured.scores[condition]
                    values = seed_values(measured, score, condition)
                    if condition == ALL and run.recall_at_1 is not None:
                        values["recall_at_1"] = run.recall_at_1
                    seeds.append(values)
                    images = score.images
            if seeds:
                table.append({**entry(row, condition, seeds, images), **costs.get((row.run, len(row.views)), {})})
    return table


def missing_rows(table: Sequence[Entry], rows: Sequence[Row] = ROWS) -> list[Row]:
    """Rows that nothing was measured for."""
    there = {e["row"] for e in table}
    return [row for row in rows if row.name not in there]


class Lookup:
    """Values of a table by row and condition.

    Args:
        table: from `make_table`.
    """

    def __init__(self, table: Sequence[Entry]) -> None:
        self._entries = {(e["row"], e["condition"]): e for e in table}

    def value(self, row: str, condition: str = ALL, name: str = "abs_rel") -> float | None:
        """None where it was not measured."""
        found = self._entries.get((row, condition), {}).get(name)
        return None if found is None else float(found)

    def entry(self, row: str, condition: str = ALL) -> Entry | None:
        """None where nothing was measured."""
        return self._entries.get((row, condition))
