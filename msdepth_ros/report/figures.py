"""What the curves of every report are made of. Plotly draws; the page's script gives colours of light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

SPECTRUM_COLOURS = {"rgb": "#2f81f7", "nir": "#a45bea", "thermal": "#e8743b"}
FUSED_COLOUR = "#1a9e75"
ALERT_COLOUR = "#d1373f"
CAUTION_COLOUR = "#d9a514"
GREY = "#7b8794"
KEY_COLOURS = {
    "rgb+nir+thermal": FUSED_COLOUR,
    "rgb+nir": "#5c6bc0",
    "rgb+thermal": "#c69214",
    "nir+thermal": "#d0578f",
    **SPECTRUM_COLOURS,
}
"""A combination of spectra has one colour wherever it is shown; a single one has that of its spectrum."""
_GRID = "rgba(128,128,128,0.22)"
_TOP_PX, _BOTTOM_PX, _GAP_PX = 34, 48, 58
RIGHT_PX = 32  # room for Plotly's buttons, which would hide the end of a legend
_LANE_WIDTH = 0.62
_STRIPES = {"shape": "/", "size": 7, "solidity": 0.35, "fgcolor": "#6b4e00"}


class Curve(NamedTuple):
    """Values over x.

    Attributes:
        name: For the legend.
        colour: CSS colour.
        x: Places.
        y: Values; None or NaN leaves a gap.
        mode: Of Plotly: `lines`, `markers` or both.
        width: Of the line, px.
        size: Of the markers, px.
        dash: Of Plotly: `solid`, `dot` or `dash`.
        hover: Plotly's template for what is shown at the pointer.
        symbol: Plotly's marker.
        listed: Show it in the legend.
    """

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float | None]
    mode: str = "lines"
    width: float = 1.6
    size: float = 6
    dash: str = "solid"
    hover: str = "%{y:.2f}"
    symbol: str = "circle"
    listed: bool = True


class Columns(NamedTuple):
    """Upright bars.

    Attributes:
        name: For the legend.
        colour: CSS colour.
        x: Places, or names of categories.
        y: Heights; None leaves a gap.
        width: Of each bar in the unit of x; None leaves it to Plotly.
        texts: Above the bars; empty for none.
        hover: Plotly's template for what is shown at the pointer.
        listed: Show it in the legend.
    """

    name: str
    colour: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float | None]
    width: float | None = None
    texts: Sequence[str] = ()
    hover: str = "%{y:.3f}"
    listed: bool = True


class Spans(NamedTuple):
    """Stretches of one lane.

    Attributes:
        lane: Name of the lane.
        name: What these stretches mean.
        colour: CSS colour.
        stretches: Start and end of each, in the unit of x.
        hatched: Draw them with stripes, which also who sees no colours can tell, and list them in the legend.
    """

    lane: str
    name: str
    colour: str
    stretches: Sequence[tuple[float, float]]
    hatched: bool = False


class Marks(NamedTuple):
    """Crosses on a lane.

    Attributes:
        lane: Name of the lane.
        name: What they mean, for the legend.
        x: Places.
    """

    lane: str
    name: str
    x: Sequence[float]


class Row(NamedTuple):
    """One of several plots above each other over the same x.

    Attributes:
        title: What it shows, with the unit.
        curves: Drawn in this order.
        spans: Stretches of lanes, drawn before the curves.
        marks: Crosses on lanes.
        lanes: Names of the lanes from top to bottom; empty where the row has none.
        levels: Horizontal lines with a text.
        limits: Of y; None leaves them to the data, from 0.
        height_px: Of the plot alone.
        columns: Upright bars, drawn beside each other.
    """

    title: str
    curves: Sequence[Curve] = ()
    spans: Sequence[Spans] = ()
    marks: Sequence[Marks] = ()
    lanes: Sequence[str] = ()
    levels: Sequence[tuple[float, str]] = ()
    limits: tuple[float, float] | None = None
    height_px: int = 150
    columns: Sequence[Columns] = ()


def numbers(values: Iterable[float | None]) -> NDArray[np.float32]:
    """Values as float32, NaN for None: Plotly writes arrays in a third of the space of lists."""
    return np.array([np.nan if value is None else value for value in values], np.float32)


def by_key(x: Sequence[float], y: Sequence[float | None], keys: Sequence[str]) -> list[Curve]:
    """Points in one colour for each key, for example for each combination of spectra; most spectra first."""
    curves = []
    for name in sorted(set(keys), key=lambda key: (-key.count("+"), key)):
        chosen = [(place, value) for place, value, key in zip(x, y, keys, strict=True) if key == name]
        colour = KEY_COLOURS.get(name, GREY)
        curves.append(Curve(name, colour, [t for t, _ in chosen], [v for _, v in chosen], "markers", hover="%{y:.3f}"))
    return curves


def styled(figure: go.Figure, height_px: int, *, legend: bool = False) -> go.Figure:
    """Gives a figure the look of all others; it stays transparent so that it fits a light and a dark page."""
    figure.update_layout(
        template="none",
        height=height_px,
        margin={"l": 56, "r": RIGHT_PX, "t": _TOP_PX, "b": _BOTTOM_PX},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13},
        showlegend=legend,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
        hovermode="x",
        dragmode="zoom",
        bargap=0.25,
    )
    title = {"font": {"size": 13}, "standoff": 8}
    figure.update_xaxes(gridcolor=_GRID, linecolor=_GRID, zeroline=False, ticks="", title=title)
    figure.update_yaxes(gridcolor=_GRID, linecolor=_GRID, zeroline=False, ticks="", automargin=True, title=title)
    return figure


def stacked(rows: Sequence[Row], x_title: str) -> go.Figure:
    """Rows above each other over one x axis, each with its own legend."""
    inner_px = sum(row.height_px for row in rows) + _GAP_PX * (len(rows) - 1)
    figure = make_subplots(
        rows=len(rows),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=_GAP_PX / inner_px if len(rows) > 1 else 0,
        row_heights=[row.height_px for row in rows],
        subplot_titles=[row.title for row in rows],
    )
    styled(figure, inner_px + _TOP_PX + _BOTTOM_PX, legend=True)
    for index, row in enumerate(rows, start=1):
        _add_row(figure, row, index)
        top = figure.get_subplot(index, 1).yaxis.domain[1]
        place = {"orientation": "h", "x": 1, "xanchor": "right", "y": top, "yanchor": "bottom"}
        figure.update_layout({_legend(index): place})
    figure.update_layout(barmode="group" if any(row.columns for row in rows) else "overlay")
    figure.update_xaxes(title_text=x_title, row=len(rows), col=1)
    for annotation in figure.layout.annotations[: len(rows)]:
        annotation.update(x=0, xanchor="left", font={"size": 14}, name="title")
    return figure


def _legend(index: int) -> str:
    """Plotly's name of the legend of a row."""
    return "legend" if index == 1 else f"legend{index}"


def _add_row(figure: go.Figure, row: Row, index: int) -> None:
    """Fills one of the plots."""
    for spans in row.spans:
        figure.add_trace(_bars(spans, _legend(index)), row=index, col=1)
    for columns in row.columns:
        figure.add_trace(_upright(columns, _legend(index)), row=index, col=1)
    for marks in row.marks:
        figure.add_trace(_crosses(marks, _legend(index)), row=index, col=1)
    for curve in row.curves:
        figure.add_trace(scatter(curve, legend=_legend(index)), row=index, col=1)
    for value, text in row.levels:
        figure.add_hline(
            y=value,
            line={"color": GREY, "width": 1, "dash": "dot"},
            annotation={"text": text, "font": {"size": 11}},
            annotation_position="top right",
            row=index,
            col=1,
        )
    if row.lanes:
        lanes = {"type": "category", "categoryorder": "array", "categoryarray": list(reversed(row.lanes))}
        figure.update_yaxes(**lanes, range=[-0.5, len(row.lanes) - 0.5], row=index, col=1)
    elif row.limits:
        figure.update_yaxes(range=list(row.limits), row=index, col=1)
    else:
        figure.update_yaxes(rangemode="tozero", row=index, col=1)


def scatter(curve: Curve, **settings: Any) -> go.Scatter:
    """A curve as Plotly draws it."""
    return go.Scatter(
        x=numbers(curve.x),
        y=numbers(curve.y),
        mode=curve.mode,
        line={"color": curve.colour, "width": curve.width, "dash": curve.dash},
        marker={"color": curve.colour, "size": curve.size, "symbol": curve.symbol},
        name=curve.name,
        showlegend=curve.listed,
        connectgaps=False,
        hovertemplate=curve.hover,
        **settings,
    )


def _upright(columns: Columns, legend: str) -> go.Bar:
    """Upright bars as Plotly draws them."""
    return go.Bar(
        x=list(columns.x),
        y=numbers(columns.y),
        width=columns.width,
        marker={"color": columns.colour, "line": {"width": 0}},
        text=list(columns.texts) or None,
        textposition="outside",
        cliponaxis=False,
        name=columns.name,
        showlegend=columns.listed,
        legend=legend,
        hovertemplate=columns.hover,
    )


def _bars(spans: Spans, legend: str) -> go.Bar:
    """The stretches of a lane."""
    stripes = {**_STRIPES, "bgcolor": spans.colour} if spans.hatched else {}
    return go.Bar(
        orientation="h",
        y=[spans.lane] * len(spans.stretches),
        base=[round(start, 4) for start, _ in spans.stretches],
        x=[round(end - start, 4) for start, end in spans.stretches],
        marker={"color": spans.colour, "line": {"width": 0}, "pattern": stripes},
        width=_LANE_WIDTH,
        name=f"{spans.lane} {spans.name}",
        showlegend=spans.hatched,
        legend=legend,
        hovertemplate=f"{spans.lane}: {spans.name} from %{{base:.2f}} s for %{{x:.2f}} s<extra></extra>",
    )


def _crosses(marks: Marks, legend: str) -> go.Scatter:
    """Crosses on a lane."""
    return go.Scatter(
        x=numbers(marks.x),
        y=[marks.lane] * len(marks.x),
        mode="markers",
        marker={"symbol": "x", "size": 9, "color": ALERT_COLOUR},
        name=marks.name,
        legend=legend,
        hovertemplate=f"{marks.name} at %{{x:.2f}} s<extra></extra>",
    )
