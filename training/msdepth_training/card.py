"""From a trained run to a model that ships: calibration, ONNX, the check against PyTorch, and the card."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msdepth_ros.core.image_score import MAX_TRUTH_M
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.calibrate import calibrate
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor, card_metrics, score_rows, view_calibration_error
from msdepth_training.export import (
    CONTRACT,
    Calibration,
    ContractModel,
    contract_metadata,
    export_onnx,
    largest_difference,
    sha256,
)
from msdepth_training.networks import MsDepth
from msdepth_training.stages.runs import Run, phases_of
from msdepth_training.stages.sources import About, Frames, Source

TOLERANCE = 1e-3
"""ONNX Runtime may differ from PyTorch by this much, relatively."""


def contract_network(run: Run) -> MsDepth:
    """The network of a run, if it keeps the model contract.

    Raises:
        TrainingError: it does not.
    """
    if not isinstance(run.network, MsDepth):
        raise TrainingError(
            f"{run.folder} holds {run.name}, which needs certain cameras to be there; only fuse with recipe msdepth "
            "keeps the model contract"
        )
    return run.network


def export_run(run: Run, source: Source, path: Path, *, validation: int = 60) -> tuple[ContractModel, dict[str, float]]:
    """Calibrate on held-out frames, write the ONNX file, compare with PyTorch.

    Args:
        run: of stage fuse, recipe msdepth.
        source: of held-out frames.
        path: file to write.
        validation: sequences that confidence is calibrated on.

    Returns:
        The contract model, and the largest relative difference by number of views.

    Raises:
        TrainingError: the run cannot be exported, or ONNX Runtime differs from PyTorch.
    """
    network, last = contract_network(run), phases_of(run.config, run.stage)[-1]
    size = {"height": last.height, "width": last.width}
    held_out = source.validation(last.height, last.width, validation)
    model = ContractModel(network, Calibration(**calibrate(network, held_out, fault_share=run.config.fault_share)))
    commit = str((run.progress.history or [{}])[-1].get("commit", "unknown"))
    metadata = contract_metadata(
        network, name=run.config.name, version=run.config.version, commit=commit, about=source.about, **size
    )
    export_onnx(model, path, metadata=metadata, **size)
    differences = {str(n): largest_difference(model, path, count=n, **size) for n in (1, 2, 3)}
    if max(differences.values()) > TOLERANCE:
        raise TrainingError(
            f"{path}: ONNX Runtime differs from PyTorch by {differences}, more than {TOLERANCE}; not for use"
        )
    return model, differences


def make_card(
    run: Run, model: ContractModel, path: Path, samples: Frames, *, about: About, differences: dict[str, float],
    notes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """The model card; measures the exported file on test frames.

    Args:
        run: what was exported.
        model: in PyTorch.
        path: of the ONNX file.
        samples: test frames.
        about: the training data.
        differences: of ONNX Runtime from PyTorch.
        notes: sentences on the training.
    """
    config, predictor, history = run.config, OnnxPredictor(path), list(run.progress.history) or [{}]
    return {
        "name": config.name, "version": config.version, "contract": CONTRACT, "file": path.name, "sha256": sha256(path),
        "recipe": config.fuse.recipe, "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "training": {
            "command": str(history[-1].get("command", "unknown")), "seed": config.seed, "steps": run.progress.steps,
            "minutes": round(run.progress.seconds / 60, 1), "history": history,
            "notes": list(notes), "data": about.data, "config": dataclasses.asdict(config),
        },
        "calibration": {
            "on": f"{config.validation_sequences} validation frames", **dataclasses.asdict(model.calibration)
        },
        "onnx_vs_pytorch_largest_relative_difference": differences,
        "metrics": card_metrics(score_rows(samples, predictor)),
        "view_confidence_ece": {s: view_calibration_error(samples, predictor, i) for i, s in enumerate(SPECTRA)},
        "metrics_on": f"{len(samples)} test frames, unscaled, depth below {MAX_TRUTH_M:g} m; "
        "without_* and single spectra in the RGB frame",
        "limits": about.limits,
    }  # fmt: skip


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Beside the model file."""
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def read_card(path: Path) -> dict[str, Any]:
    """The card beside a model file.

    Raises:
        TrainingError: there is none, or it is not a card.
    """
    file = path.with_suffix(".json")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"card {file}: cannot be read: {error}") from error
    if not isinstance(card, dict) or "training" not in card:
        raise TrainingError(f"card {file}: it says nothing of the training; export the model with msdepth-train export")
    return card
