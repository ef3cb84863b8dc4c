"""The own vehicle at the lower edge of training images."""

import math

import numpy as np
import torch

from msdepth_training.scenes import render_frame, sample_rig, sample_scene
from msdepth_training.scenes.own_body import OwnBody, cover, sample_own_body

BODY = OwnBody((0.25, 0.0, 0.0), (0.1, 0.2, 0.3), 0.4, 0.5, 10.0)


def test_it_covers_the_lower_edge_mirrors_what_is_above_and_has_no_depth():
    image = torch.zeros(3, 40, 30)
    image[:, 24] = 1.0  # a bright line five and a half rows above the edge at 30
    painted, depth_m = cover(BODY, image, torch.full((40, 30), 7.0), light=1.0, air_k=None)
    assert torch.equal(painted[:, :31], image[:, :31])
    assert torch.isnan(depth_m[31:]).all() and (depth_m[:31] == 7.0).all()
    torch.testing.assert_close(painted[:, 33, 4], torch.tensor([0.05, 0.1, 0.15]))
    torch.testing.assert_close(painted[:, 36, 4], torch.tensor([0.55, 0.6, 0.65]))


def test_it_is_as_warm_as_its_metal():
    painted, _ = cover(BODY, torch.full((1, 40, 30), 280.0), torch.ones(40, 30), light=0.0, air_k=290.0)
    assert painted[0, 0, 0] == 280.0
    assert float(painted[0, 35, 0]) == 290.0 + 10.0 - 1.5


def test_rigs_that_look_aside_see_it_more_often():
    seen = {yaw: np.mean([bool(sample_own_body(np.random.default_rng(i), yaw, ("rgb",))) for i in range(300)])
            for yaw in (0.0, 0.1, 1.5, math.pi)}  # fmt: skip
    assert max(seen[0.0], seen[0.1]) < 0.18 < 0.25 < min(seen[1.5], seen[math.pi])


def test_only_training_images_have_it():
    rig = sample_rig(np.random.default_rng(0), 32, 80, jitter=0.0, style="rich")
    seed = next(i for i in range(100) if sample_own_body(np.random.default_rng([i, 19]), 0.0, tuple(rig.k)))
    for split, there in (("train", True), ("validation", False), ("test", False)):
        frame = render_frame(sample_scene(seed, split, condition="day", style="rich"), rig, time_s=0.0)
        assert bool(torch.isnan(frame.depth_m["rgb"]).any()) == there
