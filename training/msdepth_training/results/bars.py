"""The bars that the table is held against: each with its value, and whether it is met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.results.table import Entry, Lookup
from msdepth_training.scenes.faults import FAULTS
from msdepth_training.score import ALL

OURS, PAPER = "fused_msdepth", "fused_paper"


class Bar(NamedTuple):
    """One line of what must be shown."""

    what: str
    value: float | None
    """None where it was not measured."""
    bar: float
    at_most: bool = True
    """The value has to be at most the bar, else at least."""
    detail: str = ""
    """Which of several values this is, where the worst one counts."""

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.value is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def ratio(a: float | None, b: float | None) -> float | None:
    """A / b, None if either is unknown."""
    return None if a is None or not b else a / b


def _worst(what: str, bar: float, values: Iterable[tuple[str, float | None]]) -> Bar:
    """The largest of several values; unknown if any is, since nobody knows whether it is the worst."""
    found = list(values)
    if not found or any(value is None for _, value in found):
        return Bar(what, None, bar, detail=", ".join(name for name, value in found if value is None))
    name, value = max(found, key=lambda pair: pair[1] or 0.0)
    return Bar(what, value, bar, detail=name)


def _against_paper(table: Lookup, conditions: Sequence[str]) -> list[Bar]:
    name = "our fusion over the paper's, AbsRel"
    bars = [Bar(f"{name}, all conditions", ratio(table.value(OURS), table.value(PAPER)), 0.90)]
    each = [(c, ratio(table.value(OURS, c), table.value(PAPER, c))) for c in conditions]
    return [*bars, _worst(f"{name}, worst condition", 1.0, each)]


def _against_single(table: Lookup, conditions: Sequence[str]) -> list[Bar]:
    """In the RGB frame against any camera there, and in the frame of the best spectrum against it."""
    rivals = ("after_rgb", *(f"{OURS}_only_{s}" for s in SPECTRA))
    known = [v for v in map(table.value, rivals) if v is not None]
    best = min(known) if len(known) == len(rivals) else None
    bars = [Bar("our fusion over the best single spectrum, RGB frame", ratio(table.value(OURS), best), 0.75)]
    alone = {s: table.value(f"after_{s}") for s in SPECTRA}
    own: tuple[str, float | None] = ("", None)
    if None not in alone.values():
        s = min(alone, key=lambda name: alone[name] or 0.0)
        own = (s, ratio(table.value(OURS if s == "rgb" else f"{OURS}_in_{s}"), alone[s]))
    bars.append(Bar("our fusion over the best single spectrum, in its own frame", own[1], 0.75, detail=own[0]))
    if "night" in conditions:
        night = [(name, ratio(table.value(OURS, "night"), table.value(name, "night"))) for name in rivals[:2]]
        bars.append(_worst("our fusion over RGB alone, night", 0.6, night))
    return bars


def _pairs(table: Lookup, conditions: Sequence[str]) -> Bar:
    found = []
    for missing in SPECTRA:
        for c in (ALL, *conditions):
            alone = [table.value(f"{OURS}_only_{s}", c) for s in SPECTRA if s != missing]
            better = min((v for v in alone if v is not None), default=None) if None not in alone else None
            found.append((f"without {missing}, {c}", ratio(table.value(f"{OURS}_without_{missing}", c), better)))
    return _worst("any two views over the better of the two alone", 1.0, found)


def _specialists(table: Lookup) -> list[Bar]:
    each = [(s, ratio(table.value(f"after_{s}"), table.value(f"specialist_{s}"))) for s in SPECTRA]
    sizes = [table.value(f"specialist_{s}", name="parameters") for s in SPECTRA]
    three = sum(v for v in sizes if v is not None) if None not in sizes else None
    one = table.value("after_rgb", name="parameters")
    return [
        _worst("one network over three specialists, AbsRel, worst spectrum", 1.03, each),
        Bar("one network over three specialists, parameters", ratio(one, three), 0.3334),
    ]


def _confidence(table: Lookup, conditions: Sequence[str]) -> list[Bar]:
    every = (ALL, *conditions)
    fused = [(f"{OURS}, {c}", table.value(OURS, c, "ece")) for c in every]
    views = [(f"{s}, {c}", table.value(OURS, c, f"view_ece_{s}")) for s in SPECTRA for c in every]
    faults = [(f"{f}, {c}", table.value(f"{OURS}_fault_{f}", c, "ece")) for f in FAULTS for c in every]
    broken = [
        (f"{f}, {c}", table.value(f"{OURS}_fault_{f}", c, "view_ece_broken"))
        for f in FAULTS if f != "missing" for c in every
    ]  # fmt: skip
    return [
        _worst("ECE fused, worst condition", 0.05, fused),
        _worst("ECE of a view's own evidence, worst view and condition", 0.05, views),
        _worst("ECE fused, worst fault and condition", 0.05, faults),
        _worst("ECE of a broken view's own evidence, worst fault and condition", 0.05, broken),
    ]


def _cost(table: Lookup, deployed: Mapping[str, Any]) -> list[Bar]:
    bars = [Bar("model in ONNX Runtime, three cameras, 2 cores, ms", deployed.get("onnx_ms"), 40.0)]
    for name, unit in (("fusion_parameters", "parameters"), ("fusion_ms", "time")):
        found = ratio(table.value(OURS, name=name), table.value(PAPER, name=name))
        bars.append(Bar(f"our fusion module over the paper's, {unit}", found, 1.0))
    return bars


REAL_BARS = (
    ("rank correlation", "mean", "rho", 0.90, False), ("AbsRel", "mean", "abs_rel", 0.25, True),
    ("delta < 1.25", "mean", "delta", 0.62, False),
    ("obstacles more than 1.5 times too far", "obstacles", "over_1_5", 0.10, True),
)  # fmt: skip
"""What, part and number of `real`, limit, and whether that is at most."""


def _real(deployed: Mapping[str, Any]) -> list[Bar]:
    """RGB alone in real frames, mean over sets; and what the other cameras add."""
    found = deployed.get("real") or {}
    bars = [
        Bar(f"real frames, RGB alone, {what}", found.get(part, {}).get(name), limit, at_most=at_most)
        for what, part, name, limit, at_most in REAL_BARS
    ]
    cameras = found.get("ms2") or {}
    return [*bars, Bar("real frames, three cameras over the best alone", cameras.get("ratio"), 0.9)]


def make_bars(entries: Sequence[Entry], conditions: Sequence[str], deployed: Mapping[str, Any]) -> list[Bar]:
    """All bars.

    Args:
        entries: the table.
        conditions: without `all`.
        deployed: `onnx_ms` and `real` of the exported model, as far as they were measured.
    """
    table = Lookup(entries)
    gain = ratio(table.value("after_rgb", name="recall_at_1"), table.value("before_rgb", name="recall_at_1"))
    return [
        *_against_paper(table, conditions),
        *_against_single(table, conditions),
        _pairs(table, conditions),
        *_specialists(table),
        Bar("recall@1 of aligned features over that without alignment", gain, 2.0, at_most=False),
        *_confidence(table, conditions),
        *_real(deployed),
        *_cost(table, deployed),
    ]
