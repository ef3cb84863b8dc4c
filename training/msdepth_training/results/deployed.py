"""What only the exported model can show: time in ONNX Runtime, and a real frame through the product's engine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msdepth_training.bench import REPEATS, median_ms
from msdepth_training.card import export_run, write_card
from msdepth_training.evaluate import OnnxPredictor
from msdepth_training.export import example_inputs, export_onnx, sha256
from msdepth_training.real_score import EnginePredictor, score_real_frame
from msdepth_training.results.costs import HEIGHT, THREADS, WIDTH
from msdepth_training.stages.runs import Run
from msdepth_training.stages.sources import Source


def measure_deployed(
    runs: Sequence[Run], source: Source, *, speed: bool, real_frame: Path | None = None
) -> dict[str, Any]:
    """Export the first run of `fuse_msdepth` to a temporary file and measure it.

    Args:
        runs: that were trained.
        source: of frames for its calibration.
        speed: measure the time.
        real_frame: folder for `score_real_frame`.

    Returns:
        `onnx_ms` for three cameras at the size that ships, and `real_frame` rows, as far as they are wanted; empty
        without such a run.
    """
    run = next((run for run in runs if run.name == "fuse_msdepth"), None)
    if run is None or not (speed or real_frame):
        return {}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{run.config.name}.onnx"
        model, _ = export_run(run, source, path, validation=run.config.validation_sequences)
        write_card(path, {"sha256": sha256(path)})
        if speed:
            large = Path(folder) / "large.onnx"
            export_onnx(model, large, height=HEIGHT, width=WIDTH, metadata={})
            predictor, inputs = OnnxPredictor(large, threads=THREADS), example_inputs(3, HEIGHT, WIDTH)
            found["onnx_ms"] = round(median_ms(lambda: predictor(*inputs), REPEATS), 1)
        if real_frame is not None:
            found["real_frame"] = score_real_frame(real_frame, EnginePredictor(path))
    return found
