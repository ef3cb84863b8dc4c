"""The `msdepth-train` command."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import logging
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.calibrate import calibrate
from msdepth_training.config import TrainConfig, load_config
from msdepth_training.datasets.scenes import TEST_SEED, VALIDATION_SEED, SceneSet, load_set, render_set
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import MAX_M, OnnxPredictor, card_metrics, score_rows, view_calibration_error
from msdepth_training.export import (
    ContractModel,
    contract_metadata,
    export_onnx,
    largest_difference,
    sha256,
)
from msdepth_training.train import Trainer, load_network

CONFIGS = Path(__file__).parent / "configs"
TOLERANCE = 1e-3
"""ONNX Runtime may differ from PyTorch by this much, relatively."""
LIMITS = (
    "Trained on rendered scenes only; it has never seen a real image. Not for driving or any safety function. "
    "Metric scale relies on cameras 1.2 to 2 m above a road and on a calibration that is right. "
    "Glass, mirrors and thin wires are often missed."
)


def _config(name: str) -> TrainConfig:
    path = Path(name)
    return load_config(path if path.suffix in (".yaml", ".yml") else CONFIGS / f"{name}.yaml")


def _trained_at(state: dict[str, Any]) -> str:
    """The commit that training ended with; "unknown" for a checkpoint that does not say."""
    history = state["history"] or [{}]
    return str(history[-1].get("commit", "unknown"))


def train(arguments: argparse.Namespace) -> None:
    """Train, or go on training, a configuration."""
    config = _config(arguments.config)
    torch.set_num_threads(arguments.threads)
    trainer = Trainer(
        config, arguments.run, device=torch.device(arguments.device), data=arguments.data, workers=arguments.workers
    )
    trainer.resume(change_config=arguments.change_config)
    complete = trainer.train(stop_after_s=arguments.minutes * 60.0)
    state = "complete" if complete else "stopped at the time limit; the same command goes on from here"
    done = f"{trainer.step} of {trainer.total_steps} steps, {trainer.seconds / 60:.1f} min of training"
    print(f"{arguments.run / 'checkpoint.pt'}: {done}, {state}")


def export(arguments: argparse.Namespace) -> None:
    """Calibrate, export, compare with PyTorch, measure on test scenes and write the card."""
    network, config, state = load_network(arguments.run / "checkpoint.pt")
    stage = config.stages[-1]
    size = {"height": stage.height, "width": stage.width}
    held_out = SceneSet("validation", VALIDATION_SEED, config.validation_sequences, frames=1, **size)
    render_set(held_out, arguments.data, workers=arguments.workers)
    model = ContractModel(network, calibrate(network, load_set(held_out, arguments.data)))
    path = arguments.models / f"{config.name}.onnx"
    metadata = contract_metadata(network, name=config.name, version=config.version, commit=_trained_at(state), **size)
    export_onnx(model, path, metadata=metadata, **size)
    differences = {str(n): largest_difference(model, path, count=n, **size) for n in (1, 2, 3)}
    if max(differences.values()) > TOLERANCE:
        raise TrainingError(
            f"{path}: ONNX Runtime differs from PyTorch by {differences}, more than {TOLERANCE}; not for use"
        )
    card = _card(arguments, config, state, model, path, differences)
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card["metrics"]["fused"], indent=2))
    print(f"{path} and its card are written")


def _card(
    arguments: argparse.Namespace,
    config: TrainConfig,
    state: dict[str, Any],
    model: ContractModel,
    path: Path,
    differences: dict[str, float],
) -> dict[str, object]:
    """The model card; measures the exported file on test scenes."""
    stage = config.stages[-1]
    test = SceneSet("test", TEST_SEED, arguments.test_sequences, stage.height, stage.width, frames=1)
    render_set(test, arguments.data, workers=arguments.workers)
    samples, predictor = load_set(test, arguments.data), OnnxPredictor(path)
    return {
        "name": config.name, "version": config.version, "contract": 1, "file": path.name, "sha256": sha256(path),
        "recipe": "msdepth", "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "training": {
            "command": f"msdepth-train train --config {arguments.config}", "seed": config.seed,
            "steps": state["step"], "minutes": round(state["seconds"] / 60, 1), "history": state["history"],
            "notes": arguments.note,
            "data": "procedural scenes of msdepth_training", "config": dataclasses.asdict(config),
        },
        "calibration": {
            "on": f"{config.validation_sequences} validation scenes", **dataclasses.asdict(model.calibration)
        },
        "onnx_vs_pytorch_largest_relative_difference": differences,
        "metrics": card_metrics(score_rows(samples, predictor)),
        "view_confidence_ece": {s: view_calibration_error(samples, predictor, i) for i, s in enumerate(SPECTRA)},
        "metrics_on": f"{len(samples)} test scenes, unscaled, depth below {MAX_M:g} m; "
        "without_* and single spectra in the RGB frame",
        "limits": LIMITS,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="msdepth-train", description="Train, calibrate and export msdepth models.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", default="tiny", help="name of a shipped configuration or a YAML file")
    common.add_argument("--run", type=Path, default=Path("out/train/tiny"), help="folder of checkpoints")
    common.add_argument(
        "--data", type=Path, default=Path("out/scenes"), help="folder of rendered scenes, made when missing"
    )
    common.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that render")
    part = commands.add_parser(
        "train", parents=[common], help="render scenes and train; goes on where a stopped run ended"
    )
    part.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    part.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    part.add_argument("--change-config", action="store_true", help="go on with a configuration that has changed")
    part.add_argument("--minutes", type=float, default=math.inf, help="stop, with a checkpoint, after this long")
    part.set_defaults(run_command=train)
    part = commands.add_parser("export", parents=[common], help="calibrate and export a trained network with its card")
    part.add_argument("--models", type=Path, default=Path("models"))
    part.add_argument("--test-sequences", type=int, default=120)
    part.add_argument("--note", action="append", default=[], help="a sentence on the training for the card")
    part.set_defaults(run_command=export)
    return parser


def main() -> None:
    """Entry point; bad input ends with one line and exit code 2."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    arguments = _parser().parse_args()
    try:
        arguments.run_command(arguments)
    except TrainingError as error:
        print(f"msdepth-train: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
