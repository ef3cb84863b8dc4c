import pytest
import torch

from msdepth_training.networks import MsDepth, SpectralDepth, split
from msdepth_training.networks.encoder import STRIDES

H, W = 64, 96


def inputs(count):
    generator = torch.Generator().manual_seed(count)
    k = torch.tensor([[60.0, 0, 47.0], [0, 60.0, 31.0], [0, 0, 1.0]])
    return torch.rand(count, 3, H, W, generator=generator), k.repeat(count, 1, 1)


@pytest.fixture(scope="module")
def network(small):
    torch.manual_seed(0)
    return SpectralDepth(small)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shapes_and_gradients(small, count):
    network = SpectralDepth(small).train()
    out = network(*inputs(count))
    assert out.log_depth.shape == out.log_scale.shape == (count, H, W)
    assert tuple(out.view.pyramid) == STRIDES
    for stride in STRIDES:
        assert out.coarse_log_depth[stride].shape == (count, 1, H // stride, W // stride)
    sum(x.mean() for x in (out.log_depth, out.log_scale, out.view.log_depth, out.view.log_scale)).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_features_split_into_equal_halves(network):
    features = network(*inputs(1)).view.pyramid[16]
    shared, specific = split(features)
    assert shared.shape == specific.shape
    assert torch.equal(torch.cat((shared, specific), dim=1), features)


def test_views_do_not_depend_on_each_other_in_eval_mode(network):
    images, k = inputs(3)
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images, k).log_depth[1:2], network(images[1:2], k[1:2]).log_depth)


def test_the_camera_is_heard(network):
    images, k = inputs(1)
    longer = k.clone()
    longer[:, 0, 0] *= 2.0
    network.eval()
    with torch.no_grad():
        assert (network(images, longer).log_depth - network(images, k).log_depth).abs().max() > 1e-4


def test_weights_of_the_encoder_carry_over(network, small):
    other = MsDepth(small).eval()
    other.encoder.load_state_dict(network.encoder.state_dict())
    images, k = inputs(2)
    network.eval()
    with torch.no_grad():
        mine, theirs = network(images, k).view, other.encoder(images, k)
    torch.testing.assert_close(mine.log_depth, theirs.log_depth)
    torch.testing.assert_close(mine.pyramid[8], theirs.pyramid[8])


def test_depth_keeps_full_precision_in_mixed_precision(network):
    network.eval()
    images, k = inputs(1)
    with torch.no_grad():
        full = network(images, k)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(images, k)
    assert half.log_depth.dtype == half.log_scale.dtype == torch.float32
    assert (half.log_depth - full.log_depth).abs().max() < 0.05
    assert len(half.log_depth.unique()) > 0.9 * len(full.log_depth.unique())
