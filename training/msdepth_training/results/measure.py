"""Measure runs: calibrate each network, then score it on every row that is its."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.batch import Batch
from msdepth_training.calibrate import Line, calibrate
from msdepth_training.networks import SpectralDepth, split
from msdepth_training.objective import PAIRS, alignment_recall
from msdepth_training.results.answers import FUSED, answer, batch_of, victims
from msdepth_training.results.rows import ROWS, Row
from msdepth_training.score import Score, ScoreSums
from msdepth_training.stages.batches import make_batch
from msdepth_training.stages.runs import WEIGHTS, Run, load_run
from msdepth_training.stages.sources import Frames

BATCH = 8
"""Frames at a time."""
RECALL_BATCH = 32
"""Frames that the points of one recall are drawn from: small images have few cells."""
RECALL_STRIDE = 8
"""Level whose shared features are compared between spectra."""


@dataclass(frozen=True)
class Measured:
    """One row of one seed."""

    scores: Mapping[str, Score]
    """By condition."""
    views: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    """Own evidence of the views, by spectrum (`broken` for the broken one), by condition."""
    reliability: Sequence[tuple[float, float, int]] = ()
    """Stated confidence, how often it was right, pixels."""


@dataclass(frozen=True)
class MeasuredRun:
    """A run and all that was measured of it."""

    run: Run
    lines: Mapping[str, Line]
    """Calibration."""
    rows: Mapping[str, Measured]
    recall_at_1: float | None = None
    """Of aligned features, mean over the pairs of spectra."""


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """All runs in or below some folders, each once, in order of seed and name."""
    files = sorted({path.resolve() for folder in folders for path in folder.rglob(WEIGHTS)})
    return sorted((load_run(path.parent) for path in files), key=lambda run: (run.config.seed, run.name))


def measure_row(
    network: nn.Module, lines: Mapping[str, Line], row: Row, frames: Frames, conditions: Sequence[str],
    *, device: torch.device, pool: ThreadPoolExecutor | None = None,
) -> Measured:  # fmt: skip
    """Score one row on every frame.

    Args:
        network: on the device, in eval mode.
        lines: its calibration.
        row: which views, which frame of reference, which fault.
        frames: to score.
        conditions: what the frames' conditions count.
        device: where the network is.
        pool: scores several images at once.
    """
    sums: dict[str, ScoreSums] = {}
    for first in range(0, len(frames), BATCH):
        index = torch.arange(first, min(first + BATCH, len(frames)))
        condition = frames.condition[index].tolist()
        answers = answer(network, batch_of(frames, index, row, device), row, lines)
        sums.setdefault(FUSED, ScoreSums(conditions)).add(answers.pop(FUSED), condition, pool)
        struck = victims(row.fault, index.tolist()) if row.fault else []
        for name, views in answers.items():
            if not row.fault:
                sums.setdefault(name, ScoreSums(conditions)).add(views, condition, pool)
            elif row.fault != "missing":
                mine = [b for b, n in enumerate(struck) if name == f"view_{SPECTRA[n]}"]
                part = type(views)(*(x[mine] for x in views))
                sums.setdefault("view_broken", ScoreSums(conditions)).add(part, [condition[b] for b in mine], pool)
    fused = sums.pop(FUSED)
    by_view = {name.removeprefix("view_"): s.scores() for name, s in sums.items()}
    return Measured(fused.scores(), by_view, fused.reliability())


def recall(network: SpectralDepth, frames: Frames, *, device: torch.device, points: int = 1000) -> float | None:
    """Recall@1 of shared features among so many points.

    Args:
        network: aligned, or not.
        frames: to draw points from.
        device: where the network is.
        points: among which the same one has to be found.

    Returns:
        Mean over pairs of spectra and batches of frames; None where no batch has enough points that two views see.
    """
    found: list[float] = []
    generator = torch.Generator().manual_seed(0)
    for first in range(0, len(frames), RECALL_BATCH):
        index = torch.arange(first, min(first + RECALL_BATCH, len(frames)))
        batch: Batch = make_batch(frames, index, torch.zeros(len(index), dtype=torch.long)).to(device)
        with torch.no_grad():
            out = network(batch.images.flatten(0, 1), batch.k.flatten(0, 1))
            features = split(out.view.pyramid[RECALL_STRIDE])[0].unflatten(0, (len(index), len(SPECTRA)))
            scores = [
                alignment_recall(features, batch, RECALL_STRIDE, pair, generator=generator, points=points)
                for pair in PAIRS
            ]
        found += [score for score in scores if score is not None]
    return sum(found) / len(found) if found else None


def measure_run(
    run: Run, held_out: Frames, test: Frames, conditions: Sequence[str], *, device: torch.device, workers: int = 1
) -> MeasuredRun:
    """Calibrate a run's network and score it on all its rows.

    Args:
        run: what was trained.
        held_out: frames that confidence is calibrated on.
        test: frames that are scored.
        conditions: what the frames' conditions count.
        device: where to compute.
        workers: threads that score images.
    """
    network = run.network.to(device)
    lines = calibrate(network, held_out, fault_share=run.config.fault_share, device=device)
    rows = [row for row in ROWS if row.run == run.name]
    with ThreadPoolExecutor(workers) as pool:
        measured = {
            row.name: measure_row(network, lines, row, test, conditions, device=device, pool=pool)
            for row in tqdm(rows, desc=f"{run.name}, seed {run.config.seed}", unit="row")
        }
    aligned = isinstance(network, SpectralDepth) and len(run.config.align.spectra) == len(SPECTRA)
    found = recall(network, test, device=device) if aligned else None
    run.network.cpu()
    return MeasuredRun(run, lines, measured, found)
