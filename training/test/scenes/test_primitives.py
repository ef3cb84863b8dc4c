"""Distances of every solid against what geometry says, one by one and as pairs."""

import math

import numpy as np
import pytest
import torch

from msdepth_training.scenes import materials
from msdepth_training.scenes.instances import BOX, CYLINDER, ELLIPSOID, GROUND_ZONES, TAPERED, TUBE, Builder
from msdepth_training.scenes.placing import Stand
from msdepth_training.scenes.primitives import distance, paired, solids, to_local, to_world
from msdepth_training.scenes.raycast import box_corners


def builder():
    return Builder(np.random.default_rng(0), (0,))


def finished(b):
    for _ in range(GROUND_ZONES):
        b.add(BOX, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), materials.ASPHALT)
    return b.instances()


def one(kind, half, **more):
    """One solid 10 m ahead of the origin."""
    b = builder()
    b.add(kind, (0.0, 0.0, 10.0), half, materials.ASPHALT, **more)
    return finished(b)


def cast(instances, start, towards):
    """Distance in metres of the first solid from a point in a direction of any length."""
    d = torch.tensor(towards, dtype=torch.float64)
    d, o = d / d.norm(), torch.tensor(start, dtype=torch.float64)
    solid = solids(instances, 0.0)[0]
    local = to_local(solid, tuple(o - torch.tensor(solid.centre_m, dtype=torch.float64)))
    return float(distance(solid, tuple(v[None] for v in local), tuple(v[None] for v in to_local(solid, tuple(d))))[0])


@pytest.mark.parametrize(
    ("kind", "half", "more", "start", "towards", "expected"),
    [
        # a wedge whose front ahead slopes from z = 8 at the top to 12 at the bottom: half way up it is at 10 + 0
        (TAPERED, (1, 1, 2), {"taper": (0.0, 0.0, 1.0)}, (0, 0, 0), (0, 0, 1), 9.0),
        (TAPERED, (1, 1, 2), {"taper": (0.0, 0.0, 1.0)}, (0, 0.5, 0), (0, 0, 1), 8.5),
        (TAPERED, (1, 1, 2), {"taper": (0.0, 1.0, 0.0)}, (0, -0.5, 20), (0, 0, -1), 9.5),
        (TAPERED, (1, 1, 2), {"taper": (0.5, 0.0, 0.0)}, (-5, -1 + 1e-4, 10), (1, 0, 0), 4.5),
        (TAPERED, (1, 1, 2), {"taper": (0.5, 0.0, 0.0)}, (-0.8, -0.8, 0), (0, 0, 1), math.inf),
        (TAPERED, (1, 1, 2), {"taper": (0.0, 0.0, 0.0)}, (0, -5, 10), (0, 1, 0), 4.0),
        (TUBE, (1, 2, 1), {}, (0, 0, 0), (0, 0, 1), 9.0),
        (TUBE, (1, 2, 1), {}, (0.3, -7, 10), (0, 1, 0), 5.0),  # its upper end is closed
        (TUBE, (1, 2, 1), {"taper": (1.0, 0.0, 0.0)}, (0, 0, 0), (0, 0, 1), 9.5),  # a cone, half way up
        (TUBE, (1, 2, 1), {"taper": (1.0, 0.0, 0.0)}, (0.6, -1, 0), (0, 0, 1), math.inf),
        (TUBE, (1, 3, 1), {"tilt": 0.5 * math.pi}, (0, 0, 0), (0, 0, 1), 7.0),  # laid along z, seen from its end
        (TUBE, (1, 3, 1), {"yaw": 0.5 * math.pi, "tilt": 0.5 * math.pi}, (0, 0, 0), (0, 0, 1), 9.0),  # along x
        (BOX, (1, 1, 1), {"yaw": 0.25 * math.pi}, (0, 0, 0), (0, 0, 1), 10 - math.sqrt(2)),
        (BOX, (1, 1, 1), {"tilt": 0.25 * math.pi}, (0, 0, 0), (0, 0, 1), 10 - math.sqrt(2)),
        (ELLIPSOID, (1, 1, 2), {}, (0, 0, 0), (0, 0, 1), 8.0),
        (CYLINDER, (1, 1, 1), {}, (0, -3, 10), (0, 1, 0), math.inf),  # open
    ],
)
def test_distance(kind, half, more, start, towards, expected):
    instances = one(kind, tuple(float(h) for h in half), **more)
    assert cast(instances, start, towards) == pytest.approx(expected, abs=2e-4)


def test_a_positive_tilt_lifts_what_is_ahead():
    solid = solids(one(BOX, (1.0, 1.0, 1.0), tilt=0.3), 0.0)[0]
    ahead = to_world(solid, tuple(torch.tensor([0.0, 0.0, 1.0])))
    assert float(ahead[1]) == pytest.approx(-math.sin(0.3))
    assert [float(v) for v in to_local(solid, ahead)] == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("kind", [BOX, TAPERED, TUBE, ELLIPSOID, CYLINDER])
def test_pairs_measure_what_single_solids_do(kind):
    rng, b = np.random.default_rng(3), builder()
    for _ in range(6):
        half = tuple(float(v) for v in rng.uniform(0.3, 2, 3))
        b.add(
            kind, tuple(float(v) for v in rng.normal(0, 1, 3)), half, materials.ASPHALT, yaw=float(rng.uniform(0, 6)),
            tilt=float(rng.uniform(-1, 1)), taper=(0.3, 0.6, 0.1), velocity=(1.0, 0.0, 2.0),
        )  # fmt: skip
    instances, row = finished(b), torch.arange(6).repeat_interleave(500)
    generator = torch.Generator().manual_seed(0)
    origin = torch.randn((3, 3000), generator=generator) * 3 - torch.tensor([[0.0], [0.0], [6.0]])
    direction = torch.randn((3, 3000), generator=generator) + torch.tensor([[0.0], [0.0], [2.0]])
    together = paired(instances, 0.5, kind, row)
    found = []
    for solid, part in [(together, slice(None)), *((s, row == i) for i, s in enumerate(solids(instances, 0.5)[:6]))]:
        o = tuple(v[part] - c for v, c in zip(origin, solid.centre_m, strict=True))
        d = tuple(v[part] for v in direction)
        found.append(distance(solid, to_local(solid, o), to_local(solid, d)))
    assert torch.isfinite(found[0]).sum() > 100
    torch.testing.assert_close(found[0], torch.cat(found[1:]), rtol=1e-4, atol=1e-4)


def test_a_limb_goes_from_its_start_to_its_end():
    b = builder()
    start, end = (1.0, 0.5, 2.0), (-0.5, 2.5, 4.0)
    Stand(b, 3.0, -1.0, 20.0, yaw=0.4).limb(start, end, (0.2, 0.1), materials.BARK)
    instances = finished(b)
    solid = solids(instances, 0.0)[0]
    low = to_world(solid, tuple(torch.tensor([0.0, solid.half_m[1], 0.0])))
    stand = Stand(b, 3.0, -1.0, 20.0, yaw=0.4)
    assert [float(c + v) for c, v in zip(solid.centre_m, low, strict=True)] == pytest.approx(
        stand.world(*start), abs=1e-4
    )
    assert [float(c - v) for c, v in zip(solid.centre_m, low, strict=True)] == pytest.approx(
        stand.world(*end), abs=1e-4
    )


def test_bounding_boxes_hold_turned_and_tilted_things():
    instances = one(TUBE, (0.5, 3.0, 0.5), yaw=0.7, tilt=1.1)
    solid, corners = solids(instances, 0.0)[0], box_corners(instances, 0.0)[0]
    for end in (-3.0, 3.0):
        point = torch.stack(to_world(solid, tuple(torch.tensor([0.0, end, 0.0])))) + torch.tensor(solid.centre_m)
        assert (point >= corners.amin(dim=0) - 1e-4).all()
        assert (point <= corners.amax(dim=0) + 1e-4).all()
