import pytest
import torch

from msdepth_training.batch import Batch
from msdepth_training.geometry import pixel_rays
from msdepth_training.networks import MsDepth, PaperFusion, SpectralDepth
from msdepth_training.networks.cameras import Views
from msdepth_training.networks.fusion import PlaneSweep, SetFusion, Warped, warp
from msdepth_training.objective.depth import depth_and_scale_loss

H, W = 64, 96


@pytest.fixture(scope="module")
def network(small):
    torch.manual_seed(0)
    network = MsDepth(small)
    with torch.no_grad():  # away from the all-zero reliability heads, so that views differ in weight
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def inputs(batch=1, count=3):
    generator = torch.Generator().manual_seed(batch * 10 + count)
    images = torch.rand(batch, count, 3, H, W, generator=generator)
    k = torch.tensor([[60.0, 0, 47.0], [0, 60.0, 31.0], [0, 0, 1.0]]).repeat(batch, count, 1, 1)
    pose = torch.eye(4).repeat(batch, count, 1, 1)
    pose[..., :3, 3] = 0.2 * torch.randn(batch, count, 3, generator=generator)
    return images, k, pose, k[:, 0]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_any_number_of_views_gives_depth_at_full_size(network, count):
    with torch.no_grad():
        out = network(*inputs(count=count))
    assert out.log_depth.shape == (1, H, W)
    assert out.view_scale_in_reference.shape == (1, count, H // 8, W // 8)
    assert torch.isfinite(out.log_depth).all()


def test_the_order_of_views_does_not_matter(network):
    images, k, pose, reference = inputs()
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        a = network(images, k, pose, reference)
        b = network(images[:, order], k[:, order], pose[:, order], reference)
    torch.testing.assert_close(a.log_depth, b.log_depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.view_scale_in_reference[:, order], b.view_scale_in_reference, atol=1e-5, rtol=1e-5)


def test_a_view_marked_absent_is_as_if_it_were_not_given(network):
    images, k, pose, reference = inputs()
    with torch.no_grad():
        masked = network(images, k, pose, reference, torch.tensor([[1.0, 0.0, 1.0]]))
        left_out = network(images[:, [0, 2]], k[:, [0, 2]], pose[:, [0, 2]], reference)
    torch.testing.assert_close(masked.log_depth, left_out.log_depth, atol=1e-5, rtol=1e-5)


def test_every_view_changes_the_result(network):
    images, k, pose, reference = inputs()
    with torch.no_grad():
        before = network(images, k, pose, reference).log_depth
        for view in range(3):
            changed = images.clone()
            changed[:, view] = 1.0 - changed[:, view]
            assert (network(changed, k, pose, reference).log_depth - before).abs().max() > 1e-4


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_train(small, batch):
    network = MsDepth(small).train()
    out = network(*inputs(batch=batch))
    (out.log_depth.mean() + out.log_scale.mean() + out.view.log_depth.mean() + out.view.log_scale.mean()).backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None and "sweeps" not in n]
    assert missing == []


def test_a_view_that_does_not_see_a_pixel_weighs_nothing():
    fusion = SetFusion(4, 4)
    torch.nn.init.normal_(fusion.weigh.weight)
    seen = torch.ones(1, 3, 5, 1)
    seen[0, 1, 2:] = 0.0
    seen[0, :, 4] = 0.0
    views = Views(
        torch.eye(3).repeat(1, 3, 1, 1), torch.eye(4).repeat(1, 3, 1, 1), torch.zeros(1, 3, 1, 5), torch.ones(1, 3)
    )
    fused, weights = fusion(Warped(torch.randn(1, 3, 5, 4), seen, torch.ones(1, 3, 5, 1)), views)
    assert weights[0, 1, 2:].abs().max() == 0.0
    torch.testing.assert_close(weights.sum(dim=1)[0, :4, 0], torch.ones(4), atol=1e-4, rtol=0)
    assert fused[0, 4].abs().max() == 0.0


def plane_views(count, shift):
    k = torch.tensor([[20.0, 0, 11.5], [0, 20.0, 7.5], [0, 0, 1.0]])
    pose = torch.eye(4).repeat(1, count, 1, 1)
    pose[0, 1:, 0, 3] = shift
    return Views(k.repeat(1, count, 1, 1), pose, pixel_rays(k, 16, 24)[None], torch.ones(1, count))


def test_views_agree_most_at_the_true_depth():
    sweep = PlaneSweep(6, 6)
    steps = torch.tensor([-0.5, 0.0, 0.5]).view(1, 3, 1, 1)
    views, depth = plane_views(2, -1.0), torch.full((1, 1, 16, 24), 5.0)
    reference = torch.nn.functional.normalize(
        torch.randn(1, 6, 16, 32, generator=torch.Generator().manual_seed(3)), dim=1
    )
    # a camera 1 m to the right sees a plane at 5 m shifted by f * 1 / 5 = 4 px
    descriptors = torch.stack((reference[..., :24], reference[..., 4:28]), dim=1)
    matching = sweep(descriptors, depth.log() + steps, views)
    agreement = (matching.logits / sweep.sharpness.exp())[0, :, :, 6:].mean(dim=(1, 2))
    assert agreement[1] > 0.9
    assert max(agreement[0], agreement[2]) < 0.5
    expected, greatest = matching.summary()[0, :, :, 6:].mean(dim=(1, 2))
    assert abs(expected) < 0.1
    assert greatest > 0.8


def test_one_view_has_nobody_to_agree_with():
    sweep = PlaneSweep(6, 6)
    descriptors = torch.nn.functional.normalize(torch.randn(1, 1, 6, 16, 24), dim=2)
    matching = sweep(descriptors, torch.tensor([1.6, 2.1]).view(1, 2, 1, 1).expand(1, 2, 16, 24), plane_views(1, 0.0))
    assert matching.logits.abs().max() < 1e-4
    assert matching.compared.max() == 0


def test_the_identity_warp_returns_the_features():
    features = torch.randn(1, 1, 6, 16, 24)
    warped = warp(features, torch.full((1, 1, 16, 24), 3.0), plane_views(1, 0.0))
    torch.testing.assert_close(warped.features[0, 0].T.view(6, 16, 24), features[0, 0], atol=1e-4, rtol=0)


def test_the_shipped_size_has_about_a_million_parameters():
    assert 0.8e6 < sum(p.numel() for p in MsDepth().parameters()) < 1.2e6


@pytest.mark.parametrize("kind", [MsDepth, SpectralDepth, PaperFusion])
def test_everything_is_computed_where_the_inputs_are(small, walls, kind):
    """On a device that has shapes but no numbers; what meets a tensor of the CPU there raises."""
    network = (PaperFusion(SpectralDepth(small)) if kind is PaperFusion else kind(small)).to("meta")
    batch = Batch(*(value.to("meta") for value in walls(2)))
    assert run(network, batch).log_depth.device.type == "meta"


@pytest.mark.parametrize("kind", [MsDepth, SpectralDepth, PaperFusion])
def test_mixed_precision_trains_and_keeps_depth_exact(small, walls, kind):
    torch.manual_seed(0)
    network = PaperFusion(SpectralDepth(small)) if kind is PaperFusion else kind(small)
    batch = walls(2)
    full = run(network.eval(), batch).log_depth
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run(network, batch)
        loss = depth_and_scale_loss(half, batch.depth_m[:, 0], 100.0)
    assert half.log_depth.dtype == torch.float32
    assert (half.log_depth - full).abs().max() < 0.05
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def run(network, batch):
    """The first view's depth, by whatever network."""
    if isinstance(network, SpectralDepth):
        return network(batch.images[:, 0], batch.k[:, 0])
    if isinstance(network, PaperFusion):
        return network.all_anchors(batch.images, batch.k, batch.view_from_reference)[0]
    return network(batch.images, batch.k, batch.view_from_reference, batch.k[:, 0], batch.present)
