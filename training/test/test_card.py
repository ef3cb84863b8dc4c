import json

import pytest

from msdepth_training.card import contract_network
from msdepth_training.errors import TrainingError
from msdepth_training.export import sha256
from msdepth_training.stages.runs import load_run


def test_the_card_says_how_it_was_trained_and_what_was_measured(exported, trained):
    card = json.loads(exported[1].with_suffix(".json").read_text())
    assert card["sha256"] == sha256(exported[1])
    assert (card["name"], card["recipe"], card["training"]["seed"], card["training"]["steps"]) == (
        "small",
        "msdepth",
        0,
        6,
    )
    assert card["training"]["command"].startswith("msdepth-train fuse --config")
    assert "align_msdepth" in card["training"]["history"][0]["begun_with"]
    assert card["training"]["notes"] == ["Trained by a test."]
    assert card["parameters"] == sum(p.numel() for p in load_run(trained).network.parameters())
    assert set(card["metrics"]["fused"]) == {"all", "day", "night", "rain", "fog"}
    assert {"without_rgb", "rgb", "thermal_own_frame"} < set(card["metrics"])
    assert max(card["onnx_vs_pytorch_largest_relative_difference"].values()) < 1e-3
    assert "learned from rendered scenes only" in card["limits"]


@pytest.mark.parametrize("name", ["fuse_paper", "align_msdepth"])
def test_what_needs_certain_cameras_is_not_exported(runs, name):
    with pytest.raises(TrainingError, match=f"{name}, which needs certain cameras"):
        contract_network(load_run(runs / "0" / name))
