"""Real frames on disk: images, calibration, a depth reference, and the plane of the road where it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.lens import undistort
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.infer import read_image
from msdepth_training.errors import TrainingError
from msdepth_training.real.ground import GroundPlane

FloatImage = NDArray[np.float32]
GT_STEPS_PER_M = 256.0
"""Of `gt.png`."""
MIN_M, MAX_M = 1.0, 80.0
"""The reference is scored where it lies between, metres."""
RAY_TOLERANCE_PX = 0.25
HIDDEN_FACTOR, HIDDEN_PX = 1.3, 5
"""A point so much farther than another one so near to it in the image is taken to be hidden behind it."""


class Reference(NamedTuple):
    """What is known of the depth in one camera: M pixels."""

    pixels: NDArray[np.int64]
    """[M, 2] column and row of the camera's image."""
    depth_m: NDArray[np.float64]
    """[M] along the camera's z axis, from `MIN_M` to `MAX_M`."""
    rays: NDArray[np.float64]
    """[M, 3] through the pixels, lens distortion undone, z = 1."""

    @property
    def points(self) -> NDArray[np.float64]:
        """[M, 3] in the camera's optical frame, metres."""
        return self.rays * self.depth_m[:, None]

    def at(self, image: FloatImage) -> NDArray[np.float64]:
        """[M] values of an image [h, w] of the camera."""
        return image[self.pixels[:, 1], self.pixels[:, 0]].astype(np.float64)


@dataclass(frozen=True, eq=False)
class RealFrame:
    """One instant of a vehicle's cameras. Depth is known in the RGB camera."""

    set_name: str
    """Of the vehicle or data set."""
    camera: str
    """Which of the vehicle's cameras is `rgb`."""
    name: str
    images: Mapping[str, NDArray[Any]]
    """Raw image of each spectrum: uint8 [h, w, 3] RGB, or uint8 or uint16 [h, w]."""
    rig: Rig
    depth_m: FloatImage
    """[h, w] of the RGB camera, metres; NaN where it is not known."""
    ground: GroundPlane | None = None
    """In the RGB camera's frame; None where it is not known."""
    _references: dict[str, Reference] = field(default_factory=dict, repr=False)

    def reference(self, spectrum: str) -> Reference:
        """What is known in a camera; in others than RGB it is what the RGB camera sees, carried over."""
        if spectrum not in self._references:
            depth = self.depth_m if spectrum == "rgb" else carry(self.depth_m, self.rig, "rgb", spectrum)
            self._references[spectrum] = reference_of(depth, self.rig.cameras[spectrum])
        return self._references[spectrum]

    def ground_in(self, spectrum: str) -> GroundPlane | None:
        """The plane of the road in a camera's frame."""
        return self.ground and self.ground.seen_from(self.rig.view_from_reference(spectrum, "rgb"))


def reference_of(depth_m: FloatImage, camera: CameraModel) -> Reference:
    """The pixels of a depth image [h, w] that are scored."""
    with np.errstate(invalid="ignore"):
        v, u = np.nonzero((depth_m > MIN_M) & (depth_m < MAX_M))
    plane = camera.rays(np.column_stack((u, v)).astype(np.float64))
    tolerance = RAY_TOLERANCE_PX / float(min(camera.k[0, 0], camera.k[1, 1]))
    plane = undistort(plane, camera.distortion_model, camera.distortion, tolerance=tolerance)
    known = np.isfinite(plane).all(axis=1)
    rays = np.column_stack((plane[known], np.ones(int(known.sum()))))
    return Reference(np.column_stack((u, v))[known], depth_m[v, u][known].astype(np.float64), rays)


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


def check_size(path: Path, image: NDArray[Any], camera: CameraModel) -> None:
    """Refuse an image that its camera cannot have taken.

    Raises:
        TrainingError: sizes differ.
    """
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise TrainingError(
            f"{path}: the image is {width} x {height} px, rig.yaml says {camera.width} x {camera.height} px"
        )


def load_lidar_frame(folder: Path) -> RealFrame:
    """Read rgb.jpg (or .png), rig.yaml, gt.png and, if it is there, meta.json of one frame.

    The set is named by the folder above; the camera by `camera` in meta.json, else by what follows the last underscore
    of the folder's name.

    Raises:
        TrainingError: a file is missing or not what it should be.
    """
    picture = next((path for path in sorted(folder.glob("rgb.*"))), folder / "rgb.jpg")
    try:
        rig = Rig.load(folder / "rig.yaml").subset(("rgb",))
        image = read_image("rgb", picture)
    except MsdepthError as error:
        raise TrainingError(str(error)) from error
    depth = cv2.imread(str(folder / "gt.png"), cv2.IMREAD_UNCHANGED)
    if depth is None or depth.dtype != np.uint16 or depth.ndim != 2:
        raise TrainingError(f"{folder / 'gt.png'}: it must be a PNG of one channel of 16 bits, metres times 256")
    for path, content in ((picture, image), (folder / "gt.png", depth)):
        check_size(path, content, rig.cameras["rgb"])
    meta = _meta(folder / "meta.json")
    camera = str(meta.get("camera") or folder.name.rsplit("_", 1)[-1])
    depth_m = np.where(depth > 0, depth.astype(np.float32) / np.float32(GT_STEPS_PER_M), np.float32(np.nan))
    ground = _ground(folder / "meta.json", meta)
    return RealFrame(folder.parent.name, camera, folder.name, {"rgb": image}, rig, depth_m, ground)


def _meta(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: it cannot be read as JSON: {error}") from error
    if not isinstance(meta, dict):
        raise TrainingError(f"{path}: it must be a JSON object")
    return meta


def _ground(path: Path, meta: Mapping[str, Any]) -> GroundPlane | None:
    """The plane that meta.json gives, if it gives one."""
    if "ground_normal" not in meta:
        return None
    try:
        normal, height_m = np.array(meta["ground_normal"], np.float64), float(meta["camera_height_m"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: ground_normal and camera_height_m must be three numbers and one") from error
    length = float(np.linalg.norm(normal))
    if normal.shape != (3,) or not 0.9 < length < 1.1 or normal[1] <= 0 or not height_m > 0:
        raise TrainingError(f"{path}: ground_normal must be a unit vector that points down, camera_height_m above 0")
    return GroundPlane(normal / length, height_m)
