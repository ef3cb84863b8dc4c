"""Train everything that the table of results needs: in order, several at a time, resumable, within a time limit."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.config import ALIGNMENTS, RECIPES, PlanConfig, TrainConfig
from msdepth_training.stages.runs import Progress, load_run, phases_of, read_progress, run_name
from msdepth_training.stages.sources import Source
from msdepth_training.stages.train import Machine, train_stage
from msdepth_training.workers import end_with_parent


@dataclass(frozen=True)
class Job:
    """One run."""

    stage: str
    config: TrainConfig
    needs: str = ""
    """Name of the run of the same seed that it begins with."""

    @property
    def name(self) -> str:
        """Of the folder."""
        return run_name(self.config, self.stage)

    def folder(self, runs: Path) -> Path:
        """Where it goes."""
        return runs / str(self.config.seed) / self.name


def _align(config: TrainConfig, alignment: str, spectra: Sequence[str] = SPECTRA) -> Job:
    settings = dataclasses.replace(config.align, alignment=alignment, spectra=tuple(spectra))
    return Job("align", dataclasses.replace(config, align=settings))


def make_jobs(plan: PlanConfig) -> list[Job]:
    """All runs, seed by seed, so that a plan that is cut short has whole seeds."""
    jobs = []
    for seed in dict.fromkeys((*plan.seeds, *plan.specialist_seeds)):
        config = dataclasses.replace(plan.train, seed=seed)
        if seed in plan.seeds:
            # what others wait for comes first
            aligned = [_align(config, alignment) for alignment in reversed(ALIGNMENTS)]
            fused = []
            for recipe in reversed(RECIPES):
                settings = dataclasses.replace(config.fuse, recipe=recipe)
                fused.append(Job("fuse", dataclasses.replace(config, fuse=settings), needs=f"align_{recipe}"))
            jobs += [*aligned[:2], *fused, *aligned[2:]]
        if seed in plan.specialist_seeds:
            jobs += [_align(config, "none", [spectrum]) for spectrum in SPECTRA]
    return jobs


def _finished(folder: Path) -> bool:
    progress = read_progress(folder)
    return progress is not None and progress.finished


def run_job(
    job: Job, runs: Path, source: Source, machine: Machine, stop_at: float, threads: int, half: bool
) -> Progress:
    """One run in a process of its own; `stop_at` is a time of the epoch, since processes have monotonic clocks."""
    torch.set_num_threads(threads)
    begin_with = load_run(runs / str(job.config.seed) / job.needs) if job.needs else None
    minutes = max(0.0, stop_at - time.time()) / 60.0
    return train_stage(
        job.stage, job.config, job.folder(runs), source,
        machine=machine, begin_with=begin_with, minutes=minutes, half=half, command="msdepth-train plan",
    )  # fmt: skip


def ready(jobs: Iterable[Job], runs: Path, busy: Iterable[Path]) -> list[Job]:
    """Jobs that can begin or go on: not finished, not being worked on, and what they need is there."""
    taken = set(busy)
    return [
        job
        for job in jobs
        if job.folder(runs) not in taken
        and not _finished(job.folder(runs))
        and (not job.needs or _finished(runs / str(job.config.seed) / job.needs))
    ]


def run_plan(
    plan: PlanConfig, runs: Path, source: Source, *, machine: Machine, minutes: float = math.inf
) -> dict[str, Progress]:
    """Run what is left of a plan.

    Args:
        plan: what to train.
        runs: folder of all runs.
        source: of frames.
        machine: where and how to compute; the plan's precision counts.
        minutes: stop, with checkpoints, when this much time has passed in this call.

    Returns:
        How far every run is, by `<seed>/<name>`; those not begun are missing.
    """
    stop_at = time.time() + 60.0 * minutes if math.isfinite(minutes) else math.inf
    jobs = make_jobs(plan)
    machine = dataclasses.replace(machine, precision=plan.precision, progress_bar=plan.parallel == 1)
    threads = max(1, torch.get_num_threads() // plan.parallel)
    for phase in dict.fromkeys(phase for job in jobs for phase in phases_of(job.config, job.stage)):
        source.prepare(phase)
    running: dict[Future[Progress], Job] = {}
    with ProcessPoolExecutor(plan.parallel, get_context("spawn"), initializer=end_with_parent) as pool:
        while True:
            waiting = ready(jobs, runs, [job.folder(runs) for job in running.values()])
            while waiting and len(running) < plan.parallel and time.time() < stop_at:
                job = waiting.pop(0)
                running[pool.submit(run_job, job, runs, source, machine, stop_at, threads, plan.half)] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, progress = running.pop(future), future.result()
                print(
                    f"{job.folder(runs)}: {progress.steps} of {progress.total_steps} steps, "
                    f"{progress.seconds / 60:.1f} min", flush=True,
                )  # fmt: skip
    return state(jobs, runs)


def state(jobs: Iterable[Job], runs: Path) -> dict[str, Progress]:
    """How far every run is that has begun, by `<seed>/<name>`."""
    found = {f"{job.config.seed}/{job.name}": read_progress(job.folder(runs)) for job in jobs}
    return {name: progress for name, progress in found.items() if progress is not None}
