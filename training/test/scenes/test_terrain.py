"""The ground is where its form says, for rays from anywhere."""

import math

import pytest
import torch

from msdepth_training.scenes.terrain import FAR_M, KERB, Terrain, across_road, cast

HALF = 4.0
ORIGIN = (torch.tensor(0.0), torch.tensor(-1.5), torch.tensor(0.0))


def rays():
    """A fan of rays ahead, up and down."""
    x = torch.linspace(-0.9, 0.9, 61)[None, :].expand(41, -1).contiguous()
    y = torch.linspace(-0.25, 0.5, 41)[:, None].expand(-1, 61).contiguous()
    return x, y, torch.ones_like(x)


def test_a_plane_is_met_where_geometry_says():
    _, y, _ = d = rays()
    t, instance = cast(Terrain(), HALF, ORIGIN, d, y.shape)
    torch.testing.assert_close(t[y > 0.01], 1.5 / y[y > 0.01])
    assert torch.isinf(t[y <= 0]).all()
    assert torch.equal(instance, torch.where(torch.isfinite(t), -2, -1))


def test_a_slope_is_met_where_geometry_says():
    x, y, _ = d = rays()
    t, _ = cast(Terrain(grade=(0.02, 0.1)), HALF, ORIGIN, d, y.shape)
    descent = y + 0.02 * x + 0.1
    expected = torch.where((descent > 0) & (1.5 / descent < FAR_M), 1.5 / descent, torch.inf)
    torch.testing.assert_close(t, expected, rtol=1e-4, atol=1e-4)


TERRAINS = {
    "crest": Terrain(grade=(0.01, 0.03), bend_per_m=(-1 / 400, -1 / 2000)),
    "dip": Terrain(grade=(-0.01, -0.04), bend_per_m=(1 / 900, 1 / 3000), kerb_m=0.15),
    "bend": Terrain(kerb_m=0.2, turn=-0.6, turn_at_m=30.0, turn_length_m=25.0),
}


@pytest.mark.parametrize("name", TERRAINS)
def test_every_hit_is_on_the_ground_and_nothing_of_it_is_before(name):
    terrain, d = TERRAINS[name], rays()
    t, instance = cast(terrain, HALF, ORIGIN, d, d[0].shape)

    def below(t):
        """How far a point of each ray is below the ground, metres."""
        x, y, z = (o + t * v for o, v in zip(ORIGIN, d, strict=True))
        (gx, gz), (bx, bz) = terrain.grade, terrain.bend_per_m
        height = gx * x + gz * z + 0.5 * (bx * x * x + bz * z * z)
        on_road = across_road(terrain, x, z)[0].abs() < HALF
        return y + height - torch.where(on_road, terrain.kerb_m, 0.0)

    hit = torch.isfinite(t)
    assert hit.float().mean() > 0.4
    ground, kerb = (instance == -2) & (t < 300), instance == KERB
    assert below(torch.where(hit, t, 1.0))[ground].abs().max() < 0.02
    # a kerb's face lies between the levels of road and pavement
    face = below(torch.where(hit, t, 1.0) * 1.0001)[kerb]
    assert bool(kerb.any()) == (terrain.kerb_m > 0)
    assert (face > -0.01).all()
    assert (face < terrain.kerb_m + 0.01).all()
    for share in (0.3, 0.6, 0.9, 0.99):
        assert below(torch.where(hit, share * t, 1.0))[hit & (t < 300)].max() < 0.01


def test_the_road_bends_by_what_is_asked_for_and_points_beside_it_know_their_distance():
    terrain = Terrain(turn=0.5, turn_at_m=40.0, turn_length_m=30.0)
    assert terrain.road_x(0.0) == pytest.approx(0.0)
    assert terrain.road_slope(300.0) == pytest.approx(0.5, abs=1e-4)
    for z in (-10.0, 20.0, 45.0, 120.0):
        numeric = (terrain.road_x(z + 1e-3) - terrain.road_x(z - 1e-3)) / 2e-3
        assert terrain.road_slope(z) == pytest.approx(numeric, abs=1e-4)
        x = terrain.road_x(z) + 3.0 * math.hypot(1.0, terrain.road_slope(z))
        across, slope = across_road(terrain, torch.tensor(x), torch.tensor(z))
        assert float(across) == pytest.approx(3.0, abs=1e-3)
        assert float(slope) == pytest.approx(terrain.road_slope(z), abs=1e-5)


def test_what_stands_uphill_looks_up_and_what_stands_on_a_ground_that_rises_to_the_right_leans_left():
    pitch, roll = Terrain(grade=(0.05, 0.1)).tilt(0.0, 0.0, 0.0)
    assert pitch == pytest.approx(math.atan(0.1))
    assert roll == pytest.approx(-math.atan(0.05))
