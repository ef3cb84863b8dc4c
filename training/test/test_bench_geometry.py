import numpy as np
import pytest
import torch

from msdepth_training.bench_geometry import BANDS_M, CAMERAS, RIGS, abs_rel_by_band, measure_geometry
from msdepth_training.evaluate import Prediction


class Told:
    """A predictor that knows the depth, times the length of the baselines that it is told over the true ones."""

    def __init__(self, samples):
        self.samples, self.asked, self.shift = samples, 0, []

    def __call__(self, inputs):
        index = self.asked % len(self.samples)
        self.asked += 1
        pose = self.samples.vehicle_from_camera[index]
        views = inputs.spectrum.tolist()
        true = (torch.linalg.inv(pose[views]) @ pose[0])[:, :3, 3].norm()
        told = inputs.view_from_reference[:, :3, 3].norm()
        factor = float(told / true) if len(views) > 1 else 1.0
        depth = self.samples.depth_m[index, 0].float().numpy() * factor
        return Prediction(depth, np.ones_like(depth), np.ones((len(views), *depth.shape), np.float32))


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_network_that_believes_its_baselines_is_wrong_by_their_factor(samples, factor):
    found = abs_rel_by_band(samples, Told(samples), (0, 2), told_baseline=factor)
    assert set(found) <= {"all", *(f"{low:g}-{high:g}" for low, high in BANDS_M)}
    assert all(value == pytest.approx(factor - 1.0, abs=1e-3) for value in found.values())


def test_one_camera_alone_is_told_no_baseline(samples):
    assert abs_rel_by_band(samples, Told(samples), (0,), told_baseline=2.0)["all"] == pytest.approx(0.0, abs=1e-3)


def test_rigs_of_other_widths_see_the_same_scenes(data):
    """A constant is as wrong whatever the rig: the RGB camera's depth is the same."""

    def constant(inputs):
        shape = inputs.images.shape[-2:]
        return Prediction(np.full(shape, 12.0), np.ones(shape), np.ones((len(inputs.images), *shape)))

    table = measure_geometry(constant, 64, 160, style="rich", scenes=4, data=data, workers=1)
    assert set(table) == {*RIGS, "over_nominal"}
    assert all(set(table[name]) == set(CAMERAS) for name in RIGS)
    assert table["half"]["all"]["all"] == pytest.approx(table["double"]["rgb"]["all"], rel=1e-6)
    assert all(value == pytest.approx(1.0) for value in table["over_nominal"].values())
