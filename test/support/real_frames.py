"""Folders like those of real frames, which tests write: the small world of `ms2_tree`, a road and a wall, is seen by
three stereo pairs, or by one camera and a LiDAR."""

import json
from pathlib import Path

import cv2
import numpy as np
from ms2_tree import BANDS, ROAD, SIZES, depth_of_rays, intrinsics, poses, true_depth

from msdepth_ros.core.camera.lens import undistort
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig

BASELINE_M = {"rgb": 0.5, "nir": 0.3, "thr": 0.6}
LABELS = {"rgb": "rgb", "nir": "nir", "thr": "thermal"}


def texture(points: np.ndarray) -> np.ndarray:
    """Something to match everywhere, 0 to 1, of points [..., 3] in the world."""
    rng = np.random.default_rng(3)
    value = np.zeros(points.shape[:-1])
    for _ in range(40):
        wave = rng.normal(0.0, 6.0, 3)
        value += np.cos(points @ wave + rng.uniform(0, 6.3))
    return 0.5 + 0.5 * np.tanh(value / 6.0)


def render(band: str, rgb_from_camera: np.ndarray) -> np.ndarray:
    """One image of a band, of its own type; the sky is flat."""
    width, height = SIZES[band]
    depth, points = true_depth(intrinsics(band), rgb_from_camera, width, height)
    grey = np.where(np.isfinite(depth) & (depth < 60), texture(points), 0.9)
    if band == "rgb":
        return np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=-1)
    return (255 * grey).astype(np.uint8) if band == "nir" else (3300 + 900 * grey).astype(np.uint16)


def write_pairs(folder: Path, *, name: str = "000011") -> Path:
    """Left and right images of all bands and the rig.

    Returns:
        The folder.
    """
    cameras, camera_from_rig = {}, {}
    for band in BANDS:
        for side, offset in (("left", 0.0), ("right", BASELINE_M[band])):
            pose = poses()[band].copy()
            pose[:3, 3] += offset * pose[:3, 0]
            (folder / side).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / side / f"{name}_{band}.png"), render(band, pose))
        cameras[LABELS[band]] = CameraModel(LABELS[band], *SIZES[band], intrinsics(band))
        camera_from_rig[LABELS[band]] = np.linalg.inv(poses()[band])
    Rig(cameras, camera_from_rig).save(folder / "rig.yaml")
    lines = (folder / "rig.yaml").read_text().splitlines()
    for band in BANDS:
        at = lines.index(f"  label: {LABELS[band]}")
        lines.insert(at + 1, f"  stereo_baseline_m: {BASELINE_M[band]}")
    (folder / "rig.yaml").write_text("\n".join(lines) + "\n")
    return folder


def write_lidar_frame(
    folder: Path, *, tilt_deg: float = 0.0, lens: tuple[float, ...] = (), share: float = 0.3, plane: bool = True
) -> Path:
    """Image, rig, depth at some of the pixels, and the plane of the road.

    Args:
        folder: of the frame.
        tilt_deg: the camera looks down by this angle.
        lens: coefficients of plumb_bob, if it distorts.
        share: of the pixels nearer than 100 m that have depth.
        plane: write meta.json.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    width, height = SIZES["rgb"]
    camera = CameraModel("rgb", width, height, intrinsics("rgb"), "plumb_bob" if lens else "none", lens)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = cv2.Rodrigues(np.array([-np.radians(tilt_deg), 0.0, 0.0]))[0]
    v, u = np.mgrid[:height, :width]
    rays = camera.rays(np.column_stack((u.ravel(), v.ravel())).astype(np.float64))
    straight = undistort(rays, camera.distortion_model, camera.distortion, tolerance=1e-3)
    depth, points = depth_of_rays(straight, world_from_camera)
    grey = np.where(np.isfinite(depth) & (depth < 60), texture(points), 0.9).reshape(height, width)
    cv2.imwrite(str(folder / "rgb.jpg"), np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=-1))
    known = (depth < 100) & (np.random.default_rng(0).random(depth.shape) < share)
    gt = np.round(np.where(known, depth, 0.0) * 256).astype(np.uint16).reshape(height, width)
    cv2.imwrite(str(folder / "gt.png"), gt)
    Rig({"rgb": camera}, {"rgb": np.eye(4)}).save(folder / "rig.yaml")
    if plane:
        normal = world_from_camera[:3, :3].T @ ROAD.normal
        meta = {"ground_normal": normal.round(5).tolist(), "camera_height_m": ROAD.offset_m}
        (folder / "meta.json").write_text(json.dumps(meta))
    return folder
