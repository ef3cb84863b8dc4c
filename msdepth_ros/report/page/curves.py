"""The figures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.figures import (
    ALERT_COLOUR,
    CAUTION_COLOUR,
    FUSED_COLOUR,
    GREY,
    KEY_COLOURS,
    RIGHT_PX,
    SPECTRUM_COLOURS,
    Columns,
    Curve,
    Marks,
    Row,
    Spans,
    by_key,
    scatter,
    stacked,
    styled,
)
from msdepth_ros.report.page.series import Bucket, Series

TIME_AXIS = "time in the recording, s"
_ALL, _SOME, _MISSING = "in all sets", "in some sets", "missing"


def drive(series: Series, *, scored: bool) -> go.Figure:
    """Spectra and their health, error, confidence and latency over the time of one recording."""
    buckets, x = series.buckets, _seconds(series)
    rows = [_lanes(series)]
    if scored:
        errors = [bucket.mean("abs_rel") for bucket in buckets]
        curves = by_key(x, errors, [bucket.keys.most_common(1)[0][0] for bucket in buckets])
        if series.sets_per_bucket > 1:
            worst = [bucket.worst.get("abs_rel") for bucket in buckets]
            name = f"worst of {series.sets_per_bucket} sets"
            curves.insert(0, _broken(series, Curve(name, GREY, x, worst, width=1, hover="worst %{y:.3f}")))
        rows.append(Row("AbsRel, unscaled", curves, height_px=170))
    rows += [_confidences(series), _latency(series)]
    return stacked(rows, TIME_AXIS)


def errors_over_time(by_name: Mapping[str, Series]) -> go.Figure:
    """AbsRel of several variants over the time of one recording."""
    curves = [
        _broken(series, Curve(name, _colour(name), _seconds(series), [b.mean("abs_rel") for b in series.buckets],
                              width=1.8, hover="%{y:.3f}", listed=False))
        for name, series in by_name.items()
    ]  # fmt: skip
    return stacked([Row("AbsRel, unscaled", curves, height_px=240)], TIME_AXIS)


def _seconds(series: Series) -> list[float]:
    """Start of each bucket, from the start of the recording."""
    start_ns = min((bucket.start_ns for bucket in series.buckets), default=0)
    return [(bucket.start_ns - start_ns) * 1e-9 for bucket in series.buckets]


def _broken(series: Series, curve: Curve) -> Curve:
    """A curve of one value for each bucket with gaps where time jumps."""
    x: list[float] = []
    y: list[float | None] = []
    for jump, place, value in zip(series.breaks(), curve.x, curve.y, strict=True):
        x += [place, place] if jump else [place]
        y += [None, value] if jump else [value]
    return curve._replace(x=x, y=y)


def _lanes(series: Series) -> Row:
    """When each spectrum was there, and when it was in trouble."""
    start_ns = min((bucket.start_ns for bucket in series.buckets), default=0)
    stretches: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for spectrum in SPECTRA:
        before = ""
        for bucket, end_ns, jump in zip(series.buckets, series.ends_ns(), series.breaks(), strict=True):
            state = _state(bucket, spectrum)
            start_s, end_s = (bucket.start_ns - start_ns) * 1e-9, (end_ns - start_ns) * 1e-9
            lane = stretches.setdefault((spectrum, state), [])
            if state == before and not jump and lane:
                lane[-1] = (lane[-1][0], end_s)
            else:
                lane.append((start_s, end_s))
            before = state
    spans = [
        Spans(spectrum, state, _state_colour(spectrum, state), parts, hatched=state not in (_ALL, _SOME))
        for (spectrum, state), parts in stretches.items()
        if state != _MISSING
    ]
    failed = [(bucket.start_ns - start_ns) * 1e-9 for bucket in series.buckets if bucket.failed]
    marks = [Marks(SPECTRA[0], "no depth", failed)] if failed else []
    return Row("Spectra in the set", (), spans, marks, SPECTRA, height_px=105)


def _state(bucket: Bucket, spectrum: str) -> str:
    """One state of a camera for all sets of a bucket; the worst one, so that nothing is hidden."""
    words = sorted(word.partition(":")[2] for word in bucket.health if word.startswith(f"{spectrum}:"))
    trouble = [word for word in words if word != _MISSING]
    present = bucket.present[spectrum]
    if trouble:
        used = "" if present == bucket.sets else ": used in some sets" if present else ": not used"
        return ", ".join(trouble) + used
    if present == 0:
        return _MISSING
    return _ALL if present == bucket.sets else _SOME


def _state_colour(spectrum: str, state: str) -> str:
    """The spectrum's own colour, pale where it was only sometimes there; in trouble yellow, or red if not used."""
    colour = SPECTRUM_COLOURS[spectrum]
    trouble = ALERT_COLOUR if ":" in state else CAUTION_COLOUR
    return {_ALL: colour, _SOME: f"{colour}73"}.get(state, trouble)


def _confidences(series: Series) -> Row:
    """Mean confidence of the fused depth and of each spectrum."""
    x = _seconds(series)
    curves = [
        Curve(name, SPECTRUM_COLOURS[name], x, [bucket.mean(name) for bucket in series.buckets])
        for name in SPECTRA
        if any(bucket.present[name] for bucket in series.buckets)
    ]
    curves.append(Curve("fused", FUSED_COLOUR, x, [bucket.mean("confidence") for bucket in series.buckets], width=3))
    return Row("Mean confidence", [_broken(series, curve) for curve in curves], limits=(0, 1.02))


def _latency(series: Series) -> Row:
    """Latency of each set."""
    values = [bucket.mean("latency_ms") for bucket in series.buckets]
    curve = Curve("mean", FUSED_COLOUR, _seconds(series), values, width=1.2, hover="%{y:.1f} ms", listed=False)
    curves = [_broken(series, curve)]
    if series.sets_per_bucket > 1:
        worst = [bucket.worst.get("latency_ms") for bucket in series.buckets]
        name = f"worst of {series.sets_per_bucket} sets"
        curves.insert(0, _broken(series, curve._replace(name=name, colour=GREY, y=worst, width=1, listed=True)))
    return Row("Latency, ms", curves)


def by_range(results: Mapping[str, Mapping[str, Any]], *, shares: bool = True) -> go.Figure:
    """AbsRel by true distance, one colour for each result, and how many pixels each band has.

    Args:
        results: RESULT of metrics.json by name.
        shares: Also show the pixels in each band, of the first result.
    """
    errors, first = [], next(iter(results.values()))["range_bands"]
    names = [f"{band['from_m']:g}–{band['to_m']:g}" for band in first]
    for name, result in results.items():
        values = [band["abs_rel"] for band in result["range_bands"]]
        texts = ["" if value is None else f"{value:.3f}" for value in values] if len(results) == 1 else []
        errors.append(Columns(name, _colour(name), names, values, texts=texts, listed="after" in results))
    rows = [Row("AbsRel, unscaled", columns=errors, height_px=240)]
    if shares:
        total = sum(band["pixels"] for band in first) or 1
        share = [100 * band["pixels"] / total for band in first]
        texts = [f"{value:.0f} %" for value in share]
        hover = "%{y:.1f} % of the pixels"
        rows.append(Row("Pixels", columns=[Columns("", GREY, names, share, None, texts, hover, False)], height_px=80))
    figure = stacked(rows, "true distance, m")
    figure.update_xaxes(type="category")
    return figure


def _colour(name: str) -> str:
    """Of a combination of spectra, or of one side of a comparison."""
    return {"before": GREY, "after": FUSED_COLOUR}.get(name) or KEY_COLOURS.get(name, GREY)


def reliability(results: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    """How often depth is right where the network states a confidence, and how many pixels have it.

    Args:
        results: RESULT of metrics.json by name.
    """
    observed: list[Curve] = [Curve("perfect", GREY, [0, 1], [0, 1], width=1.4, dash="dash", hover="", listed=False)]
    shares = []
    for name, result in results.items():
        bins = [one for one in result["reliability"] if one["pixels"]]
        total = sum(one["pixels"] for one in bins) or 1
        x, y = [one["confidence"] for one in bins], [one["observed"] for one in bins]
        hover = "stated %{x:.2f}, right in %{y:.2f}"
        listed = len(results) > 1
        observed.append(Curve(name, _colour(name), x, y, "lines+markers", 2.4, 8, hover=hover, listed=listed))
        middle = [(one["from"] + one["to"]) / 2 for one in bins]
        share = [100 * one["pixels"] / total for one in bins]
        width = 0.9 * (bins[0]["to"] - bins[0]["from"]) / len(results) if bins else None
        shares.append(Columns(name, _colour(name), middle, share, width, hover="%{y:.1f} %", listed=False))
    rows = [
        Row("Share within a factor 1.25 of the truth", observed, limits=(0, 1.02), height_px=270),
        Row("Pixels, %", columns=shares, height_px=80),
    ]
    figure = stacked(rows, "stated confidence")
    figure.update_xaxes(range=[0, 1])
    return figure


def latency_histogram(values_ms: Sequence[float], percentiles_ms: Mapping[str, float | None]) -> go.Figure:
    """How long sets took, with the percentiles; the slowest in a thousand share the last bar.

    Args:
        values_ms: Of every set, at least one.
        percentiles_ms: By name.
    """
    values = np.asarray(values_ms, np.float64)
    width = _bin_width(float(np.percentile(values, 99.9)))
    low = width * np.floor(values.min() / width)
    count = max(1, int(np.ceil((np.percentile(values, 99.9) - low) / width + 1e-9)))
    edges = low + width * np.arange(count + 1)
    counts = np.histogram(np.minimum(values, edges[-1]), edges)[0]
    texts = [f"{start:g} to {start + width:g} ms" for start in edges[:-1]]
    if values.max() > edges[-1]:
        texts[-1] = f"{edges[-2]:g} to {values.max():.0f} ms"
    figure = go.Figure()
    figure.add_bar(
        x=edges[:-1] + width / 2, y=counts, width=[width] * count, marker={"color": FUSED_COLOUR, "line": {"width": 0}},
        customdata=texts, hovertemplate="%{customdata}: %{y} sets<extra></extra>",
    )  # fmt: skip
    styled(figure, 320)
    for rank, (name, value) in enumerate(percentiles_ms.items()):
        if value is not None:
            figure.add_vline(
                x=min(value, edges[-1]), line={"color": ALERT_COLOUR, "width": 1.4, "dash": "dot"},
                annotation={"text": f"{name} {value:.0f} ms", "font": {"size": 11}, "yshift": -14 * rank},
            )  # fmt: skip
    figure.update_layout(bargap=0.04, hovermode="closest")
    figure.update_xaxes(title_text="latency, ms")
    figure.update_yaxes(title_text="sets", range=[0, 1.3 * max(counts)])
    return figure


def _bin_width(span: float) -> float:
    """A round width that cuts a span into 20 to 50 bins."""
    power = 10.0 ** np.floor(np.log10(max(span, 1e-3) / 20))
    return float(next(power * step for step in (5, 2, 1) if power * step * 20 <= max(span, 1e-3)))


def ranking(values: Mapping[str, float | None], title: str) -> go.Figure:
    """One bar for each name, the best on top."""
    known = sorted(((value, name) for name, value in values.items() if value is not None), reverse=True)
    figure = go.Figure()
    figure.add_bar(
        orientation="h",
        x=[value for value, _ in known],
        y=[name for _, name in known],
        marker_color=[_colour(name) for _, name in known],
        text=[f"{value:.3f}" for value, _ in known],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    styled(figure, max(180, 90 + 30 * len(known)))  # lower, and Plotly puts its buttons into two columns
    figure.update_layout(hovermode="closest", bargap=0.3, margin={"t": 12})
    figure.update_xaxes(title_text=title, range=[0, 1.25 * max((value for value, _ in known), default=1.0)])
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def frame_strip(values: Sequence[float | None], title: str) -> go.Figure:
    """A value of each frame of the browser, above its slider."""
    figure = go.Figure()
    x = list(range(len(values)))
    curve = Curve(title, FUSED_COLOUR, x, values, "lines+markers", 1.4, 7, hover=f"{title} %{{y:.3f}}")
    figure.add_trace(scatter(curve))
    styled(figure, 130)
    figure.update_layout(margin={"t": 12, "b": 12, "l": 48, "r": RIGHT_PX}, hovermode="closest", clickmode="event")
    figure.update_xaxes(showticklabels=False, range=[-0.5, len(values) - 0.5], fixedrange=True)
    figure.update_yaxes(title_text=title, rangemode="tozero", fixedrange=True, nticks=4)
    return figure
