"""The report of a live run: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msdepth_ros.report.live_timeline import timeline
from msdepth_ros.report.page.render import Card, Cell, MomentView, Table, TableRow, now_text, number, plot, render
from msdepth_ros.report.tiles import moment_tiles
from msdepth_ros.results.instants import Instant, camera_period_ns, count_answered
from msdepth_ros.results.live import SetRecord
from msdepth_ros.results.moments import Moment, choose_moments

__all__ = ["Run", "now_text", "render_report", "write_report"]

MOMENTS_SHOWN = 12


@dataclass(frozen=True)
class Run:
    """Everything a report shows.

    Attributes:
        title: Heading, usually the name of the bag.
        summary: What `msdepth_ros.results.live.summarise` made.
        records: The sets, in order of time.
        instants: What was published.
        moments: Candidates to show in full.
        problems: How often what went wrong.
        made: When, for the heading; empty leaves it out.
        notes: Sentences about how the run was made.
    """

    title: str
    summary: Mapping[str, Any]
    records: Sequence[SetRecord]
    instants: Sequence[Instant]
    moments: Sequence[Moment[SetRecord]]
    problems: Mapping[str, int] = field(default_factory=dict)
    made: str = ""
    notes: Sequence[str] = ()


def write_report(path: Path, run: Run) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        run: What to show.
    """
    path.write_text(render_report(run), encoding="utf-8")


def render_report(run: Run) -> str:
    """The page as text."""
    records = sorted(run.records, key=lambda record: record.stamp_ns)
    ticks = [instant.stamp_ns for instant in run.instants] or [record.stamp_ns for record in records]
    period_ns = camera_period_ns((stamp_ns, "instant") for stamp_ns in ticks)
    unanswered = [
        instant.stamp_ns
        for instant in run.instants
        if not count_answered([instant], (record.stamp_ns for record in records), period_ns)
    ]
    start_ns = min([r.stamp_ns for r in records] + [instant.stamp_ns for instant in run.instants], default=0)
    drawn = timeline(records, run.instants, unanswered_ns=unanswered, period_ns=period_ns)
    chosen = choose_moments(list(run.moments), MOMENTS_SHOWN)
    return render(
        "live.html",
        {
            "title": run.title,
            "made": run.made,
            "summary": run.summary,
            "cards": _cards(run.summary),
            "by_spectra": _by_spectra(run.summary),
            "timeline": plot("timeline", "Spectra in the set, confidence, latency and error over time", drawn),
            "moments": [_moment_view(index, moment, start_ns) for index, moment in enumerate(chosen, start=1)],
            "problems": run.problems,
            "notes": run.notes,
        },
    )


def _cards(summary: Mapping[str, Any]) -> list[Card]:
    """The headline numbers."""
    published, answered = summary["instants_published"], summary["instants_answered"]
    share = answered / published if published else 0.0
    latency = summary["latency_ms"]
    return [
        Card("Answered", f"{100 * share:.1f}", "%", f"{answered} of {published} instants",
             "good" if share >= 0.99 else "bad"),
        Card("Latency, median", number(latency["p50"], ".0f"), "ms", f"p90 {number(latency['p90'], '.0f')} ms"),
        Card("Latency, p99", number(latency["p99"], ".0f"), "ms", "newest image to depth"),
        Card("Rate", number(summary["rate_hz"], ".1f"), "Hz", "depth images received"),
        Card("Model", number(summary["model_ms"]["p50"], ".0f"), "ms", "median inference"),
        Card("AbsRel", number(summary["abs_rel"], ".3f"), "", "unscaled, mean over sets"),
        Card("Dropped", str(summary["dropped"]), "", "messages and sets"),
    ]  # fmt: skip


def _by_spectra(summary: Mapping[str, Any]) -> Table:
    """The table of combinations, most frequent first."""
    sets: Mapping[str, int] = summary["sets_by_spectra"]
    total = sum(sets.values())
    rows = []
    for key, count in sorted(sets.items(), key=lambda item: -item[1]):
        share = round(100 * count / total, 1)
        abs_rel = number(summary["abs_rel_by_spectra"].get(key), ".3f")
        meter = Cell(f"{share} % of the sets", percent=share)
        rows.append(TableRow([Cell(key), Cell(str(count)), meter, Cell(abs_rel)]))
    return Table("By the spectra in the set", ("Spectra", "Sets", "Share", "AbsRel, unscaled"), rows)


def _moment_view(index: int, moment: Moment[SetRecord], start_ns: int) -> MomentView:
    """Texts and pictures of one moment."""
    record = moment.record
    facts = [f"latency {record.latency_ms:.0f} ms"]
    if record.abs_rel is not None:
        facts.append(f"AbsRel {record.abs_rel:.3f}")
    if record.coverage is not None:
        facts.append(f"depth on {100 * record.coverage:.0f} % of the pixels with truth")
    title = f"{(record.stamp_ns - start_ns) * 1e-9:.1f} s"
    return MomentView(f"moment-{index}", title, ", ".join(facts), record.spectra, moment_tiles(moment))
