"""The numbers and sentences of an evaluation's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msdepth_ros.report.page.render import Card, Cell, Table, TableRow, cells, number
from msdepth_ros.results.frame import HIGHER_IS_BETTER, METRICS

Result = Mapping[str, Any]
LABELS = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel, m",
    "rmse": "RMSE, m",
    "rmse_log": "RMSE log",
    "delta_1": "δ < 1.25",
    "delta_2": "δ < 1.25²",
    "delta_3": "δ < 1.25³",
    "silog": "SILog",
    "coverage": "Coverage",
    "ause": "AUSE",
    "ece": "ECE",
    "confidence": "Confidence",
    "consistency": "Agreement of the spectra",
    "answered": "Sets with depth",
}
_SHARES = ("delta_1", "delta_2", "delta_3", "coverage", "consistency", "answered")
_COLUMNS = ("abs_rel", "abs_rel_median_scaled", "rmse", "delta_1", "ece", "confidence")
_NOTABLE = 1.25  # ratio of errors that is worth a sentence
_PROBLEMS = 3  # told in the overview
_ENOUGH = 0.03  # share of sets or pixels that a statement needs


def value_of(result: Result, name: str) -> float | None:
    """A score, or one of the numbers beside the scores."""
    value = result.get(name) if name in ("ece", "confidence") else result["scores"].get(name)
    return None if value is None else float(value)


def shown(name: str, value: float | None) -> str:
    """A metric for people."""
    base = name.removesuffix("_median_scaled")
    if value is not None and base in _SHARES:
        return f"{100 * value:.1f} %"
    return number(value, ".2f" if base in ("rmse", "sq_rel", "silog", "confidence") else ".3f")


def duration(seconds: float) -> str:
    """A length of time for people.

    >>> duration(9.93), duration(3899.9)
    ('9.9 s', '1 h 5 min 0 s')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{minutes} min {rest} s"


def label_of(name: str) -> str:
    """What a metric is called."""
    base = name.removesuffix("_median_scaled")
    return LABELS.get(base, base) + (", median-scaled" if base != name else "")


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better."""
    return name.removesuffix("_median_scaled") in HIGHER_IS_BETTER


def cards(result: Result) -> list[Card]:
    """The headline numbers."""
    found = _accuracy_cards(result) if result["sets_with_truth"] else _cards_without_truth(result)
    sets, answered = result["sets"], result["sets_with_depth"]
    share = answered / sets if sets else 0.0
    state = "good" if share >= 0.99 else "bad"
    found.append(Card("Sets with depth", f"{100 * share:.1f}", "%", f"{answered} of {sets}", state))
    return found


def _accuracy_cards(result: Result) -> list[Card]:
    """Error and calibration against the truth."""

    def scaled(name: str) -> str:
        return f"median-scaled {shown(name, value_of(result, name + '_median_scaled'))}"

    delta, rmse = value_of(result, "delta_1"), value_of(result, "rmse")
    found = [
        Card("AbsRel", shown("abs_rel", value_of(result, "abs_rel")), "", scaled("abs_rel"), lead=True),
        Card("δ < 1.25", number(None if delta is None else 100 * delta, ".1f"), "%", scaled("delta_1"), lead=True),
        Card("RMSE", number(rmse, ".2f"), "m", scaled("rmse") + " m", lead=True),
        Card("Calibration error", shown("ece", value_of(result, "ece")), "", "of the confidence, 0 is best", lead=True),
    ]
    if result["sets_with_truth"] < result["sets_with_depth"]:
        text = f"of {result['sets_with_depth']} with depth"
        found.append(Card("Sets with truth", str(result["sets_with_truth"]), "", text))
    return found


def _cards_without_truth(result: Result) -> list[Card]:
    """What can be said where nothing is known."""
    found = [Card("Confidence", number(result["confidence"], ".2f"), "", "mean, as stated", lead=True)]
    for spectrum, share in result["consistency"].items():
        value = number(None if share is None else 100 * share, ".1f")
        found.append(Card(f"{spectrum} agrees", value, "%", "of its own depth with the fused", lead=True))
    return found


def findings(document: Mapping[str, Any], variant: str) -> list[str]:
    """What stands out, in sentences."""
    results = document["results"][variant]
    result = results["all"]
    found = [*_range_finding(result), *_spectra_finding(results["by_spectra"]), *_bag_finding(results["by_bag"])]
    found += _calibration_finding(result)
    sets = max(1, result["sets"])
    for word, count in sorted(result["health"].items(), key=lambda item: -item[1]):
        name, _, what = word.partition(":")
        found.append(f"{name} {what or 'in trouble'} in {count} of {sets} sets ({100 * count / sets:.1f} %).")
    without = result["sets"] - result["sets_with_depth"]
    if without:
        found.append(f"{without} of {sets} sets gave no depth.")
    problems = sorted(document["problems"].items(), key=lambda item: (-item[1], item[0]))
    where = " of all subsets" if len(document["variants"]) > 1 else ""
    found += [f"{text} ({count} {'set' if count == 1 else 'sets'}{where})." for text, count in problems[:_PROBLEMS]]
    if len(problems) > _PROBLEMS:
        found.append(f"{len(problems) - _PROBLEMS} more kinds of problems: see About.")
    return found


def _range_finding(result: Result) -> list[str]:
    """Where by distance the error is largest."""
    total = sum(band["pixels"] for band in result["range_bands"])
    bands = [b for b in result["range_bands"] if b["abs_rel"] is not None and b["pixels"] >= _ENOUGH * total]
    if len(bands) < 2:
        return []
    worst, best = max(bands, key=lambda b: b["abs_rel"]), min(bands, key=lambda b: b["abs_rel"])
    if worst["abs_rel"] < _NOTABLE * best["abs_rel"]:
        return ["The relative error hardly depends on distance."]
    return [
        f"Largest error at {worst['from_m']:g} to {worst['to_m']:g} m (AbsRel {worst['abs_rel']:.3f}), smallest at "
        f"{best['from_m']:g} to {best['to_m']:g} m ({best['abs_rel']:.3f})."
    ]


def _spectra_finding(by_spectra: Mapping[str, Result]) -> list[str]:
    """Which combination of cameras costs most."""
    enough = _ENOUGH * sum(result["sets"] for result in by_spectra.values())
    errors = {key: value_of(result, "abs_rel") for key, result in by_spectra.items() if result["sets"] >= enough}
    known = {key: value for key, value in errors.items() if value is not None}
    if len(known) < 2:
        return []
    worst, best = max(known, key=lambda key: known[key]), min(known, key=lambda key: known[key])
    return [f"Worst with {worst} in the set (AbsRel {known[worst]:.3f}), best with {best} ({known[best]:.3f})."]


def _bag_finding(by_bag: Mapping[str, Result]) -> list[str]:
    """Which recording is hardest."""
    errors = {name: value_of(result, "abs_rel") for name, result in by_bag.items()}
    known = {name: value for name, value in errors.items() if value is not None}
    if len(known) < 2:
        return []
    worst = max(known, key=lambda name: known[name])
    return [f"Hardest of {len(by_bag)} recordings: {worst} (AbsRel {known[worst]:.3f})."]


def _calibration_finding(result: Result) -> list[str]:
    """Whether the confidence promises too much."""
    bins = [one for one in result["reliability"] if one["pixels"]]
    total = sum(one["pixels"] for one in bins)
    if not total:
        return []
    gap = sum((one["confidence"] - one["observed"]) * one["pixels"] for one in bins) / total
    if abs(gap) < 0.02:
        return ["On average the confidence is right to within 2 points in 100."]
    word = "overconfident" if gap > 0 else "underconfident"
    return [f"The network is {word} by {100 * abs(gap):.0f} points in 100 on average."]


def results_table(label: str, first: str, results: Mapping[str, Result], *, shares: bool = False) -> Table:
    """One row for each result, the best of each column marked.

    Args:
        label: What the table shows.
        first: Heading of the names.
        results: RESULT of metrics.json by name.
        shares: Show the share of the sets, and fewer metrics.
    """
    best = {}
    most = max((result["sets"] for result in results.values()), default=0)
    enough = [result for result in results.values() if result["sets"] >= _ENOUGH * most]
    for name in _COLUMNS[:-1]:
        known = [value for value in (value_of(result, name) for result in enough) if value is not None]
        if len(known) > 1:
            best[name] = max(known) if higher_is_better(name) else min(known)
    total = sum(result["sets"] for result in results.values()) or 1
    names: Sequence[str] = ("abs_rel", "delta_1", "ece") if shares else _COLUMNS
    if not any(result["sets_with_truth"] for result in results.values()):
        names = ("confidence",)
    silent = not shares and any(result["sets_with_depth"] < result["sets"] for result in results.values())
    rows = []
    for key, result in results.items():
        row = [Cell(key), Cell(str(result["sets"])), *([Cell(str(result["sets_with_depth"]))] if silent else [])]
        if shares:
            row.append(Cell(f"{result['sets']} of {total} sets", percent=round(100 * result["sets"] / total, 1)))
        for name in names:
            value = value_of(result, name)
            row.append(Cell(shown(name, value), "best" if value is not None and value == best.get(name) else ""))
        rows.append(TableRow(row))
    counts = ("Sets", *(("Share",) if shares else ("With depth",) if silent else ()))
    return Table(label, (first, *counts, *map(label_of, names)), rows)


def metrics_table(result: Result) -> Table:
    """Every metric, unscaled and median-scaled."""
    rows = []
    for name in (*METRICS, "coverage", "ause"):
        scaled = f"{name}_median_scaled"
        second = shown(scaled, value_of(result, scaled)) if scaled in result["scores"] else ""
        rows.append(cells(LABELS[name], shown(name, value_of(result, name)), second))
    return Table("All metrics", ("Metric", "unscaled", "median-scaled"), rows)


def range_table(result: Result) -> Table:
    """The error by distance in numbers."""
    rows = [
        cells(f"{band['from_m']:g} to {band['to_m']:g} m", f"{band['pixels']:,}", number(band["abs_rel"], ".4f"))
        for band in result["range_bands"]
    ]
    return Table("Error by true distance", ("True distance", "Pixels", "AbsRel"), rows)


def reliability_table(result: Result) -> Table:
    """The reliability diagram in numbers."""
    rows = [
        cells(f"{one['from']:.2f} to {one['to']:.2f}", f"{one['pixels']:,}", number(one["confidence"], ".3f"),
              number(one["observed"], ".3f"))
        for one in result["reliability"]
    ]  # fmt: skip
    return Table("Stated and observed confidence", ("Bin", "Pixels", "Stated", "Observed"), rows)


def spectra_table(result: Result) -> Table:
    """Each spectrum's confidence and, where it was computed, whether it agrees with the fused depth."""
    agreement = result["consistency"]
    columns = ("Spectrum", "Mean confidence", *(("Agrees with the fused depth",) if agreement else ()))
    rows = []
    for name, confidence in result["view_confidence"].items():
        texts = [number(confidence, ".2f"), *([shown("consistency", agreement.get(name))] if agreement else [])]
        rows.append(cells(name, *texts))
    return Table("By spectrum", columns, rows)


def settings(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What decides the results, line by line."""
    lines = [(f"model {name}", str(value)) for name, value in document["model"].items()]
    lines += _flat("", document["settings"])
    return lines


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested settings with dotted names."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += _flat(f"{prefix}{name}.", value)
        elif value not in (None, [], ()):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            lines.append((f"{prefix}{name}", text))
    return lines
