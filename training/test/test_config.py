import dataclasses

import pytest

from msdepth_training.cli import CONFIGS
from msdepth_training.config import Stage, TrainConfig, from_mapping, load_config
from msdepth_training.errors import TrainingError
from msdepth_training.networks import NetworkConfig


def write(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


def test_the_shipped_configuration_loads_and_fits_the_time_allowed():
    config = load_config(CONFIGS / "tiny.yaml")
    assert config.stages[-1].height == 256
    assert config.stages[-1].width == 640


def test_values_and_defaults(tmp_path):
    config = load_config(write(tmp_path, "name: a\nweight_decay: 1\nnetwork: {descriptor: 4}\nstages: [{steps: 3}]\n"))
    assert (config.name, config.weight_decay, config.network.descriptor, config.stages[0].steps) == ("a", 1.0, 4, 3)
    assert config.network.max_m == 100.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nam: a", "nam"),
        ("stages: [{step: 3}]", r"stages\[0\]: unknown key step"),
        ("seed: x", "seed"),
        ("network: 3", "network"),
        ("[", "cannot read"),
        ("[1, 2]", "expected a mapping"),
        ("stages: 3", "stages: expected a list"),
        ("stages: [{steps: 2.5}]", r"stages\[0\]\.steps: expected int"),
        ("seed: true", "seed: expected int"),
        ("weight_decay: yes", "weight_decay: expected float"),
    ],
)
def test_a_wrong_key_or_type_is_named(tmp_path, text, named):
    with pytest.raises(TrainingError, match=named):
        load_config(write(tmp_path, text))


def test_what_a_checkpoint_stores_is_read_back():
    config = TrainConfig(name="b", network=NetworkConfig(descriptor=5), stages=(Stage(steps=3), Stage(batch=1)))
    assert from_mapping(TrainConfig, dataclasses.asdict(config), "here") == config


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"no\.yaml"):
        load_config(tmp_path / "no.yaml")


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.5, 0.3, 0.3], [1.2, -0.1, -0.1]])
def test_shares_of_views_that_are_no_probabilities_are_refused(tmp_path, shares):
    path = tmp_path / "mine.yaml"
    path.write_text(f"stages: [{{view_shares: {shares}}}]")
    with pytest.raises(TrainingError, match="view_shares.*sum to 1"):
        load_config(path)
