"""What cameras add to an image."""

import dataclasses

import numpy as np
import pytest
import torch

from msdepth_training.scenes import motion
from msdepth_training.scenes.optics import Optics, develop, gain, halo, lens, sample_optics
from msdepth_training.scenes.sensors import _drifted

PLAIN = Optics(
    gamma=1.0, target=0.25, protect=False, vignetting=0.0, veil=0.0, veil_side=(0.0, 0.0), halo=0.0, black=0.0,
    sharpening=0.0, saturation=1.0, noise=1.0, exposure_s=0.01, soft_px=0.0,
)  # fmt: skip


def grey(level, channels=1):
    return torch.full((channels, 32, 48), level)


def test_plain_optics_change_nothing():
    image = torch.rand((3, 32, 48), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(develop(halo(lens(image, PLAIN), PLAIN), PLAIN), image)


def test_exposure_reaches_its_target_and_lamps_in_the_dark_do_not_spoil_it():
    assert gain(grey(0.05), PLAIN, 100.0) == pytest.approx(5.0)
    assert gain(grey(1e-4), PLAIN, 100.0) == 100.0
    night = grey(0.01)
    night[:, 0, :2] = 50.0
    assert gain(night, PLAIN, 100.0) > 2 * 0.25 / float(night.mean())


def test_protected_highlights_do_not_clip_however_dark_the_rest_gets():
    image = grey(0.05)
    image[:, :8] = 2.0
    protecting = dataclasses.replace(PLAIN, protect=True)
    assert 2.0 * gain(image, protecting, 100.0) == pytest.approx(0.9)
    assert 2.0 * gain(image, PLAIN, 100.0) > 0.95


def test_the_corners_get_less_light_and_a_veil_lifts_the_dark():
    dim = lens(grey(0.5), dataclasses.replace(PLAIN, vignetting=0.4))
    assert float(dim[0, 0, 0]) == pytest.approx(0.3, abs=1e-3)
    assert float(dim[0, 16, 24]) > 0.49
    image = grey(0.0)
    image[:, :, :24] = 1.0
    assert float(lens(image, dataclasses.replace(PLAIN, veil=0.1))[0, 5, 40]) == pytest.approx(0.05)


def test_what_is_overexposed_shines_on_what_is_around_it():
    image = torch.full((1, 128, 192), 0.1)
    image[:, 56:72, 88:104] = 10.0
    shone = halo(image, dataclasses.replace(PLAIN, halo=0.2)) - image
    assert float(shone[0, 52, 84]) > 0.02
    assert float(shone[0, 0, 0]) < 1e-3


def test_tone_curve_black_level_saturation_and_sharpening():
    assert float(develop(grey(0.25), dataclasses.replace(PLAIN, gamma=2.0)).mean()) == pytest.approx(0.5)
    assert float(develop(grey(0.0), dataclasses.replace(PLAIN, black=0.1)).mean()) == pytest.approx(0.1)
    red = torch.stack((grey(0.6)[0], grey(0.3)[0], grey(0.0)[0]))
    assert float(develop(red, dataclasses.replace(PLAIN, saturation=0.0)).std(dim=0).max()) < 1e-6
    edge = grey(0.4)
    edge[:, :, 24:] = 0.6
    sharp = develop(edge, dataclasses.replace(PLAIN, sharpening=1.0))
    assert float(sharp.max() - sharp.min()) > 0.25


def test_cameras_differ():
    drawn = [sample_optics(np.random.default_rng(i)) for i in range(40)]
    assert min(o.target for o in drawn) < 0.15 < 0.4 < max(o.target for o in drawn)
    assert any(o.gamma < 1.3 for o in drawn)
    assert any(o.gamma > 1.9 for o in drawn)


def test_streaks_point_away_from_where_the_vehicle_drives():
    """Driving 0.2 m ahead, a point 1 m to the right at 5 m goes from 100 * 1 / 5 to 100 * 1 / 4.8."""
    k = torch.tensor([[100.0, 0.0, 24.0], [0.0, 100.0, 16.0], [0.0, 0.0, 1.0]])
    later = torch.eye(4)
    later[2, 3] = -0.2
    v, u = torch.meshgrid(torch.arange(32.0), torch.arange(49.0), indexing="ij")
    rays = torch.stack(((u - 24) / 100, (v - 16) / 100, torch.ones_like(u)))
    shift = motion.streaks(torch.full((32, 49), 5.0), rays, k, later)
    assert float(shift[0, 16, 44]) == pytest.approx(100 / 4.8 - 20, abs=1e-3)
    assert float(shift[:, 16, 24].abs().max()) < 1e-5
    assert float(motion.streaks(torch.full((32, 49), torch.inf), rays, k, later).abs().max()) < 1e-2


def test_streaks_smear_along_themselves_only():
    image = torch.zeros((1, 9, 33))
    image[0, 4, 16] = 1.0
    shift = torch.zeros((2, 9, 33))
    shift[0] = 8.0
    smeared = motion.blurred(image, shift)
    assert float(smeared.sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(smeared[0, 4, 12]) == pytest.approx(0.2)
    assert float(smeared[0, 3].abs().max()) < 1e-5
    assert motion.blurred(image, 0.1 * shift / 8) is image


def test_the_fixed_pattern_grows_with_the_time_since_the_last_calibration():
    fresh, old = (_drifted(7, drift, 32, 64, torch.device("cpu")) for drift in (0.1, 1.0))
    torch.testing.assert_close(old, 10 * fresh)
    assert 0.1 < float(old.std()) < 1.0
