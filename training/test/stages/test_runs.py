import dataclasses

import pytest
import torch

from msdepth_training.config import AlignConfig
from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth, PaperFusion, SpectralDepth
from msdepth_training.stages.runs import (
    WEIGHTS,
    Progress,
    Run,
    load_run,
    read_progress,
    relevant,
    run_name,
    save_weights,
)


def test_folders_are_named_after_what_is_in_them(config):
    specialist = dataclasses.replace(config, align=AlignConfig(alignment="none", spectra=("nir",)))
    assert run_name(config, "align") == "align_msdepth"
    assert run_name(specialist, "align") == "specialist_nir"
    assert run_name(config, "fuse") == "fuse_msdepth"


@pytest.mark.parametrize(
    ("name", "kind"), [("align_paper", SpectralDepth), ("fuse_paper", PaperFusion), ("fuse_msdepth", MsDepth)]
)
def test_a_run_is_read_back_whole(runs, config, name, kind):
    run = load_run(runs / "0" / name)
    assert isinstance(run.network, kind)
    assert not run.network.training
    assert (run.name, run.config.network, run.progress.steps) == (name, config.network, 6)
    assert run.progress.finished
    assert "--config" in run.progress.history[0]["command"]


def test_weights_in_half_the_bits_are_nearly_the_same(trained, tmp_path):
    run = load_run(trained)
    save_weights(dataclasses.replace(run, folder=tmp_path), half=True)
    stored = torch.load(tmp_path / WEIGHTS, weights_only=True)["network"]
    assert {stored[name].dtype for name, _ in run.network.named_parameters()} == {torch.float16}
    half = load_run(tmp_path).network.state_dict()
    for name, value in run.network.state_dict().items():
        torch.testing.assert_close(half[name], value, atol=1e-6, rtol=1e-3)
        if "running" in name:
            assert torch.equal(half[name], value)


def test_only_what_concerns_a_stage_has_to_stay_the_same(config):
    other = dataclasses.replace(config, name="b", align=AlignConfig(alignment="paper"))
    assert relevant(config, "fuse") == relevant(other, "fuse")
    assert relevant(config, "align") != relevant(other, "align")


def test_a_missing_run_says_what_to_do(tmp_path):
    assert read_progress(tmp_path) is None
    with pytest.raises(TrainingError, match=r"weights\.pt does not exist; train first with msdepth-train align"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_run_is_refused(tmp_path, content):
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(TrainingError, match=r"weights\.pt is not a checkpoint"):
        load_run(tmp_path)


def test_a_file_that_torch_wrote_but_not_the_stages_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / WEIGHTS)
    with pytest.raises(TrainingError, match=r"weights\.pt is not a checkpoint"):
        load_run(tmp_path)


def test_a_file_never_runs_code(tmp_path):
    torch.save({"progress": Run(tmp_path, "fuse", None, None, Progress())}, tmp_path / WEIGHTS)
    with pytest.raises(TrainingError, match=r"weights\.pt is not a checkpoint"):
        read_progress(tmp_path)
