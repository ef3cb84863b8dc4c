"""What the subcommands of `msdepth-train` do: options to calls."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_only

from msdepth_training.bench import trained_on
from msdepth_training.card import export_run, make_card, read_card, write_card
from msdepth_training.config import PlanConfig, TrainConfig, find_config, load_config, read_yaml
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor
from msdepth_training.plan import make_jobs, run_plan
from msdepth_training.quantize import export_int8, int8_path
from msdepth_training.real.measure import finite, load_frames, measure
from msdepth_training.real.predict import onnx_network, run_network
from msdepth_training.real.sheet import draw_sheets
from msdepth_training.real.table import table
from msdepth_training.results.make import Settings, evaluate_runs
from msdepth_training.sheets import draw_sheet, predict_with_model, predict_with_run
from msdepth_training.stages.runs import Run, load_run, phases_of, run_name
from msdepth_training.stages.sources import Ms2Source, SceneSource, Source
from msdepth_training.stages.train import Machine, train_stage

SCENES = Path("out/scenes")
"""Folder of rendered scenes, unless told otherwise."""


def _command() -> str:
    """What was typed."""
    return shlex.join(["msdepth-train", *sys.argv[1:]])


def _source(arguments: argparse.Namespace, style: str) -> Source:
    if arguments.data == "scenes":
        return SceneSource(arguments.root or SCENES, style, arguments.workers)
    if arguments.root is None:
        raise TrainingError("--data ms2 needs --root, the folder that has sync_data, proj_depth and the lists")
    return Ms2Source(arguments.root)


def _machine(arguments: argparse.Namespace) -> Machine:
    torch.set_num_threads(arguments.threads)
    return Machine(
        accelerator=arguments.accelerator, devices=arguments.devices, num_nodes=arguments.num_nodes,
        strategy=arguments.strategy, precision=arguments.precision, ahead=arguments.ahead,
    )  # fmt: skip


def _config(arguments: argparse.Namespace) -> TrainConfig:
    config = load_config(find_config(arguments.config))
    return config if arguments.seed is None else dataclasses.replace(config, seed=arguments.seed)


def _train(arguments: argparse.Namespace, config: TrainConfig, stage: str, begin_with: Run | None = None) -> None:
    folder = arguments.run or arguments.runs / str(config.seed) / run_name(config, stage)
    progress = train_stage(
        stage, config, folder, _source(arguments, config.scenes), machine=_machine(arguments), begin_with=begin_with,
        minutes=arguments.minutes, change_config=arguments.change_config, command=_command(),
    )  # fmt: skip
    state = "complete" if progress.finished else "stopped at the time limit; the same command goes on from here"
    done = f"{progress.steps} of {progress.total_steps} steps, {progress.seconds / 60:.1f} min of training"
    if rank_zero_only.rank == 0:
        print(f"{folder}: {done}, {state}")


def align(arguments: argparse.Namespace) -> None:
    """Train, or go on training, stage align."""
    config = _config(arguments)
    settings = config.align
    if arguments.spectra:
        kept = tuple(s for s in settings.spectra if s in arguments.spectra)
        alignment = settings.alignment if len(kept) == len(settings.spectra) else "none"
        settings = dataclasses.replace(settings, spectra=kept, alignment=alignment)
    if arguments.alignment:
        settings = dataclasses.replace(settings, alignment=arguments.alignment)
    _train(arguments, dataclasses.replace(config, align=settings), "align")


def fuse(arguments: argparse.Namespace) -> None:
    """Train, or go on training, stage fuse."""
    config = _config(arguments)
    if arguments.recipe:
        config = dataclasses.replace(config, fuse=dataclasses.replace(config.fuse, recipe=arguments.recipe))
    _train(arguments, config, "fuse", load_run(arguments.begin_with) if arguments.begin_with else None)


def plan(arguments: argparse.Namespace) -> None:
    """Train what is left of a plan."""
    planned: PlanConfig = read_yaml(PlanConfig, find_config(arguments.config))
    source, machine = _source(arguments, planned.train.scenes), _machine(arguments)
    found = run_plan(planned, arguments.runs, source, machine=machine, minutes=arguments.minutes)
    wanted = len(make_jobs(planned))
    done = sum(progress.finished for progress in found.values())
    state = "the same command goes on from here" if done < wanted else f"next: msdepth-train evaluate {arguments.runs}"
    print(f"{done} of {wanted} runs are complete; {state}")


def export(arguments: argparse.Namespace) -> None:
    """Calibrate, export, compare with PyTorch, measure on test frames and write the card; quantize what is exported."""
    if arguments.onnx is not None:
        if not arguments.int8:
            raise TrainingError("--onnx names an exported file to quantize; say --int8, too")
        _export_int8(arguments.onnx, arguments)
        return
    run = load_run(arguments.run)
    source, last = _source(arguments, run.config.scenes), phases_of(run.config, run.stage)[-1]
    path = arguments.models / f"{run.config.name}.onnx"
    model, differences = export_run(run, source, path, validation=run.config.validation_sequences)
    samples = source.test(last.height, last.width, arguments.test_sequences)
    card = make_card(run, model, path, samples, about=source.about, differences=differences, notes=arguments.note)
    write_card(path, card)
    print(json.dumps(card["metrics"]["fused"], indent=2))
    print(f"{path} and its card are written")
    if arguments.int8:
        _export_int8(path, arguments)


def _export_int8(path: Path, arguments: argparse.Namespace) -> None:
    """Quantize an exported model with the validation frames of its training, and measure both on test frames."""
    card, size = read_card(path), OnnxPredictor(path).size
    source = _source(arguments, trained_on(card))
    held_out = source.validation(*size, int(card["training"]["config"]["validation_sequences"]))
    found = export_int8(path, held_out, source.test(*size, arguments.test_sequences))
    print(json.dumps(found, indent=2))
    print(f"{int8_path(path)} and its card are written")


def evaluate(arguments: argparse.Namespace) -> None:
    """Measure runs and write the table of results."""
    settings = Settings(
        sequences=arguments.test_sequences, device=arguments.device, speed=not arguments.no_speed,
        real=arguments.real, model=arguments.model,
    )  # fmt: skip
    evaluate_runs(arguments.runs, lambda style: _source(arguments, style), arguments.out, settings, command=_command())
    print(f"{arguments.out}: results.json, results_bars.json, results.md and results.png are written")


def real(arguments: argparse.Namespace) -> None:
    """Score real frames."""
    if arguments.run is not None:
        network = run_network(load_run(arguments.run), arguments.size)
    elif arguments.size is not None:
        raise TrainingError("--size is for --run; an exported model has its own")
    else:
        network = onnx_network(arguments.model)
    frames = load_frames(arguments.data)
    result = measure(frames, network)
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = [arguments.out / "real.json"]
    written[0].write_text(json.dumps(finite(result), indent=2) + "\n")
    if not arguments.no_sheet:
        written += draw_sheets(arguments.out / "sheet.png", frames, network)
    print(f"{table(result)}\n\n{arguments.out}: {', '.join(path.name for path in written)} written")


def show(arguments: argparse.Namespace) -> None:
    """Draw scenes, and predictions beside them."""
    height, width = arguments.size or (128, 320)
    style, predict = arguments.scenes, None
    if arguments.run is not None:
        run = load_run(arguments.run)
        last = phases_of(run.config, run.stage)[-1]
        style, height, width = run.config.scenes, last.height, last.width
        predict = predict_with_run(run)
    elif arguments.model is not None:
        height, width = OnnxPredictor(arguments.model).size
        predict = predict_with_model(arguments.model)
    frames = _source(arguments, style).test(height, width, arguments.first + arguments.frames)
    numbers = range(min(arguments.first, len(frames)), min(arguments.first + arguments.frames, len(frames)))
    draw_sheet(arguments.out, frames, numbers, predict)
    print(f"{arguments.out} is written")
