"""The end of every evaluation, wherever its records were made: files in DIR and a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.text_table import text_table
from msdepth_ros.evaluation.run.local import Evaluation
from msdepth_ros.report.page import write_page
from msdepth_ros.report.page.render import now_text
from msdepth_ros.results.compare import Comparison, Limit, compare
from msdepth_ros.results.frame import FrameRecord, Summary
from msdepth_ros.results.parquet import FrameWriter, read_frames
from msdepth_ros.results.summary import About, read_metrics, summarise, write_metrics

FRAMES, METRICS, REPORT = "frames.parquet", "metrics.json", "report.html"


class Against(NamedTuple):
    """Another evaluation to compare with.

    Attributes:
        path: Its metrics.json.
        summary: Its content.
        limits: What must not get worse than there.
    """

    path: Path
    summary: Summary
    limits: Sequence[Limit]


def read_against(path: Path | None, limits: Sequence[Limit]) -> Against | None:
    """Reads what to compare with, before any work is done.

    Raises:
        MsdepthError: It cannot be read, or there are limits without it.
    """
    if path is None:
        if limits:
            raise MsdepthError("--fail-if says what may not get worse; say worse than what with --compare METRICS.JSON")
        return None
    return Against(path, read_metrics(path), limits)


def finish(
    out: Path, evaluation: Evaluation, about: About, against: Against | None
) -> tuple[Summary, Comparison | None]:
    """Writes frames.parquet, metrics.json and report.html.

    Args:
        out: The folder.
        evaluation: Finished.
        about: What the summary says beside the numbers.
        against: What to compare with.
    """
    frames = out / FRAMES
    with FrameWriter(frames) as writer:
        summary = summarise(_written(evaluation.records(), writer), about)
    write_metrics(out / METRICS, summary)
    if not any(summary.result(variant)["sets_with_depth"] for variant in summary.variants):
        reasons = "; ".join(summary.document["problems"]) or "none is known"
        raise MsdepthError(f"no set gave any depth; reasons: {reasons}")
    comparison, refusal = None, None
    if against is not None:
        try:
            comparison = compare(str(against.path), against.summary, summary, against.limits)
        except MsdepthError as error:  # seen only now, for example since no truth is near enough in time
            refusal = error
    write_page(out / REPORT, summary, read_frames(frames), evaluation.pictures(), comparison, made=now_text())
    if refusal is not None:
        raise MsdepthError(f"{refusal}; everything else is in {out}") from refusal
    return summary, comparison


def _written(records: Iterable[FrameRecord], writer: FrameWriter) -> Iterator[FrameRecord]:
    """Records on their way into the summary, written as they pass."""
    for record in records:
        writer.add(record)
        yield record


def table(summary: Summary) -> str:
    """The results in a few lines, for the terminal."""
    head = (
        "cameras",
        "sets",
        "depth",
        "truth",
        "AbsRel",
        "scaled",
        "RMSE m",
        "d<1.25",
        "ECE",
        "AUSE",
        "confidence",
        "agreement",
    )
    rows: list[tuple[str, ...]] = []
    for variant in summary.variants:
        results = summary.document["results"][variant]
        rows.append(_row(variant, results["all"]))
        if len(results["by_spectra"]) > 1:
            rows += [_row(f"  in sets of {name}", result) for name, result in results["by_spectra"].items()]
        if len(results["by_bag"]) > 1:
            rows += [_row(f"  in {name}", result) for name, result in results["by_bag"].items()]
    return "\n".join(text_table(head, rows, numbers_from=1, rule=True))


def _row(name: str, result: Any) -> tuple[str, ...]:
    """One line of the table."""
    scores = result["scores"]
    shares = list(result["consistency"].values())
    agreement = sum(shares) / len(shares) if shares else None
    numbers = [scores[key] for key in ("abs_rel", "abs_rel_median_scaled", "rmse", "delta_1")]
    numbers += [result["ece"], scores["ause"], result["confidence"], agreement]
    counts = tuple(str(result[key]) for key in ("sets", "sets_with_depth", "sets_with_truth"))
    return (name, *counts, *("-" if value is None else f"{value:.3f}" for value in numbers))


def comparison_table(comparison: Comparison) -> str:
    """What got better and what got worse, for the terminal."""
    lines = [f"compared with {comparison.name}:", *([f"  {comparison.scope}"] if comparison.scope else [])]
    lines += [f"  not quite comparable: {difference}" for difference in comparison.differences]
    changed = [change for change in comparison.changes if change.verdict != "same"]
    head = ("  cameras", "metric", "before", "now", "verdict")
    rows = [
        (f"  {change.variant}", change.metric, f"{change.before:.4f}", f"{change.after:.4f}",
         change.verdict + ("  FAILED" if change.failed else ""))
        for change in changed
    ]  # fmt: skip
    lines += text_table(head, rows) if rows else []
    same = len(comparison.changes) - len(changed)
    return "\n".join([*lines, f"  {same} of {len(comparison.changes)} metrics are the same"])
