"""The page of an evaluation: complete, self-contained, bounded, readable without its pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from evaluations import pictures, record, summary

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.frame_pictures import FramePictures
from msdepth_ros.report.page import write_page
from msdepth_ros.report.page.evaluation import render_page
from msdepth_ros.report.page.gallery import Gallery
from msdepth_ros.results.compare import compare, parse_limit
from msdepth_ros.results.frame import FrameRecord

MOST_BYTES = 15_000_000
PAIR = ("rgb", "thermal")
TABS = ["Overview", "Over time", "Over range", "Confidence", "Latency", "Worst and best", "Frames", "About"]


def drive(count: int = 40, **values: object) -> list[FrameRecord]:
    """A drive in which RGB is black for a while and NIR missing at the end."""
    return [
        record(
            n,
            spectra=PAIR if n > 30 else None,
            health=("rgb:black",) if 10 <= n < 15 else ("nir:missing",) if n > 30 else (),
            **{"abs_rel": 0.1 + 0.01 * (n % 9), "latency_ms": 40.0 + n % 11, **values},  # type: ignore[arg-type]
        )
        for n in range(count)
    ]


class Elements(HTMLParser):
    """Tags and attributes of a page, and the texts of its tabs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.tabs: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][1].get("role") == "tab" and data.strip():
            self.tabs.append(data.strip())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def figure(page: str, name: str) -> dict[str, object]:
    """A plot of the page."""
    found = re.search(rf'id="plot-{name}"[^>]*>\s*<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found, name
    return json.loads(found.group(1))  # type: ignore[no-any-return]


def names_of(page: str, name: str) -> set[str]:
    return {trace["name"] for trace in figure(page, name)["data"]}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def page() -> str:
    records = drive()
    return render_page(summary(records), records, map(pictures, records), made="today")


def test_it_needs_no_other_file_and_no_network(page: str) -> None:
    elements = Elements(page)
    sources = [a["src"] for tag in ("img", "script") for a in elements.of(tag) if a.get("src")]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not elements.of("link") and not elements.of("iframe")
    assert "@import" not in page
    assert len(page.encode()) < MOST_BYTES


def test_it_has_a_section_for_each_question(page: str) -> None:
    assert Elements(page).tabs == TABS
    ids = [a.get("id") for _, a in Elements(page).found if a.get("id")]
    assert len(ids) == len(set(ids))


def test_the_headline_is_unscaled_with_median_scaled_beside_it(page: str) -> None:
    records = drive()
    mean = sum(one.scores["abs_rel"] for one in records) / len(records)
    assert f'<div class="value">{mean:.3f}</div>' in page
    assert f"median-scaled {0.9 * mean:.3f}" in page
    assert "rgb black in 5 of 40 sets" in page


def test_the_timeline_shows_health_error_confidence_and_latency(page: str) -> None:
    plot = figure(page, "time-0")
    text = json.dumps(plot, ensure_ascii=False)
    for title in ("Spectra in the set", "AbsRel, unscaled", "Mean confidence", "Latency, ms"):
        assert title in text
    lanes = {trace["name"]: trace for trace in plot["data"] if trace["type"] == "bar"}  # type: ignore[attr-defined]
    assert lanes["rgb black"]["base"] == [1.0]
    assert lanes["rgb black"]["x"] == [0.5]
    assert lanes["nir in all sets"]["x"] == [3.1]


def test_range_and_reliability_have_their_plots_and_their_numbers(page: str) -> None:
    assert "AbsRel, unscaled" in json.dumps(figure(page, "range"))
    assert "perfect" in names_of(page, "reliability")
    assert "0 to 5 m" in page and "60 to 80 m" in page


def frames_of(page: str) -> list[dict[str, object]]:
    """What the frame browser shows."""
    found = re.search(r'id="frame-data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found.group(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("first", [SPECTRA, PAIR, ("rgb",)])
@pytest.mark.parametrize("second", [SPECTRA, PAIR, ("rgb",)])
def test_pictures_have_the_time_in_their_recording_whichever_cameras_that_has(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    records = [record(n, bag=bag, variant=one) for bag, one in (("a", first), ("b", second)) for n in range(8)]
    frames = frames_of(render_page(summary(records), records, map(pictures, records)))
    assert [frame["title"] for frame in frames] == [f"{bag}, {n / 10:.1f} s" for bag in "ab" for n in range(8)]
    assert [frame["seconds"] for frame in frames] == [n / 10 for _ in "ab" for n in range(8)]


def test_frames_carry_what_the_browser_shows(page: str) -> None:
    frames: Any = frames_of(page)
    assert len(frames) == 40
    assert [tile["name"] for tile in frames[0]["tiles"]] == [
        "depth", "error", "input-rgb", "input-nir", "input-thermal", "truth", "confidence-rgb", "confidence-nir",
        "confidence-thermal", "confidence-fused",
    ]  # fmt: skip
    assert frames[12]["facts"].endswith("rgb black")
    assert frames[39]["spectra"] == list(PAIR)


def test_pictures_say_what_they_show(page: str) -> None:
    assert all(image.get("alt") for image in Elements(page).of("img"))


def test_texts_are_escaped() -> None:
    records = drive(3, bag='<b>&"drive</script>')
    page = render_page(summary(records), records, map(pictures, records))
    assert "<b>&" not in page and "drive</script>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_without_truth_there_is_still_a_report() -> None:
    records = drive(abs_rel=None)
    page = render_page(summary(records), records, map(pictures, records))
    assert "There is no ground truth" in page
    assert "Over range" not in Elements(page).tabs
    assert 'class="tiles plain"' in page
    assert "rgb agrees" in page


def test_without_depth_or_pictures_there_is_still_a_report() -> None:
    records = [record(n, confidence=None, health=("rgb:rejected",)) for n in range(3)]
    page = render_page(summary(records), records, [])
    assert "3 of 3 sets gave no depth." in page
    assert "No pictures were kept." in page


def test_every_subset_of_a_sweep_is_in_the_table() -> None:
    variants = [SPECTRA, PAIR, ("rgb",)]
    records = [one for variant in variants for one in drive(10, variant=variant)]
    page = render_page(summary(records), records, [])
    assert "Subsets" in Elements(page).tabs
    table = page[page.index('aria-label="By subset of the cameras"') :]
    assert [table.index(f">{name}<") > 0 for name in ("rgb+nir+thermal", "rgb+thermal", "rgb")] == [True] * 3
    assert names_of(page, "subsets-range") == {"rgb+nir+thermal", "rgb+thermal", "rgb"}
    assert names_of(page, "subsets-time-0") == {"rgb+nir+thermal", "rgb+thermal", "rgb"}


def test_times_are_those_of_all_cameras_with_the_subsets_beside_them() -> None:
    records = [*drive(10, latency_ms=50.0), *drive(30, variant=("rgb",), latency_ms=20.0)]
    page = render_page(summary(records), records, [])
    assert re.search(r'Latency, median</div>\s*<div class="value">50 .*?p99 50 ms, rgb\+nir\+thermal<', page, re.DOTALL)
    bars = figure(page, "latency")["data"][0]["customdata"]  # type: ignore[index]
    assert bars == ["50 to 52 ms"]
    assert "; CPUExecutionProvider; of rgb+nir+thermal.</p>" in page
    table = page[page.index('aria-label="Times by subset of the cameras"') :]
    assert re.search(r">rgb\+nir\+thermal<.*?>50\.0<.*?>rgb<.*?>20\.0<", table, re.DOTALL)
    alone = render_page(summary(drive(10)), drive(10), [])
    assert "by subset of the cameras" not in alone and "p99 50 ms, " not in alone


def test_a_comparison_says_what_got_worse_and_what_failed() -> None:
    before, after = drive(), drive(abs_rel=0.5)
    comparison = compare("old/metrics.json", summary(before), summary(after), [parse_limit("abs_rel=5%")])
    page = render_page(summary(after), after, [], comparison)
    assert "Comparison" in Elements(page).tabs
    assert "Worse than allowed, compared with old/metrics.json: AbsRel of rgb+nir+thermal" in page
    assert "▼ worse, beyond the limit" in page
    assert names_of(page, "versus-range") == {"before", "after"}
    better = render_page(summary(before), before, [], compare("new", summary(after), summary(before)))
    assert "▲ better" in better and "beyond the limit" not in better


def test_a_comparison_with_a_part_of_a_sweep_says_so() -> None:
    part = drive(variant=PAIR)
    sweep = summary([*drive(), *part])
    page = render_page(summary(part), part, [], compare("old/metrics.json", sweep, summary(part)))
    assert page.count("ompared is only rgb+thermal, which both have; rgb+nir+thermal only there") == 2
    same = render_page(sweep, [*drive(), *part], [], compare("old/metrics.json", sweep, sweep))
    assert "which both have" not in same


def test_problems_are_told_with_their_counts() -> None:
    records = drive(3)
    found = summary(records)
    found.document["problems"].update({f"/rgb/image: reason {n}": n for n in range(1, 6)})  # type: ignore[attr-defined]
    page = render_page(found, records, [])
    assert "<li>/rgb/image: reason 5 (5 sets).</li>" in page
    assert "2 more kinds of problems: see About." in page
    assert "<li>/rgb/image: reason 1 (1 set)</li>" in page


def test_recordings_are_told_apart_and_failed_ones_named() -> None:
    records = [one for bag in ("a", "b") for one in drive(5, bag=bag)]
    both = summary(records)
    both.document["failed_bags"]["c"] = "it is empty"  # type: ignore[index]
    page = render_page(both, records, map(pictures, records))
    assert '<option value="time-1">b</option>' in page
    assert "<strong>c</strong> could not be evaluated: it is empty" in page
    assert '"title":"b, 0.4 s"' in page


def hour(rate_hz: int = 10) -> Iterator[FrameRecord]:
    """An hour in which a camera comes and goes."""
    for number in range(3600 * rate_hz):
        yield record(number, spectra=PAIR if number % 700 < 90 else None, abs_rel=0.1 + 0.0001 * (number % 977))


def test_an_hour_s_drive_stays_below_15_mb() -> None:
    shown = [pictures(record(n * 600), size=(256, 640)) for n in range(60)]
    page = render_page(summary(hour()), hour(), iter(shown))
    assert len(page.encode()) < MOST_BYTES
    assert "Each point is the mean of up to 32 sets in a row." in page
    assert page.count('<article class="moment"') == 1 + 8 + 1


def test_a_hundred_recordings_stay_below_15_mb() -> None:
    records = [one for bag in range(100) for one in drive(60, bag=f"drive_{bag:03}")]
    page = render_page(summary(records), records, [])
    assert len(page.encode()) < MOST_BYTES
    assert "Shown are the first 60 of 100 recordings" in page


def test_pictures_are_taken_one_at_a_time_and_thinned_to_their_room() -> None:
    alive: list[FramePictures] = []

    def stream() -> Iterator[FramePictures]:
        for number in range(20):
            alive[:] = [pictures(record(number, abs_rel=1.0 if number == 7 else 0.1))]
            yield alive[0]
            yield alive[0]

    size = pictures(record(0)).size
    gallery = Gallery(stream(), 16 * size)
    assert 3 <= len(gallery.frames) <= 6
    assert gallery.worst[0].record.number == 7
    assert gallery.left_out == 20 - len(gallery.frames)


def test_it_is_written_where_it_belongs(tmp_path: Path) -> None:
    records = drive(3)
    path = tmp_path / "report.html"
    write_page(path, summary(records), records, [])
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_table_of_subsets_tells_sets_without_depth() -> None:
    silent = [record(n, variant=("rgb",), confidence=None, health=("rgb:black",)) for n in range(4)]
    records = [*drive(10), *silent, *(record(n, variant=("rgb",)) for n in range(4, 10))]
    page = render_page(summary(records), records, [])
    table = page[page.index('aria-label="By subset of the cameras"') :]
    assert re.search(r"With depth.*>rgb<.*?>10<.*?>6<", table, re.DOTALL)
    assert "no image of the set can be used (4 sets of all subsets)." in page
    assert "With depth" not in render_page(summary(drive(10)), drive(10), [])
