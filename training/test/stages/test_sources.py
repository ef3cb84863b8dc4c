import dataclasses

import pytest
import torch
from ms2_tree import ALL_LISTS, write_ms2

from msdepth_training.datasets.scenes import VALIDATION_SEED
from msdepth_training.stages.sources import Ms2Source, on_device, scene_set


def test_a_phase_that_shrinks_renders_larger_scenes_in_the_style_asked_for(config):
    scenes = scene_set(dataclasses.replace(config.fuse.phases[0], shrink=2), "rich")
    assert (scenes.height, scenes.width, scenes.style) == (128, 320, "rich")


def test_a_split_never_meets_another(source):
    held_out = source.validation(64, 160, 4)
    assert len(held_out) == 4
    assert [p.name for p in source.folder.iterdir() if f"{VALIDATION_SEED:06d}" in p.name and "validation" in p.name]
    test = source.test(64, 160, 2, frames=2)
    assert test.previous.tolist() == [0, 0, 2, 2]
    assert not torch.equal(held_out.images[0], test.images[0])


def test_what_stays_on_the_cpu_is_not_copied(samples):
    assert on_device(samples, torch.device("cpu")) is samples


@pytest.fixture(scope="module")
def ms2(tmp_path_factory):
    root = tmp_path_factory.mktemp("ms2")
    write_ms2(root, lists=ALL_LISTS)
    return Ms2Source(root)


def test_ms2_has_its_own_splits_and_conditions(ms2, config):
    training = ms2.training(config.fuse.phases[0])
    test = ms2.test(64, 160, 1)
    assert training.views(torch.tensor([0])).shape == (1, 3, 3, 64, 160)
    assert [test.conditions[i] for i in test.condition.tolist()] == ["day"]  # the tree has fewer than ten frames
    assert len(ms2.validation(64, 160, 1)) >= 1
    assert "MS2" in ms2.about.data
