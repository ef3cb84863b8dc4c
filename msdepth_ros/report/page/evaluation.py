"""The page of an evaluation: everything in one file, under 15 MB however long the drive was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msdepth_ros.report.frame_pictures import FramePictures
from msdepth_ros.report.page import curves, texts, times
from msdepth_ros.report.page.comparison import verdict, versus
from msdepth_ros.report.page.gallery import Gallery, frame_data, moment_view
from msdepth_ros.report.page.render import Plot, Table, embedded, plot, render
from msdepth_ros.report.page.series import Latencies, Series, collect
from msdepth_ros.results.compare import Comparison
from msdepth_ros.results.frame import FrameRecord, Summary

PICTURES_BYTES = 8_500_000
"""Of the page's 15 MB Plotly takes 5, the curves of many recordings up to one."""
_POINTS = 12000  # on the curves of all recordings and variants together
_POINTS_EACH = (30, 1500)
_DRIVES = 60  # recordings with a timeline of their own


class Subsets(NamedTuple):
    """The section about subsets of the cameras."""

    names: Sequence[str]
    table: Table
    ranking: Plot
    by_range: Plot
    over_time: Sequence[Plot]


def write_page(
    path: Path,
    summary: Summary,
    records: Iterable[FrameRecord],
    pictures: Iterable[FramePictures],
    comparison: Comparison | None = None,
    *,
    title: str = "",
    made: str = "",
) -> None:
    """Writes the report of an evaluation.

    Args:
        path: The HTML file.
        summary: Of all records.
        records: All of them, in the order of `record_key`; read once and not kept.
        pictures: The sets to show in pictures, in any order; read once, one at a time.
        comparison: With another evaluation, if there is one.
        title: Heading; the recordings' names where it is empty.
        made: When; empty leaves it out.
    """
    path.write_text(render_page(summary, records, pictures, comparison, title=title, made=made), encoding="utf-8")


def render_page(
    summary: Summary,
    records: Iterable[FrameRecord],
    pictures: Iterable[FramePictures],
    comparison: Comparison | None = None,
    *,
    title: str = "",
    made: str = "",
) -> str:
    """The page as text; see `write_page`."""
    document = summary.document
    variant = summary.variants[0]
    latencies = Latencies(variant)
    series = collect(latencies.watch(records), _points_each(document))
    # of every recording, also of one without this variant, whose times would be 0; this variant's own where it is there
    ordered = sorted(series.items(), key=lambda item: item[0][1] == variant)
    starts_ns = {bag: one.buckets[0].start_ns for (bag, _), one in ordered}
    gallery = Gallery(pictures, PICTURES_BYTES)
    scored = bool(summary.result()["sets_with_truth"])
    values: dict[str, Any] = {"title": title or _title(document["bags"]), "made": made, "scored": scored}
    values |= _overview(document, variant)
    values |= _curves(document, variant, series, scored)
    values["latency"] = _latency(latencies, document["timings"])
    values |= _pictures(gallery, starts_ns, scored)
    values |= {"subsets": _subsets(document, series, scored) if len(summary.variants) > 1 else None}
    values["comparison"] = versus(comparison, summary) if comparison else None
    values["verdict"] = verdict(comparison) if comparison else None
    values["tabs"] = _tabs(values)
    return render("evaluation.html", values)


def _title(bags: Sequence[str]) -> str:
    """A heading from the recordings' names."""
    return ", ".join(bags[:3]) + (f" and {len(bags) - 3} more" if len(bags) > 3 else "") or "no recording"


def _points_each(document: Mapping[str, Any]) -> int:
    """How many points the curves of one recording and variant may have."""
    least, most = _POINTS_EACH
    return min(most, max(least, _POINTS // max(1, len(document["bags"]) * len(document["variants"]))))


def _tabs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sections in order: id and name."""
    tabs = [("overview", "Overview"), ("time", "Over time"), ("range", "Over range"), ("confidence", "Confidence"),
            ("latency", "Latency"), ("moments", "Worst and best"), ("frames", "Frames"), ("subsets", "Subsets"),
            ("comparison", "Comparison"), ("about", "About")]  # fmt: skip
    there = {"range": values["scored"], "subsets": values["subsets"], "comparison": values["comparison"]}
    return [(name, text) for name, text in tabs if there.get(name, True)]


def _overview(document: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """Headline numbers, sentences and tables."""
    results, timings = document["results"][variant], document["timings"]
    result = results["all"]
    model = document["model"]
    name = " ".join(str(model[key]) for key in ("name", "version") if model.get(key))
    facts = [("Model", name), ("Cameras", variant)]
    if result.get("duration_s") is not None:
        facts.append(("Length", texts.duration(result["duration_s"])))
    if len(document["bags"]) > 1:
        facts.append(("Recordings", str(len(document["bags"]))))
    most_first = sorted(results["by_spectra"].items(), key=lambda item: -item[1]["sets"])
    by_spectra = texts.results_table("By the spectra in the set", "Spectra", dict(most_first), shares=True)
    by_bag = texts.results_table("By recording", "Recording", results["by_bag"])
    return {
        "facts": facts,
        "failed": document["failed_bags"],
        "cards": [*texts.cards(result), *times.time_cards(timings, variant if len(document["variants"]) > 1 else "")],
        "findings": texts.findings(document, variant),
        "by_spectra": by_spectra,
        "by_bag": by_bag if len(results["by_bag"]) > 1 else None,
        "by_spectrum": texts.spectra_table(result),
        "metrics": texts.metrics_table(result),
        "range_table": texts.range_table(result),
        "reliability_table": texts.reliability_table(result),
        "timings": times.times_table(timings),
        "timings_by_variant": times.times_by_variant(timings),
        "variant": variant,
        "providers": ", ".join(timings.get("providers", ())),
        "ece": texts.shown("ece", result["ece"]),
        "ause": texts.shown("ause", texts.value_of(result, "ause")),
        "settings": texts.settings(document),
        "notes": document["notes"],
        "problems": document["problems"],
        "workers": timings.get("workers") or 1,
    }


def _curves(
    document: Mapping[str, Any], variant: str, series: Mapping[tuple[str, str], Series], scored: bool
) -> dict[str, Any]:
    """All plots but those of pictures and subsets."""
    one = {variant: document["results"][variant]["all"]}
    shown = [(bag, found) for (bag, name), found in series.items() if name == variant][:_DRIVES]
    drives = [
        plot(f"time-{index}", bag, curves.drive(found, scored=scored)) for index, (bag, found) in enumerate(shown)
    ]
    drawn: dict[str, Any] = {"drives": drives, "time_note": _time_note(shown, len(document["bags"]))}
    if scored:
        drawn["by_range"] = plot("range", "Error by true distance", curves.by_range(one))
        drawn["reliability"] = plot("reliability", "Stated and observed confidence", curves.reliability(one))
    return drawn


def _latency(latencies: Latencies, timings: Mapping[str, Any]) -> Plot | None:
    """The histogram, if times are known."""
    if not latencies.values_ms:
        return None
    figure = curves.latency_histogram(latencies.values_ms, timings["latency_ms"])
    return plot("latency", "Histogram of the latency", figure)


def _time_note(shown: Sequence[tuple[str, Series]], bags: int) -> str:
    """What one point of the timelines is."""
    most = max((found.sets_per_bucket for _, found in shown), default=1)
    point = "Each point is one set." if most == 1 else f"Each point is the mean of up to {most} sets in a row."
    if len(shown) < bags:
        point += f" Shown are the first {len(shown)} of {bags} recordings; frames.parquet has all."
    return f"{point} Drag to enlarge, double-click to see everything again, click a point for the nearest pictures."


def _pictures(gallery: Gallery, starts_ns: Mapping[str, int], scored: bool) -> dict[str, Any]:
    """The worst, the best, a typical one, and the frame browser."""
    moments = [
        moment_view(frame, f"{badge.lower()}-{index}", starts_ns, f"{badge} {index}")
        for badge, frames in (("Worst", gallery.worst), ("Best", gallery.best))
        for index, frame in enumerate(frames, start=1)
    ]
    frames = gallery.frames
    records = [frame.record for frame in frames]
    values = [record.scores.get("abs_rel") if scored else record.confidence for record in records]
    title = "AbsRel" if scored else "Confidence"
    return {
        "moments": moments,
        "typical": moment_view(gallery.typical, "typical", starts_ns, "Typical") if gallery.typical else None,
        "first_frame": moment_view(frames[0], "frame", starts_ns) if frames else None,
        "frame_count": len(frames),
        "frame_strip": plot("frames", f"{title} of each frame", curves.frame_strip(values, title)),
        "frames": embedded(frame_data(frames, starts_ns)),
    }


def _subsets(document: Mapping[str, Any], series: Mapping[tuple[str, str], Series], scored: bool) -> Subsets:
    """Every variant beside each other."""
    results = {name: document["results"][name]["all"] for name in document["variants"]}
    table = texts.results_table("By subset of the cameras", "Cameras", results)
    by_bag: dict[str, dict[str, Series]] = {}
    for (bag, name), found in series.items():
        by_bag.setdefault(bag, dict.fromkeys(results, Series(2)))[name] = found
    errors = {name: texts.value_of(result, "abs_rel") for name, result in results.items()}
    return Subsets(
        list(results),
        table,
        plot("subsets", "AbsRel by subset of the cameras", curves.ranking(errors, "AbsRel, unscaled")),
        plot("subsets-range", "Error by true distance and subset", curves.by_range(results, shares=False)),
        [
            plot(f"subsets-time-{index}", bag, curves.errors_over_time(found))
            for index, (bag, found) in enumerate(list(by_bag.items())[:_DRIVES])
        ],
    )
