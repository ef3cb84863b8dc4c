"""The command that makes the table, on real runs."""

import dataclasses
import json

import cv2
import pytest

from msdepth_training.config import Phase
from msdepth_training.errors import TrainingError
from msdepth_training.results.make import check_unique, image_size
from msdepth_training.results.rows import ROWS
from msdepth_training.stages.runs import load_run


@pytest.fixture(scope="module")
def out(command, runs, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    command("evaluate", runs, "--root", data, "--workers", 1, "--out", out, "--test-sequences", 4, "--no-speed")
    return out


def test_json_is_a_list_of_rows_by_condition(out):
    table = json.loads((out / "results.json").read_text())
    trained = [row for row in ROWS if row.name not in ("specialist_rgb", "specialist_thermal")]
    expected = [(row.name, c) for row in trained for c in ("all", "day", "night", "rain", "fog")]
    assert [(entry["row"], entry["condition"]) for entry in table] == expected
    for entry in table:
        assert {"abs_rel", "abs_rel_std", "abs_rel_median_scaled", "silog", "delta_3", "ece", "ause"} <= set(entry)
        assert entry["seed_count"] == 1
        assert entry["images"] == (8 if entry["condition"] == "all" else 2)


def test_bars_are_written_beside(out):
    bars = json.loads((out / "results_bars.json").read_text())["bars"]
    specialists = next(bar for bar in bars if "three specialists, AbsRel" in bar["what"])
    assert (specialists["value"], specialists["met"]) == (None, None)
    paper = next(bar for bar in bars if bar["what"] == "our fusion over the paper's, AbsRel, all conditions")
    assert paper["met"] == (paper["value"] <= 0.9)


def test_the_page_says_what_is_missing_and_what_was_run(out):
    page = (out / "results.md").read_text()
    assert "No run was there for `specialist_rgb`, `specialist_thermal`." in page
    assert "| `fuse_paper` | 0 | 6 of 6 | 64 x 160 |" in page
    assert "msdepth-train evaluate" in page


def test_the_picture_shows_something(out):
    picture = cv2.imread(str(out / "results.png"))
    assert picture.std() > 10


def test_what_cannot_be_compared_is_refused(runs):
    run = load_run(runs / "0" / "fuse_msdepth")
    larger = dataclasses.replace(run.config.fuse, phases=(Phase(height=128, width=320),))
    other = dataclasses.replace(run, config=dataclasses.replace(run.config, fuse=larger))
    with pytest.raises(TrainingError, match="different image sizes"):
        image_size([run, other])
    with pytest.raises(TrainingError, match="no run was found"):
        image_size([])
    with pytest.raises(TrainingError, match="both hold fuse_msdepth of seed 0"):
        check_unique([run, dataclasses.replace(run, folder=runs)])
