"""The report page: complete, self-contained, readable without seeing the pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browsers import Tab, chromium

from msdepth_ros.bags.images import DecodedImage
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.live_page import Run, render_report, write_report
from msdepth_ros.results.instants import Instant
from msdepth_ros.results.live import NodeReport, SetRecord, summarise
from msdepth_ros.results.moments import Moment

TICK_NS = 100_000_000


def record(tick: int, spectra: tuple[str, ...] = SPECTRA) -> SetRecord:
    stamp_ns = tick * TICK_NS
    return SetRecord(stamp_ns, stamp_ns, stamp_ns + 42_000_000, spectra, 0.125, 0.9, 0.7, dict.fromkeys(spectra, 0.5))


def moment(tick: int, spectra: tuple[str, ...] = SPECTRA) -> Moment:
    generator = np.random.default_rng(tick)
    depth_m = generator.uniform(2, 60, (32, 80)).astype(np.float32)
    truth_m = depth_m * np.float32(1.2)
    truth_m[0] = np.nan
    kinds = {"rgb": ((48, 120, 3), np.uint8, "bgr8"), "nir": ((40, 120), np.uint8, "mono8"),
             "thermal": ((32, 80), np.uint16, "mono16")}  # fmt: skip
    inputs = {name: DecodedImage(generator.integers(0, 250, kinds[name][0]).astype(kinds[name][1]), kinds[name][2])
              for name in spectra}  # fmt: skip
    confidences = {name: np.full((32, 80), 128 if name in (*spectra, "confidence") else 0, np.uint8)
                   for name in ("confidence", *SPECTRA)}  # fmt: skip
    return Moment(record(tick, spectra), inputs, depth_m, confidences, truth_m, depth_m, 0.8)


@pytest.fixture(scope="module")
def run() -> Run:
    records = [record(tick, SPECTRA if tick < 6 else ("rgb", "thermal")) for tick in range(10)]
    instants = [Instant(tick * TICK_NS, SPECTRA) for tick in range(11)]
    node = NodeReport("tiny 0.1", ("CPUExecutionProvider",), 20.0, 1)
    return Run(
        title="drive <one>",
        summary=summarise(records, instants, period_ns=TICK_NS, node=node),
        records=records,
        instants=instants,
        moments=[moment(r.stamp_ns // TICK_NS, r.spectra) for r in records],
        problems={"depth is not scored & why": 2},
        notes=["played by hand"],
    )


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return render_report(run)


class Elements(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_it_needs_no_other_file_and_no_network(page: str) -> None:
    elements = Elements(page)
    sources = [a["src"] for tag in ("img", "script") for a in elements.of(tag) if a.get("src")]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not elements.of("link")
    assert "@import" not in page
    assert len(page) < 15_000_000


def test_headline_numbers_are_there(page: str) -> None:
    for text in ("90.9", "10 of 11 instants", "tiny 0.1", "CPUExecutionProvider", "0.125", "rgb+nir+thermal"):
        assert text in page


def test_every_moment_shows_inputs_depth_truth_error_and_confidences(page: str) -> None:
    articles = page.split('<article class="moment"')[1:]
    assert len(articles) == 10
    first = Elements(articles[0])
    alts = [a["alt"] for a in first.of("img")]
    for start in ("rgb camera image", "nir camera image", "thermal camera image", "rgb confidence", "nir confidence",
                  "thermal confidence", "Fused depth, mostly", "True depth, mostly", "Relative error",
                  "Fused confidence, mean 0.50"):  # fmt: skip
        assert any(alt.startswith(start) for alt in alts), start
    assert "Colour scale of depth in metres, from 1 m to 80 m" in page


def test_an_absent_spectrum_is_said_to_be_absent(page: str) -> None:
    last = page.split('<article class="moment"')[-1]
    assert "no nir image" in last
    assert "nir confidence: not in the set" in last
    assert re.search(r'class="chip off"[^>]*><i[^>]*></i>nir<', last)


def test_texts_are_escaped(page: str) -> None:
    assert "drive &lt;one&gt;" in page
    assert "depth is not scored &amp; why" in page
    assert "<li>played by hand</li>" in page


def test_the_timeline_has_all_curves(page: str) -> None:
    plot = page[page.index('id="plot-timeline"') :]
    for text in ("Spectra in the set", "Mean confidence", "Latency, ms", "AbsRel, unscaled", "instant without depth"):
        assert text in plot


def test_sparse_answers_are_shown_sparse() -> None:
    records = [record(tick) for tick in (0, 5)]
    instants = [Instant(tick * TICK_NS, SPECTRA) for tick in range(6)]
    summary = summarise(records, instants, period_ns=TICK_NS, node=NodeReport())
    plot = render_report(Run("sparse", summary, records, instants, []))
    bars = re.findall(r'"base":\[([^]]*)\]', plot)
    assert bars == ["0.0,0.5"] * 3
    assert plot.count('"name":"instant without depth"') == 1


def test_it_follows_the_reader_s_colour_scheme(page: str) -> None:
    assert "prefers-color-scheme: dark" in page


def test_a_run_in_which_nothing_arrived_still_gives_a_page(tmp_path: Path) -> None:
    instants = [Instant(0, SPECTRA)]
    summary = summarise([], instants, period_ns=TICK_NS, node=NodeReport())
    write_report(tmp_path / "r.html", Run("empty", summary, [], instants, []))
    assert "0 of 1 instants" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_page_opens_in_a_browser_without_errors_and_draws_the_timeline(run: Run, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", run)
    with chromium() as browser:
        tab = Tab(browser.new_page(viewport={"width": 400, "height": 800}), tmp_path / "report.html")
        tab.page.wait_for_selector("#plot-timeline .main-svg")
        tab.page.click("#theme")
        assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
        assert (tab.complaints, tab.requests) == ([], [])
