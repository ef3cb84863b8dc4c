"""The page of results in Markdown, between two comments; what else a page has is left alone."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msdepth_training.errors import TrainingError
from msdepth_training.real.table import table as real_table
from msdepth_training.results.bars import Bar
from msdepth_training.results.rows import Row
from msdepth_training.results.table import Entry, Lookup
from msdepth_training.score import ALL
from msdepth_training.stages.runs import Run, phases_of

BEGIN, END = "<!-- training results: begin -->", "<!-- training results: end -->"
COLUMNS = (
    "abs_rel", "sq_rel", "rmse", "rmse_log", "delta_1", "delta_2", "delta_3", "silog", "abs_rel_median_scaled", "ece",
    "ause",
)  # fmt: skip
COSTS = ("parameters", "gflops", "ms")


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bars_table(bars: Sequence[Bar]) -> str:
    """What, measured, bar, met or missed."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = []
    for bar in bars:
        what = f"{bar.what} ({bar.detail})" if bar.detail else bar.what
        limit = f"{'at most' if bar.at_most else 'at least'} {bar.bar:g}"
        rows.append([what, number(bar.value), limit, words[bar.met]])
    return _table(["what", "measured", "bar", ""], rows)


def _with_spread(entry: Entry | None, name: str, digits: int = 3) -> str:
    if entry is None or entry.get(name) is None:
        return "–"
    deviation = entry.get(f"{name}_std")
    return number(entry[name], digits) + (f" ± {deviation:.{digits}f}" if deviation is not None else "")


def by_condition(table: Sequence[Entry], conditions: Sequence[str], name: str) -> str:
    """One value of every row in every condition, with its spread over seeds."""
    lookup, names = Lookup(table), list(dict.fromkeys(e["row"] for e in table))
    rows = [[f"`{r}`", *(_with_spread(lookup.entry(r, c), name) for c in (ALL, *conditions))] for r in names]
    return _table(["row", ALL, *conditions], rows)


def all_columns(table: Sequence[Entry]) -> str:
    """Every row over all conditions, every column."""
    rows = []
    for e in (e for e in table if e["condition"] == ALL):
        size = "–" if "parameters" not in e else f"{e['parameters'] / 1e6:.2f} M"
        cost = [size, number(e.get("gflops"), 1), number(e.get("ms"), 0)]
        rows.append([f"`{e['row']}`", str(e["seed_count"]), *(number(e.get(c)) for c in COLUMNS), *cost])
    return _table(["row", "seeds", *COLUMNS, *COSTS], rows)


def runs_table(runs: Sequence[Run]) -> str:
    """What was trained, how long, and where."""
    rows = []
    for run in runs:
        phases, last = phases_of(run.config, run.stage), (run.progress.history or [{}])[-1]
        size = f"{phases[-1].height} x {phases[-1].width}"
        steps = f"{run.progress.steps} of {run.progress.total_steps}"
        minutes = number(run.progress.seconds / 60, 1)
        scenes = f"{max(p.sequences for p in phases)} {run.config.scenes}"
        commit = str(last.get("commit", "unknown"))[:8]
        seed = str(run.config.seed)
        rows.append([f"`{run.name}`", seed, steps, size, scenes, minutes, str(last.get("device", "")), commit])
    return _table(["run", "seed", "steps", "image", "scenes", "minutes", "device", "commit"], rows)


def _about_times(table: Sequence[Entry]) -> str:
    """How times were measured; empty where none were."""
    timed = any(entry.get("ms") is not None for entry in table)
    return " Time is eager PyTorch on two cores at 256 x 640." if timed else ""


def make_page(
    runs: Sequence[Run], table: Sequence[Entry], bars: Sequence[Bar], missing: Sequence[Row], *,
    conditions: Sequence[str], deployed: Mapping[str, Any], command: str, tested: str,
) -> str:  # fmt: skip
    """The section, without the comments around it.

    Args:
        runs: that were measured.
        table: of results.
        bars: from `make_bars`.
        missing: rows that no run was there for.
        conditions: without `all`.
        deployed: `real` frames of a `model` file, where it was measured.
        command: that made this page.
        tested: what was scored, for people.
    """
    head = (
        f"Made by `{command}` from the checkpoints of the runs below; do not edit by hand. {tested} Metrics are "
        "unscaled; `median_scaled` is as in published tables. Means over images, then over seeds; ± is the standard "
        "deviation over seeds. `before`, `after`, `after_paper` and `specialist` rows are scored in the spectrum's own "
        "frame, `_in_nir` and `_in_thermal` in those frames, all others in the RGB frame. A fault befalls one camera "
        f"of each frame.{_about_times(table)}"
    )
    parts = [
        "## Training results",
        textwrap.fill(head, 120, break_on_hyphens=False, break_long_words=False),
        f"### Bars\n\n{bars_table(bars)}",
        f"### AbsRel by condition\n\n{by_condition(table, conditions, 'abs_rel')}",
        f"### Calibration error by condition\n\n{by_condition(table, conditions, 'ece')}",
        f"### All columns, all conditions\n\n{all_columns(table)}",
        f"### Runs\n\n{runs_table(runs)}\n\n![Curves](results.png)",
    ]
    if deployed.get("real"):
        parts.append(f"### Real frames, {deployed['model']}\n\n```text\n{real_table(deployed['real'])}\n```")
    if missing:
        names = ", ".join(f"`{row.name}`" for row in missing)
        text = textwrap.fill(f"No run was there for {names}.", 120, break_on_hyphens=False, break_long_words=False)
        parts.append(f"### Missing\n\n{text}")
    return "\n\n".join(parts)


def write_section(path: Path, section: str) -> None:
    """Put a section between the comments of a page, or at its end where it has none; the rest stays as it is.

    Raises:
        TrainingError: the page has only one of the comments.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    if (BEGIN in text) != (END in text) or (BEGIN in text and text.index(END) < text.index(BEGIN)):
        raise TrainingError(f"{path} needs both comments, {BEGIN} before {END}, or neither")
    framed = f"{BEGIN}\n\n{section}\n\n{END}"
    if BEGIN in text:
        before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
        text = before + framed + after
    else:
        text = f"{text.rstrip()}\n\n{framed}\n"
    path.write_text(text, encoding="utf-8")
