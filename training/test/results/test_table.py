"""The table against numbers made by hand."""

import dataclasses
from types import SimpleNamespace

import pytest

from msdepth_ros.core.metrics import DepthMetrics
from msdepth_training.results.measure import Measured
from msdepth_training.results.rows import ROWS
from msdepth_training.results.table import Lookup, make_table, missing_rows, spread
from msdepth_training.score import Score

BY_NAME = {row.name: row for row in ROWS}


def score(abs_rel, ece=0.02, images=8):
    metrics = DepthMetrics(abs_rel, 1.0, 2.0, 0.3, 0.8, 0.9, 0.95, 20.0, 1000, 1.0)
    return Score(metrics, metrics._replace(abs_rel=abs_rel / 2), ece, 0.1, images)


def run(name, rows, recall=None):
    return SimpleNamespace(run=SimpleNamespace(name=name), rows=rows, recall_at_1=recall)


def test_means_and_spreads_over_seeds():
    runs = [
        run("fuse_paper", {"fused_paper": Measured({"all": score(a), "day": score(2 * a)})}) for a in (0.1, 0.2, 0.3)
    ]
    table = Lookup(
        make_table(runs, ("day", "night"), {("fuse_paper", 3): {"parameters": 12, "gflops": 1.5, "ms": 9.0}})
    )
    entry = table.entry("fused_paper")
    assert (entry["seed_count"], entry["images"], entry["parameters"], entry["ms"]) == (3, 8, 12, 9.0)
    assert (entry["abs_rel"], entry["abs_rel_std"]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert entry["abs_rel_median_scaled"] == pytest.approx(0.1)
    assert (entry["ece"], entry["ece_std"], entry["ause"], entry["silog"]) == (0.02, 0.0, 0.1, 20.0)
    assert table.value("fused_paper", "day") == pytest.approx(0.4)
    assert table.entry("fused_paper", "night") is None


def test_one_seed_has_no_spread():
    assert spread([0.1]) is None
    table = make_table([run("fuse_paper", {"fused_paper": Measured({"all": score(0.1)})})], (), {})
    assert (table[0]["seed_count"], table[0]["abs_rel_std"]) == (1, None)


def test_recall_and_views_go_along():
    views = {"rgb": {"all": score(0.1, ece=0.04)}}
    runs = [
        run("fuse_msdepth", {"fused_msdepth": Measured({"all": score(0.1)}, views)}),
        run("align_msdepth", {"after_rgb": Measured({"all": score(0.1), "day": score(0.1)})}, recall=0.4),
    ]
    table = Lookup(make_table(runs, ("day",), {}))
    assert table.value("fused_msdepth", name="view_ece_rgb") == 0.04
    assert table.value("after_rgb", name="recall_at_1") == 0.4
    assert table.value("after_rgb", "day", "recall_at_1") is None


def test_what_was_not_trained_is_missing_not_invented():
    table = make_table([run("fuse_paper", {"fused_paper": Measured({"all": score(0.1)})})], (), {})
    assert {e["row"] for e in table} == {"fused_paper"}
    assert "fused_msdepth" in {row.name for row in missing_rows(table)}
    assert "fused_paper" not in {row.name for row in missing_rows(table)}


def test_rows_have_the_names_agreed_upon_and_do_what_they_say():
    spectra = ("rgb", "nir", "thermal")
    agreed = {f"{kind}_{s}" for kind in ("before", "after", "specialist") for s in spectra}
    agreed |= {f"fused_msdepth_{kind}_{s}" for kind in ("without", "only") for s in spectra}
    faults = ("black", "overexposed", "blurred", "wiper", "dirt", "missing", "frozen")
    agreed |= {"fused_paper", "fused_msdepth"} | {f"fused_msdepth_fault_{fault}" for fault in faults}
    assert agreed <= set(BY_NAME)
    assert len(BY_NAME) == len(ROWS)
    for n, s in enumerate(spectra):
        for kind in ("before", "after", "specialist"):
            assert (BY_NAME[f"{kind}_{s}"].views, BY_NAME[f"{kind}_{s}"].reference) == ((n,), n)
        assert set(BY_NAME[f"fused_msdepth_without_{s}"].views) == {0, 1, 2} - {n}
        assert (BY_NAME[f"fused_msdepth_only_{s}"].views, BY_NAME[f"fused_msdepth_only_{s}"].reference) == ((n,), 0)
    assert {BY_NAME[name].reference for name in ("fused_paper", "fused_msdepth")} == {0}
    assert dataclasses.asdict(BY_NAME["fused_msdepth_fault_dirt"])["fault"] == "dirt"
