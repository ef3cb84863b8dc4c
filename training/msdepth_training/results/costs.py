"""What the networks of a table cost, at the size that ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from msdepth_training.complexity import cost, milliseconds
from msdepth_training.results.rows import ROWS
from msdepth_training.stages.runs import Run

THREADS = 2
"""Cores that the time is for."""
HEIGHT, WIDTH = 256, 640
"""Size of the images that costs are for: what ships."""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure_costs(
    runs: Sequence[Run], *, height: int = HEIGHT, width: int = WIDTH, cores: int = THREADS
) -> dict[tuple[str, int], dict[str, float]]:
    """Parameters, GFLOPs and milliseconds in eager PyTorch, of all and of the fusion alone.

    Args:
        runs: the first of each name is measured.
        height: rows of the images.
        width: columns of the images.
        cores: that the time is for.

    Returns:
        By name of the run and number of views.
    """
    first = {run.name: run for run in reversed(runs)}
    wanted = sorted({(row.run, len(row.views)) for row in ROWS if row.run in first})
    found: dict[tuple[str, int], dict[str, float]] = {}
    with threads(cores):
        for name, views in wanted:
            network = first[name].network
            counted = cost(network, views=views, height=height, width=width)
            whole, fusion = milliseconds(network, views=views, height=height, width=width)
            found[name, views] = {
                "parameters": counted.parameters, "gflops": round(counted.gflops, 3), "ms": round(whole, 1),
                "fusion_parameters": counted.fusion_parameters,
                "fusion_gflops": round(counted.fusion_gflops, 3), "fusion_ms": round(fusion, 1),
            }  # fmt: skip
    return found
