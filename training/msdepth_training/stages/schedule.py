"""When which phase and which learning rate: pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msdepth_training.config import Phase

FLOOR = 0.02
"""Share of the last phase's learning rate that is left at its end."""


def total_steps(phases: Sequence[Phase]) -> int:
    """Steps of all phases."""
    return sum(phase.steps for phase in phases)


def first_step(phases: Sequence[Phase], index: int) -> int:
    """Step that a phase begins with."""
    return total_steps(phases[:index])


def learning_rate(phases: Sequence[Phase], step: int, *, warmup_steps: int) -> float:
    """Linear warm-up, then constant within a phase; in the last phase half a cosine down to `FLOOR`.

    Args:
        phases: one after the other.
        step: counted from 0 over all phases.
        warmup_steps: until the full rate is reached.
    """
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    last_first = first_step(phases, len(phases) - 1)
    if step < last_first:
        index = next(i for i in range(len(phases)) if step < first_step(phases, i + 1))
        return phases[index].learning_rate * warm
    last = phases[-1]
    falling = FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + math.cos(math.pi * (step - last_first) / max(1, last.steps)))
    return last.learning_rate * falling * warm
