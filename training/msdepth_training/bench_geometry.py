"""Do the cameras measure together? The same test scenes with narrower and wider rigs, and with wrong poses.

A network that measures is as right with rigs half and twice as wide, told rightly, and much worse when told baselines
twice as long as they are. One that only looks at the pictures does not notice; one that reads the scale off the
baselines it is told fails where rigs are narrow or wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from msdepth_training.datasets.scenes import TEST_SEED, Samples, SceneSet, load_set, render_set
from msdepth_training.evaluate import Predictor, predict

RIGS = {"half": (0.5, 1.0), "nominal": (1.0, 1.0), "double": (2.0, 1.0), "wrong": (1.0, 2.0)}
"""Name to the width of the rig, over the MS2 vehicle's, and the factor on the baselines that are told."""
CAMERAS = {"rgb": (0,), "rgb_thermal": (0, 2), "all": (0, 1, 2)}
"""Name to the views; the depth is in the RGB camera's frame."""
BANDS_M = ((1.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0))


def abs_rel_by_band(
    samples: Samples, predictor: Predictor, views: Sequence[int], *, told_baseline: float
) -> dict[str, float]:
    """Mean over images of AbsRel, over all pixels and over those of each band of true depth.

    Args:
        samples: rendered frames.
        predictor: model under test.
        views: which cameras it gets.
        told_baseline: it is told baselines this many times as long as they are.

    Returns:
        `all` and each band, such as `10-20`, to AbsRel; bands without a pixel are absent.
    """
    bands = {"all": (BANDS_M[0][0], BANDS_M[-1][1]), **{f"{low:g}-{high:g}": (low, high) for low, high in BANDS_M}}
    found: dict[str, list[float]] = {name: [] for name in bands}
    for index in range(len(samples)):
        depth_m = predict(samples, index, predictor, views, 0, told_baseline=told_baseline).depth_m
        truth_m = samples.depth_m[index, 0].float().numpy()
        for name, (low, high) in bands.items():
            within = (truth_m >= low) & (truth_m < high)
            if within.any():
                found[name].append(float(np.abs(depth_m[within] / truth_m[within] - 1.0).mean()))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def measure_geometry(
    predictor: Predictor, height: int, width: int, *, style: str, scenes: int, data: Path, workers: int
) -> dict[str, Any]:
    """The table: rigs by cameras by band, AbsRel.

    Args:
        predictor: model under test.
        height: rows of its images.
        width: columns of its images.
        style: of the scenes.
        scenes: how many, a multiple of the four conditions.
        data: folder of rendered scenes; what is missing is made.
        workers: processes that render.
    """
    table: dict[str, Any] = {}
    for name, (width_factor, told) in RIGS.items():
        part = SceneSet(
            "test", TEST_SEED, scenes, height, width, frames=1, jitter=0.0, style=style, baseline=width_factor
        )
        render_set(part, data, workers=workers)
        samples = load_set(part, data)
        with torch.inference_mode():
            table[name] = {
                cameras: abs_rel_by_band(samples, predictor, views, told_baseline=told)
                for cameras, views in CAMERAS.items()
            }
    nominal = table["nominal"]["all"]["all"]
    table["over_nominal"] = {name: table[name]["all"]["all"] / nominal for name in ("half", "double", "wrong")}
    return table
