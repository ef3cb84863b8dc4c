import dataclasses

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
