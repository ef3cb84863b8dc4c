import json
from pathlib import Path

import pytest
import torch

from msdepth_training.calibrate import UNCALIBRATED
from msdepth_training.results.costs import measure_costs
from msdepth_training.results.deployed import measure_deployed
from msdepth_training.results.measure import find_runs, measure_row, measure_run, recall
from msdepth_training.results.rows import ROWS
from msdepth_training.stages.runs import load_run

CPU = torch.device("cpu")


def test_runs_are_found_once_however_they_are_named(runs):
    found = find_runs([runs, runs / "0", runs / "0" / "align_none"])
    assert [run.name for run in found] == [
        "align_msdepth", "align_none", "align_paper", "fuse_msdepth", "fuse_paper", "specialist_nir"
    ]  # fmt: skip


def test_a_run_is_calibrated_and_scored_on_its_own_rows(runs, samples):
    measured = measure_run(load_run(runs / "0" / "specialist_nir"), samples, samples, samples.conditions, device=CPU)
    assert set(measured.rows) == {"specialist_nir"}
    assert set(measured.lines) == {"rgb", "nir", "thermal"}
    scores = measured.rows["specialist_nir"].scores
    assert scores["all"].images == 8
    assert sum(scores[c].metrics.abs_rel for c in samples.conditions) / 4 == pytest.approx(
        scores["all"].metrics.abs_rel
    )
    assert measured.recall_at_1 is None, "one spectrum has nothing to be aligned with"


def test_of_a_broken_camera_its_own_evidence_is_scored_alone(runs, samples):
    row = next(row for row in ROWS if row.name == "fused_msdepth_fault_dirt")
    network = load_run(runs / "0" / "fuse_msdepth").network
    measured = measure_row(network, UNCALIBRATED, row, samples, samples.conditions, device=CPU)
    assert set(measured.views) == {"broken"}
    assert measured.views["broken"]["all"].images == measured.scores["all"].images == 8


def test_recall_is_that_of_features_at_the_same_points(runs, samples):
    network = load_run(runs / "0" / "align_none").network
    few = recall(network, samples, device=CPU, points=50)
    assert 0.0 <= few <= 1.0
    assert recall(network, samples, device=CPU, points=5000) is None


def test_costs_are_those_of_the_networks(runs):
    found = [run for run in find_runs([runs]) if run.stage == "fuse"]
    costs = measure_costs(found, height=64, width=160, cores=1)
    assert {views for name, views in costs if name == "fuse_msdepth"} == {1, 2, 3}
    run = load_run(runs / "0" / "fuse_paper")
    assert costs["fuse_paper", 3]["parameters"] == sum(p.numel() for p in run.network.parameters())
    assert costs["fuse_msdepth", 1]["gflops"] < costs["fuse_msdepth", 3]["gflops"]
    assert min(cost["ms"] for cost in costs.values()) > 0


def test_without_a_model_that_ships_nothing_is_exported(runs, source):
    aligned = [load_run(runs / "0" / "align_none")]
    assert measure_deployed(aligned, source, speed=True) == {}
    assert measure_deployed([load_run(runs / "0" / "fuse_msdepth")], source, speed=False) == {}


def test_the_file_that_ships_is_measured_where_it_is_named(runs, source):
    model = Path(__file__).parents[3] / "models" / "tiny.onnx"
    found = measure_deployed([load_run(runs / "0" / "align_none")], source, speed=True, model=model)
    card = json.loads(model.with_suffix(".json").read_text())
    assert found["model"] == f"{card['name']} {card['version']}"
    assert found["onnx_ms"] > 0
