"""One small network, trained for a few steps on a few small scenes and exported, for all tests that need one."""

import pytest
import torch

from msdepth_training.config import Stage, TrainConfig
from msdepth_training.datasets.scenes import load_set, render_set
from msdepth_training.export import Calibration, ContractModel, contract_metadata, export_onnx
from msdepth_training.networks import NetworkConfig
from msdepth_training.train import Trainer, load_network, scene_set


@pytest.fixture(scope="session")
def small():
    """Sizes of a network that costs next to nothing."""
    return NetworkConfig(
        channels=(4, 8, 12, 16, 16), blocks=(1, 1, 1, 1), fused=(4, 8, 8, 8), decoder=(8, 8, 8, 8), descriptor=4
    )


@pytest.fixture(scope="session")
def config(small):
    stage = Stage(height=64, width=160, sequences=4, batch=2, steps=6)
    return TrainConfig(name="small", network=small, stages=(stage,), warmup_steps=2, checkpoint_every=3)


@pytest.fixture(scope="session")
def data(config, tmp_path_factory):
    """Folder with the scenes of the configuration's only stage."""
    folder = tmp_path_factory.mktemp("scenes")
    render_set(scene_set(config.stages[0]), folder, workers=1)
    return folder


@pytest.fixture(scope="session")
def samples(config, data):
    return load_set(scene_set(config.stages[0]), data)


@pytest.fixture(scope="session")
def trained(config, data, tmp_path_factory):
    """Folder of a complete run."""
    run = tmp_path_factory.mktemp("run")
    assert Trainer(config, run, device=torch.device("cpu"), data=data, workers=1).train()
    return run


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """The trained network behind the contract, and the file it was exported to."""
    network, _, _ = load_network(trained / "checkpoint.pt")
    model = ContractModel(network, Calibration(fused=(0.9, 0.2), view=(1.1, -0.1)))
    path = tmp_path_factory.mktemp("models") / "small.onnx"
    metadata = contract_metadata(network, name="small", version="0", height=64, width=160, commit="none")
    export_onnx(model, path, height=64, width=160, metadata=metadata)
    return model, path
