"""How well a model does on a real frame it has never seen: its depth against stereo matching of each camera's pair.

    python -m msdepth_training.real_score --frame FOLDER --model models/tiny.onnx --picture out/real.png

Nothing here may be used to train, nor to choose, a model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.metrics import depth_metrics
from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import colourise, displayable
from msdepth_training.errors import TrainingError
from msdepth_training.real_frame import FloatImage, RealFrame, load_real_frames

MAX_M = 80.0
"""Stereo depth beyond it is not scored; the protocol of `depth_metrics`."""
CAMERA_HEIGHT_M = 1.5
"""Of the RGB camera above the road, for the flat-ground guess."""
TILE_PX = 800
"""Width of each part of the picture."""


class FramePredictor(Protocol):
    """Depth from raw images, as `msdepth infer` gives it."""

    def __call__(self, images: Mapping[str, NDArray[Any]], rig: Rig, reference: str) -> FloatImage:
        """Depth [h, w] in the reference camera, at its own resolution, metres; NaN where it does not say."""


class EnginePredictor:
    """A model file in the product's own engine.

    Args:
        model: ONNX file with its card beside it.
    """

    def __init__(self, model: Path) -> None:
        self.engine = DepthEngine(model, providers="cpu")

    def __call__(self, images: Mapping[str, NDArray[Any]], rig: Rig, reference: str) -> FloatImage:
        """See `FramePredictor`."""
        views = rig.subset(dict.fromkeys((*images, reference))).views(
            self.engine.info.width, self.engine.info.height, reference
        )
        return views.depth_to_sensor(self.engine.estimate(images, views).depth_m)


class FlatGround:
    """Guesses a flat road below the RGB camera, far away above the horizon: what needs no image at all."""

    def __call__(self, images: Mapping[str, NDArray[Any]], rig: Rig, reference: str) -> FloatImage:
        """See `FramePredictor`."""
        camera = rig.cameras[reference]
        v, u = np.mgrid[: camera.height, : camera.width]
        rays = np.stack(
            ((u - camera.k[0, 2]) / camera.k[0, 0], (v - camera.k[1, 2]) / camera.k[1, 1], np.ones(u.shape))
        )
        rgb_from_camera = rig.view_from_reference("rgb", reference)
        down = np.einsum("j,jhw->hw", rgb_from_camera[1, :3], rays)
        with np.errstate(divide="ignore"):
            depth = (CAMERA_HEIGHT_M - rgb_from_camera[1, 3]) / down
        return np.where((depth > 0) & (depth < MAX_M), depth, MAX_M).astype(np.float32)


class RealScore(NamedTuple):
    """One row: some cameras in one frame of reference."""

    row: str
    """`rgb`, `nir`, `thermal` alone in their own frames, `fused_<reference>` all three."""
    frame: str
    spearman: float
    """Rank correlation of predicted inverse depth with the disparity of the reference camera's own pair."""
    abs_rel: float
    """Unscaled, against the own pair."""
    abs_rel_median_scaled: float
    pixels: int
    """Scored: stereo is certain and nearer than `MAX_M`, and there is a prediction."""
    stereo_coverage: float
    """Share of the image where the own pair is certain and nearer than `MAX_M`."""
    spearman_rgb_pair: float
    """The same against the RGB pair, carried into the reference camera."""
    abs_rel_rgb_pair: float
    abs_rel_median_scaled_rgb_pair: float


class _Comparison(NamedTuple):
    spearman: float
    abs_rel: float
    abs_rel_median_scaled: float
    pixels: int


ROWS: dict[str, tuple[tuple[str, ...], str]] = {
    **{spectrum: ((spectrum,), spectrum) for spectrum in SPECTRA},
    **{f"fused_{spectrum}": (SPECTRA, spectrum) for spectrum in SPECTRA},
}
"""Row to the images that are given and the reference."""


def spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Spearman's rank correlation, ties with their mean rank; NaN if either is constant or there are fewer than two.

    Args:
        a: [M].
        b: [M].

    >>> spearman(np.array([1.0, 2.0, 30.0]), np.array([-3.0, -2.0, 0.0]))
    1.0
    """
    if a.size < 2:
        return float("nan")
    first, second = (_ranks(x) - (x.size - 1) / 2 for x in (a, b))
    scale = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / scale) if scale > 0 else float("nan")


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rank of each value from 0, equal ones share their mean."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2)[group], np.float64)


def compare(predicted_m: FloatImage, stereo_m: FloatImage) -> _Comparison:
    """Compare depth with a stereo reference.

    Args:
        predicted_m: [h, w] metres; NaN is not scored, infinity is farthest.
        stereo_m: [h, w] metres; NaN unknown, beyond `MAX_M` not scored.

    Raises:
        TrainingError: no pixel can be compared.
    """
    scored = _usable(stereo_m) & ~np.isnan(predicted_m)
    truth = np.where(scored, stereo_m, np.nan)
    plain, median = (depth_metrics(predicted_m, truth, alignment=a, max_m=MAX_M) for a in ("none", "median"))
    if plain is None or median is None:
        raise TrainingError("stereo and prediction have no pixel in common; is this the rig of these images?")
    correlation = spearman(1.0 / predicted_m[scored], 1.0 / stereo_m[scored])
    return _Comparison(correlation, plain.abs_rel, median.abs_rel, int(scored.sum()))


def _usable(stereo_m: FloatImage) -> NDArray[np.bool_]:
    return (stereo_m > 0) & (stereo_m < MAX_M)


def score_frame(frame: RealFrame, predictor: FramePredictor) -> list[RealScore]:
    """Every row of `ROWS`."""
    scores = []
    for row, (given, reference) in ROWS.items():
        predicted = predictor({spectrum: frame.left[spectrum] for spectrum in given}, frame.rig, reference)
        own = compare(predicted, frame.stereo_m[reference])
        other = compare(predicted, frame.carried_m(reference))
        coverage = float(_usable(frame.stereo_m[reference]).mean())
        scores.append(RealScore(row, frame.name, *own, coverage, *other[:3]))
    return scores


def score_real_frame(folder: Path, predictor: FramePredictor) -> list[dict[str, Any]]:
    """Rows as plain values, for every frame in a folder; see `RealScore`."""
    return [score._asdict() for frame in load_real_frames(folder) for score in score_frame(frame, predictor)]


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    lines = [
        "| row | frame | Spearman | AbsRel | median-scaled | coverage | Spearman, RGB pair | AbsRel | median-scaled |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        own = f"{r['spearman']:.3f} | {r['abs_rel']:.3f} | {r['abs_rel_median_scaled']:.3f}"
        other = (
            f"{r['spearman_rgb_pair']:.3f} | {r['abs_rel_rgb_pair']:.3f} | {r['abs_rel_median_scaled_rgb_pair']:.3f}"
        )
        lines.append(f"| {r['row']} | {r['frame']} | {own} | {r['stereo_coverage']:.2f} | {other} |")
    return "\n".join(lines)


def sheet(frame: RealFrame, predictor: FramePredictor) -> NDArray[np.uint8]:
    """A picture [h, w, 3] in RGB order: a column for each camera with image, stereo, prediction alone and fused."""
    columns = []
    for spectrum in SPECTRA:
        alone = predictor({spectrum: frame.left[spectrum]}, frame.rig, spectrum)
        depths = {
            "its own pair": frame.stereo_m[spectrum],
            "the RGB pair": frame.carried_m(spectrum),
            f"{spectrum} alone": alone,
            "fused": predictor(frame.left, frame.rig, spectrum),
        }
        tiles = [_tile(displayable(spectrum, frame.left[spectrum]), spectrum)]
        tiles += [_tile(colourise(np.where(d < MAX_M, d, np.nan) if "pair" in t else d), t) for t, d in depths.items()]
        columns.append(np.vstack(tiles))
    height = max(column.shape[0] for column in columns)
    padded = [np.pad(column, ((0, height - column.shape[0]), (0, 6), (0, 0))) for column in columns]
    return np.hstack(padded)


def _tile(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """`TILE_PX` wide, with a caption."""
    size = (TILE_PX, round(picture.shape[0] * TILE_PX / picture.shape[1]))
    tile = np.ascontiguousarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(tile, caption, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, with the flat-ground guess below; write JSON and a picture where asked to."""
    parser = argparse.ArgumentParser(description="Score a model on a real frame against stereo.")
    parser.add_argument("--frame", type=Path, required=True, help="folder with left/, right/ and rig.yaml")
    parser.add_argument("--model", type=Path, required=True, help="ONNX file with its card beside it")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--picture", type=Path, help="where to write images, stereo and predictions of the first frame")
    options = parser.parse_args(arguments)
    try:
        frames, predictor = load_real_frames(options.frame), EnginePredictor(options.model)
        rows = [score._asdict() for frame in frames for score in score_frame(frame, predictor)]
        guess = [score._asdict() for frame in frames for score in score_frame(frame, FlatGround())]
    except (TrainingError, MsdepthError) as error:
        print(f"real_score: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(f"{table(rows)}\n\nA flat road {CAMERA_HEIGHT_M} m below the RGB camera:\n\n{table(guess[: len(SPECTRA)])}")
    for path in (options.json, options.picture):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"model": rows, "flat_ground": guess}, indent=2) + "\n")
    if options.picture is not None:
        cv2.imwrite(str(options.picture), cv2.cvtColor(sheet(frames[0], predictor), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
