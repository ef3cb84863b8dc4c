import numpy as np
import pytest
import torch

from msdepth_training.augment import (
    VIEW_SHARES,
    augment,
    break_view,
    change_appearance,
    draw_world_scale,
    sample_present,
    scale_world,
    tell_plane,
)
from msdepth_training.batch import Batch, flip

K = torch.tensor([[60.0, 0, 40.0], [0, 60.0, 20.0], [0, 0, 1.0]])


def batch(size=2):
    generator = torch.Generator().manual_seed(0)
    pose = torch.eye(4).repeat(size, 3, 1, 1)
    pose[..., :3, 3] = torch.randn(size, 3, 3, generator=generator)
    images = torch.rand(size, 3, 3, 16, 32, generator=generator)
    return Batch(
        images,
        torch.rand(size, 3, 16, 32, generator=generator),
        K.repeat(size, 3, 1, 1),
        pose,
        torch.zeros(size, dtype=torch.long),
        torch.ones(size, 3),
        *(torch.tensor([0.1, 0.99, 0.1, 1.6]).repeat(size, 3, 1) for _ in range(2)),
    )


def rngs(seed, size=2):
    return [np.random.default_rng([seed, row]) for row in range(size)]


def test_flipping_twice_changes_nothing():
    original = batch()
    twice = flip(flip(original))
    for name in Batch._fields:
        torch.testing.assert_close(getattr(twice, name), getattr(original, name))


def test_a_flip_mirrors_the_principal_point_and_sideways_motion_only():
    original, flipped = batch(), flip(batch())
    assert (flipped.k[..., 0, 2] == 31 - 40.0).all()
    expected = original.view_from_reference[..., :3, 3] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(flipped.view_from_reference[..., :3, 3], expected)


def test_augmentation_depends_on_its_generator_alone():
    a, b, c = (augment(batch(), batch().images, rngs(seed), fault_share=0.5) for seed in (5, 5, 6))
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.present, b.present)
    assert not torch.equal(a.images, c.images)


def test_what_happens_to_a_set_does_not_depend_on_the_others():
    both = augment(batch(), batch().images, rngs(5), fault_share=0.5, crop_share=0.5)
    second = Batch(*(part[1:] for part in batch()))
    alone = augment(second, second.images, rngs(5)[1:], fault_share=0.5, crop_share=0.5)
    for name in Batch._fields:
        assert torch.equal(getattr(both, name)[1:], getattr(alone, name)), name


def test_some_sets_are_flipped_and_others_not():
    many = batch(24)
    drawn = augment(many, many.images, [np.random.default_rng(i) for i in range(24)], fault_share=0.0)
    flipped = drawn.k[:, 0, 0, 2] != 40.0
    assert 4 < flipped.sum() < 20
    for row in range(24):
        expected = flip(Batch(*(part[row : row + 1] for part in many))) if flipped[row] else many
        assert torch.equal(drawn.depth_m[row], expected.depth_m[0 if flipped[row] else row])


def test_a_crop_changes_the_focal_length_of_as_many_sets_as_were_asked_for():
    many = batch(40)
    seeds = [np.random.default_rng(i) for i in range(40)]
    drawn = augment(many, many.images, seeds, fault_share=0.0, crop_share=0.5)
    cropped = drawn.k[:, 0, 0, 0] != 60.0
    assert 8 < cropped.sum() < 32
    assert (drawn.k[cropped, 0, 0, 0] > 60.0).all()


def test_appearance_is_gamma_gain_offset_and_grey_noise():
    images = torch.full((1, 1, 3, 64, 64), 0.25)
    changed = change_appearance(images, torch.tensor([[[0.5, 1.2, 0.1, 0.0]]]), [0])
    torch.testing.assert_close(changed, torch.full_like(images, 1.2 * 0.5 + 0.1))
    noisy = change_appearance(images, torch.tensor([[[1.0, 1.0, 0.0, 0.05]]]), [0])
    assert noisy.std().item() == pytest.approx(0.05, rel=0.1)
    assert torch.equal(noisy[:, :, 0], noisy[:, :, 2])


def test_at_least_one_view_is_always_present_and_each_is_sometimes_absent():
    drawn = torch.tensor([sample_present(np.random.default_rng(i), VIEW_SHARES) for i in range(200)])
    assert drawn.sum(dim=1).min() >= 1
    assert (drawn.mean(dim=0) < 0.95).all()
    assert (drawn.sum(dim=1) == 3).float().mean() > 0.3


def test_a_frozen_camera_shows_the_earlier_frame():
    image, previous = torch.rand(3, 8, 8), torch.rand(3, 8, 8)
    seen = [break_view(image, previous, "thermal", np.random.default_rng(i)) for i in range(40)]
    assert any(torch.equal(s, previous) for s in seen)


def test_the_shares_of_views_decide_how_many_are_present():
    counts = {sum(sample_present(np.random.default_rng(i), (0.0, 0.0, 1.0))) for i in range(20)}
    assert counts == {1.0}
    mixed = [sum(sample_present(np.random.default_rng(i), (0.5, 0.5, 0.0))) for i in range(200)]
    assert set(mixed) == {2.0, 3.0} and 70 < mixed.count(3.0) < 130


def test_a_larger_world_looks_the_same():
    """What a factor changes cancels in every projection: points, cameras and road grow together."""
    original = batch()
    factors = torch.tensor([0.5, 1.7])
    scaled = scale_world(original, factors)
    f = factors[:, None, None, None]
    torch.testing.assert_close(scaled.depth_m, original.depth_m * f)
    torch.testing.assert_close(scaled.view_from_reference[..., :3, 3:], original.view_from_reference[..., :3, 3:] * f)
    assert torch.equal(scaled.view_from_reference[..., :3, :3], original.view_from_reference[..., :3, :3])
    torch.testing.assert_close(scaled.ground_plane[..., 3], original.ground_plane[..., 3] * factors[:, None])
    assert torch.equal(scaled.ground_plane[..., :3], original.ground_plane[..., :3])
    assert torch.equal(scaled.images, original.images)


def test_only_a_world_that_can_be_measured_is_scaled():
    rng = np.random.default_rng(0)
    assert {draw_world_scale(rng, measurable=False) for _ in range(50)} == {1.0}
    drawn = np.array([draw_world_scale(rng, measurable=True) for _ in range(2000)])
    assert 0.55 < (drawn != 1.0).mean() < 0.65
    assert abs(np.log(drawn[drawn != 1.0]).mean()) < 0.05


def test_one_view_alone_and_no_road_keep_their_size():
    original = batch(40)
    changed = augment(
        original, original.images, rngs(3, 40), fault_share=0.0, view_shares=(0.0, 0.0, 1.0), world_scale=True
    )
    told = changed.told_plane[:, 0, 3] > 0
    same = torch.isclose(changed.ground_plane[:, 0, 3], original.ground_plane[:, 0, 3])
    assert 8 < told.sum() < 32
    assert same[~told].all()
    assert not same[told].all()


def test_the_road_is_told_half_of_the_time_and_not_exactly():
    plane = batch(1).ground_plane[0]
    plane[:, :3] = torch.nn.functional.normalize(plane[:, :3], dim=1)
    told = torch.stack([tell_plane(plane, np.random.default_rng(seed)) for seed in range(1000)])
    known = told[:, 0, 3] > 0
    assert 0.45 < known.float().mean() < 0.55
    assert told[~known].abs().max() == 0
    torch.testing.assert_close(told[known][..., :3].norm(dim=-1), torch.ones(int(known.sum()), 3))
    angle = (told[known][:, 0, :3] @ plane[0, :3]).clamp(max=1.0).arccos().rad2deg()
    assert 0.5 < angle.mean() < 1.5
    assert (told[known][:, 0, 3] / plane[0, 3]).std().item() == pytest.approx(0.03, abs=0.005)


def test_a_road_that_is_not_known_is_not_told():
    assert all(tell_plane(torch.zeros(3, 4), np.random.default_rng(seed)).abs().max() == 0 for seed in range(20))
