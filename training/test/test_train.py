"""Training for real, on a few small scenes: render, train, stop, resume, export, compare, score."""

import dataclasses

import onnx
import pytest
import torch

from msdepth_training.calibrate import calibrate, fit_line
from msdepth_training.confidence import probability_within_factor
from msdepth_training.config import Stage, TrainConfig
from msdepth_training.datasets.scenes import SceneSet, load_set, render_set
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor, RowPrior, TorchPredictor, predict, score, score_row_prior
from msdepth_training.export import (
    OPSET,
    Calibration,
    ContractModel,
    contract_metadata,
    export_onnx,
    largest_difference,
)
from msdepth_training.networks import NetworkConfig
from msdepth_training.train import Trainer, load_network, make_batch, scene_set

SMALL = NetworkConfig(
    channels=(4, 8, 12, 16, 16), blocks=(1, 1, 1, 1), fused=(4, 8, 8, 8), decoder=(8, 8, 8, 8), descriptor=4
)
STAGE = Stage(height=64, width=160, sequences=4, batch=2, steps=6)
CONFIG = TrainConfig(name="small", network=SMALL, stages=(STAGE,), warmup_steps=2, checkpoint_every=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    render_set(scene_set(STAGE), folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def samples(data):
    return load_set(scene_set(STAGE), data)


def trainer(run, data, config=CONFIG):
    return Trainer(config, run, device=torch.device("cpu"), data=data, workers=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    run = tmp_path_factory.mktemp("run")
    assert trainer(run, data).train()
    return run


def test_rendered_sets_are_read_back_and_not_rendered_again(data, samples):
    assert len(samples) == 8
    assert samples.images.shape == (8, 5, 64, 160)
    assert samples.previous.tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    written = [p.stat().st_mtime_ns for p in data.iterdir()]
    render_set(scene_set(STAGE), data, workers=1)
    assert [p.stat().st_mtime_ns for p in data.iterdir()] == written


def test_a_missing_set_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="render"):
        load_set(SceneSet("test", 0, 1, 64, 160), tmp_path)


def test_a_batch_maps_the_reference_onto_itself(samples):
    batch = make_batch(samples, torch.tensor([0, 3]), torch.tensor([0, 2]))
    for row, reference in enumerate((0, 2)):
        torch.testing.assert_close(batch.view_from_reference[row, reference], torch.eye(4), atol=1e-5, rtol=0)
    assert torch.isinf(batch.depth_m).any()


def test_training_lowers_the_loss(tmp_path, data, samples):
    config = dataclasses.replace(
        CONFIG, stages=(dataclasses.replace(STAGE, steps=40),), warmup_steps=5, learning_rate=5e-3, fault_share=0.0
    )
    run = trainer(tmp_path, data, config)
    losses = [run.update(b)["total"] for b in run.batches(samples, config.stages[0], 0, 40)]
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


def test_a_stopped_run_resumes_exactly(tmp_path, data, trained):
    run = tmp_path / "stopped"
    first = trainer(run, data)
    assert not first.train(stop_after_s=0.0)
    assert 0 < first.step < 6
    second = trainer(run, data)
    second.resume()
    assert second.step == first.step
    assert second.train()
    straight, resumed = (load_network(r / "checkpoint.pt")[0].state_dict() for r in (trained, run))
    for name, value in straight.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_of_another_network_is_refused(trained, data):
    other = dataclasses.replace(CONFIG, network=dataclasses.replace(SMALL, descriptor=8))
    with pytest.raises(TrainingError, match="another network"):
        trainer(trained, data, other).resume()


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    network, config, _ = load_network(trained / "checkpoint.pt")
    model = ContractModel(network, Calibration(fused=(0.9, 0.2), view=(1.1, -0.1)))
    path = tmp_path_factory.mktemp("models") / "small.onnx"
    metadata = contract_metadata(network, name="small", version="0", height=64, width=160, commit="none")
    export_onnx(model, path, height=64, width=160, metadata=metadata)
    return model, path


@pytest.mark.parametrize("count", [1, 2, 3])
def test_onnx_runtime_equals_pytorch(exported, count):
    assert largest_difference(*exported, count=count, height=64, width=160) < 1e-3


def test_onnx_runtime_equals_pytorch_with_the_reference_view_absent(exported, samples):
    model, path = exported
    here, there = (predict(samples, 1, p, [1, 2], 0) for p in (TorchPredictor(model), OnnxPredictor(path)))
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(torch.from_numpy(a), torch.from_numpy(b), atol=1e-4, rtol=1e-3)


def test_the_file_keeps_the_contract(exported):
    proto = onnx.load(str(exported[1]))
    facts = {p.key: p.value for p in proto.metadata_props}
    assert {o.domain: o.version for o in proto.opset_import}[""] == OPSET == 18
    assert [i.name for i in proto.graph.input] == [
        "images",
        "intrinsics",
        "view_from_reference",
        "reference_intrinsics",
    ]
    assert [o.name for o in proto.graph.output] == ["depth_m", "confidence", "view_confidence"]
    assert facts["msdepth_contract"] == "1"
    assert facts["spectra"] == "rgb,nir,thermal"
    assert "GridSample" not in {n.op_type for n in proto.graph.node}


def test_the_file_says_nothing_of_the_machine_it_was_made_on(exported):
    import msdepth_training

    folder = str(msdepth_training.__file__).rsplit("/", 2)[0].encode()
    assert folder not in exported[1].read_bytes()


def test_outputs_are_in_range_and_a_view_that_sees_nothing_has_no_confidence(exported, samples):
    predictor = OnnxPredictor(exported[1])
    images, k = samples.views(torch.tensor([0]))[0], samples.k[0]
    away = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))  # looks backwards
    pose = torch.stack((torch.eye(4), torch.eye(4), away))
    out = predictor(images, k, pose, k[0])
    assert 1.0 <= out.depth_m.min() <= out.depth_m.max() <= 100.0
    assert 0.0 <= out.confidence.min() <= out.confidence.max() <= 1.0
    assert out.view_confidence[2].max() == 0.0
    assert out.view_confidence[0].max() > 0.0


def test_scores_by_condition(exported, samples):
    scores = score(samples, OnnxPredictor(exported[1]), (0, 1, 2), 0)
    assert scores["all"].images == 8
    assert {c for c in scores if c != "all"} == {"day", "night", "rain", "fog"}
    assert scores["all"].metrics.abs_rel == pytest.approx(
        sum(scores[c].metrics.abs_rel for c in ("day", "night", "rain", "fog")) / 4, rel=1e-6
    )


def test_the_row_prior_is_perfect_where_depth_depends_on_the_row_alone(samples):
    rows = torch.linspace(5, 50, 64)[:, None].expand(64, 160)
    flat = dataclasses.replace(samples, depth_m=rows.expand(8, 3, 64, 160).half())
    prior = RowPrior(flat.depth_m[:, 0].float().numpy())
    assert score_row_prior(prior, flat) == pytest.approx(0.0, abs=1e-3)
    assert score_row_prior(prior, samples) > 0.05


def test_calibration_finds_the_line_that_makes_confidence_true():
    generator = torch.Generator().manual_seed(0)
    stated = torch.rand(40_000, generator=generator) * 3 - 4
    truth = 0.7 * stated + 0.4
    correct = (torch.rand(40_000, generator=generator) < probability_within_factor(truth)).float()
    slope, offset = fit_line(stated, correct)
    assert slope == pytest.approx(0.7, abs=0.05)
    assert offset == pytest.approx(0.4, abs=0.15)


def test_calibration_runs_on_a_network(trained, samples):
    network, _, _ = load_network(trained / "checkpoint.pt")
    found = calibrate(network, samples)
    assert found.fused[0] > 0
    assert found.view[0] > 0
