import pytest
import torch

from msdepth_training.networks.swin import SwinBlock, from_windows, relative_positions, to_windows


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = SwinBlock(8, heads=4, window=7)
    with torch.no_grad():  # a new block hardly attends
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return block


@pytest.mark.parametrize("size", [(7, 14), (2, 3), (8, 20), (16, 9)])
def test_any_size_keeps_its_shape(block, size):
    x = torch.randn(2, *size, 8)
    out = block(x)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()


def test_windows_and_back():
    x = torch.arange(2 * 14 * 21 * 3.0).view(2, 14, 21, 3)
    windows = to_windows(x, 7)
    assert windows.shape == (2 * 2 * 3, 49, 3)
    assert torch.equal(windows[1].view(7, 7, 3), x[0, :7, 7:14])
    assert torch.equal(from_windows(windows, 7, 14, 21), x)


def test_tokens_of_one_window_hear_each_other_and_no_others(block):
    x = torch.randn(1, 7, 14, 8)
    changed = x.clone()
    changed[0, 3, 2, 0] += 1.0
    moved = (block(changed) - block(x)).abs().amax(dim=-1)[0]
    assert moved[:, :7].min() > 1e-6
    assert moved[:, 7:].max() == 0


def test_padding_is_not_attended_to(block):
    """A window of which only a part is inside gives what its tokens give among themselves, whatever pads it."""
    x = torch.randn(1, 3, 4, 8)
    padded = torch.zeros(1, 7, 7, 8)
    padded[:, :3, :4] = x
    real = torch.zeros(1, 7, 7)
    real[:, :3, :4] = 1.0
    one = block.attention(padded.flatten(1, 2), real.flatten(1))
    padded[:, 3:], padded[:, :, 4:] = 9.0, -5.0
    other = block.attention(padded.flatten(1, 2), real.flatten(1))
    torch.testing.assert_close(one.view(1, 7, 7, 8)[:, :3, :4], other.view(1, 7, 7, 8)[:, :3, :4])


def test_offsets_depend_on_the_difference_of_places_alone():
    offsets = relative_positions(3)
    assert offsets.unique().tolist() == list(range(25))
    assert (offsets.diagonal() == 12).all()
    assert offsets[0, 1] == offsets[4, 5] != offsets[1, 0]


def test_attention_is_softmax_of_scaled_products_and_bias(block):
    x = torch.randn(1, 49, 8)
    query, key, value = (y.view(49, 4, 2).transpose(0, 1) for y in block.attention.inputs(x)[0].split(8, dim=-1))
    logits = query @ key.transpose(1, 2) / 2**0.5 + block.attention.bias[:, relative_positions(7)]
    expected = (logits.softmax(dim=-1) @ value).transpose(0, 1).reshape(49, 8)
    torch.testing.assert_close(block.attention(x, torch.ones(1, 49))[0], block.attention.outputs(expected))
