import pytest

from msdepth_training.config import Phase
from msdepth_training.stages.schedule import first_step, learning_rate, total_steps

PHASES = tuple(Phase(steps=20, learning_rate=rate) for rate in (2e-3, 1e-3))


def test_the_learning_rate_warms_up_is_constant_and_falls_in_the_last_phase():
    rates = [learning_rate(PHASES, step, warmup_steps=4) for step in range(41)]
    assert rates[0] == pytest.approx(2e-3 / 4)
    assert set(rates[3:20]) == {2e-3}
    assert rates[20] == pytest.approx(1e-3)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[40] == pytest.approx(0.02 * 1e-3)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert learning_rate(PHASES, 0, warmup_steps=0) == 2e-3


def test_phases_follow_each_other():
    assert total_steps(PHASES) == 40
    assert [first_step(PHASES, i) for i in range(3)] == [0, 20, 40]
