"""Templates, and what they are filled with: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any, NamedTuple

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.figures import KEY_COLOURS, SPECTRUM_COLOURS
from msdepth_ros.report.tiles import Tile, make_scales


@dataclass(frozen=True)
class Card:
    """A headline number; `state` is `good`, `bad` or empty, `lead` sets it apart."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    state: str = ""
    lead: bool = False


class Cell(NamedTuple):
    """One cell of a table; `percent` draws a meter, `state` is `best`, `better`, `worse` or empty."""

    text: str
    state: str = ""
    percent: float | None = None


class TableRow(NamedTuple):
    """One row of a table; `state` is `failed` or empty."""

    cells: Sequence[Cell]
    state: str = ""


class Table(NamedTuple):
    """A table with a name for those who do not see it.

    Attributes:
        label: What it shows.
        columns: Headings.
        rows: Its content.
        texts: Numbers of the columns that hold text: aligned left, broken into lines.
    """

    label: str
    columns: Sequence[str]
    rows: Sequence[TableRow]
    texts: Sequence[int] = (0,)


class Plot(NamedTuple):
    """A figure of Plotly on the page.

    Attributes:
        name: Unique on the page.
        label: What it shows, for those who do not see it.
        json: The figure, safe inside a script element.
    """

    name: str
    label: str
    json: str


class MomentView(NamedTuple):
    """A moment as the page shows it."""

    name: str
    title: str
    facts: str
    spectra: Sequence[str]
    tiles: Sequence[Tile]
    badge: str = ""
    badge_state: str = ""


def plot(name: str, label: str, figure: go.Figure) -> Plot:
    """A figure for the page."""
    return Plot(name, label, _safe(figure.to_json()))


def embedded(value: Any) -> str:
    """Plain values as JSON inside a script element."""
    return _safe(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _safe(text: str) -> str:
    """JSON that cannot end the script element around it."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def number(value: float | None, pattern: str) -> str:
    """A number for people; a dash if there is none."""
    return "–" if value is None else format(value, pattern)


def cells(*texts: str) -> TableRow:
    """A row of plain cells."""
    return TableRow([Cell(text) for text in texts])


def now_text() -> str:
    """The current time for a heading."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def render(template: str, values: Mapping[str, Any]) -> str:
    """One of the templates beside this file, filled.

    Args:
        template: Its name.
        values: What it wants; `title` and `made` always.
    """
    folder = files("msdepth_ros.report.page")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {
        "plotly_js": get_plotlyjs(),
        "scales": make_scales(),
        "spectra": SPECTRA,
        "colours": SPECTRUM_COLOURS,
        "key_colours": KEY_COLOURS,
    }
    return environment.get_template(template).render(**shared, **values)
