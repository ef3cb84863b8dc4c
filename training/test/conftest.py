"""Small networks, trained by the command for a few steps on a few small scenes, for all tests that need one."""

import json
import sys
from pathlib import Path

import pytest
import torch
from real_frames import write_lidar_frame, write_pairs

from msdepth_training import cli
from msdepth_training.batch import Batch
from msdepth_training.config import load_config
from msdepth_training.datasets.scenes import load_set, render_set
from msdepth_training.export import Calibration, ContractModel
from msdepth_training.real.measure import load_frames
from msdepth_training.stages.runs import load_run
from msdepth_training.stages.sources import SceneSource, scene_set
from msdepth_training.stages.train import Machine

MINIATURE = Path(__file__).with_name("miniature.yaml")


@pytest.fixture(scope="session")
def small():
    """Sizes of a network that costs next to nothing."""
    return load_config(MINIATURE).network


@pytest.fixture(scope="session")
def config():
    return load_config(MINIATURE)


@pytest.fixture(scope="session")
def machine():
    return Machine(accelerator="cpu", progress_bar=False)


@pytest.fixture(scope="session")
def data(config, tmp_path_factory):
    """Folder with the scenes of the configuration's only phase."""
    folder = tmp_path_factory.mktemp("scenes")
    render_set(scene_set(config.fuse.phases[0], config.scenes), folder, workers=1)
    return folder


@pytest.fixture(scope="session")
def source(data):
    return SceneSource(data)


@pytest.fixture(scope="session")
def samples(config, data):
    return load_set(scene_set(config.fuse.phases[0], config.scenes), data)


def call(*arguments):
    """`msdepth-train` with these arguments, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["msdepth-train", *map(str, arguments)])
        cli.main()


@pytest.fixture(scope="session")
def command():
    return call


@pytest.fixture(scope="session")
def options(data):
    """What every training command of the tests is told."""
    return ("--config", MINIATURE, "--root", data, "--workers", 1, "--threads", 1, "--accelerator", "cpu")


@pytest.fixture(scope="session")
def runs(options, tmp_path_factory):
    """Folder with every run of seed 0 that the table of results needs, but two of the specialists."""
    folder = tmp_path_factory.mktemp("runs")
    common = (*options, "--runs", folder)
    for alignment in ("none", "paper", "msdepth"):
        call("align", *common, "--alignment", alignment)
    call("align", *common, "--spectra", "nir")
    call("fuse", *common, "--from", folder / "0" / "align_msdepth")
    call("fuse", *common, "--recipe", "paper", "--from", folder / "0" / "align_paper")
    return folder


@pytest.fixture(scope="session")
def trained(runs):
    """Folder of a complete run of the network that ships."""
    return runs / "0" / "fuse_msdepth"


@pytest.fixture(scope="session")
def exported(trained, data, tmp_path_factory):
    """The trained network behind the contract, and the file that `msdepth-train export` made of it."""
    models = tmp_path_factory.mktemp("models")
    call(
        "export", "--run", trained, "--root", data, "--workers", 1, "--models", models, "--test-sequences", 4,
        "--note", "Trained by a test.",
    )  # fmt: skip
    card = json.loads((models / "small.json").read_text())
    lines = {name: tuple(line) for name, line in card["calibration"].items() if name != "on"}
    return ContractModel(load_run(trained).network, Calibration(**lines)), models / "small.onnx"


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
            *(torch.tensor([0.0, 1.0, 0.0, 1.6]).repeat(batch, 3, 1) for _ in range(2)),
        )

    return make


@pytest.fixture(scope="session")
def real_folder(tmp_path_factory):
    """Real frames of a world of which everything is known: a vehicle with LiDAR, and one with stereo pairs."""
    folder = tmp_path_factory.mktemp("data")
    write_lidar_frame(folder / "real" / "van" / "01_front")
    write_lidar_frame(folder / "real" / "van" / "02_front", tilt_deg=4.0)
    write_lidar_frame(folder / "real" / "van" / "01_side", lens=(-0.1, 0.05, 0.001, -0.001))
    write_pairs(folder / "ms2_sample")
    return folder


@pytest.fixture(scope="session")
def real_frames(real_folder):
    """By set and name."""
    return {(frame.set_name, frame.name): frame for frame in load_frames(real_folder)}
