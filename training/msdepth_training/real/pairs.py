"""Real frames of three stereo pairs, as MS2 has them: the reference is stereo matching of the RGB pair.

The folder has `left/` with NNNNNN_rgb.png, NNNNNN_nir.png, NNNNNN_thr.png, `right/` with NNNNNN_rgb.png, and a
`rig.yaml`, a Kalibr camchain of the left cameras that also gives the RGB camera's `stereo_baseline_m`.

Of MS2's three pairs the RGB pair is the sharpest: NIR's is 5 cm wide, and thermal's is not rectified cleanly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import load_yaml
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.infer import read_image
from msdepth_training.datasets.ms2_layout import BANDS
from msdepth_training.errors import TrainingError
from msdepth_training.real.frames import MAX_M, RealFrame, check_size, reference_of
from msdepth_training.real.ground import fit_ground
from msdepth_training.real.stereo import match, texture

NEAREST_M = 2.5
"""Nothing nearer is looked for."""
SHARP_PX_M = 230.0
"""Focal length times baseline of a pair that needs no enlarging; half of it needs twice the columns."""
MAX_UPSAMPLE = 4
MIN_TEXTURE = 0.6
"""Grey levels. Less texture is not scored though much of it is matched rightly: asphalt, above all, whose depth a flat
road explains."""
ROAD_TEXTURE = 0.3
"""Grey levels that are enough for the plane of the road: asphalt has little, and a fit forgives some wrong points."""


def load_pairs(folder: Path) -> list[RealFrame]:
    """Every frame in a folder; the set is named by the folder, up to an underscore.

    The plane of the road is fitted to the RGB pair's depth.

    Raises:
        TrainingError: a file is missing or not what it should be.
    """
    names = sorted(path.name[: -len("_rgb.png")] for path in (folder / "left").glob("*_rgb.png"))
    if not names:
        raise TrainingError(f"{folder / 'left'} has no *_rgb.png; give a folder with left/, right/ and rig.yaml")
    try:
        rig, baseline_m = Rig.load(folder / "rig.yaml").subset(SPECTRA), _baseline(folder / "rig.yaml")
        frames = []
        for name in names:
            paths = {spectrum: folder / "left" / f"{name}_{band}.png" for spectrum, band in BANDS.items()}
            images = {spectrum: read_image(spectrum, path) for spectrum, path in paths.items()}
            right = folder / "right" / f"{name}_rgb.png"
            other = read_image("rgb", right)
            for spectrum, path in paths.items():
                check_size(path, images[spectrum], rig.cameras[spectrum])
            check_size(right, other, rig.cameras["rgb"])
            frames.append(_frame(folder, name, images, other, rig, baseline_m))
    except MsdepthError as error:
        raise TrainingError(str(error)) from error
    return frames


def _frame(
    folder: Path, name: str, images: dict[str, NDArray[Any]], right: NDArray[Any], rig: Rig, baseline_m: float
) -> RealFrame:
    camera = rig.cameras["rgb"]
    scale = float(camera.k[0, 0]) * baseline_m
    upsample = int(np.clip(np.round(SHARP_PX_M / scale), 1, MAX_UPSAMPLE))
    max_px = int(np.ceil(scale / NEAREST_M))
    depth_m = scale / match(images["rgb"], right, max_px=max_px, min_texture=MIN_TEXTURE, upsample=upsample)
    steps = texture(images["rgb"])
    depth_m, with_road = (
        np.where((depth_m < MAX_M) & (steps > least), depth_m, np.nan).astype(np.float32)
        for least in (MIN_TEXTURE, ROAD_TEXTURE)
    )
    ground = fit_ground(reference_of(with_road, camera).points)
    return RealFrame(folder.name.split("_")[0], "rgb", name, images, rig, depth_m, ground)


def _baseline(path: Path) -> float:
    """Of the RGB pair, metres."""
    cameras = [entry for entry in load_yaml(path, "rig", "").values() if isinstance(entry, dict)]
    value = next((entry.get("stereo_baseline_m") for entry in cameras if entry.get("label") == "rgb"), None)
    if not isinstance(value, (int, float)) or not value > 0:
        raise TrainingError(f"{path}: stereo_baseline_m of rgb is {value}; it must be metres above 0")
    return float(value)
