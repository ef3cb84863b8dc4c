import math

import pytest
import torch

from msdepth_training.confidence import CONFIDENCE_DEFINITION, probability_within_factor


def test_confidence_is_the_probability_of_a_laplace_distribution():
    b = 0.1
    torch.manual_seed(0)
    samples = torch.distributions.Laplace(0.0, b).sample((200_000,))
    share = (samples.abs() < math.log(1.25)).float().mean()
    assert probability_within_factor(torch.tensor(math.log(b))).item() == pytest.approx(share.item(), abs=0.005)


def test_confidence_falls_with_the_scale_from_one_to_zero():
    c = probability_within_factor(torch.linspace(-6.0, 6.0, 100))
    assert (c.diff() <= 0).all()
    assert c[0].item() == pytest.approx(1.0)
    assert c[-1] < 0.01


def test_the_definition_is_that_of_the_contract():
    assert CONFIDENCE_DEFINITION == "probability that depth is within a factor 1.25 of the truth"
