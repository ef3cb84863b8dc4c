"""Clumps of leaves stay within their solid, hide nothing in front of them, and thin out."""

import numpy as np
import pytest
import torch

from msdepth_training.scenes import foliage, materials
from msdepth_training.scenes.instances import BOX, GROUND_ZONES, HEDGE, LEAVES, Builder
from msdepth_training.scenes.primitives import solids

N = 4000


def cast(kind, *, cutout, nearest=torch.inf, half=(2.0, 1.5, 1.0)):
    """Distances along rays from -10 m through a clump at the origin, and their positions across it."""
    b = Builder(np.random.default_rng(0), (0,))
    b.add(kind, (0.0, 0.0, 0.0), half, materials.FOLIAGE, cutout=cutout, texels_per_m=10.0)
    for _ in range(GROUND_ZONES):
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), materials.ASPHALT)
    generator = torch.Generator().manual_seed(1)
    x, y = (3.0 * (2 * torch.rand(N, generator=generator) - 1) for _ in range(2))
    one = torch.ones(N)
    t = foliage.distance(
        solids(b.instances(), 0.0)[0], (x, y, -10.0 * one), (0 * one, 0 * one, one), nearest * one,
        foliage.noise(torch.device("cpu")),
    )  # fmt: skip
    return t, x, y


@pytest.mark.parametrize("kind", [LEAVES, HEDGE])
def test_leaves_are_within_their_solid(kind):
    t, x, y = cast(kind, cutout=-0.2)
    hit = torch.isfinite(t)
    ratio = torch.stack((x / 2.0, y / 1.5, t - 10.0))[:, hit]
    outward = ratio.square().sum(dim=0) if kind == LEAVES else ratio.abs().amax(dim=0)
    assert 0.15 < hit.float().mean() < 0.9
    assert outward.max() <= 1.0 + 1e-4
    assert t[hit].std() > 0.1  # a crown, not a wall


def test_the_more_is_cut_out_the_less_is_hidden():
    shares = [float(torch.isfinite(cast(LEAVES, cutout=c)[0]).float().mean()) for c in (-0.5, 0.0, 0.5, 5.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0.0 < shares[0]


def test_leaves_behind_something_else_are_not_seen():
    t, _, _ = cast(LEAVES, cutout=-0.5, nearest=9.5)
    free, _, _ = cast(LEAVES, cutout=-0.5)
    assert torch.equal(torch.isfinite(t), free < 9.5)
    assert torch.equal(t[free < 9.5], free[free < 9.5])


def test_the_noise_is_even():
    noise = foliage.noise(torch.device("cpu"))
    assert noise.shape == (foliage.GRID**3,)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.1)
