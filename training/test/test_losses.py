import math

import pytest
import torch

from msdepth_training import losses


@pytest.fixture(params=[1, 3])
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


def test_gradients_are_right():
    generator = torch.Generator().manual_seed(2)
    x, y, w = (torch.randn(2, 5, 5, generator=generator, dtype=torch.float64) for _ in range(3))
    x.requires_grad_()
    scale = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: losses.log_l1(a, y, w.abs()), (x,))
    assert torch.autograd.gradcheck(lambda a: losses.gradient_matching(a, y, w.abs()), (x,))
    assert torch.autograd.gradcheck(lambda a, s: losses.laplace_nll(a, s, y, w.abs()), (x, scale))


def test_an_empty_mask_gives_zero_and_no_nan(batch):
    prediction, truth, weight = batch
    prediction = prediction.requires_grad_()
    none = torch.zeros_like(weight)
    total = losses.log_l1(prediction, truth, none) + losses.gradient_matching(prediction, truth, none)
    total = total + losses.laplace_nll(prediction, prediction, truth, none)
    total.backward()
    assert total.item() == 0.0
    assert torch.isfinite(prediction.grad).all()
