"""How long sets take: the numbers of an evaluation's page that differ from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msdepth_ros.report.page.render import Card, Table, cells, number

Timings = Mapping[str, Any]


def time_cards(timings: Timings, variant: str) -> list[Card]:
    """The headline numbers.

    Args:
        timings: Of metrics.json.
        variant: The cameras whose times they are, to be named; empty where there are no others.
    """
    found = []
    whose = f", {variant}" if variant else ""
    for name, key in (("Latency, median", "latency_ms"), ("Model, median", "model_ms")):
        times = timings.get(key, {})
        note = f"p99 {number(times.get('p99'), '.0f')} ms{whose}"
        found.append(Card(name, number(times.get("p50"), ".0f"), "ms", note))
    busy = timings.get("model_share")
    note = "evaluation speed" if busy is None else f"{100 * busy:.0f} % of it in the model"
    note += ", all subsets" if variant else ""
    return [*found, Card("Replay", number(timings.get("sets_per_s"), ".1f"), "sets/s", note)]


def times_table(timings: Timings) -> Table:
    """Where the time goes."""
    names = {"latency_ms": "Latency", "compute_ms": "Preprocessing and network", "model_ms": "Network alone"}
    rows = [
        cells(text, *(number(timings[name].get(p), ".1f") for p in ("p50", "p90", "p99")))
        for name, text in names.items()
        if name in timings
    ]
    return Table("Times in milliseconds", ("", "p50, ms", "p90, ms", "p99, ms"), rows)


def times_by_variant(timings: Timings) -> Table | None:
    """The same of every subset of the cameras; None where there is but one."""
    rows = []
    for variant, found in timings.get("by_variant", {}).items():
        values = [found[name][p] for name in ("latency_ms", "model_ms") for p in ("p50", "p99")]
        rows.append(cells(variant, *(number(value, ".1f") for value in values)))
    columns = ("Cameras", "Latency p50, ms", "Latency p99, ms", "Network p50, ms", "Network p99, ms")
    return Table("Times by subset of the cameras", columns, rows) if len(rows) > 1 else None
