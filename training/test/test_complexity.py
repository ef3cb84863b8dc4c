import pytest
import torch

from msdepth_training.complexity import Meter, cost, milliseconds
from msdepth_training.networks import TINY, MsDepth, PaperFusion, SpectralDepth

SIZE = {"height": 64, "width": 96}


def numbers(*modules):
    return sum(p.numel() for m in modules for p in m.parameters())


@pytest.fixture(scope="module")
def networks(small):
    return MsDepth(small).eval(), PaperFusion(SpectralDepth(small)).eval(), SpectralDepth(small).eval()


def test_fusion_is_what_is_neither_encoder_nor_decoder(networks):
    ours, paper, alone = networks
    assert cost(ours, **SIZE).fusion_parameters == numbers(ours.fusions, ours.sweeps, ours.finest)
    assert cost(paper, **SIZE).fusion_parameters == numbers(paper.fusions)
    assert cost(alone, **SIZE).fusion_parameters == 0
    assert cost(alone, **SIZE).fusion_gflops == pytest.approx(0.0, abs=1e-9)


def test_operations_by_hand(networks):
    """The linear layers, attention and geometry of the paper's levels."""
    _, paper, _ = networks
    expected = 0
    for (height, width), channels in zip(((16, 24), (8, 12), (4, 6), (2, 3)), (8, 12, 16, 16), strict=True):
        wide, tokens = 2 * channels, height * width
        padded = (height + -height % 7) * (width + -width % 7)
        expected += padded * (4 * wide**2 + 2 * 49 * wide)  # in windows: projections and two products of attention
        expected += tokens * (8 * wide**2 + wide * channels)  # MLP and reduction
        expected += 9 * tokens * (1 + 3) + 3 * (27 + 9)  # rays of the anchor, into three views; K R and K t
    expected += 3 * 64  # poses relative to the anchor
    assert cost(paper, **SIZE).fusion_gflops == pytest.approx(2e-9 * expected, rel=1e-6)


def test_twice_the_pixels_cost_twice_as_much(networks):
    one, two = (cost(networks[0], height=64, width=width).gflops for width in (96, 192))
    assert two == pytest.approx(2.0 * one, rel=0.01)


def test_nested_parts_are_counted_once(small):
    network = SpectralDepth(small)
    meter, ticks = Meter(network, lambda: ticks[0]), [0.0]
    network.encoder.stem.register_forward_hook(lambda *_: ticks.__setitem__(0, ticks[0] + 1.0))
    with meter.watch():
        network(torch.rand(1, 3, 64, 96), torch.eye(3)[None])
    assert meter.rest == 1.0


def test_nothing_stays_attached(networks):
    before = [len(m._forward_hooks) for m in networks[0].modules()]
    cost(networks[0], **SIZE)
    assert [len(m._forward_hooks) for m in networks[0].modules()] == before


def test_time_of_the_fusion_is_a_part_of_the_whole(networks):
    for network in networks:
        whole, fusion = milliseconds(network, **SIZE, repeats=1)
        assert 0.0 < fusion < whole


def test_our_fusion_has_fewer_parameters_and_operations_than_the_papers():
    """On the same encoder: a bar of the results table."""
    ours, paper = cost(MsDepth(TINY).eval()), cost(PaperFusion(SpectralDepth(TINY)).eval())
    assert ours.fusion_parameters < 0.05 * paper.fusion_parameters
    assert ours.fusion_gflops < 0.2 * paper.fusion_gflops
