import pytest
import torch

from msdepth_training.calibrate import FUSED_LINES, calibrate, fit_line
from msdepth_training.confidence import probability_within_factor
from msdepth_training.stages.runs import load_run


def test_calibration_finds_the_line_that_makes_confidence_true():
    generator = torch.Generator().manual_seed(0)
    stated = torch.rand(40_000, generator=generator) * 3 - 4
    truth = 0.7 * stated + 0.4
    correct = (torch.rand(40_000, generator=generator) < probability_within_factor(truth)).float()
    slope, offset = fit_line(stated, correct)
    assert slope == pytest.approx(0.7, abs=0.05)
    assert offset == pytest.approx(0.4, abs=0.15)


def test_confidence_is_never_turned_upside_down():
    """The surer, the wronger: the slope stays positive even so."""
    stated = torch.linspace(-4.0, 1.0, 500)
    assert fit_line(stated, (stated > -1.5).float())[0] > 0.0


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("fuse_msdepth", set(FUSED_LINES)),
        ("fuse_paper", {"rgb", "nir", "thermal"}),
        ("align_none", {"rgb", "nir", "thermal"}),
    ],
)
def test_calibration_is_repeatable_on_every_kind_of_network(runs, samples, name, lines):
    network = load_run(runs / "0" / name).network
    found = calibrate(network, samples, seed=3)
    assert found == calibrate(network, samples, seed=3)
    assert set(found) == lines
    assert len(set(found.values())) == len(lines)
    assert min(slope for slope, _ in found.values()) > 0
