"""A picture sheet of scenes in three bands and depth, and of a model's predictions beside truth and error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import Picture, colourise, colourise_confidence, colourise_error
from msdepth_training.calibrate import UNCALIBRATED
from msdepth_training.datasets.scenes import SKY_M
from msdepth_training.drawing import beside, titled, write_sheet
from msdepth_training.evaluate import OnnxPredictor, predict
from msdepth_training.results.answers import FUSED, answer, batch_of
from msdepth_training.results.rows import ROWS
from msdepth_training.stages.runs import Run
from msdepth_training.stages.sources import Frames

PREDICTED_ROWS = 3
"""Rows of the table that are shown of a run."""


class Predicted(NamedTuple):
    """One prediction."""

    title: str
    depth_m: NDArray[np.float32]
    """[h, w] metres."""
    confidence: NDArray[np.float32]
    """[h, w]."""
    reference: int
    """Camera whose frame it is in."""


Predict = Callable[[Frames, int], list[Predicted]]
"""Frames and the number of one to predictions."""


def predict_with_run(run: Run) -> Predict:
    """Predictions of a trained run, confidence as the network says it, not calibrated."""
    rows = [row for row in ROWS if row.run == run.name and not row.fault][:PREDICTED_ROWS]

    def call(frames: Frames, number: int) -> list[Predicted]:
        found = []
        for row in rows:
            batch = batch_of(frames, torch.tensor([number]), row, torch.device("cpu"))
            fused = answer(run.network, batch, row, UNCALIBRATED)[FUSED]
            found.append(Predicted(row.name, fused.depth_m[0], fused.confidence[0], row.reference))
        return found

    return call


def predict_with_model(path: Path) -> Predict:
    """Predictions of an exported model, all cameras and only one."""
    predictor = OnnxPredictor(path)

    def call(frames: Frames, number: int) -> list[Predicted]:
        found = []
        for title, views in (("all cameras", (0, 1, 2)), ("nir and thermal", (1, 2)), ("rgb only", (0,))):
            out = predict(frames, number, predictor, views, 0)
            found.append(Predicted(title, out.depth_m, out.confidence, 0))
        return found

    return call


def frame_rows(frames: Frames, number: int, predict_: Predict | None) -> list[Picture]:
    """One frame: a row of images and depth, and a row of depth, error and confidence for each prediction."""
    index = torch.tensor([number])
    views = (frames.views(index)[0].permute(0, 2, 3, 1).numpy() * 255.0 + 0.5).astype(np.uint8)
    truth = [frames.depth_m[number, n].float().numpy() for n in range(len(SPECTRA))]
    condition = int(frames.condition[number])
    where = frames.conditions[condition] if condition >= 0 else ""
    images = [titled(picture, f"{s} {where}") for s, picture in zip(SPECTRA, views, strict=True)]
    rows = [beside([*images, titled(colourise(truth[0]), "depth, rgb frame")])]
    for made in predict_(frames, number) if predict_ else ():
        true = truth[made.reference]
        known = np.where(true < SKY_M, true, np.nan)
        error = np.nanmean(np.abs(made.depth_m - known) / known)
        pictures = [
            titled(colourise(made.depth_m), made.title),
            titled(colourise_error(made.depth_m, known), f"error, AbsRel {error:.3f}"),
            titled(colourise_confidence(made.confidence), "confidence"),
            titled(colourise(true), f"truth, {SPECTRA[made.reference]} frame"),
        ]
        rows.append(beside(pictures))
    return rows


def draw_sheet(path: Path, frames: Frames, numbers: Sequence[int], predict_: Predict | None = None) -> None:
    """Write the sheet as PNG.

    Args:
        path: file to write.
        frames: to choose from.
        numbers: of the frames to show.
        predict_: of a model, from `predict_with_run` or `predict_with_model`.
    """
    rows = [row for number in numbers for row in frame_rows(frames, number, predict_)]
    write_sheet(path, rows)
