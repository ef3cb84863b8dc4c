"""Bars: just met, missed just beyond, and unknown where something was not measured."""

import pytest

from msdepth_training.results.bars import make_bars
from msdepth_training.scenes.faults import FAULTS

CONDITIONS = ("day", "night")
EVERY = ("all", *CONDITIONS)
SPECTRA = ("rgb", "nir", "thermal")


def values():
    """(row, condition) to entry: everything is just met."""
    table = {}
    for c in EVERY:
        singles = 1.0 if c != "night" else 1.25
        for s in SPECTRA:
            table[f"before_{s}", c] = {"abs_rel": 1.0}
            table[f"after_{s}", c] = {"abs_rel": singles, "parameters": 100}
            table[f"specialist_{s}", c] = {"abs_rel": singles / 1.0299, "parameters": 100}
            table[f"fused_msdepth_only_{s}", c] = {"abs_rel": singles}
            table[f"fused_msdepth_without_{s}", c] = {"abs_rel": singles}
            table[f"fused_msdepth_in_{s}", c] = {"abs_rel": 0.75}
        ours = {"abs_rel": 0.75, "ece": 0.05, "fusion_parameters": 5, "fusion_ms": 2.0}
        table["fused_msdepth", c] = ours | {f"view_ece_{s}": 0.05 for s in SPECTRA}
        paper = 0.75 if c != "all" else 0.75 / 0.8999
        table["fused_paper", c] = {"abs_rel": paper, "fusion_parameters": 5, "fusion_ms": 2.0}
        for f in FAULTS:
            table[f"fused_msdepth_fault_{f}", c] = {"ece": 0.05, "view_ece_broken": 0.05}
    table["before_rgb", "all"]["recall_at_1"] = 0.2
    table["after_rgb", "all"]["recall_at_1"] = 0.4
    return table


DEPLOYED = {
    "onnx_ms": 40.0,
    "real": {
        "mean": {"rho": 0.9, "abs_rel": 0.25, "delta": 0.62}, "obstacles": {"over_1_5": 0.1}, "ms2": {"ratio": 0.9}
    },
}  # fmt: skip


def bars(table, deployed=None):
    entries = [{"row": row, "condition": c, **entry} for (row, c), entry in table.items()]
    return make_bars(entries, CONDITIONS, DEPLOYED if deployed is None else deployed)


def missed(table, deployed=None):
    return [bar.what for bar in bars(table, deployed) if bar.met is False]


def test_all_bars_are_just_met():
    found = bars(values())
    assert [bar.what for bar in found if not bar.met] == []
    assert len(found) == 21


@pytest.mark.parametrize(
    ("row", "condition", "name", "value", "what"),
    [
        ("fused_paper", "all", "abs_rel", 0.83, "our fusion over the paper's, AbsRel, all conditions"),
        ("fused_paper", "day", "abs_rel", 0.74, "our fusion over the paper's, AbsRel, worst condition"),
        ("fused_msdepth_only_rgb", "all", "abs_rel", 0.99, "our fusion over the best single spectrum, RGB frame"),
        ("fused_msdepth_in_nir", "all", "abs_rel", 0.76, "our fusion over the best single spectrum, in its own frame"),
        ("after_rgb", "night", "abs_rel", 1.24, "our fusion over RGB alone, night"),
        ("fused_msdepth_without_nir", "day", "abs_rel", 1.01, "any two views over the better of the two alone"),
        ("specialist_nir", "all", "abs_rel", 0.96, "one network over three specialists, AbsRel, worst spectrum"),
        ("specialist_nir", "all", "parameters", 90, "one network over three specialists, parameters"),
        ("before_rgb", "all", "recall_at_1", 0.21, "recall@1 of aligned features over that without alignment"),
        ("fused_msdepth", "night", "ece", 0.051, "ECE fused, worst condition"),
        ("fused_msdepth", "day", "view_ece_nir", 0.051, "ECE of a view's own evidence, worst view and condition"),
        ("fused_msdepth_fault_dirt", "day", "ece", 0.051, "ECE fused, worst fault and condition"),
        (
            "fused_msdepth_fault_dirt", "day", "view_ece_broken", 0.051,
            "ECE of a broken view's own evidence, worst fault and condition",
        ),
        ("fused_msdepth", "all", "fusion_parameters", 6, "our fusion module over the paper's, parameters"),
        ("fused_msdepth", "all", "fusion_ms", 2.1, "our fusion module over the paper's, time"),
    ],
)  # fmt: skip
def test_a_value_just_beyond_its_bar_is_missed_alone(row, condition, name, value, what):
    table = values()
    if row == "fused_msdepth_only_rgb":  # a pair with it must not be worse
        for missing in ("nir", "thermal"):
            table[f"fused_msdepth_without_{missing}", condition]["abs_rel"] = value
    if row == "fused_msdepth_in_nir":
        table["after_nir", "all"]["abs_rel"] = 0.999  # so that nir is the best spectrum
        table["specialist_nir", "all"]["abs_rel"] = 0.999 / 1.0299
    table[row, condition][name] = value
    assert missed(table) == [what]


@pytest.mark.parametrize(
    ("deployed", "what"),
    [
        ({**DEPLOYED, "onnx_ms": 40.1}, "model in ONNX Runtime, three cameras, 2 cores, ms"),
        (
            {**DEPLOYED, "real": {**DEPLOYED["real"], "mean": {**DEPLOYED["real"]["mean"], "delta": 0.61}}},
            "real frames, RGB alone, delta < 1.25",
        ),
        (
            {**DEPLOYED, "real": {**DEPLOYED["real"], "obstacles": {"over_1_5": 0.11}}},
            "real frames, RGB alone, obstacles more than 1.5 times too far",
        ),
        (
            {**DEPLOYED, "real": {**DEPLOYED["real"], "ms2": {"ratio": 0.91}}},
            "real frames, three cameras over the best alone",
        ),
    ],
)
def test_what_the_exported_model_misses_is_missed_alone(deployed, what):
    assert missed(values(), deployed) == [what]


@pytest.mark.parametrize("gone", ["fused_paper", "after_nir", "specialist_rgb", "fused_msdepth_fault_dirt"])
def test_what_was_not_measured_is_neither_met_nor_missed(gone):
    table = {key: entry for key, entry in values().items() if key[0] != gone}
    unknown = [bar for bar in bars(table) if bar.met is None]
    assert unknown
    assert missed(table) == []


def test_the_worst_one_is_named():
    table = values()
    table["fused_msdepth_without_thermal", "night"]["abs_rel"] = 2.5
    bar = next(bar for bar in bars(table) if bar.what.startswith("any two views"))
    assert (bar.value, bar.detail) == (pytest.approx(2.0), "without thermal, night")
