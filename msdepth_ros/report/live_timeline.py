"""The timeline of a live run: which spectra were alive, confidence, latency and error of each set."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from msdepth_ros.core.spectra import SPECTRA, spectra_key
from msdepth_ros.report.figures import FUSED_COLOUR, SPECTRUM_COLOURS, Curve, Marks, Row, Spans, by_key, stacked
from msdepth_ros.results.instants import Instant
from msdepth_ros.results.live import SetRecord, percentiles_ms

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
) -> go.Figure:
    """Which spectra were alive, their confidence, latency and AbsRel over time.

    Args:
        records: The sets, in order of time.
        instants: What was published.
        unanswered_ns: Stamps of the instants without depth.
        period_ns: Time between two instants.
    """
    start_ns = min([record.stamp_ns for record in records] + [instant.stamp_ns for instant in instants], default=0)
    seconds = [(record.stamp_ns - start_ns) * 1e-9 for record in records]
    errors = [record.abs_rel for record in records]
    keys = [spectra_key(record.spectra) for record in records]
    rows = [
        _alive(records, start_ns, period_ns, unanswered_ns),
        Row("Mean confidence", _confidences(records, seconds), limits=(0, 1.02)),
        _latency(records, seconds),
        Row("AbsRel, unscaled", by_key(seconds, errors, keys)),
    ]
    return stacked(rows, "time in the drive, s")


def _alive(records: Sequence[SetRecord], start_ns: int, period_ns: int, unanswered_ns: Sequence[int]) -> Row:
    """A lane with bars for each spectrum, and a mark at each instant without an answer."""
    spans = []
    for spectrum in SPECTRA:
        intervals = alive_intervals(records, spectrum, period_ns)
        stretches = [((start - start_ns) * 1e-9, (end - start_ns) * 1e-9) for start, end in intervals]
        spans.append(Spans(spectrum, "in the set", SPECTRUM_COLOURS[spectrum], stretches))
    silent_s = [(stamp - start_ns) * 1e-9 for stamp in unanswered_ns]
    marks = [Marks(SPECTRA[0], "instant without depth", silent_s)] if silent_s else []
    return Row("Spectra in the set", (), spans, marks, SPECTRA, height_px=105)


def _confidences(records: Sequence[SetRecord], seconds: Sequence[float]) -> list[Curve]:
    """Mean confidence of the fused depth and of each spectrum."""
    curves = [
        Curve(spectrum, SPECTRUM_COLOURS[spectrum], seconds, [r.view_confidence.get(spectrum) for r in records])
        for spectrum in SPECTRA
    ]
    return [*curves, Curve("fused", FUSED_COLOUR, seconds, [record.confidence for record in records], width=3)]


def _latency(records: Sequence[SetRecord], seconds: Sequence[float]) -> Row:
    """Latency of each set with its median and 99th percentile."""
    latency = [round(record.latency_ms, 2) for record in records]
    curve = Curve("latency", FUSED_COLOUR, seconds, latency, "lines+markers", 1, 4, hover="%{y:.1f} ms", listed=False)
    levels = [
        (value, f"{name} {value:.0f} ms")
        for name, value in percentiles_ms(latency).items()
        if value is not None and name != "p90"
    ]
    return Row("Latency, ms", [curve], levels=levels)
