import numpy as np
import pytest
import torch

from msdepth_training.batch import Batch, flip
from msdepth_training.crops import SMALLEST_SHARE, crop, random_window
from msdepth_training.geometry import pixel_rays

K = torch.tensor([[60.0, 0, 18.0], [0, 55.0, 7.0], [0, 0, 1.0]])
OTHER_K = torch.tensor([[30.0, 0, 14.0], [0, 30.0, 9.0], [0, 0, 1.0]])
HEIGHT, WIDTH = 16, 32


def batch(size=2):
    generator = torch.Generator().manual_seed(0)
    pose = torch.eye(4).repeat(size, 3, 1, 1)
    pose[..., :3, 3] = torch.randn(size, 3, 3, generator=generator)
    return Batch(
        torch.rand(size, 3, 3, HEIGHT, WIDTH, generator=generator),
        torch.rand(size, 3, HEIGHT, WIDTH, generator=generator),
        torch.stack((K, OTHER_K, K)).repeat(size, 1, 1, 1),
        pose,
        torch.zeros(size, dtype=torch.long),
        torch.ones(size, 3),
        *(torch.tensor([0.1, 0.99, 0.1, 1.6]).repeat(size, 3, 1) for _ in range(2)),
    )


@pytest.mark.parametrize("size", [1, 3])
def test_a_crop_of_everything_changes_nothing(size):
    original = batch(size)
    whole = crop(original, torch.tensor([[0.0, 0.0, 1.0]]).expand(size, -1))
    for name in Batch._fields:
        torch.testing.assert_close(getattr(whole, name), getattr(original, name), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_every_pixel_keeps_its_ray_its_depth_and_its_colour(size):
    """Rows of the batch have windows of their own; images of rays show where each pixel comes from."""
    original = batch(size)
    rays = torch.stack([torch.stack([pixel_rays(k, HEIGHT, WIDTH) for k in row]) for row in original.k])
    original = original._replace(images=rays, depth_m=rays[:, :, 0])
    windows = torch.tensor([[0.25, 0.125, 0.5], [0.1, 0.3, 0.7], [0.0, 0.0, 0.9]])[:size]
    cropped = crop(original, windows)
    for b in range(size):
        for n in range(3):
            expected = pixel_rays(cropped.k[b, n], HEIGHT, WIDTH)
            inner = (slice(None), slice(2, -2), slice(2, -2))
            torch.testing.assert_close(cropped.images[b, n][inner], expected[inner])
            # depth is that of the nearest pixel: at most half a pixel away
            assert (cropped.depth_m[b, n] - expected[0]).abs().max() <= 0.5001 / original.k[b, n, 0, 0]
    assert torch.equal(cropped.view_from_reference, original.view_from_reference)


def test_half_of_an_image_has_every_pixel_twice():
    original = batch(1)
    depth = crop(original, torch.tensor([[0.25, 0.125, 0.5]])).depth_m
    part = original.depth_m[..., 2:10, 8:24]
    assert torch.equal(depth, part.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2))


def test_unknown_depth_and_sky_do_not_spread():
    original = batch(1)
    original.depth_m[..., :8, :], original.depth_m[..., 8:, ::2] = torch.inf, torch.nan
    cropped = crop(original, torch.tensor([[0.13, 0.21, 0.71]])).depth_m
    assert cropped.isnan().any() and cropped.isinf().any()
    known = original.depth_m[original.depth_m.isfinite()]
    assert torch.isin(cropped[cropped.isfinite()], known).all()


def test_flip_and_crop_may_change_places():
    original, window = batch(), torch.tensor([[0.25, 0.125, 0.5], [0.0, 0.3, 0.7]])
    mirrored = window.clone()
    mirrored[:, 0] = 1.0 - window[:, 0] - window[:, 2]
    first, second = flip(crop(original, window)), crop(flip(original), mirrored)
    for name in Batch._fields:
        torch.testing.assert_close(getattr(first, name), getattr(second, name), atol=1e-4, rtol=1e-4)


def test_random_windows_lie_inside_and_differ():
    windows = np.array([random_window(np.random.default_rng(i)) for i in range(50)])
    assert (windows[:, 2] >= SMALLEST_SHARE).all() and (windows >= 0).all()
    assert (windows[:, :2] + windows[:, 2:] <= 1.0).all()
    assert (windows.std(axis=0) > 0.03).all()
