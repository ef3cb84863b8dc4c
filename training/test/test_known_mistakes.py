"""Mistakes that are known of the published code of align and fuse: each has a test here that fails if it comes back.

- dense InfoNCE normalised over the image's width: `test_dense_vectors_are_normalised_over_channels`
- positives paired across scenes, a batch of one crashes: `test_positives_are_of_the_same_scene`
- projected features detached: `test_alignment_teaches_every_spectrum`
- invalid pixels kept as zero vectors: `test_invalid_positions_are_neither_positives_nor_negatives`
- no other positions among the negatives: `test_a_constant_vector_is_no_solution`
- flips and crops drawn for each spectrum: `test_augmented_views_still_fit_together`
- warp half a pixel off: `test_the_identity_warp_is_exact_at_every_level`
- target depth unprojected with the source's K: `test_each_depth_is_unprojected_with_its_own_k`
- no z > 0 test: `test_what_lies_behind_a_camera_is_not_seen`
- no occlusion test: `test_what_is_occluded_is_not_seen`
- frozen without eval: `test_frozen_means_eval_and_no_gradient`
- thermal the judge of reliability: `test_no_spectrum_is_the_judge`
- everything zeroed outside the judge's view: `test_something_is_left_outside_the_other_views`
- negative weights: `test_weights_are_never_negative`
- evaluation scaled by the median unless told otherwise: `test_a_depth_three_times_wrong_is_seen`
- empty truth or sky makes NaN: `test_empty_truth_and_sky_make_no_nan`
"""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from msdepth_ros.core.metrics import depth_metrics
from msdepth_training import losses
from msdepth_training.augment import augment
from msdepth_training.geometry import pixel_rays
from msdepth_training.networks import MsDepth, PaperFusion, SpectralDepth
from msdepth_training.networks.cameras import Views
from msdepth_training.networks.fusion import warp
from msdepth_training.networks.paper import PaperOutput, anchor_cameras, bring, gate
from msdepth_training.objective import align_objective, objective, paper_fuse_objective
from msdepth_training.objective.align import in_thermal_frame, paper_alignment
from msdepth_training.objective.paper import consistency
from msdepth_training.objective.points import corresponding

MAX_M = 100.0


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def everywhere(shape):
    return torch.ones(shape, dtype=torch.bool)


def test_dense_vectors_are_normalised_over_channels():
    """The length of the vector at a position says nothing."""
    shared, specific = rows(2, 3, 20, 8), rows(2, 3, 20, 8, seed=1)
    lengths = rows(2, 3, 20, 1, seed=2).exp()
    before = losses.dense_info_nce(shared, specific, everywhere((2, 3, 20)))
    after = losses.dense_info_nce(shared * lengths, specific / lengths, everywhere((2, 3, 20)))
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("dense", [False, True])
def test_positives_are_of_the_same_scene(batch, dense):
    """Every scene has a vector of its own, the same in all spectra: the loss is near zero for the right pairs only."""
    own = torch.eye(8)[:batch].view(batch, 1, 8).expand(-1, 3, -1)
    specific = -torch.eye(8)[7].expand(batch, 3, 8)

    def loss(shared):
        if dense:
            return losses.dense_info_nce(shared.unsqueeze(2), specific.unsqueeze(2), everywhere((batch, 3, 1)))
        return losses.global_info_nce(shared, specific)

    assert loss(own) < 0.01
    if batch > 1:
        crossed = torch.cat((own[:, :1], own[:, 1:].roll(1, dims=0)), dim=1)
        assert loss(crossed) > 5.0


def test_alignment_teaches_every_spectrum(small, walls):
    """The dense term alone must give a gradient to the features of RGB, NIR and thermal."""
    batch = walls(2)
    features = rows(2, 3, 16, 2, 3).requires_grad_()
    shared, seen = in_thermal_frame(features, batch.depth_m.log(), batch, min_m=1.0, max_m=MAX_M)
    losses.dense_info_nce(*shared.chunk(2, dim=-1), seen).backward()
    assert features.grad.abs().amax(dim=(0, 2, 3, 4)).min() > 1e-4

    network = SpectralDepth(small).train()
    out = network(batch.images.flatten(0, 1), batch.k.flatten(0, 1))
    pyramid = {s: x.detach().requires_grad_() for s, x in out.view.pyramid.items()}
    detached = out._replace(view=out.view._replace(pyramid=pyramid))
    paper_alignment(detached, batch, min_m=1.0, max_m=MAX_M).backward()
    assert pyramid[32].grad.unflatten(0, (2, 3)).abs().amax(dim=(0, 2, 3, 4)).min() > 1e-6


def test_invalid_positions_are_neither_positives_nor_negatives():
    shared, specific = rows(2, 3, 10, 8).requires_grad_(), rows(2, 3, 10, 8, seed=1).requires_grad_()
    valid = everywhere((2, 3, 10))
    valid[:, 1, 6:] = valid[:, 0, :2] = False
    loss = losses.dense_info_nce(shared, specific, valid)
    loss.backward()
    assert specific.grad[~valid].abs().max() == 0.0
    both = valid[:, :1] & valid[:, 1:]
    assert shared.grad[:, 1:][~both].abs().max() == 0.0
    assert shared.grad[:, 1:][both].abs().amax(dim=-1).min() > 0.0
    with torch.no_grad():
        zeroed = losses.dense_info_nce(shared * valid.unsqueeze(-1), specific * valid.unsqueeze(-1), valid)
    torch.testing.assert_close(zeroed, loss.detach())


@pytest.mark.parametrize("dense", [False, True])
def test_a_constant_vector_is_no_solution(dense):
    """As long as only specific halves are negatives, one vector for everything that is shared has a loss of zero."""
    count, positions = 4, 12
    constant = torch.eye(16)[0].expand(count, 3, positions, 16)
    specific = -constant
    own = normalize(rows(count, 1, positions, 16), dim=-1).expand(-1, 3, -1, -1)
    if dense:
        valid = everywhere((count, 3, positions))
        flat, right = (losses.dense_info_nce(s, specific, valid) for s in (constant, own))
        assert flat.item() == pytest.approx(math.log(count * positions), rel=0.01)
    else:
        flat, right = (losses.global_info_nce(s[:, :, 0], specific[:, :, 0]) for s in (constant, own))
        assert flat.item() == pytest.approx(math.log(count), rel=0.01)
    assert right < 0.5 * flat


def test_augmented_views_still_fit_together(walls):
    """Whatever augmentation draws, a pixel that depth and calibration find again in another view looks alike there.

    But for the rare view that a drawn exposure leaves without any contrast.
    """
    agreement, moved = [], []
    for seed in range(8):
        batch = walls(2)
        rngs = [np.random.default_rng([seed, row]) for row in range(2)]
        changed = augment(batch, batch.images, rngs, fault_share=0.0, crop_share=0.25)
        moved += (changed.k != batch.k).flatten(1).any(dim=1).tolist()
        for pair in itertools.permutations(range(3), 2):
            points = corresponding(changed, 1, pair, count=3000, generator=generator())
            column, row = points.u.round().long().clamp(0, 95), points.v.round().long().clamp(0, 63)
            there = changed.images[:, pair[1], 0].flatten(1).gather(1, row * 96 + column)
            here = changed.images[:, pair[0], 0].flatten(1)[:, points.cell]
            for one, other, seen in zip(here, there, points.seen, strict=True):
                agreement.append(torch.corrcoef(torch.stack((one[seen], other[seen])))[0, 1])
    assert 0 < sum(moved) < len(moved), "the test shows nothing"
    seen = torch.stack([value for value in agreement if not value.isnan()])
    assert len(seen) > 0.9 * len(agreement)
    assert seen.mean() > 0.8


@pytest.mark.parametrize("stride", [1, 4, 8, 32])
@pytest.mark.parametrize("focal", [60.0, 333.3])
def test_the_identity_warp_is_exact_at_every_level(stride, focal):
    k = torch.tensor([[focal, 0.0, 47.3], [0.0, focal * 1.1, 30.9], [0.0, 0.0, 1.0]]).repeat(1, 1, 1, 1)
    size = (64 // stride, 96 // stride)
    cameras = anchor_cameras(
        k, torch.eye(4).repeat(1, 1, 1, 1), torch.tensor([0]), torch.ones(1, 1), height=64, width=96
    )
    features = rows(1, 1, 5, *size)
    warped = warp(features, 3.0 + rows(1, 1, *size).abs(), cameras.at_stride(stride))
    assert warped.seen.min() == 1.0
    torch.testing.assert_close(warped.features[0, 0].T.view(5, *size), features[0, 0], atol=2e-4, rtol=0)


@pytest.mark.parametrize("anchor", [0, 1, 2])
def test_each_depth_is_unprojected_with_its_own_k(walls, anchor):
    """Cameras differ in K: with the wrong one, true depth would not fit together."""
    batch = walls(1, board=False)
    points = pixel_rays(batch.k, 64, 96)[:, :, :2] * batch.depth_m.unsqueeze(2)
    world = points - batch.view_from_reference[..., :2, 3, None, None]
    index = torch.tensor([anchor])
    cameras = anchor_cameras(batch.k, batch.view_from_reference, index, batch.present, height=64, width=96)
    warped, seen = bring(world, batch.depth_m, cameras.at_stride(1), index)
    wrong = (warped - warped[:, anchor : anchor + 1]).abs().amax(dim=-1)[seen > 0]
    assert wrong.quantile(0.95) < 1e-3
    # a tilted wall: on an upright one, a wrong ray would hit at the same depth
    normal, place = torch.tensor([0.3, 0.2, 1.0]), -batch.view_from_reference[..., :3, 3]
    rays = pixel_rays(batch.k, 64, 96)
    depth_m = (8.0 - place @ normal)[..., None, None] / torch.einsum("bnchw,c->bnhw", rays, normal)
    outs = [PaperOutput(d.log(), d, {}, {}) for d in depth_m.unbind(1)]
    assert consistency(outs, batch, index, min_m=1.0, max_m=MAX_M) < 1e-3


def facing(z):
    """Two equal cameras, the second of which sees the first one's points at a depth of z(depth), a diagonal pose."""
    k = torch.tensor([[60.0, 0.0, 11.5], [0.0, 60.0, 7.5], [0.0, 0.0, 1.0]]).repeat(1, 2, 1, 1)
    pose = torch.eye(4).repeat(1, 2, 1, 1)
    pose[0, 1] = z
    return Views(k, pose, pixel_rays(k[0, 0], 16, 24)[None], torch.ones(1, 2))


def test_what_lies_behind_a_camera_is_not_seen(walls):
    backwards = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    depth = torch.full((1, 2, 16, 24), 5.0)
    _, seen = bring(rows(1, 2, 4, 16, 24), depth, facing(backwards), torch.tensor([0]))
    assert seen[0, 1].max() == 0.0
    assert seen[0, 0].min() == 1.0
    batch = walls(1)
    pose = batch.view_from_reference.clone()
    pose[:, 1] = backwards
    assert not corresponding(
        batch._replace(view_from_reference=pose), 1, (0, 1), count=900, generator=generator()
    ).seen.any()


def test_what_is_occluded_is_not_seen(walls):
    depth = torch.full((1, 2, 16, 24), 9.0)
    depth[0, 1, :, 12:] = 4.0  # something near stands in the right half of the second view
    _, seen = bring(rows(1, 2, 4, 16, 24), depth, facing(torch.eye(4)), torch.tensor([0]))
    seen = seen[0, 1].view(16, 24)
    assert seen[:, :11].min() == 1.0
    assert seen[:, 13:].max() == 0.0


def test_frozen_means_eval_and_no_gradient(small, walls):
    fusion = PaperFusion(SpectralDepth(small))
    parent = nn.ModuleDict({"network": fusion})
    before = {name: value.clone() for name, value in fusion.base.state_dict().items()}
    parent.train()
    assert fusion.training and fusion.fusions.training
    assert not any(module.training for module in fusion.base.modules())
    optimiser = torch.optim.SGD([p for p in parent.parameters() if p.requires_grad], lr=0.1)
    batch = walls(2)
    for _ in range(2):
        outs = fusion.all_anchors(batch.images, batch.k, batch.view_from_reference)
        paper_fuse_objective(outs, batch, max_m=MAX_M)["total"].backward()
        optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in fusion.base.state_dict().items())
    assert all(p.grad is None for p in fusion.base.parameters())
    parent.eval()
    assert not any(module.training for module in parent.modules())


@pytest.mark.parametrize("anchor", [0, 1, 2])
def test_no_spectrum_is_the_judge(small, walls, anchor):
    """In the gating every anchor can be the judge; in the consistency it is the least wrong one; ours has none."""
    features = rows(2, 3, 6, 8)
    gated = gate(features, torch.ones(2, 3, 6), torch.tensor([anchor, anchor]))
    assert (gated.weights[:, anchor] == 1.0).all()
    other, half = (anchor + 1) % 3, features[..., :4]
    agreement = torch.cosine_similarity(half[:, anchor], half[:, other], dim=-1).clamp(min=0.0)
    torch.testing.assert_close(gated.weights[:, other], agreement)
    batch = walls(2, board=False)
    factor = torch.full((3,), 1.3)
    factor[anchor] = 1.0
    said = [(d * f).log().requires_grad_() for d, f in zip(batch.depth_m.unbind(1), factor, strict=True)]
    outs = [PaperOutput(log_depth, torch.zeros_like(log_depth), {}, {}) for log_depth in said]
    terms = paper_fuse_objective(outs, batch, max_m=MAX_M)
    gradients = torch.autograd.grad(terms["consistency"], said, allow_unused=True)
    taught = [gradient is not None and bool(gradient.abs().max() > 0) for gradient in gradients]
    assert taught == [n != anchor for n in range(3)]
    network = MsDepth(small).eval()
    present = torch.ones(2, 3)
    present[:, anchor] = 0.0
    with torch.no_grad():
        out = network(batch.images, batch.k, batch.view_from_reference, batch.k[:, anchor], present)
    assert torch.isfinite(out.log_depth).all()


def test_something_is_left_outside_the_other_views():
    features, seen = rows(1, 3, 6, 8), torch.zeros(1, 3, 6)
    gated = gate(features, seen, torch.tensor([1]))
    torch.testing.assert_close(gated.features[..., :4], features[:, 1, :, :4])  # shared: the anchor's alone
    torch.testing.assert_close(gated.features[..., 4:8], features[:, 1, :, 4:])
    assert gated.features[..., 8:].abs().max() == 0.0


def test_weights_are_never_negative():
    features = rows(1, 3, 50, 8)
    features[:, 2, :, :4] = -features[:, 0, :, :4]  # says the opposite of the anchor
    weights = gate(features, torch.ones(1, 3, 50), torch.tensor([0])).weights
    assert weights[:, 2].abs().max() == 0.0
    assert weights.min() >= 0.0
    assert weights.max() <= 1.0 + 1e-6


def test_a_depth_three_times_wrong_is_seen():
    truth = np.linspace(2.0, 20.0, 48, dtype=np.float32).reshape(6, 8)
    with pytest.raises(TypeError, match="alignment"):
        depth_metrics(3.0 * truth, truth)
    assert depth_metrics(3.0 * truth, truth, alignment="none").abs_rel == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("unknown", [math.inf, math.nan])
def test_empty_truth_and_sky_make_no_nan(small, walls, unknown):
    batch = walls(1)
    batch = batch._replace(depth_m=torch.full_like(batch.depth_m, unknown))
    base, ours = SpectralDepth(small), MsDepth(small)
    for kind in ("log_l1", "silog", "smooth_l1"):
        for alignment in ("none", "paper", "msdepth"):
            out = base(batch.images.flatten(0, 1), batch.k.flatten(0, 1))
            options = {"max_m": MAX_M, "depth_loss": kind}
            check(align_objective(out, batch, alignment=alignment, generator=generator(), **options), base)
        fusion = PaperFusion(SpectralDepth(small))
        outs = fusion.all_anchors(batch.images, batch.k, batch.view_from_reference)
        check(paper_fuse_objective(outs, batch, **options), fusion)
    out = ours(batch.images, batch.k, batch.view_from_reference, batch.k[:, 0], batch.present)
    check(
        objective([out], [batch], max_m=MAX_M, alignment_weight=0.1, matching_weight=0.2, generator=generator()), ours
    )
    assert depth_metrics(np.ones((4, 4)), np.full((4, 4), unknown), alignment="none") is None


def check(terms, network):
    network.zero_grad()
    terms["total"].backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
