"""A real synchronized frame of three stereo pairs, and what stereo matching says of its depth.

The folder has `left/` and `right/` with NNNNNN_rgb.png, NNNNNN_nir.png, NNNNNN_thr.png and a `rig.yaml`, a Kalibr
camchain of the left cameras that also gives `stereo_baseline_m`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import load_yaml
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.infer import read_image
from msdepth_training.datasets.ms2_layout import BANDS
from msdepth_training.errors import TrainingError
from msdepth_training.stereo import match

FloatImage = NDArray[np.float32]
NEAREST_M = 2.5
"""Nothing nearer is looked for."""
SHARP_PX_M = 230.0
"""Focal length times baseline of a pair that needs no enlarging; half of it needs twice the columns."""
MAX_UPSAMPLE = 4
MIN_TEXTURE = {"uint8": 0.6, "uint16": 3.0}
"""Grey levels, or counts of a thermal camera. Less texture is not scored though much of it is matched rightly: asphalt,
above all, whose depth a flat road explains."""
HIDDEN_FACTOR, HIDDEN_PX = 1.3, 5
"""A point so much farther than another one so near to it in the image is taken to be hidden behind it."""


@dataclass(frozen=True, eq=False)
class RealFrame:
    """One synchronized instant of three stereo pairs."""

    name: str
    """Number of its files."""
    left: Mapping[str, NDArray[Any]]
    """Raw image of each spectrum: uint8 [h, w, 3] RGB, or uint8 or uint16 [h, w]."""
    right: Mapping[str, NDArray[Any]]
    """The same of the right cameras."""
    rig: Rig
    """Left cameras."""
    baseline_m: Mapping[str, float]
    """Of each pair."""

    @cached_property
    def stereo_m(self) -> dict[str, FloatImage]:
        """Depth [h, w] of each left camera by its own pair, metres; NaN where it is not certain."""
        return {spectrum: self._match(spectrum) for spectrum in SPECTRA}

    def _match(self, spectrum: str) -> FloatImage:
        scale = float(self.rig.cameras[spectrum].k[0, 0]) * self.baseline_m[spectrum]
        upsample = int(np.clip(np.round(SHARP_PX_M / scale), 1, MAX_UPSAMPLE))
        disparity = match(
            self.left[spectrum],
            self.right[spectrum],
            max_px=int(np.ceil(scale / NEAREST_M)),
            min_texture=MIN_TEXTURE[self.left[spectrum].dtype.name],
            upsample=upsample,
        )
        return (scale / disparity).astype(np.float32)

    def carried_m(self, spectrum: str) -> FloatImage:
        """Depth [h, w] in a left camera by the RGB pair, metres, NaN where it does not tell.

        Of the three pairs this one is the sharpest and has, with thermal, the longest baseline.
        """
        own = self.stereo_m["rgb"]
        return own if spectrum == "rgb" else carry(own, self.rig, "rgb", spectrum)


def carry(depth_m: FloatImage, rig: Rig, source: str, target: str) -> FloatImage:
    """Depth of one camera seen from another: every point goes to its pixel, the nearest counts.

    Args:
        depth_m: [h, w] of the source camera, metres; NaN unknown.
        rig: both cameras, without distortion.
        source: label of a camera.
        target: label of another.

    Returns:
        [h, w] of the target camera, metres; NaN where no point lands, or only one that is hidden by what is around.
    """
    v, u = np.nonzero(np.isfinite(depth_m))
    rays = np.column_stack((rig.cameras[source].rays(np.column_stack((u, v)).astype(np.float64)), np.ones(u.size)))
    pose, camera = rig.view_from_reference(target, source), rig.cameras[target]
    points = (rays * depth_m[v, u, None]) @ pose[:3, :3].T + pose[:3, 3]
    points = points[points[:, 2] > 0]
    pixels = np.floor(points[:, :2] / points[:, 2:] * np.diag(camera.k)[:2] + camera.k[:2, 2] + 0.5).astype(np.int64)
    inside = (pixels >= 0).all(axis=1) & (pixels < (camera.width, camera.height)).all(axis=1)
    nearest = np.full((camera.height, camera.width), np.inf, np.float32)
    np.minimum.at(nearest, (pixels[inside, 1], pixels[inside, 0]), points[inside, 2].astype(np.float32))
    around = cv2.erode(nearest, np.ones((HIDDEN_PX, HIDDEN_PX), np.uint8))
    nearest[np.isinf(nearest) | (nearest / HIDDEN_FACTOR > around)] = np.nan
    return nearest


def load_real_frames(folder: Path) -> list[RealFrame]:
    """Every frame in a folder.

    Raises:
        TrainingError: a file is missing or not what it should be.
    """
    names = sorted(path.name[: -len("_rgb.png")] for path in (folder / "left").glob("*_rgb.png"))
    if not names:
        raise TrainingError(f"{folder / 'left'} has no *_rgb.png; give a folder with left/, right/ and rig.yaml")
    try:
        rig, baselines = Rig.load(folder / "rig.yaml"), _baselines(folder / "rig.yaml")
        rig = rig.subset(SPECTRA)
        frames = []
        for name in names:
            left, right = (
                {s: read_image(s, folder / side / f"{name}_{band}.png") for s, band in BANDS.items()}
                for side in ("left", "right")
            )
            for side in (left, right):
                _check_sizes(folder, name, side, rig)
            frames.append(RealFrame(name, left, right, rig, baselines))
    except MsdepthError as error:
        raise TrainingError(str(error)) from error
    return frames


def _check_sizes(folder: Path, name: str, images: Mapping[str, NDArray[Any]], rig: Rig) -> None:
    for spectrum, image in images.items():
        camera, (height, width) = rig.cameras[spectrum], image.shape[:2]
        if (width, height) != (camera.width, camera.height):
            raise TrainingError(
                f"{folder}: an image {name}_{BANDS[spectrum]}.png is {width} x {height} px, rig.yaml says "
                f"{camera.width} x {camera.height} px"
            )


def _baselines(path: Path) -> dict[str, float]:
    """Baseline of each spectrum's pair, metres."""
    cameras = [entry for entry in load_yaml(path, "rig", "").values() if isinstance(entry, dict)]
    found = {str(entry.get("label")): entry.get("stereo_baseline_m") for entry in cameras}
    for spectrum in SPECTRA:
        value = found.get(spectrum)
        if not isinstance(value, (int, float)) or not value > 0:
            raise TrainingError(f"{path}: stereo_baseline_m of {spectrum} is {value}; it must be metres above 0")
    return {spectrum: float(found[spectrum]) for spectrum in SPECTRA}
