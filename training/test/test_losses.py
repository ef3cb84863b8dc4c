import math

import pytest
import torch

from msdepth_training import losses


@pytest.fixture(params=[1, 2, 3])
def batch(request):
    generator = torch.Generator().manual_seed(0)
    shape = (request.param, 6, 8)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator), torch.ones(shape)


def test_log_l1_is_the_mean_error_where_there_is_weight():
    prediction, truth = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.0, 2.5, 0.0])
    assert losses.log_l1(prediction, truth, torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx(0.75)


def test_laplace_nll_by_hand():
    value = losses.laplace_nll(torch.tensor([1.0]), torch.tensor([math.log(0.5)]), torch.tensor([0.0]), torch.ones(1))
    assert value.item() == pytest.approx(1.0 / 0.5 + math.log(2 * 0.5))


def test_laplace_nll_is_least_at_the_mean_error():
    error, scales = torch.tensor([0.1, 0.3]), torch.linspace(0.05, 0.6, 56)
    values = [losses.laplace_nll(error, s.log().expand(2), torch.zeros(2), torch.ones(2)).item() for s in scales]
    assert scales[values.index(min(values))].item() == pytest.approx(0.2, abs=0.011)


def test_gradient_matching_by_hand_on_a_step():
    prediction = torch.zeros(1, 2, 2)
    prediction[..., 1] = 1.0
    assert losses.gradient_matching(
        prediction, torch.zeros(1, 2, 2), torch.ones(1, 2, 2), steps=(1,)
    ).item() == pytest.approx(1.0)


def test_gradient_matching_ignores_an_offset(batch):
    prediction, truth, weight = batch
    a, b = (
        losses.gradient_matching(prediction, truth, weight),
        losses.gradient_matching(prediction + 3.0, truth, weight),
    )
    torch.testing.assert_close(a, b)


def test_info_nce_by_hand_for_two_orthogonal_pairs():
    eye = torch.eye(2)
    expected = -math.log(math.exp(10) / (math.exp(10) + 1))
    assert losses.info_nce(eye, eye, torch.tensor([True, True])).item() == pytest.approx(expected, rel=1e-3)


def test_info_nce_prefers_the_right_pairing_to_a_constant_and_to_a_wrong_one():
    rows = torch.nn.functional.normalize(torch.randn(16, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    valid = torch.ones(16, dtype=torch.bool)
    right, wrong = losses.info_nce(rows, rows, valid), losses.info_nce(rows, rows.roll(1, 0), valid)
    constant = losses.info_nce(rows[:1].expand(16, -1), rows[:1].expand(16, -1), valid)
    assert right < constant < wrong
    assert constant.item() == pytest.approx(math.log(16), rel=1e-4)


def test_info_nce_does_not_depend_on_the_order_of_rows():
    rows, other = (torch.nn.functional.normalize(torch.randn(9, 4), dim=1) for _ in range(2))
    order, valid = torch.randperm(9), torch.ones(9, dtype=torch.bool)
    torch.testing.assert_close(losses.info_nce(rows, other, valid), losses.info_nce(rows[order], other[order], valid))


def test_info_nce_ignores_invalid_rows_and_reaches_both_sides():
    query, key = (torch.randn(6, 4, requires_grad=True) for _ in range(2))
    valid = torch.tensor([True, True, True, False, False, False])
    loss = losses.info_nce(query, key, valid)
    torch.testing.assert_close(loss, losses.info_nce(query[:3], key[:3], torch.ones(3, dtype=torch.bool)))
    loss.backward()
    for side in (query, key):
        assert side.grad[:3].abs().min() > 0
        assert side.grad[3:].abs().max() == 0


@pytest.mark.parametrize("count", [0, 1])
def test_info_nce_with_nothing_to_tell_apart_is_zero_and_differentiable(count):
    query = torch.randn(4, 4, requires_grad=True)
    loss = losses.info_nce(query, torch.randn(4, 4), torch.arange(4) < count)
    loss.backward()
    assert loss.item() == 0.0
    assert query.grad.abs().max() == 0.0


def test_smooth_l1_by_hand_is_quadratic_near_and_linear_far():
    depth, truth = torch.tensor([10.5, 13.0, 90.0]), torch.tensor([10.0, 10.0, 10.0])
    value = losses.smooth_l1(depth, truth, torch.tensor([1.0, 1.0, 0.0]))
    assert value.item() == pytest.approx((0.5 * 0.5**2 + 3.0 - 0.5) / 2)


def test_smooth_l1_treats_too_near_and_too_far_alike(batch):
    depth, truth, weight = batch
    error = depth - truth
    torch.testing.assert_close(
        losses.smooth_l1(truth + error, truth, weight), losses.smooth_l1(truth - error, truth, weight)
    )


def test_silog_by_hand():
    error = torch.tensor([0.1, 0.3])
    expected = 10.0 * math.sqrt((0.01 + 0.09) / 2 - 0.85 * 0.2**2)
    assert losses.silog(error, torch.zeros(2), torch.ones(2)).item() == pytest.approx(expected, rel=1e-5)


def test_silog_ignores_the_scale_of_depth_only_at_full_focus(batch):
    prediction, truth, weight = batch
    at_one = [losses.silog(prediction + shift, truth, weight, variance_focus=1.0) for shift in (0.0, 1.5)]
    torch.testing.assert_close(*at_one, rtol=1e-4, atol=1e-4)
    usual = [losses.silog(truth + 0.1 * prediction + shift, truth, weight) for shift in (0.0, math.log(3.0))]
    assert usual[1] > usual[0] + 1.0


def test_silog_of_the_truth_is_zero_with_a_gradient_that_is_finite(batch):
    _, truth, weight = batch
    prediction = truth.clone().requires_grad_()
    value = losses.silog(prediction, truth, weight)
    value.backward()
    assert value.item() == 0.0
    assert torch.isfinite(prediction.grad).all()


def test_geometric_consistency_by_hand():
    computed, projected = torch.tensor([2.0, 5.0, 1.0]), torch.tensor([6.0, 5.0, 99.0])
    value = losses.geometric_consistency(computed, projected, torch.tensor([1.0, 1.0, 0.0]))
    assert value.item() == pytest.approx(0.5 * 4.0 / 8.0)


def test_geometric_consistency_is_symmetric_and_free_of_scale(batch):
    a, b, weight = batch[0].exp(), batch[1].exp(), batch[2]
    value = losses.geometric_consistency(a, b, weight)
    assert 0.0 < value < 1.0
    torch.testing.assert_close(losses.geometric_consistency(b, a, weight), value)
    torch.testing.assert_close(losses.geometric_consistency(7.0 * a, 7.0 * b, weight), value)


def unit(*shape, seed=0):
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=-1)


def test_info_nce_against_negatives_by_hand():
    """One row: its positive has cosine 1, the negatives 0 and -1."""
    row = torch.tensor([[1.0, 0.0]])
    negatives = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    value = losses.info_nce_against(row, row, negatives, torch.tensor([True]), temperature=0.5)
    expected = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(-2)))
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_info_nce_against_negatives_ignores_their_order_and_invalid_rows():
    query, key, negatives = unit(5, 4), unit(5, 4, seed=1), unit(7, 4, seed=2)
    valid = torch.tensor([True, True, True, False, False])
    value = losses.info_nce_against(query, key, negatives, valid)
    some = losses.info_nce_against(query[:3], key[:3], negatives.flip(0), valid[:3])
    torch.testing.assert_close(value, some)


def scene_vectors(batch, spectra=3, size=16, seed=0):
    """Shared halves that are the same for all spectra of a scene, specific halves that are not; [B, S, D] each."""
    shared = unit(batch, 1, size, seed=seed).expand(-1, spectra, -1).clone()
    return shared, unit(batch, spectra, size, seed=seed + 1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_global_info_nce_is_small_for_aligned_scenes_and_large_otherwise(count):
    shared, specific = scene_vectors(count)
    aligned = losses.global_info_nce(shared, specific)
    other = losses.global_info_nce(torch.cat((shared[:, :1], specific[:, 1:]), dim=1), shared)
    assert aligned < 0.05
    assert other > 2.0


def test_global_info_nce_by_hand_for_one_scene():
    """All shared halves are equal, all three specific halves orthogonal to them."""
    shared, specific = torch.tensor([[[2.0, 0.0]] * 3]), torch.tensor([[[0.0, 1.0], [0.0, 5.0], [0.0, -1.0]]])
    expected = -math.log(math.exp(10) / (math.exp(10) + 3))
    assert losses.global_info_nce(shared, specific).item() == pytest.approx(expected, rel=1e-2)


def test_global_info_nce_teaches_the_other_spectra_and_not_rgb():
    shared, specific = (x.requires_grad_() for x in (unit(2, 3, 8), unit(2, 3, 8, seed=1)))
    losses.global_info_nce(shared, specific).backward()
    assert shared.grad[:, 0].abs().max() == 0.0
    assert shared.grad[:, 1:].abs().amax(dim=-1).min() > 0.0
    assert specific.grad.abs().amax(dim=-1).min() > 0.0


def dense_vectors(batch, positions=12, size=16):
    shared = unit(batch, 1, positions, size).expand(-1, 3, -1, -1).clone()
    return shared, unit(batch, 3, positions, size, seed=1), torch.ones(batch, 3, positions, dtype=torch.bool)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_dense_info_nce_is_small_for_aligned_positions_and_large_otherwise(count):
    shared, specific, valid = dense_vectors(count)
    shifted = torch.cat((shared[:, :1], shared[:, 1:].roll(1, dims=2)), dim=1)
    assert losses.dense_info_nce(shared, specific, valid) < 0.3
    assert losses.dense_info_nce(shifted, specific, valid) > 2.0


def test_dense_info_nce_by_hand_for_two_positions():
    """Each key meets one other position, orthogonal, and six orthogonal specific vectors."""
    shared = torch.eye(3)[:2].view(1, 1, 2, 3).expand(1, 3, 2, 3)
    specific = torch.eye(3)[2].expand(1, 3, 2, 3)
    value = losses.dense_info_nce(shared, specific, torch.ones(1, 3, 2, dtype=torch.bool))
    assert value.item() == pytest.approx(-math.log(math.exp(10) / (math.exp(10) + 1 + 6)), rel=1e-2)


def test_dense_info_nce_does_not_depend_on_the_order_of_positions_or_scenes():
    shared, specific, valid = dense_vectors(3)
    shared = unit(3, 3, 12, 16, seed=4)
    valid[0, 1, :5] = valid[2, 0, 3:] = False
    order, scenes = torch.randperm(12), torch.tensor([2, 0, 1])
    value = losses.dense_info_nce(shared, specific, valid)
    moved = losses.dense_info_nce(
        shared[scenes][:, :, order], specific[scenes][:, :, order], valid[scenes][:, :, order]
    )
    torch.testing.assert_close(moved, value)


def test_contrastive_losses_without_anything_valid_are_zero_and_differentiable():
    shared, specific, valid = dense_vectors(2)
    shared.requires_grad_()
    loss = losses.dense_info_nce(shared, specific, ~valid)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(shared.grad).all()


def test_gradients_of_contrastive_losses_are_right():
    generator = torch.Generator().manual_seed(3)

    def rows(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    valid = torch.ones(2, 3, 4, dtype=torch.bool)
    valid[0, 1, 2] = valid[1, 0, 0] = False
    assert torch.autograd.gradcheck(
        lambda a, b: losses.dense_info_nce(a, b, valid), (rows(2, 3, 4, 3), rows(2, 3, 4, 3))
    )
    query = rows(2, 1, 3).detach()  # RGB gets no gradient: gradcheck must not look for one
    assert torch.autograd.gradcheck(
        lambda a, b: losses.global_info_nce(torch.cat((query, a), dim=1), b), (rows(2, 2, 3), rows(2, 3, 3))
    )
    everywhere = torch.ones(3, dtype=torch.bool)
    arguments = (rows(3, 4), rows(3, 4), rows(2, 4))
    assert torch.autograd.gradcheck(
        lambda a, b, c: losses.info_nce_against(a, b, c, everywhere, temperature=0.7), arguments
    )


def test_gradients_are_right():
    generator = torch.Generator().manual_seed(2)
    x, y, w = (torch.randn(2, 5, 5, generator=generator, dtype=torch.float64) for _ in range(3))
    x.requires_grad_()
    scale = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: losses.log_l1(a, y, w.abs()), (x,))
    assert torch.autograd.gradcheck(lambda a: losses.gradient_matching(a, y, w.abs()), (x,))
    assert torch.autograd.gradcheck(lambda a, s: losses.laplace_nll(a, s, y, w.abs()), (x, scale))
    assert torch.autograd.gradcheck(lambda a: losses.smooth_l1(a, y, w.abs()), (x,))
    assert torch.autograd.gradcheck(lambda a: losses.silog(a, y, w.abs()), (x,))
    assert torch.autograd.gradcheck(lambda a: losses.geometric_consistency(a.exp(), y.exp(), w.abs()), (x,))


def test_an_empty_mask_gives_zero_and_no_nan(batch):
    prediction, truth, weight = batch
    prediction = prediction.requires_grad_()
    none = torch.zeros_like(weight)
    total = losses.log_l1(prediction, truth, none) + losses.gradient_matching(prediction, truth, none)
    total = total + losses.laplace_nll(prediction, prediction, truth, none)
    total = total + losses.smooth_l1(prediction, truth, none) + losses.silog(prediction, truth, none)
    total = total + losses.geometric_consistency(prediction.exp(), truth.exp(), none)
    total.backward()
    assert total.item() == 0.0
    assert torch.isfinite(prediction.grad).all()
