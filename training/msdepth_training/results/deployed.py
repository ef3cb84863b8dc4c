"""What only the exported model can show: time in ONNX Runtime, and real frames."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msdepth_ros.core.model.info import read_model
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.bench import REPEATS, median_ms
from msdepth_training.card import export_run, write_card
from msdepth_training.evaluate import OnnxPredictor
from msdepth_training.export import example_inputs, export_onnx, sha256
from msdepth_training.real.measure import load_frames, measure
from msdepth_training.real.predict import onnx_network
from msdepth_training.results.costs import HEIGHT, THREADS, WIDTH
from msdepth_training.stages.runs import Run
from msdepth_training.stages.sources import Source


def measure_deployed(
    runs: Sequence[Run], source: Source, *, speed: bool, real: Path | None = None, model: Path | None = None
) -> dict[str, Any]:
    """Measure a model file, or an export of the first run of `fuse_msdepth` to a temporary one.

    Args:
        runs: that were trained.
        source: of frames for the calibration of an export.
        speed: measure the time.
        real: folder with real frames, see `load_frames`.
        model: ONNX file with its card beside it, instead of an export.

    Returns:
        `onnx_ms` for three cameras and `real`, what `real.measure` says, as far as they are wanted, and the `model`
        they are of; empty where there is neither a file nor such a run.
    """
    run = next((run for run in runs if run.name == "fuse_msdepth"), None)
    if not (speed or real):
        return {}
    if model is not None:
        return _measure(model, model, speed=speed, real=real)
    if run is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path, large = Path(folder) / f"{run.config.name}.onnx", Path(folder) / "large.onnx"
        contract, _ = export_run(run, source, path, validation=run.config.validation_sequences)
        write_card(path, {"sha256": sha256(path)})
        if speed:
            export_onnx(contract, large, height=HEIGHT, width=WIDTH, metadata={})
        return _measure(path, large, speed=speed, real=real)


def _measure(path: Path, timed: Path, *, speed: bool, real: Path | None) -> dict[str, Any]:
    """A model and, for its time, the same one at the size that ships."""
    _, info = read_model(path)
    found: dict[str, Any] = {"model": f"{info.name} {info.version}"}
    if speed:
        predictor = OnnxPredictor(timed, threads=THREADS)
        inputs = example_inputs(len(SPECTRA), *predictor.size)
        found["onnx_ms"] = round(median_ms(lambda: predictor(inputs), REPEATS), 1)
    if real is not None:
        found["real"] = measure(load_frames(real), onnx_network(path), report=lambda text: None)
    return found
