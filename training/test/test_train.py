"""Training for real, on a few small scenes: batches, a falling loss, stop and exact resume."""

import dataclasses

import pytest
import torch

from msdepth_training.errors import TrainingError
from msdepth_training.train import Trainer, load_network, make_batch, scene_set


@pytest.fixture
def trainer(data):
    def make(run, config):
        return Trainer(config, run, device=torch.device("cpu"), data=data, workers=1)

    return make


def test_a_stage_that_shrinks_renders_larger_scenes(config):
    stage = dataclasses.replace(config.stages[0], shrink=2)
    assert (scene_set(stage).height, scene_set(stage).width) == (128, 320)


def test_a_batch_maps_the_reference_onto_itself(samples):
    batch = make_batch(samples, torch.tensor([0, 3]), torch.tensor([0, 2]))
    for row, reference in enumerate((0, 2)):
        torch.testing.assert_close(batch.view_from_reference[row, reference], torch.eye(4), atol=1e-5, rtol=0)
    assert torch.isinf(batch.depth_m).any()


def test_the_learning_rate_warms_up_is_constant_and_falls_in_the_last_stage(tmp_path, trainer, config):
    stages = tuple(dataclasses.replace(config.stages[0], steps=20, learning_rate=rate) for rate in (2e-3, 1e-3))
    run = trainer(tmp_path, dataclasses.replace(config, warmup_steps=4, stages=stages))
    rates = [run.learning_rate(step) for step in range(41)]
    assert rates[0] == pytest.approx(2e-3 / 4)
    assert set(rates[3:20]) == {2e-3}
    assert rates[20] == pytest.approx(1e-3)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[40] == pytest.approx(0.02 * 1e-3)


def test_training_lowers_the_loss(tmp_path, trainer, config, samples):
    stage = dataclasses.replace(config.stages[0], steps=40, learning_rate=5e-3)
    config = dataclasses.replace(config, stages=(stage,), warmup_steps=5, fault_share=0.0)
    run = trainer(tmp_path, config)
    losses = [run.update(b)["total"] for b in run.batches(samples, stage, 0, 40)]
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


def test_a_stopped_run_resumes_exactly(tmp_path, trainer, config, trained):
    first = trainer(tmp_path, config)
    assert not first.train(stop_after_s=0.0)
    assert 0 < first.step < 6
    second = trainer(tmp_path, config)
    second.resume()
    assert second.step == first.step
    assert second.train()
    straight, resumed = (load_network(r / "checkpoint.pt")[0].state_dict() for r in (trained, tmp_path))
    for name, value in straight.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_gives_back_its_configuration(trained, config):
    network, read, state = load_network(trained / "checkpoint.pt")
    assert read == config
    assert state["step"] == 6
    assert not network.training


def test_a_checkpoint_of_another_network_is_refused(trained, trainer, config):
    other = dataclasses.replace(config, network=dataclasses.replace(config.network, descriptor=8))
    with pytest.raises(TrainingError, match="another network"):
        trainer(trained, other).resume()


def test_a_changed_configuration_is_refused_unless_wanted_and_then_remembered(tmp_path, trainer, config):
    trainer(tmp_path, config).save()
    changed = dataclasses.replace(config, fault_share=0.5)
    with pytest.raises(TrainingError, match="fault_share.*--change-config"):
        trainer(tmp_path, changed).resume()
    run = trainer(tmp_path, changed)
    run.resume(change_config=True)
    assert run.history[-1]["from_step"] == 0


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, trainer, config, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is not a checkpoint"):
        load_network(tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is not a checkpoint"):
        trainer(tmp_path, config).resume()


def test_a_file_that_torch_wrote_but_not_the_trainer_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(TrainingError, match=r"other\.pt is not a checkpoint"):
        load_network(tmp_path / "other.pt")
