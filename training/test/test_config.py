import dataclasses
import json

import pytest

from msdepth_training.config import CONFIGS, AlignConfig, FuseConfig, Phase, TrainConfig, from_mapping, load_config
from msdepth_training.errors import TrainingError
from msdepth_training.networks import CONVNEXT, SMALL, NetworkConfig

MODELS = CONFIGS.parents[2] / "models"


def write(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_the_shipped_configurations_are_of_the_models_that_ship(name):
    """Retraining has the recipe of the card; a recipe of a model to come has a version of its own."""
    config, card = load_config(CONFIGS / f"{name}.yaml"), json.loads((MODELS / f"{name}.json").read_text())
    assert config.name == name
    if config.version == card["version"]:
        assert json.loads(json.dumps(dataclasses.asdict(config))) == card["training"]["config"]
    else:
        assert tuple(map(int, config.version.split("."))) > tuple(map(int, card["version"].split(".")))


@pytest.mark.parametrize(("name", "network"), [("small", SMALL), ("convnext", CONVNEXT)])
def test_a_configuration_has_the_network_of_its_name(name, network):
    assert load_config(CONFIGS / f"{name}.yaml").network == network


def test_values_and_defaults(tmp_path):
    config = load_config(
        write(tmp_path, "name: a\nweight_decay: 1\nnetwork: {descriptor: 4}\nfuse: {phases: [{steps: 3}]}\n")
    )
    assert (config.name, config.weight_decay, config.network.descriptor, config.fuse.phases[0].steps) == (
        "a",
        1.0,
        4,
        3,
    )
    assert config.network.max_m == 100.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nam: a", "nam"),
        ("fuse: {phases: [{step: 3}]}", r"fuse\.phases\[0\]: unknown key step"),
        ("seed: x", "seed"),
        ("network: 3", "network"),
        ("[", "not valid YAML"),
        ("[1, 2]", "expected a mapping"),
        ("fuse: {phases: 3}", "phases: expected a list"),
        ("fuse: {phases: [{steps: 2.5}]}", r"phases\[0\]\.steps: expected int"),
        ("fuse: {phases: [{steps: 0}]}", "at least 1"),
        ("fuse: {references: 4}", "references: 4 must be 1 to 3"),
        ("align: {spectra: []}", "spectra"),
        ("align: {spectra: [rgb, rgb], alignment: none}", "each once"),
        ("align: {spectra: [rgb]}", "a specialist has alignment none"),
        ("seed: true", "seed: expected int"),
        ("weight_decay: yes", "weight_decay: expected float"),
    ],
)
def test_a_wrong_key_or_type_is_named(tmp_path, text, named):
    with pytest.raises(TrainingError, match=named):
        load_config(write(tmp_path, text))


def test_what_a_checkpoint_stores_is_read_back():
    config = TrainConfig(
        name="b",
        network=NetworkConfig(descriptor=5),
        fuse=FuseConfig(phases=(Phase(steps=3), Phase(batch=1))),
        align=AlignConfig(alignment="none", spectra=("nir",)),
    )
    assert from_mapping(TrainConfig, dataclasses.asdict(config), "here") == config


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"no\.yaml"):
        load_config(tmp_path / "no.yaml")


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.5, 0.3, 0.3], [1.2, -0.1, -0.1]])
def test_shares_of_views_that_are_no_probabilities_are_refused(tmp_path, shares):
    path = tmp_path / "mine.yaml"
    path.write_text(f"fuse: {{phases: [{{view_shares: {shares}}}]}}")
    with pytest.raises(TrainingError, match="view_shares.*sum to 1"):
        load_config(path)
