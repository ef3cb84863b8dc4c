"""One small network, trained for a few steps on a few small scenes and exported, for all tests that need one."""

import pytest
import torch

from msdepth_training.augment import Batch
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


def _texture(x, y, seed):
    """Smooth and never the same twice: [.] and [.] metres to [3, .] in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.rand(3, 6, 3, generator=generator) * torch.tensor([3.0, 3.0, 6.3])
    terms = [torch.sin(a * x + b * y + c) for channel in waves for a, b, c in channel]
    return 0.5 + 0.08 * torch.stack(terms).unflatten(0, (3, 6)).sum(dim=1)


@pytest.fixture(scope="session")
def walls():
    """Sets of three different cameras before a textured wall at 8 m and, in front of it, a board at 4 m.

    They look the same way, so that depth is known exactly: `walls(batch, board=True)` gives a `Batch` of 64 x 96.
    """
    height, width = 64, 96
    k = torch.tensor([[60.0, 62.0, 47.2, 30.1], [75.0, 74.0, 45.0, 33.3], [48.0, 47.0, 50.4, 29.0]])
    place = torch.tensor([[0.0, 0.0, 0.0], [0.4, -0.05, 0.0], [-0.3, 0.1, 0.0]])

    def camera(n, seed, board):
        fx, fy, cx, cy = k[n]
        u, v = torch.arange(width).view(1, -1).float(), torch.arange(height).view(-1, 1).float()
        ray = torch.stack(torch.broadcast_tensors((u - cx) / fx, (v - cy) / fy))
        depth = torch.full((height, width), 8.0)
        if board:
            at_board = 4.0 * ray + place[n, :2].view(2, 1, 1)
            depth[((at_board - torch.tensor([-0.5, 0.2]).view(2, 1, 1)).abs() < 0.8).all(dim=0)] = 4.0
        x, y = depth * ray + place[n, :2].view(2, 1, 1)
        return _texture(x, y, seed), depth

    def make(batch, *, board=True):
        views = [[camera(n, seed, board) for n in range(3)] for seed in range(batch)]
        reference = torch.arange(batch) % 3
        matrix = torch.zeros(3, 3, 3)
        matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2], matrix[:, 2, 2] = *k.T, torch.ones(3)
        pose = torch.eye(4).repeat(batch, 3, 1, 1)
        pose[..., :3, 3] = place[reference].unsqueeze(1) - place
        return Batch(
            torch.stack([torch.stack([image for image, _ in row]) for row in views]),
            torch.stack([torch.stack([depth for _, depth in row]) for row in views]),
            matrix.repeat(batch, 1, 1, 1),
            pose,
            reference,
            torch.ones(batch, 3),
        )

    return make
