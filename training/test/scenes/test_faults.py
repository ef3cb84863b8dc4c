import numpy as np
import pytest
import torch

from msdepth_training.scenes.faults import FAULTS, IMAGE_FAULTS, possible, wiper

IMAGE = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2


@pytest.mark.parametrize("name", IMAGE_FAULTS)
def test_a_fault_changes_the_image_within_range_and_is_repeatable(name):
    original = IMAGE.clone()
    first, second = (IMAGE_FAULTS[name](IMAGE, np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(IMAGE, original)
    assert torch.equal(first, second)
    assert first.shape == IMAGE.shape
    assert 0.0 <= first.min() <= first.max() <= 1.0
    assert (first - IMAGE).abs().max() > 0.05


def test_black_overexposed_and_blurred_do_what_they_say():
    rng = np.random.default_rng(2)
    assert IMAGE_FAULTS["black"](IMAGE, rng).max() < 0.03
    assert (IMAGE_FAULTS["overexposed"](IMAGE, rng) == 1.0).float().mean() > 0.5
    assert IMAGE_FAULTS["blurred"](IMAGE, rng).std() < 0.7 * IMAGE.std()


def test_the_wiper_is_a_dark_stripe_where_it_is_told_to_be():
    wiped = wiper(IMAGE, angle=0.0, half_share=0.1, pivot_share=0.5)
    assert wiped[:, :, 29:32].max() < 0.05
    assert torch.equal(wiped[:, :, :20], IMAGE[:, :, :20])


def test_the_wiper_never_passes_the_thermal_camera():
    assert not possible("wiper", "thermal")
    assert possible("wiper", "rgb")
    assert set(IMAGE_FAULTS) < set(FAULTS)
