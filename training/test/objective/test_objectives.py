"""All stages' objectives, on a world of which everything is known."""

import math

import pytest
import torch

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth, PaperFusion, SpectralDepth
from msdepth_training.networks.paper import PaperOutput
from msdepth_training.objective import align_objective, log_truth_and_weight, objective, paper_fuse_objective
from msdepth_training.objective.align import every
from msdepth_training.objective.depth import depth_and_scale_loss, depth_loss
from msdepth_training.objective.obstacles import OBSTACLE_WEIGHT
from msdepth_training.objective.paper import consistency, errors
from msdepth_training.stages.fuse import in_another_frame

MAX_M = 100.0


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def spectral(small):
    torch.manual_seed(0)
    return SpectralDepth(small)


def see(network, batch):
    return network(batch.images.flatten(0, 1), batch.k.flatten(0, 1))


def align(network, batch, alignment, **options):
    out = see(network, batch)
    return align_objective(out, batch, alignment=alignment, max_m=MAX_M, generator=generator(), **options)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("alignment", ["none", "paper", "msdepth"])
def test_alignment_trains_all_of_the_encoder(spectral, walls, alignment, batch):
    spectral.train().zero_grad()
    terms = align(spectral, walls(batch), alignment)
    assert set(terms) == {*SPECTRA, "alignment", "total"}
    assert all(torch.isfinite(value) and value.shape == () for value in terms.values())
    terms["total"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in spectral.parameters())
    assert (terms["alignment"] != 0) == (alignment != "none")


@pytest.mark.parametrize(("alignment", "weight"), [("none", 0.0), ("paper", 0.01), ("msdepth", 0.1)])
def test_the_total_is_the_sum_over_spectra_and_the_weighted_alignment(spectral, walls, alignment, weight):
    terms = align(spectral, walls(2), alignment)
    expected = sum(terms[s] for s in SPECTRA) + weight * terms["alignment"]
    torch.testing.assert_close(terms["total"], expected)
    other = align(spectral, walls(2), alignment, weight=2.0)
    torch.testing.assert_close(other["total"], sum(other[s] for s in SPECTRA) + 2.0 * other["alignment"])


def test_unknown_choices_are_refused(spectral, walls):
    with pytest.raises(TrainingError, match="no alignment 'both'"):
        align(spectral, walls(1), "both")
    with pytest.raises(TrainingError, match="no depth loss 'l2'"):
        align(spectral, walls(1), "none", depth_loss="l2")


@pytest.mark.parametrize("kind", ["log_l1", "silog", "smooth_l1"])
def test_every_depth_loss_is_least_at_the_truth(walls, kind):
    truth, weight = log_truth_and_weight(walls(2).depth_m[:, 0], MAX_M)
    values = [depth_loss(truth + shift, truth, weight, kind).item() for shift in (-0.3, 0.0, 0.3)]
    assert values[1] == 0.0 < min(values[0], values[2])


def test_the_terms_are_of_each_spectrum_alone(spectral, walls):
    batch = walls(2)
    spectral.eval()
    terms = align(spectral, batch, "none")
    images = batch.images.clone()
    images[:, 1] = 0.0
    changed = align(spectral, batch._replace(images=images), "none")
    assert changed["nir"] != terms["nir"]
    torch.testing.assert_close((changed["rgb"], changed["thermal"]), (terms["rgb"], terms["thermal"]))


def test_a_specialist_learns_from_its_own_truth(spectral, walls):
    batch = walls(2)
    spectral.eval()
    out = spectral(batch.images[:, 2], batch.k[:, 2])
    options = {"max_m": MAX_M, "generator": generator(), "spectra": ("thermal",)}
    terms = align_objective(out, batch, alignment="none", **options)
    assert set(terms) == {"thermal", "alignment", "total"}
    torch.testing.assert_close(terms["total"], align(spectral, batch, "none")["thermal"])
    with pytest.raises(TrainingError, match="alignment paper needs rgb, nir, thermal"):
        align_objective(out, batch, alignment="paper", **options)


def test_outputs_of_one_spectrum_are_picked_from_all(spectral, walls):
    out = see(spectral, walls(2))
    thermal = every(out, 2, 3)
    assert torch.equal(thermal.log_depth, out.log_depth[[2, 5]])
    assert torch.equal(thermal.coarse_log_depth[8], out.coarse_log_depth[8][[2, 5]])
    assert torch.equal(thermal.view.log_depth, out.view.log_depth[[2, 5]])


def test_the_scale_does_not_pull_the_depth(spectral, walls):
    """Only the likelihood hears the scale, and the likelihood gives no gradient to the depth."""
    batch = walls(1)
    out = see(spectral, batch)._replace(coarse_log_depth={})
    depth, truth = out.log_depth.detach().requires_grad_(), batch.depth_m[0]
    gradients = []
    for scale in (-1.0, 1.0):
        loss = depth_and_scale_loss(
            out._replace(log_depth=depth, log_scale=torch.full_like(depth, scale)), truth, MAX_M
        )
        gradients.append(torch.autograd.grad(loss, depth)[0])
    assert torch.equal(*gradients)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_papers_fusion_trains(spectral, walls, batch):
    fusion, batch = PaperFusion(spectral).train(), walls(batch)
    terms = paper_fuse_objective(
        fusion.all_anchors(batch.images, batch.k, batch.view_from_reference), batch, max_m=MAX_M
    )
    assert set(terms) == {*SPECTRA, "consistency", "total"}
    torch.testing.assert_close(terms["total"], sum(terms[s] for s in SPECTRA) + 0.5 * terms["consistency"])
    terms["total"].backward()
    assert all(level.reduce.weight.grad.abs().max() > 0 for level in fusion.fusions.values())
    spectral.requires_grad_(True)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_our_fusion_trains(small, walls, batch):
    network, batch = MsDepth(small).train(), walls(batch)
    row = torch.arange(len(batch.reference))
    out = network(batch.images, batch.k, batch.view_from_reference, batch.k[row, batch.reference], batch.present)
    terms = objective([out], [batch], max_m=MAX_M, alignment_weight=0.1, matching_weight=0.2, generator=generator())
    weights = {"fused": 1.0, "views": 0.6, "alignment": 0.1, "matching": 0.2, "obstacles": OBSTACLE_WEIGHT}
    assert set(terms) == {*weights, "total"}
    torch.testing.assert_close(terms["total"], sum(weight * terms[name] for name, weight in weights.items()))
    terms["total"].backward()
    assert all(p.grad is not None for p in network.parameters())


def test_depth_in_several_frames_costs_the_mean_of_them(small, walls):
    network, batch = MsDepth(small).eval(), walls(2)
    wanted = [in_another_frame(batch, step) for step in range(3)]
    view = network.encode(batch.images, batch.k)
    outs = [network.fuse(view, b.k, b.view_from_reference, b.reference_k(), b.present) for b in wanted]
    options = {"max_m": MAX_M, "alignment_weight": 0.1, "matching_weight": 0.2}
    terms = objective(outs, wanted, generator=generator(), **options)
    alone = [objective([o], [b], generator=generator(), **options) for o, b in zip(outs, wanted, strict=True)]
    torch.testing.assert_close(terms["fused"], sum(t["fused"] for t in alone) / 3)
    assert len({round(t["fused"].item(), 5) for t in alone}) == 3
    torch.testing.assert_close(terms["views"], alone[2]["views"])


def test_the_same_sets_can_be_asked_for_in_another_frame(walls):
    batch = walls(3)
    batch = batch._replace(present=torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    assert in_another_frame(batch, 0) is batch
    other = in_another_frame(batch, 1)
    assert other.reference.tolist() == [(r + 1) % 3 for r in batch.reference.tolist()]
    for b, r in enumerate(other.reference.tolist()):
        torch.testing.assert_close(other.view_from_reference[b, r], torch.eye(4))
        before, after = batch.view_from_reference[b], other.view_from_reference[b]
        torch.testing.assert_close(torch.linalg.inv(before[0]) @ before[2], torch.linalg.inv(after[0]) @ after[2])
    assert other.present.sum(dim=1).tolist() == batch.present.sum(dim=1).tolist()
    assert other.present.tolist() != batch.present.tolist()


def anchors(depth_m):
    """Outputs of three anchors that say depth_m [B, 3, H, W]."""
    return [PaperOutput(d.log(), torch.zeros_like(d), {}, {}) for d in depth_m.unbind(1)]


@pytest.mark.parametrize("best", [0, 1, 2])
def test_true_depth_is_consistent_between_different_cameras(walls, best):
    batch = walls(2, board=False)
    chosen = torch.full((2,), best)
    right = consistency(anchors(batch.depth_m), batch, chosen, min_m=1.0, max_m=MAX_M)
    depth_m = batch.depth_m.clone()
    depth_m[:, (best + 1) % 3] *= 1.2
    wrong = consistency(anchors(depth_m), batch, chosen, min_m=1.0, max_m=MAX_M)
    assert right < 1e-5
    assert wrong > 0.02


def test_consistency_does_not_count_what_is_occluded(walls):
    batch = walls(1)
    value = consistency(anchors(batch.depth_m), batch, torch.tensor([0]), min_m=1.0, max_m=MAX_M)
    assert value < 0.02  # along the board's edges, where depth is interpolated


def test_the_best_anchor_is_the_least_wrong_one_of_each_scene(walls):
    batch = walls(3)
    factor = torch.tensor([[1.5, 1.0, 1.2], [1.1, 1.3, 1.05], [1.0, 1.1, 1.2]])
    wrong = errors(anchors(batch.depth_m * factor[:, :, None, None]), batch, MAX_M)
    torch.testing.assert_close(wrong, factor.log(), atol=1e-5, rtol=1e-5)
    assert wrong.argmin(dim=1).tolist() == [1, 2, 0]


def test_truth_is_limited_and_unknown_truth_weighs_nothing():
    depth = torch.tensor([10.0, 90.0, math.inf, math.nan])
    log_truth, weight = log_truth_and_weight(depth, MAX_M)
    torch.testing.assert_close(log_truth[:3], torch.tensor([10.0, 90.0, 100.0]).log())
    assert torch.isfinite(log_truth).all()
    assert weight.tolist() == [1.0, 0.25, 0.25, 0.0]
