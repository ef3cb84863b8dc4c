"""Accuracy and calibration of a model on rendered scenes, for any subset of cameras and any output frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from msdepth_ros.core.image_score import MAX_TRUTH_M, is_scored
from msdepth_ros.core.metrics import MetricMean, depth_metrics
from msdepth_ros.core.model.providers import session_options
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.datasets.scenes import Samples
from msdepth_training.export import OUTPUTS, ContractInputs, ContractModel
from msdepth_training.scenes.ground import plane_in_camera
from msdepth_training.score import ALL, Answers, FloatImage, Score, ScoreSums
from msdepth_training.stages.sources import Frames


class Prediction(NamedTuple):
    """Contract outputs for one set of N views."""

    depth_m: FloatImage
    """[H, W] metres along the reference camera's z axis."""
    confidence: FloatImage
    """[H, W] in [0, 1]."""
    view_confidence: FloatImage
    """[N, H, W] in [0, 1], 0 where the view does not see the pixel."""


class Predictor(Protocol):
    """Anything that keeps the model contract."""

    def __call__(self, inputs: ContractInputs) -> Prediction:
        """Inputs of one set to a prediction."""


class TorchPredictor:
    """The network in PyTorch."""

    def __init__(self, model: ContractModel) -> None:
        self.model = model.eval()

    def __call__(self, inputs: ContractInputs) -> Prediction:
        """See `Predictor`."""
        with torch.no_grad():
            return Prediction(*(t.numpy() for t in self.model(*inputs)))


class OnnxPredictor:
    """An exported model in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, *, threads: int = 2) -> None:
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(path), session_options(threads), providers=providers)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        height, width = self.session.get_inputs()[0].shape[-2:]
        return int(height), int(width)

    def __call__(self, inputs: ContractInputs) -> Prediction:
        """See `Predictor`; a model of contract 1 is not told spectrum and road."""
        known = {value.name for value in self.session.get_inputs()}
        feed = {name: value.numpy() for name, value in inputs._asdict().items() if name in known}
        return Prediction(*self.session.run(list(OUTPUTS), feed))


def contract_inputs(
    samples: Frames,
    index: int,
    views: Sequence[int],
    reference: int,
    *,
    ground: bool = False,
    told_baseline: float = 1.0,
) -> ContractInputs:
    """What a model is given of one frame.

    Args:
        samples: rendered frames.
        index: of the frame.
        views: which cameras, indices into rgb, nir, thermal.
        reference: camera whose frame the depth is wanted in.
        ground: whether the road is told.
        told_baseline: baselines are told to be this many times as long as they are.
    """
    images = samples.views(torch.tensor([index]))[0, list(views)]
    pose = samples.vehicle_from_camera[index]
    view_from_reference = torch.linalg.inv(pose[list(views)]) @ pose[reference]
    view_from_reference[:, :3, 3] *= told_baseline
    plane = plane_in_camera(samples.ground_plane[index], pose[reference]) if ground else torch.zeros(4)
    k, spectrum = samples.k[index, list(views)], torch.tensor(list(views))
    return ContractInputs(images, k, view_from_reference, samples.k[index, reference], spectrum, plane)


def predict(
    samples: Frames,
    index: int,
    predictor: Predictor,
    views: Sequence[int],
    reference: int,
    *,
    ground: bool = False,
    told_baseline: float = 1.0,
) -> Prediction:
    """Depth of one frame by a model; other arguments as `contract_inputs`."""
    return predictor(contract_inputs(samples, index, views, reference, ground=ground, told_baseline=told_baseline))


def score(
    samples: Frames,
    predictor: Predictor,
    views: Sequence[int],
    reference: int,
    *,
    ground: bool = False,
    told_baseline: float = 1.0,
) -> dict[str, Score]:
    """Score every frame.

    Args:
        samples: rendered frames.
        predictor: model under test.
        views: which cameras it gets.
        reference: camera whose frame the depth is in.
        ground: whether the model is told the road.
        told_baseline: it is told baselines this many times as long as they are.

    Returns:
        Condition (and `all`) to score; conditions without a scored image are absent.
    """
    sums = ScoreSums(samples.conditions)
    for index in range(len(samples)):
        prediction = predict(samples, index, predictor, views, reference, ground=ground, told_baseline=told_baseline)
        truth = samples.depth_m[index, reference].float().numpy()
        answers = Answers(prediction.depth_m[None], prediction.confidence[None], truth[None])
        sums.add(answers, [int(samples.condition[index])])
    return sums.scores()


def view_calibration_error(samples: Frames, predictor: Predictor, view: int) -> float | None:
    """ECE of a view's own confidence where it is the only view and the reference: its own evidence is all there is.

    None if no frame has a pixel with known depth.
    """
    sums = ScoreSums(samples.conditions)
    for index in range(len(samples)):
        prediction = predict(samples, index, predictor, [view], view)
        truth = samples.depth_m[index, view].float().numpy()
        sums.add(Answers(prediction.depth_m[None], prediction.view_confidence, truth[None]), [-1])
    found = sums.scores()
    return found[ALL].ece if found else None


ROWS: dict[str, tuple[tuple[int, ...], int]] = {
    "fused": ((0, 1, 2), 0),
    "rgb": ((0,), 0),
    "nir": ((1,), 0),
    "thermal": ((2,), 0),
    "nir_own_frame": ((1,), 1),
    "thermal_own_frame": ((2,), 2),
    "without_rgb": ((1, 2), 0),
    "without_nir": ((0, 2), 0),
    "without_thermal": ((0, 1), 0),
}
"""Name to views and reference. All in the RGB frame, so that the same pixels are compared; the spectra are also scored
in their own frames, where a camera loses nothing to occlusion."""


def score_rows(samples: Frames, predictor: Predictor) -> dict[str, dict[str, Score]]:
    """Every row of `ROWS`."""
    return {name: score(samples, predictor, views, reference) for name, (views, reference) in ROWS.items()}


def card_metrics(rows: dict[str, dict[str, Score]]) -> dict[str, Any]:
    """Scores as plain numbers for a model card."""
    return {
        name: {
            condition: {
                "abs_rel": round(s.metrics.abs_rel, 4), "rmse_m": round(s.metrics.rmse, 3),
                "delta_1": round(s.metrics.delta_1, 4), "ece": round(s.ece, 4),
                "abs_rel_median_scaled": round(s.median_scaled.abs_rel, 4), "images": s.images,
            }
            for condition, s in scores.items()
        }
        for name, scores in rows.items()
    }  # fmt: skip


class RowPrior:
    """Constant depth per image row: what a flat road would explain. The median of training depths in each row."""

    def __init__(self, depth_m: NDArray[Any]) -> None:
        """Fit to [F, H, W] depths in the reference frame, metres; sky and far points are left out."""
        self.row_m = np.array([_row_median(depth_m[:, row]) for row in range(depth_m.shape[1])])

    def depth(self, width: int) -> NDArray[np.float64]:
        """[H, width] metres."""
        return np.repeat(self.row_m[:, None], width, axis=1)


def _row_median(values: NDArray[Any]) -> float:
    known = values[is_scored(values)].astype(np.float64)
    return float(np.median(known)) if known.size else MAX_TRUTH_M


def score_row_prior(prior: RowPrior, samples: Samples) -> float:
    """AbsRel of the prior in the RGB frame; NaN if no frame has a pixel with known depth."""
    mean = MetricMean()
    for truth in samples.depth_m[:, SPECTRA.index("rgb")]:
        mean.add(depth_metrics(prior.depth(truth.shape[-1]), truth.float().numpy(), alignment="none"))
    result = mean.mean()
    return float("nan") if result is None else result.abs_rel
