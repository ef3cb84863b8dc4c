import dataclasses

import numpy as np
import pytest
import torch

from msdepth_training.datasets.scenes import SceneSet, _late_s, load_set, render_sequence, render_set
from msdepth_training.errors import TrainingError
from msdepth_training.stages.sources import scene_set


def test_rendered_sets_are_read_back_and_not_rendered_again(config, data, samples):
    assert len(samples) == 8
    assert samples.images.shape == (8, 5, 64, 160)
    assert samples.previous.tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    written = [p.stat().st_mtime_ns for p in data.iterdir()]
    render_set(scene_set(config.fuse.phases[0], config.scenes), data, workers=1)
    assert [p.stat().st_mtime_ns for p in data.iterdir()] == written


def test_a_missing_set_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="render"):
        load_set(SceneSet("test", 0, 1, 64, 160), tmp_path)


def test_the_name_of_a_shard_says_all_that_decides_its_content(tmp_path):
    plain = SceneSet("test", 0, 40, 64, 160)
    changes = {
        "split": "train",
        "first_seed": 40,
        "height": 32,
        "width": 96,
        "frames": 1,
        "jitter": 0.0,
        "style": "rich",
        "baseline": 2.0,
    }
    others = [dataclasses.replace(plain, **{name: value}) for name, value in changes.items()]
    names = {s.shard_path(tmp_path, i).name for s in (plain, *others) for i in (0, 1)}
    assert len(names) == 18


def test_a_sequence_of_rich_scenes_has_all_that_is_stored():
    rows = render_sequence(SceneSet("train", 0, 1, 32, 96, style="rich"), 2)
    assert [tuple(row["images"].shape) for row in rows] == [(5, 32, 96)] * 2
    assert all((row["depth_m"] > 0).float().mean() > 0.7 for row in rows)
    assert all(row["images"][band].float().std() > 1 for row in rows for band in (0, 3, 4))
    assert not torch.equal(rows[0]["depth_m"], rows[1]["depth_m"])


def test_half_of_the_sequences_are_not_simultaneous_and_no_test_scene_is():
    rich = SceneSet("train", 0, 1, 32, 96, style="rich")
    late = [_late_s(rich, seed) for seed in range(200)]
    assert 0.4 < np.mean([max(s.values()) > 0.0 for s in late]) < 0.6
    assert 0.03 < max(max(s.values()) for s in late) <= 0.033
    for at_once in (dataclasses.replace(rich, split="test"), dataclasses.replace(rich, style="street")):
        assert all(max(_late_s(at_once, seed).values()) == 0.0 for seed in range(20))


def test_the_same_street_is_seen_by_rigs_half_and_twice_as_wide():
    narrow, wide = (
        render_sequence(SceneSet("test", 0, 1, 32, 96, 1, style="rich", baseline=b), 6)[0] for b in (0.5, 2)
    )
    assert torch.equal(narrow["images"][:3], wide["images"][:3])
    assert torch.equal(narrow["depth_m"][0], wide["depth_m"][0])
    assert torch.equal(narrow["ground_plane"], wide["ground_plane"])
    assert not torch.equal(narrow["depth_m"][2], wide["depth_m"][2])


def test_views_are_scaled_and_grey_ones_repeated(samples):
    views = samples.views(torch.tensor([3, 5]))
    assert views.shape == (2, 3, 3, 64, 160)
    assert torch.equal(views[1, 0], samples.images[5, :3] / 255.0)
    for view, channel in ((1, 3), (2, 4)):
        for repeated in views[1, view]:
            assert torch.equal(repeated, samples.images[5, channel] / 255.0)


def test_shrinking_averages_images_and_picks_depth(config, data, samples):
    small = load_set(scene_set(config.fuse.phases[0], config.scenes), data, shrink=2)
    assert small.images.shape == (8, 5, 32, 80)
    assert abs(small.images[0, 1, 4, 7].item() - samples.images[0, 1, 8:10, 14:16].float().mean().item()) <= 0.5
    assert torch.equal(small.depth_m, samples.depth_m[..., 1::2, 1::2])
    assert small.k[0, 0, 0, 2].item() == pytest.approx((samples.k[0, 0, 0, 2].item() + 0.5) / 2 - 0.5, abs=1e-4)
    assert small.k[0, 0, 1, 1].item() == pytest.approx(samples.k[0, 0, 1, 1].item() / 2)
    assert torch.equal(small.ground_plane, samples.ground_plane)
    assert torch.equal(small.condition, samples.condition) and torch.equal(small.previous, samples.previous)
