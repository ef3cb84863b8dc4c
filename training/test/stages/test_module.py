import dataclasses
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from msdepth_training.config import Phase, TrainConfig
from msdepth_training.networks import MsDepth, NetworkConfig
from msdepth_training.stages.fuse import FuseModule
from msdepth_training.stages.module import LOG_EVERY
from msdepth_training.stages.runs import load_run
from msdepth_training.stages.train import make_module, train_stage


def test_the_average_follows_slowly_and_takes_statistics_as_they_are(config):
    module = make_module(config, "fuse")
    before = [p.clone() for p in module.average.parameters()]
    with torch.no_grad():
        for p in module.network.parameters():
            p.add_(1.0)
        for b in module.network.buffers():
            if b.is_floating_point():
                b.add_(3.0)
    module.follow(90)
    for old, new in zip(before, module.average.parameters(), strict=True):
        torch.testing.assert_close(new, old + 9.0 / 100.0)  # decay (1 + 90) / (10 + 90)
    for a, b in zip(module.average.buffers(), module.network.buffers(), strict=True):
        assert torch.equal(a, b)
    module.follow(10**6)
    largest = max((p - o).max().item() for o, p in zip(before, module.average.parameters(), strict=True))
    assert largest == pytest.approx(0.09 + 0.91 * (1 - config.ema_decay), abs=1e-5)


def test_frozen_parts_stay_in_eval_mode_and_out_of_the_optimiser(runs):
    run = load_run(runs / "0" / "fuse_paper")
    module = make_module(run.config, "fuse", load_run(runs / "0" / "align_paper"))
    module.on_train_start()
    assert module.network.training
    assert not any(m.training for m in module.network.base.modules())
    assert not any(m.training for m in module.average.modules())
    assert not any(p.requires_grad for p in module.network.base.parameters())


def test_the_curve_has_means_of_what_was_between(tmp_path, config, source, machine):
    phase = dataclasses.replace(config.align.phases[0], steps=LOG_EVERY + 1)
    config = dataclasses.replace(config, align=dataclasses.replace(config.align, phases=(phase,)), checkpoint_every=100)
    progress = train_stage("align", config, tmp_path, source, machine=machine)
    assert [entry["step"] for entry in progress.curve] == [LOG_EVERY]
    assert {"rgb", "nir", "thermal", "alignment", "total"} < set(progress.curve[0])
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    logged = board.Scalars("loss/total")
    assert [event.step for event in logged] == [LOG_EVERY - 1]
    assert logged[0].value == pytest.approx(progress.curve[0]["total"], abs=1e-4)


def test_a_resumed_run_computes_with_the_frozen_weights_of_its_checkpoint():
    """What is accelerated is what was loaded since the module was made."""
    torch.manual_seed(0)
    network = MsDepth(NetworkConfig(backbone="efficientnet_lite0", frozen_blocks=15, channels=(8, 8, 8, 8, 8)))
    module = FuseModule(network, TrainConfig(), (Phase(),))
    backbone = module.network.encoder.backbone
    with torch.no_grad():  # as a checkpoint does
        for parameter in backbone.parameters():
            parameter.mul_(1.1)
    images = torch.rand(1, 3, 64, 96)
    expected = backbone(images)
    module.on_train_start()
    assert backbone._runner is not None
    for want, have in zip(expected, backbone(images), strict=True):
        torch.testing.assert_close(have, want, atol=1e-4, rtol=1e-3)


def test_a_published_backbone_learns_more_slowly(monkeypatch):
    network = MsDepth(NetworkConfig(backbone="efficientnet_lite0", frozen_blocks=10, channels=(8, 8, 8, 8, 8)))
    module = FuseModule(network, TrainConfig(encoder_rate=0.25), (Phase(),))
    monkeypatch.setattr(type(module), "trainer", SimpleNamespace(precision="32-true"), raising=False)
    rest, published = module.configure_optimizers().param_groups
    assert (rest["share"], published["share"]) == (1.0, 0.25)
    trained = {id(p) for p in network.encoder.backbone.parameters() if p.requires_grad}
    assert {id(p) for p in published["params"]} == trained
    assert not trained & {id(p) for p in rest["params"]}


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_gradients_can_be_clipped_in_every_precision(small, walls, tmp_path, precision):
    """Lightning clips; a fused optimiser would not let it in mixed precision."""
    module = FuseModule(MsDepth(small), TrainConfig(), (Phase(steps=2),))
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=2, precision=precision, gradient_clip_val=1.0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, DataLoader([walls(2)] * 2, batch_size=None))
    assert trainer.global_step == 2
