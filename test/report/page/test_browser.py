"""The pages in a real headless Chromium: quiet, offline, usable by mouse and by keyboard, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browsers import Tab, chromium
from evaluations import pictures, record, summary

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.page import write_page
from msdepth_ros.results.compare import compare

NAMES = ["overview", "time", "range", "confidence", "latency", "moments", "frames", "subsets", "comparison", "about"]
DRAWN = (
    "name => [...document.querySelectorAll('#' + name + ' .plot:not([hidden])')]"
    ".every(plot => plot.querySelector('.main-svg'))"
)
COVERED = """name => {
  const box = one => one.getBoundingClientRect();
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return [...document.querySelectorAll('#' + name + ' .plot:not([hidden])')].flatMap(plot => {
    const buttons = [...plot.querySelectorAll('.modebar-btn')].map(box);
    return [...plot.querySelectorAll('.legend .traces, .nsewdrag')].map(box)
      .filter(one => buttons.some(button => meet(button, one))).map(() => plot.id);
  });
}"""
LIGHT, DARK = "rgb(245, 247, 249)", "rgb(13, 17, 23)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, two subsets, a comparison: everything that a page can show."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    variants = [SPECTRA, ("rgb", "thermal")]
    records = [
        record(n, bag=bag, variant=v, abs_rel=0.1 + 0.01 * n, health=("rgb:black",) if n > 8 else ())
        for bag in ("a", "b")
        for v in variants
        for n in range(12)
    ]
    shown = [pictures(one) for one in records if one.variant == "rgb+nir+thermal"]
    both = summary(records)
    write_page(path, both, records, shown, compare("itself", both, both))
    return path


@pytest.fixture(scope="module")
def shared(browser: Any, report: Path) -> Iterator[Tab]:
    """The report, opened once: parsing Plotly takes a second."""
    with opened(browser, report) as tab:
        yield tab


@pytest.fixture
def page(shared: Tab) -> Iterator[Any]:
    """The report at its first section; what a test does must not make it complain, or leave the file."""
    shared.page.click("#tab-overview")
    yield shared.page
    assert shared.complaints == []
    assert shared.requests == []


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> Iterator[Tab]:
    """A page in a profile of its own."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab = Tab(context.new_page(), path)
    yield tab
    assert tab.complaints == []
    assert tab.requests == []
    context.close()


def go(page: Any, address: str) -> None:
    page.evaluate("name => { location.hash = ''; location.hash = name; }", address)


def visible_panels(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "[role=tabpanel]", "panels => panels.filter(one => one.offsetParent).map(one => one.id)"
    )
    return found


def frame(page: Any) -> tuple[str, str, str]:
    """What the frame browser shows: its count, its title, and the first picture."""
    title, count = page.inner_text("#frame-title"), page.inner_text("#frame-count")
    return count, title, page.get_attribute("#frame-tiles [data-tile=depth] img", "src")


def test_every_tab_opens_by_mouse_and_draws_its_plots(page: Any) -> None:
    assert visible_panels(page) == ["overview"]
    for name in NAMES:
        page.click(f"#tab-{name}")
        assert visible_panels(page) == [name]
        assert page.get_attribute(f"#tab-{name}", "aria-selected") == "true"
        plots = page.locator(f"#{name} .plot:visible")
        page.wait_for_function(DRAWN, arg=name)
        assert plots.count() == {"time": 1, "range": 1, "confidence": 1, "latency": 1, "frames": 1, "subsets": 3,
                                 "comparison": 2}.get(name, 0)  # fmt: skip


def test_plotly_s_buttons_hide_neither_legend_nor_curve_and_send_nothing_away(page: Any) -> None:
    for name in ("time", "range", "confidence", "latency", "frames", "subsets", "comparison"):
        go(page, name)
        page.wait_for_function(DRAWN, arg=name)
        assert page.evaluate(COVERED, name) == [], name
    titles = page.eval_on_selector_all(".modebar-btn", "all => [...new Set(all.map(one => one.dataset.title))]")
    assert {"Zoom in", "Download plot as a PNG"} <= set(titles)
    assert not [title for title in titles if "hare" in title or "loud" in title]


def test_tabs_work_by_keyboard_and_the_focus_is_visible(page: Any) -> None:
    page.focus("#tab-overview")
    for key, name in (("ArrowRight", "time"), ("End", "about"), ("ArrowRight", "overview"), ("ArrowLeft", "about"),
                      ("Home", "overview")):  # fmt: skip
        page.keyboard.press(key)
        assert visible_panels(page) == [name]
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_the_slider_works_by_keyboard_and_tells_what_it_shows(page: Any) -> None:
    go(page, "frames")
    page.focus("#frame-slider")
    page.keyboard.press("Home")
    first = frame(page)
    page.keyboard.press("ArrowRight")
    second = frame(page)
    assert (first[0], second[0]) == ("1 of 24", "2 of 24")
    assert first[1] != second[1] and first[2] != second[2]
    assert page.get_attribute("#frame-slider", "aria-valuetext").startswith(second[1])
    page.keyboard.press("End")
    assert frame(page)[0] == "24 of 24"
    assert "rgb black" in page.inner_text("#frame-facts")
    assert page.inner_text("#frame-tiles [data-tile=input-rgb] .tile-note") == "black"
    page.keyboard.press("Home")
    assert frame(page) == first


def test_the_slider_its_buttons_and_its_curve_work_by_mouse(page: Any) -> None:
    go(page, "frames")
    page.focus("#frame-slider")
    page.keyboard.press("Home")
    page.click("#frame-after")
    page.click("#frame-after")
    page.click("#frame-before")
    assert frame(page)[0] == "2 of 24"
    box = page.locator("#frame-slider").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
    assert frame(page)[0] in ("12 of 24", "13 of 24")
    page.wait_for_selector("#plot-frames .main-svg")
    page.locator("#plot-frames .point").nth(20).hover(force=True)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function("document.getElementById('frame-count').textContent === '21 of 24'")
    page.click("#frame-play")
    page.wait_for_function("document.getElementById('frame-count').textContent !== '21 of 24'")
    page.click("#frame-play")
    assert page.inner_text("#frame-play") == "Play"


def test_a_moment_of_the_list_is_reached_by_its_link(page: Any) -> None:
    go(page, "best-2")
    assert visible_panels(page) == ["moments"]
    assert page.locator("#best-2").is_visible()
    page.click("nav a[href='#worst-1']")
    assert visible_panels(page) == ["moments"]


def test_a_click_on_a_timeline_leads_to_the_pictures_of_that_moment(page: Any) -> None:
    page.click("#tab-time")
    page.select_option("#choose-drive", label="b")
    page.wait_for_selector("#plot-time-1 .main-svg")
    page.locator("#plot-time-1 .x2y2 .point").nth(5).hover(force=True)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function("document.getElementById('frame-title').textContent === 'b, 0.5 s'")
    assert visible_panels(page) == ["frames"]


def test_another_recording_can_be_chosen(page: Any) -> None:
    go(page, "time")
    page.select_option("#choose-drive", label="a")
    assert page.locator("#plot-time-0").is_visible() and not page.locator("#plot-time-1").is_visible()
    page.select_option("#choose-drive", label="b")
    page.wait_for_selector("#plot-time-1 .main-svg")
    assert not page.locator("#plot-time-0").is_visible()


@pytest.mark.parametrize(("scheme", "before", "after"), [("light", LIGHT, DARK), ("dark", DARK, LIGHT)])
def test_it_follows_the_system_s_colours_until_the_reader_chooses(
    browser: Any, report: Path, scheme: str, before: str, after: str
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    text = "(document.querySelector('#plot-time-0 > div')._fullLayout || {font: {}}).font.color"
    with opened(browser, report, scheme=scheme) as tab:
        page = tab.page
        assert page.evaluate(background) == before
        page.click("#tab-time")
        page.wait_for_function(f"document.querySelector('#plot-time-0 > div') && {text} !== '#444'")
        colour = page.evaluate(text)
        page.focus("#theme")
        page.keyboard.press("Enter")
        assert page.evaluate(background) == after
        page.wait_for_function(f"{text} !== '{colour}'")
        page.reload()
        assert page.evaluate(background) == after


def test_it_can_be_read_on_a_phone(browser: Any, report: Path) -> None:
    with opened(browser, report, width=400) as tab:
        for name in NAMES:
            go(tab.page, name)
            tab.page.wait_for_function(DRAWN, arg=name)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400, name
            wide = tab.page.eval_on_selector_all(
                f"#{name} img.picture, #{name} .card, #{name} .main-svg",
                "all => all.filter(one => one.getBoundingClientRect().right > 401).length",
            )
            assert wide == 0, name
            assert tab.page.evaluate(COVERED, name) == [], name


def test_every_control_and_every_picture_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, img, [role=img], figure.plot, [role=region]')]"
        ".filter(one => !(one.getAttribute('aria-label') || one.alt || one.textContent.trim() ||"
        " (one.labels && one.labels.length))).map(one => one.outerHTML.slice(0, 80))"
    )
    assert nameless == []
