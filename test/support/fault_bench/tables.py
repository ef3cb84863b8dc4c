"""The rows of faults.json as Markdown tables, for docs/results.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def markdown(rows: Sequence[Row]) -> str:
    """All rows, in one table for each kind of them; what was missed is told first."""
    missed = [row for row in rows if not row["passed"]]
    lines = [f"{len(rows) - len(missed)} of {len(rows)} rows passed.", ""]
    if missed:
        cells = [[row["fault"], row["camera"], row["expected"], row["seen"]] for row in missed]
        lines += ["### Missed", "", *_table(("what", "camera", "bar", "seen"), cells), ""]
    for title, belongs, columns in _SECTIONS:
        chosen = [row for row in rows if belongs(row)]
        if chosen:
            cells = [[cell(row) for _, cell in columns] for row in chosen]
            lines += [f"### {title}", "", *_table([name for name, _ in columns], cells), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(head: Sequence[str], cells: Sequence[Sequence[Any]]) -> list[str]:
    texts = [[_text(cell) for cell in line] for line in cells]
    return [f"| {' | '.join(line)} |" for line in [list(head), ["---"] * len(head), *texts]]


def _text(value: Any) -> str:  # noqa: ANN401
    """A value for people: the values of a mapping in its order, if they differ."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, Mapping):
        if set(value) <= {"rgb", "nir", "thermal"}:
            texts = [_text(one) for one in value.values()]
            return texts[0] if len(set(texts)) == 1 else ", ".join(texts)
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return "never" if value is None else str(value)


def _of(name: str, place: str = "seen") -> Callable[[Row], Any]:
    """A cell: one of the things that were seen."""
    return lambda row: row[place].get(name, "")


def _bar(name: str) -> tuple[str, Callable[[Row], Any]]:
    return "bar", _of(name, "expected")


def _named_after(row: Row) -> Any:  # noqa: ANN401
    return row["seen"].get("named_after_s", "") if row["expected"].get("named") else "not needed"


_FAULT: tuple[str, Callable[[Row], Any]] = ("fault", lambda row: row["fault"].removeprefix("accuracy: "))
_CAMERA: tuple[str, Callable[[Row], Any]] = ("camera", lambda row: row["camera"])
_PASSED: tuple[str, Callable[[Row], Any]] = ("passed", lambda row: row["passed"])


def _seen(*names: str) -> list[tuple[str, Callable[[Row], Any]]]:
    return [(name.replace("_", " "), _of(name)) for name in names]


_SECTIONS: list[tuple[str, Callable[[Row], bool], list[tuple[str, Callable[[Row], Any]]]]] = [
    ("Without any fault", lambda row: row["fault"] == "none",
     [_CAMERA, *_seen("seconds", "diagnostics", "named"), _PASSED]),
    ("Fault matrix", lambda row: "frames_to_recover" in row["expected"],
     [_FAULT, _CAMERA, ("said", _of("named")), ("after s", _named_after), ("longest time without depth, s",
      _of("largest_gap_s")), ("used again with depth image", _of("frames_to_recover")),
      ("said of others", _of("false_alarms")), _PASSED]),
    ("Latency without a camera", lambda row: row["fault"] == "latency without",
     [_CAMERA, *_seen("clean_ms", "ms"), _PASSED]),
    ("Accuracy with a faulty camera, against that without the camera", lambda row: row["fault"].startswith("accuracy"),
     [_FAULT, _CAMERA, *_seen("abs_rel", "without", "ratio", "pictures"), _PASSED]),
    ("Node killed and started again", lambda row: row["fault"] == "kill node",
     [*_seen("first_depth_s"), _bar("first_depth_s"), _PASSED]),
    ("Cost of judging one image", lambda row: row["fault"] == "cost of health",
     [_CAMERA, *_seen("p50_ms", "p99_ms"), _bar("p50_ms"), _PASSED]),
    ("Bad messages", lambda row: row["fault"] == "fuzz" and row["camera"] != "all",
     [("topic", lambda row: row["camera"]), *_seen("messages", "rejected", "uncounted", "growth", "slowest_ms"),
      _PASSED]),
    ("A network that takes three camera periods", lambda row: row["fault"] == "overload",
     [*_seen("latency_ms_p50", "latency_ms_max"), _bar("latency_ms"), *_seen("sets", "published", "dropped",
                                                                           "unaccounted"), _PASSED]),
    ("Memory", lambda row: row["fault"].endswith(": memory"),
     [_FAULT, *_seen("minutes", "first_mb", "last_mb", "mb_per_10_min"), _bar("mb_per_10_min"), _PASSED]),
    ("Latency during the soak", lambda row: row["fault"] == "soak: latency",
     [*_seen("p50_ms", "p99_ms", "first_ms", "last_ms", "growth"), _bar("growth"), _PASSED]),
    ("Sets of the soak", lambda row: row["fault"] == "soak: sets",
     [*_seen("instants", "sets", "published", "dropped_while_busy", "lost", "partial", "images", "images_lost", "said"),
      _PASSED]),
]  # fmt: skip
