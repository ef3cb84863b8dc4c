"""What each kind of network is asked for a row, and what is done to the camera that breaks."""

import collections
import dataclasses

import numpy as np
import pytest
import torch

from msdepth_training.calibrate import UNCALIBRATED
from msdepth_training.results.answers import FUSED, another_moment, answer, batch_of, victims
from msdepth_training.results.rows import ROWS
from msdepth_training.scenes.faults import FAULTS
from msdepth_training.stages.runs import load_run

CPU = torch.device("cpu")
BY_NAME = {row.name: row for row in ROWS}
INDEX = torch.tensor([1, 2, 4])


def ask(runs, samples, name, lines=UNCALIBRATED):
    row = BY_NAME[name]
    run = load_run(runs / "0" / row.run)
    return answer(run.network, batch_of(samples, INDEX, row, CPU), row, lines)


@pytest.mark.parametrize(
    ("name", "reference", "views"),
    [
        ("before_nir", 1, []),
        ("specialist_nir", 1, []),
        ("fused_paper", 0, []),
        ("fused_paper_in_thermal", 2, []),
        ("fused_msdepth", 0, ["rgb", "nir", "thermal"]),
        ("fused_msdepth_in_nir", 1, ["rgb", "nir", "thermal"]),
        ("fused_msdepth_without_rgb", 0, ["nir", "thermal"]),
        ("fused_msdepth_only_thermal", 0, ["thermal"]),
    ],
)
def test_answers_are_scored_in_the_frame_of_the_row(runs, samples, name, reference, views):
    found = ask(runs, samples, name)
    assert set(found) == {FUSED, *(f"view_{s}" for s in views)}
    fused = found[FUSED]
    assert fused.depth_m.shape == fused.confidence.shape == fused.truth_m.shape == (3, 64, 160)
    truth = samples.depth_m[INDEX, reference].float().numpy()
    assert np.array_equal(fused.truth_m[truth < 1e4], truth[truth < 1e4])
    assert 1.0 <= fused.depth_m.min() <= fused.depth_m.max() <= 100.0
    for s in views:
        view = found[f"view_{s}"]
        assert view.truth_m.shape == view.depth_m.shape == (3, 8, 20)
        own = samples.depth_m[INDEX, ("rgb", "nir", "thermal").index(s)].float().numpy()[:, 4::8, 4::8]
        assert np.array_equal(view.truth_m[own < 1e4], own[own < 1e4])


@pytest.mark.parametrize(("name", "line"), [("after_nir", "nir"), ("fused_paper", "rgb"), ("fused_msdepth", "fused")])
def test_confidence_is_calibrated_by_the_line_of_its_kind(runs, samples, name, line):
    plain, other = ask(runs, samples, name)[FUSED], ask(runs, samples, name, UNCALIBRATED | {line: (1.0, 2.0)})[FUSED]
    assert np.array_equal(plain.depth_m, other.depth_m)
    assert (plain.confidence > other.confidence).all()


def test_a_left_out_view_is_not_looked_at(runs, samples):
    dark = dataclasses.replace(samples, images=samples.images.clone())
    dark.images[:, :3] = 0
    for name, same in (("fused_msdepth_without_rgb", True), ("fused_msdepth_only_rgb", False)):
        a, b = ask(runs, samples, name)[FUSED], ask(runs, dark, name)[FUSED]
        assert np.array_equal(a.depth_m, b.depth_m) == same


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_befalls_one_camera_of_each_frame(samples, fault):
    whole = batch_of(samples, INDEX, BY_NAME["fused_msdepth"], CPU)
    broken = batch_of(samples, INDEX, BY_NAME[f"fused_msdepth_fault_{fault}"], CPU)
    again = batch_of(samples, INDEX, BY_NAME[f"fused_msdepth_fault_{fault}"], CPU)
    assert torch.equal(broken.images, again.images)
    for b, struck in enumerate(victims(fault, INDEX.tolist())):
        for n in range(3):
            changed = not torch.equal(whole.images[b, n], broken.images[b, n])
            assert changed == (n == struck and fault != "missing")
            assert broken.present[b, n] == (0.0 if n == struck and fault == "missing" else 1.0)


def test_every_camera_is_struck_equally_often_and_the_wiper_spares_thermal():
    counts = collections.Counter(victims("dirt", range(3000)))
    assert min(counts[n] for n in range(3)) > 900
    assert set(victims("wiper", range(300))) == {0, 1}


def test_a_frozen_camera_shows_another_moment_of_the_same_street(samples):
    assert another_moment(samples, torch.arange(8)).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    alone = dataclasses.replace(samples, previous=torch.arange(8))
    assert another_moment(alone, torch.arange(8)).tolist() == list(range(8))
