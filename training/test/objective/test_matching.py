import math

import pytest
import torch

from msdepth_training.networks.fusion import Matching
from msdepth_training.objective.matching import hypothesis_cross_entropy, matching_loss

HYPOTHESES_M = (2.0, 4.0, 8.0, 16.0)


def matching(logits, *, batch=1, compared=1.0):
    """Of 2 x 3 cells that all say the same."""
    shape = (batch, len(HYPOTHESES_M), 2, 3)
    log_depth = torch.tensor(HYPOTHESES_M).log().view(1, -1, 1, 1).expand(shape)
    values = torch.tensor(logits, dtype=torch.float32).view(1, -1, 1, 1).expand(shape).clone().requires_grad_()
    return Matching(values, log_depth, torch.full(shape, compared))


def truth(depth_m, batch=1):
    return torch.full((batch, 2, 3), depth_m)


@pytest.mark.parametrize("batch", [1, 3])
def test_by_hand(batch):
    """Halfway between two hypotheses in log depth, each is told half."""
    likely = torch.tensor([0.0, 1.0, 2.0, 0.0]).log_softmax(dim=0)
    loss = hypothesis_cross_entropy(matching([0.0, 1.0, 2.0, 0.0], batch=batch), truth(math.sqrt(32.0), batch))
    assert loss.item() == pytest.approx(-0.5 * (likely[1] + likely[2]).item(), rel=1e-5)
    exact = hypothesis_cross_entropy(matching([0.0, 1.0, 2.0, 0.0], batch=batch), truth(8.0 * (1 + 1e-6), batch))
    assert exact.item() == pytest.approx(-likely[2].item(), rel=1e-3)


def test_agreement_at_the_truth_is_what_it_asks_for():
    found = matching([0.0, 0.0, 0.0, 0.0])
    hypothesis_cross_entropy(found, truth(8.001)).backward()
    slope = found.logits.grad.sum(dim=(0, 2, 3))
    assert slope[2] < 0
    assert (slope[[0, 1, 3]] > 0).all()


@pytest.mark.parametrize("depth_m", [1.0, 20.0, 90.0, math.inf, math.nan])
def test_what_no_hypothesis_encloses_does_not_count(depth_m):
    found = matching([0.0, 1.0, 2.0, 0.0])
    loss = hypothesis_cross_entropy(found, truth(depth_m))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(found.logits.grad, torch.zeros_like(found.logits))


def test_what_one_view_alone_sees_does_not_count():
    assert hypothesis_cross_entropy(matching([0.0, 1.0, 2.0, 0.0], compared=0.0), truth(8.0)).item() == 0.0


def test_levels_count_alike():
    first, second = matching([0.0, 1.0, 2.0, 0.0]), matching([2.0, 1.0, 0.0, 0.0])
    expected = [hypothesis_cross_entropy(found, truth(8.001)).item() for found in (first, second)]
    one = matching_loss({16: first}, torch.full((1, 32, 48), 8.001))
    assert one.item() == pytest.approx(expected[0])
    half = second._replace(**{n: v.repeat(1, 1, 2, 2) for n, v in second._asdict().items()})
    both = matching_loss({16: first, 8: half}, torch.full((1, 32, 48), 8.001))
    assert both.item() == pytest.approx(sum(expected) / 2)
