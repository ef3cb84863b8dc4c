"""Training for real, on a few small scenes: a falling loss, exact resume, what is frozen, many processes."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest
import torch

from msdepth_training.errors import TrainingError
from msdepth_training.stages.batches import Share, training_batch
from msdepth_training.stages.runs import CHECKPOINT, WEIGHTS, load_run
from msdepth_training.stages.train import make_module, train_stage

CPU = torch.device("cpu")


def weights(folder):
    return load_run(folder).network.state_dict()


def largest_difference(a, b):
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a)


@pytest.mark.parametrize("stage", ["align", "fuse"])
def test_training_lowers_the_loss(config, samples, stage):
    phase = dataclasses.replace(config.fuse.phases[0], steps=40, learning_rate=5e-3)
    config = dataclasses.replace(config, fault_share=0.0)
    module = make_module(config, stage)
    optimiser = torch.optim.AdamW(module.network.parameters(), lr=5e-3)
    losses = []
    for step in range(30):
        batch = training_batch(samples, phase, config, step=step, share=Share(), device=CPU)
        loss = module.terms(batch, torch.Generator().manual_seed(step))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])


def test_a_run_stopped_by_time_resumes_exactly(tmp_path, config, source, machine, trained, runs):
    begin_with, calls = load_run(runs / "0" / "align_msdepth"), 0
    progress = None
    while progress is None or not progress.finished:
        progress = train_stage("fuse", config, tmp_path, source, machine=machine, begin_with=begin_with, minutes=0.0)
        calls += 1
        assert progress.steps == calls
    assert calls == 6
    assert largest_difference(weights(tmp_path), weights(trained)) == 0.0
    assert [entry["from_step"] for entry in progress.history] == [0, 1, 2, 3, 4, 5]
    assert "align_msdepth" in progress.history[0]["begun_with"]


KILLED_IN_STEP_4 = """
import os, signal, sys
from msdepth_training import cli
from msdepth_training.stages.module import StageModule
follow = StageModule.follow
def killed(self, done):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    follow(self, done)
StageModule.follow = killed
cli.main()
"""


def test_a_killed_run_resumes_exactly(tmp_path, config, source, machine, options, runs):
    """kill -9 in the middle of a step: steps since the last checkpoint are trained again, and come out the same."""
    command = [sys.executable, "-c", KILLED_IN_STEP_4, "align", *map(str, options), "--run", str(tmp_path)]
    dead = subprocess.run(command, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert not (tmp_path / WEIGHTS).exists()
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["global_step"] == 3
    progress = train_stage("align", config, tmp_path, source, machine=machine)
    assert [entry["from_step"] for entry in progress.history] == [0, 3]
    assert largest_difference(weights(tmp_path), weights(runs / "0" / "align_msdepth")) == 0.0


def test_a_complete_run_is_left_alone(config, source, machine, trained):
    written = (trained / WEIGHTS).stat().st_mtime_ns
    assert train_stage("fuse", config, trained, source, machine=machine).finished
    assert (trained / WEIGHTS).stat().st_mtime_ns == written


def test_a_checkpoint_of_another_network_is_refused(config, source, machine, trained):
    other = dataclasses.replace(config, network=dataclasses.replace(config.network, descriptor=8))
    with pytest.raises(TrainingError, match="another network"):
        train_stage("fuse", other, trained, source, machine=machine)


def test_a_changed_configuration_is_refused_unless_wanted_and_then_remembered(tmp_path, config, source, machine):
    train_stage("fuse", config, tmp_path, source, machine=machine, minutes=0.0)
    changed = dataclasses.replace(config, fault_share=0.5)
    with pytest.raises(TrainingError, match=r"fault_share.*--change-config"):
        train_stage("fuse", changed, tmp_path, source, machine=machine)
    progress = train_stage("fuse", changed, tmp_path, source, machine=machine, change_config=True)
    assert progress.finished
    assert load_run(tmp_path).config.fault_share == 0.5


def test_a_complete_run_can_be_made_longer(tmp_path, config, source, machine):
    def of(steps):
        phase = dataclasses.replace(config.align.phases[0], steps=steps)
        return dataclasses.replace(config, align=dataclasses.replace(config.align, phases=(phase,)))

    assert train_stage("align", of(2), tmp_path, source, machine=machine).steps == 2
    progress = train_stage("align", of(5), tmp_path, source, machine=machine, change_config=True)
    assert (progress.steps, progress.total_steps) == (5, 5)
    assert [entry["from_step"] for entry in progress.history] == [0, 2]


@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, config, source, machine, content):
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(TrainingError, match=r"last\.ckpt is not a checkpoint"):
        train_stage("fuse", config, tmp_path, source, machine=machine)


def test_the_frozen_base_is_what_the_aligned_run_left(runs):
    base, fused = weights(runs / "0" / "align_paper"), weights(runs / "0" / "fuse_paper")
    for name, value in base.items():
        assert torch.equal(fused[f"base.{name}"], value), name
    fresh = make_module(load_run(runs / "0" / "fuse_paper").config, "fuse", load_run(runs / "0" / "align_paper"))
    trained = {name for name in fused if name.startswith("fusions") and fused[name].is_floating_point()}
    assert any(not torch.equal(fresh.network.state_dict()[name], fused[name]) for name in trained)


def test_our_fusion_begins_with_the_aligned_encoder_and_decoder_and_trains_them(runs, config):
    aligned = load_run(runs / "0" / "align_msdepth")
    network = make_module(config, "fuse", aligned).network
    begun = network.encoder.state_dict()
    ended = weights(runs / "0" / "fuse_msdepth")
    assert largest_difference(begun, aligned.network.encoder.state_dict()) == 0.0
    assert any(not torch.equal(ended[f"encoder.{name}"], value) for name, value in begun.items())
    theirs, mine = aligned.network.decoder.state_dict(), network.state_dict()
    new = {name for name, value in theirs.items() if mine[name].shape != value.shape}
    assert new == {f"levels.{stride}.mix.0.weight" for stride in (32, 16, 8, 4)}
    assert all(torch.equal(mine[name], value) for name, value in theirs.items() if name not in new)


def test_recipe_paper_needs_an_aligned_run_of_the_same_sizes(runs, config):
    paper = dataclasses.replace(config, fuse=dataclasses.replace(config.fuse, recipe="paper"))
    with pytest.raises(TrainingError, match="--from"):
        make_module(paper, "fuse")
    with pytest.raises(TrainingError, match="no aligned network"):
        make_module(paper, "fuse", load_run(runs / "0" / "fuse_msdepth"))
    other = dataclasses.replace(paper, network=dataclasses.replace(config.network, descriptor=8))
    with pytest.raises(TrainingError, match="no aligned network"):
        make_module(other, "fuse", load_run(runs / "0" / "align_paper"))


def test_a_specialist_is_shown_its_spectrum_alone(config, samples):
    nir = dataclasses.replace(config, align=dataclasses.replace(config.align, alignment="none", spectra=("nir",)))
    module = make_module(nir, "align").eval()
    batch = training_batch(samples, config.align.phases[0], nir, step=0, share=Share(), device=CPU)
    blind = batch._replace(images=batch.images.clone())
    blind.images[:, [0, 2]] = 0.0
    generator = torch.Generator()
    terms, same = (module.terms(b, generator.manual_seed(0)) for b in (batch, blind))
    assert set(terms) == {"nir", "alignment", "total"}
    assert torch.equal(terms["total"], same["total"])
    blind.images[:, 1] = 0.0
    assert not torch.equal(terms["total"], module.terms(blind, generator.manual_seed(0))["total"])


def test_two_processes_train_one_network(tmp_path, options):
    """Both take part and one of them writes; that their shares make up the batch is shown in test_batches."""
    command = [sys.executable, "-m", "msdepth_training.cli", "fuse", *map(str, options), "--run", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    result = subprocess.run(
        [*command, "--devices", "2"], capture_output=True, text=True, env=environment, timeout=200, check=False
    )
    assert result.returncode == 0, result.stderr
    run = load_run(tmp_path)
    assert run.progress.finished
    assert run.progress.history[0]["devices"] == 2
    assert all(value.isfinite().all() for value in run.network.state_dict().values() if value.is_floating_point())
