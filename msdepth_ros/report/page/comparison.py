"""The section of a page that compares an evaluation with another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msdepth_ros.report.page import curves
from msdepth_ros.report.page.render import Card, Cell, Plot, Table, TableRow, plot
from msdepth_ros.report.page.texts import label_of, shown
from msdepth_ros.results.compare import Change, Comparison
from msdepth_ros.results.frame import Summary

_SIGNS = {"better": "▲ better", "worse": "▼ worse", "same": "the same"}


class Versus(NamedTuple):
    """What the section shows; the plots are None where one of the two has no ground truth."""

    name: str
    scope: str
    cards: list[Card]
    table: Table
    same: Table
    differences: tuple[str, ...]
    by_range: Plot | None
    reliability: Plot | None


class Verdict(NamedTuple):
    """The outcome in a sentence; `state` is `good`, `bad` or empty."""

    text: str
    state: str


def versus(comparison: Comparison, summary: Summary) -> Versus:
    """The section for a comparison.

    Args:
        comparison: This evaluation against the other.
        summary: Of this one.
    """
    counts = {name: sum(change.verdict == name for change in comparison.changes) for name in _SIGNS}
    cards = [
        Card("Better", str(counts["better"]), "", "metrics", "good" if counts["better"] else ""),
        Card("Worse", str(counts["worse"]), "", "metrics", "bad" if counts["worse"] else ""),
        Card("The same", str(counts["same"]), "", "metrics"),
        Card("Beyond a limit", str(len(comparison.failures)), "", "of --fail-if", "bad" if comparison.failures else ""),
    ]
    variant = comparison.changes[0].variant if comparison.changes else summary.variants[0]
    before = Summary(comparison.document).result(variant)
    after = summary.result(variant)
    changed = sorted((c for c in comparison.changes if c.verdict != "same"), key=lambda change: not change.failed)
    same = [change for change in comparison.changes if change.verdict == "same"]
    both = {"before": before, "after": after}
    drawn = before["sets_with_truth"] and after["sets_with_truth"]
    return Versus(
        comparison.name,
        comparison.scope,
        cards,
        _table("What changed", changed),
        _table("What is the same", same),
        comparison.differences,
        plot("versus-range", "Error by true distance, before and after", curves.by_range(both, shares=False))
        if drawn
        else None,
        plot("versus-reliability", "Stated and observed confidence, before and after", curves.reliability(both))
        if drawn
        else None,
    )


def verdict(comparison: Comparison) -> Verdict:
    """Whether this evaluation is worse than it may be."""
    failures = comparison.failures
    if failures:
        where: dict[str, list[str]] = {}
        for one in failures:
            where.setdefault(label_of(one.metric), []).append(one.variant)
        names = [f"{name} of {v[0]}" + (f" and {len(v) - 1} more" if v[1:] else "") for name, v in where.items()]
        return Verdict(f"Worse than allowed, compared with {comparison.name}: {', '.join(names)}.", "bad")
    worse = sum(change.verdict == "worse" for change in comparison.changes)
    better = sum(change.verdict == "better" for change in comparison.changes)
    scope = f" ({comparison.scope})" if comparison.scope else ""
    text = f"Compared with {comparison.name}{scope}: {better} metrics better, {worse} worse, no limit exceeded."
    return Verdict(text, "" if worse else "good")


def _table(label: str, changes: Sequence[Change]) -> Table:
    """Metrics before and after."""
    columns = ("Cameras", "Metric", "Before", "After", "Change", "Verdict")
    return Table(label, columns, [_row(change) for change in changes], texts=(0, 1))


def _row(change: Change) -> TableRow:
    """One metric."""
    name = label_of(change.metric)
    difference = 100 * (change.after - change.before) / abs(change.before) if change.before else None
    relative = "–" if difference is None else f"{difference:+.1f} %"
    state = {"better": "better", "worse": "worse"}.get(change.verdict, "")
    sign = _SIGNS[change.verdict] + (", beyond the limit" if change.failed else "")
    plain = [change.variant, name, shown(change.metric, change.before), shown(change.metric, change.after)]
    marked = [Cell(relative, state), Cell(sign, state)]
    return TableRow([*map(Cell, plain), *marked], "failed" if change.failed else "")
