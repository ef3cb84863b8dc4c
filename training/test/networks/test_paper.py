import math

import pytest
import torch

from msdepth_training.errors import TrainingError
from msdepth_training.geometry import pixel_rays
from msdepth_training.networks import PaperFusion, SpectralDepth
from msdepth_training.networks.paper import PaperLevel, anchor_cameras, bring, gate


@pytest.fixture(scope="module")
def fusion(small):
    torch.manual_seed(0)
    fusion = PaperFusion(SpectralDepth(small))
    with torch.no_grad():  # away from the start, at which fusion adds nothing
        for parameter in fusion.fusions.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return fusion.eval()


def arguments(batch):
    return batch.images, batch.k, batch.view_from_reference


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_depth_at_full_size_in_every_anchors_frame(fusion, walls, batch):
    batch = walls(batch)
    with torch.no_grad():
        outs = fusion.all_anchors(*arguments(batch))
        chosen = fusion(*arguments(batch), batch.reference)
    assert [out.log_depth.shape for out in outs] == [batch.depth_m[:, 0].shape] * 3
    for row, anchor in enumerate(batch.reference):
        torch.testing.assert_close(chosen.log_depth[row], outs[anchor].log_depth[row], atol=1e-5, rtol=1e-5)


def test_it_starts_as_the_network_it_is_attached_to(small, walls):
    base, batch = SpectralDepth(small), walls(2)
    fusion = PaperFusion(base).eval()
    with torch.no_grad():
        outs = fusion.all_anchors(*arguments(batch))
        alone = base(batch.images.flatten(0, 1), batch.k.flatten(0, 1)).log_depth.unflatten(0, (2, 3))
    for n, out in enumerate(outs):
        torch.testing.assert_close(out.log_depth, alone[:, n], atol=1e-5, rtol=1e-5)


def test_every_view_changes_every_anchors_depth(fusion, walls):
    batch = walls(1)
    with torch.no_grad():
        before = fusion.all_anchors(*arguments(batch))
        for view in range(3):
            images = batch.images.clone()
            images[:, view] = 1.0 - images[:, view]
            after = fusion.all_anchors(images, batch.k, batch.view_from_reference)
            for a, b in zip(before, after, strict=True):
                assert (a.log_depth - b.log_depth).abs().max() > 1e-5


def test_an_absent_view_changes_nothing_and_weighs_nothing(fusion, walls):
    batch = walls(1)
    present, anchor = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([2])
    images = batch.images.clone()
    images[:, 1] = 0.0
    with torch.no_grad():
        one = fusion(*arguments(batch), anchor, present)
        other = fusion(images, batch.k, batch.view_from_reference, anchor, present)
    torch.testing.assert_close(one.log_depth, other.log_depth, atol=1e-5, rtol=1e-5)
    assert all(weights[:, 1].abs().max() == 0.0 for weights in one.weights.values())


@pytest.mark.parametrize("anchor", [0, 1, 2])
def test_the_anchor_alone_is_enough(fusion, walls, anchor):
    batch = walls(1)
    present = torch.nn.functional.one_hot(torch.tensor([anchor]), 3).float()
    with torch.no_grad():
        out = fusion(*arguments(batch), torch.tensor([anchor]), present)
    assert torch.isfinite(out.log_depth).all()


def test_without_the_anchor_it_says_so(fusion, walls):
    batch = walls(1)
    with pytest.raises(TrainingError, match="needs the anchor's own image"):
        fusion(*arguments(batch), torch.tensor([1]), torch.tensor([[1.0, 0.0, 1.0]]))


def test_two_views_are_not_what_it_is_made_for(fusion, walls):
    batch = walls(1)
    with pytest.raises(TrainingError, match="rgb, nir, thermal, got 2"):
        fusion.encode(batch.images[:, :2], batch.k[:, :2])


def test_the_frame_poses_are_given_in_does_not_matter(fusion, walls):
    batch = walls(1)
    moved = torch.eye(4)
    moved[:3, 3] = torch.tensor([0.3, 1.0, -2.0])
    with torch.no_grad():
        one = fusion(*arguments(batch), torch.tensor([1]))
        other = fusion(batch.images, batch.k, batch.view_from_reference @ moved, torch.tensor([1]))
    torch.testing.assert_close(one.log_depth, other.log_depth, atol=1e-4, rtol=1e-4)


def test_only_the_fusion_learns(small, walls):
    fusion, batch = PaperFusion(SpectralDepth(small)).train(), walls(2)
    for _ in range(2):  # at first only the last layer, which starts as zeros, has a gradient
        fusion.zero_grad()
        outs = fusion.all_anchors(*arguments(batch))
        sum(out.log_depth.mean() for out in outs).backward()
        with torch.no_grad():
            for level in fusion.fusions.values():
                level.reduce.weight.add_(0.1 * torch.randn_like(level.reduce.weight))
    assert all(p.grad is None and not p.requires_grad for p in fusion.base.parameters())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in fusion.fusions.parameters())


@pytest.mark.parametrize("anchor", [0, 1, 2])
def test_features_of_the_same_point_meet_whatever_the_cameras(walls, anchor):
    """Each camera's features say where in the world they look: brought into the anchor they must say the same."""
    batch = walls(1, board=False)
    points = pixel_rays(batch.k, *batch.depth_m.shape[-2:])[:, :, :2] * batch.depth_m.unsqueeze(2)
    world = points - batch.view_from_reference[..., :2, 3, None, None]
    index = torch.tensor([anchor])
    cameras = anchor_cameras(batch.k, batch.view_from_reference, index, batch.present, height=64, width=96)
    rows, seen = bring(world, batch.depth_m, cameras.at_stride(1), index)
    error = (rows - rows[:, anchor : anchor + 1]).abs().amax(dim=-1)[seen > 0]
    assert seen.mean(dim=-1).min() > 0.3
    assert error.quantile(0.95) < 1e-3
    assert error.max() < 0.1  # half a pixel, where a point falls beyond the outermost pixel's centre


def rows(*views):
    return torch.tensor(views).unsqueeze(0).unsqueeze(2)


def test_gating_by_hand():
    """Two channels are shared, two specific."""
    half = math.sqrt(0.5)
    features = rows([1.0, 0.0, 5.0, 6.0], [1.0, 1.0, 7.0, 8.0], [0.0, 1.0, 9.0, 9.0])
    gated = gate(features, torch.ones(1, 3, 1), torch.tensor([0]))
    torch.testing.assert_close(gated.weights[0, :, 0], torch.tensor([1.0, half, 0.0]))
    expected = [(1.0 + half) / (1.0 + half), half / (1.0 + half), 5.0, 6.0, 7.0 * half, 8.0 * half, 0.0, 0.0]
    torch.testing.assert_close(gated.features[0, 0], torch.tensor(expected))


def test_the_anchor_comes_first_whichever_it_is():
    features = rows([1.0, 0.0, 5.0, 6.0], [1.0, 0.0, 7.0, 8.0], [1.0, 0.0, 9.0, 9.5])
    gated = gate(features, torch.ones(1, 3, 1), torch.tensor([1]))
    torch.testing.assert_close(gated.features[0, 0, 2:], torch.tensor([7.0, 8.0, 9.0, 9.5, 5.0, 6.0]))


def test_a_level_has_the_papers_size():
    """Swin block of 2C channels (attention 4 (2C)^2, MLP 8 (2C)^2), norm, linear 2C to C."""
    channels = 96
    wide = 2 * channels
    weights = 12 * wide**2 + wide * channels
    count = sum(p.numel() for p in PaperLevel(channels).parameters())
    assert weights < count < 1.02 * weights
