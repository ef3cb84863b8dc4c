"""The curves of a report, drawn by Plotly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msdepth_ros.core.spectra import SPECTRA, spectra_key
from msdepth_ros.replay.instants import Instant
from msdepth_ros.replay.records import SetRecord, percentiles_ms

SPECTRUM_COLOURS = {"rgb": "#2f81f7", "nir": "#a45bea", "thermal": "#e8743b"}
_FUSED_COLOUR = "#1a9e75"
_ALERT_COLOUR = "#d1373f"
_SET_COLOURS = ("#1a9e75", "#2f81f7", "#e8743b", "#a45bea", "#c69214", "#d1373f", "#7b8794", "#5c6bc0")
_GREY = "rgba(128,128,128,0.25)"
_TEXT = "#808a94"  # readable on a light and on a dark page until the page's script sets the right one
_LONGEST_GAP = 1.5  # periods without a set after which a bar ends


def alive_intervals(records: Sequence[SetRecord], spectrum: str, period_ns: int) -> list[tuple[int, int]]:
    """Stretches of time in which a spectrum was in every set.

    Args:
        records: The sets, in order of time.
        spectrum: The spectrum.
        period_ns: Time between two sets.

    Returns:
        Start and end of each stretch, nanoseconds; the end is one period after its last set.
    """
    intervals: list[tuple[int, int]] = []
    for record in records:
        if spectrum not in record.spectra:
            continue
        end_ns = record.stamp_ns + period_ns
        before = next((r for r in reversed(intervals)), None)
        if before and record.stamp_ns - before[1] <= (_LONGEST_GAP - 1) * period_ns:
            intervals[-1] = (before[0], end_ns)
        else:
            intervals.append((record.stamp_ns, end_ns))
    return intervals


def timeline(
    records: Sequence[SetRecord], instants: Sequence[Instant], *, unanswered_ns: Sequence[int], period_ns: int
) -> str:
    """Which spectra were alive, their confidence, latency and AbsRel over time, as a piece of HTML without Plotly.

    Args:
        records: The sets, in order of time.
        instants: What was published.
        unanswered_ns: Stamps of the instants without depth.
        period_ns: Time between two instants.
    """
    start_ns = min([record.stamp_ns for record in records] + [instant.stamp_ns for instant in instants], default=0)
    seconds = [(record.stamp_ns - start_ns) * 1e-9 for record in records]
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.055,
        row_heights=[0.19, 0.27, 0.27, 0.27],
        subplot_titles=("Spectra in the set", "Mean confidence", "Latency, ms", "AbsRel, unscaled"),
    )
    _add_alive(figure, records, start_ns, period_ns, unanswered_ns)
    _add_confidence(figure, records, seconds)
    _add_latency(figure, records, seconds)
    _add_error(figure, records, seconds)
    _style(figure)
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, div_id="timeline", config=_CONFIG)
    return html


_CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}


def _add_alive(
    figure: go.Figure, records: Sequence[SetRecord], start_ns: int, period_ns: int, unanswered_ns: Sequence[int]
) -> None:
    """A lane with bars for each spectrum, and a mark at each instant without an answer."""
    for spectrum in reversed(SPECTRA):
        intervals = alive_intervals(records, spectrum, period_ns)
        figure.add_trace(
            go.Bar(
                orientation="h",
                y=[spectrum] * len(intervals),
                base=[(start - start_ns) * 1e-9 for start, _ in intervals],
                x=[(end - start) * 1e-9 for start, end in intervals],
                marker={"color": SPECTRUM_COLOURS[spectrum], "line": {"width": 0}},
                width=0.62,
                name=spectrum,
                showlegend=False,
                hovertemplate=f"{spectrum}: from %{{base:.2f}} s for %{{x:.2f}} s<extra></extra>",
            ),
            row=1,
            col=1,
        )
    if unanswered_ns:
        figure.add_trace(
            go.Scatter(
                x=[(stamp - start_ns) * 1e-9 for stamp in unanswered_ns],
                y=[SPECTRA[0]] * len(unanswered_ns),
                mode="markers",
                marker={"symbol": "x", "size": 9, "color": _ALERT_COLOUR},
                name="instant without depth",
                legend="legend",
            ),
            row=1,
            col=1,
        )
    figure.update_yaxes(categoryorder="array", categoryarray=list(reversed(SPECTRA)), row=1, col=1)


def _add_confidence(figure: go.Figure, records: Sequence[SetRecord], seconds: Sequence[float]) -> None:
    """Mean confidence of the fused depth and of each spectrum."""
    curves: list[tuple[str, str, list[float | None]]] = [
        (spectrum, SPECTRUM_COLOURS[spectrum], [record.view_confidence.get(spectrum) for record in records])
        for spectrum in SPECTRA
    ]
    curves.append(("fused", _FUSED_COLOUR, [record.confidence for record in records]))
    for name, colour, values in curves:
        figure.add_trace(
            go.Scatter(
                x=seconds,
                y=values,
                mode="lines",
                line={"color": colour, "width": 3 if name == "fused" else 1.6},
                name=name,
                connectgaps=False,
                legend="legend",
                hovertemplate="%{y:.2f}",
            ),
            row=2,
            col=1,
        )
    figure.update_yaxes(range=[0, 1.02], row=2, col=1)


def _add_latency(figure: go.Figure, records: Sequence[SetRecord], seconds: Sequence[float]) -> None:
    """Latency of each set with its median and 99th percentile."""
    latency = [round(record.latency_ms, 2) for record in records]
    figure.add_trace(
        go.Scatter(
            x=seconds,
            y=latency,
            mode="lines+markers",
            marker={"size": 4},
            line={"color": _FUSED_COLOUR, "width": 1},
            name="latency",
            showlegend=False,
            hovertemplate="%{y:.1f} ms",
        ),
        row=3,
        col=1,
    )
    for name, value in percentiles_ms(latency).items():
        if value is not None and name != "p90":
            figure.add_hline(
                y=value,
                line={"color": _TEXT, "width": 1, "dash": "dot"},
                annotation={"text": f"{name} {value:.0f} ms", "font": {"size": 11}},
                annotation_position="top right",
                row=3,
                col=1,
            )
    figure.update_yaxes(rangemode="tozero", row=3, col=1)


def _add_error(figure: go.Figure, records: Sequence[SetRecord], seconds: Sequence[float]) -> None:
    """AbsRel of each set, one colour for each combination of spectra."""
    keys = sorted({spectra_key(record.spectra) for record in records}, key=lambda key: (-key.count("+"), key))
    for index, key in enumerate(keys):
        chosen = [(t, r.abs_rel) for t, r in zip(seconds, records, strict=True) if spectra_key(r.spectra) == key]
        figure.add_trace(
            go.Scatter(
                x=[t for t, _ in chosen],
                y=[value for _, value in chosen],
                mode="markers",
                marker={"size": 7, "color": _SET_COLOURS[index % len(_SET_COLOURS)]},
                name=key,
                legend="legend2",
                hovertemplate="%{y:.3f}",
            ),
            row=4,
            col=1,
        )
    figure.update_yaxes(rangemode="tozero", row=4, col=1)


def _style(figure: go.Figure) -> None:
    """One look for all rows, transparent so that it fits a light and a dark page."""
    legend: dict[str, Any] = {"orientation": "h", "x": 1, "xanchor": "right", "yanchor": "bottom"}
    figure.update_layout(
        height=820,
        margin={"l": 64, "r": 16, "t": 36, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": _TEXT},
        hovermode="x",
        barmode="overlay",
        legend={**legend, "y": 0.795},
        legend2={**legend, "y": 0.222},
    )
    figure.update_xaxes(gridcolor=_GREY, zeroline=False)
    figure.update_yaxes(gridcolor=_GREY, zeroline=False, automargin=True)
    figure.update_xaxes(title_text="time in the drive, s", row=4, col=1)
    for annotation in figure.layout.annotations[:4]:
        annotation.update(x=0, xanchor="left", font={"size": 14})
