"""A small MS2 tree that tests write: a road and a wall seen by three cameras, sparse depth, lists and calib.npy."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

BANDS = ("rgb", "nir", "thr")
SCALE = 0.25
"""Of image sizes and focal lengths against MS2's."""
SIZES = {"rgb": (306, 96), "nir": (320, 88), "thr": (160, 64)}
"""Width and height, px."""
INTRINSICS = {"rgb": (764.5, 579.5, 153.0), "nir": (638.9, 632.7, 163.1), "thr": (387.8, 300.8, 151.6)}
"""fx = fy, cx, cy of MS2, px."""
ROAD_M, WALL_M = 1.5, 9.0
"""The road lies so far below the RGB camera; a wall stands so far ahead, x from -2 to 3, from the road to 1 m above."""


class Plane(NamedTuple):
    """Points with normal @ x = offset, in the RGB camera's frame."""

    normal: tuple[float, float, float]
    offset_m: float


ROAD = Plane((0.0, 1.0, 0.0), ROAD_M)
WALL = Plane((0.0, 0.0, 1.0), WALL_M)


def intrinsics(band: str) -> np.ndarray:
    """3 x 3, px of the small image; the principal point follows c -> s (c + 0.5) - 0.5."""
    f, cx, cy = INTRINSICS[band]
    return np.array([[SCALE * f, 0, SCALE * (cx + 0.5) - 0.5], [0, SCALE * f, SCALE * (cy + 0.5) - 0.5], [0, 0, 1]])


def poses() -> dict[str, np.ndarray]:
    """rgb_from_camera, metres: thermal is on the roof and looks down, turned a little, too."""
    nir, thermal = np.eye(4), np.eye(4)
    nir[:3, :3] = cv2.Rodrigues(np.array([-0.009, 0.007, 0.005]))[0]
    nir[:3, 3] = (0.054, 0.002, 0.022)
    thermal[:3, :3] = cv2.Rodrigues(np.array([-0.17, 0.01, -0.004]))[0]
    thermal[:3, 3] = (-0.008, -0.42, -0.5)
    return {"rgb": np.eye(4), "nir": nir, "thr": thermal}


def calibration() -> dict[str, np.ndarray]:
    """What calib.npy holds; translations in millimetres, X_dst = R X_nir + T."""
    rgb_from = poses()
    thermal_from_nir = np.linalg.inv(rgb_from["thr"]) @ rgb_from["nir"]
    return {
        **{f"K_{band}{side}": intrinsics(band) for band in BANDS for side in "LR"},
        "R_nir2rgb": rgb_from["nir"][:3, :3],
        "T_nir2rgb": 1000.0 * rgb_from["nir"][:3, 3:],
        "R_nir2thr": thermal_from_nir[:3, :3],
        "T_nir2thr": 1000.0 * thermal_from_nir[:3, 3:],
    }


def true_depth(k: np.ndarray, rgb_from_camera: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth along z [h, w] in metres, inf for sky, and points [h, w, 3] in the RGB camera's frame."""
    v, u = np.mgrid[:height, :width]
    return depth_of_rays(np.stack(((u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1]), axis=-1), rgb_from_camera)


def depth_of_rays(rays: np.ndarray, rgb_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for rays [..., 2], x/z and y/z in the camera's frame."""
    rays = np.concatenate((rays, np.ones((*rays.shape[:-1], 1))), axis=-1)
    direction, origin = rays @ rgb_from_camera[:3, :3].T, rgb_from_camera[:3, 3]
    depth = np.full(rays.shape[:-1], np.inf)
    for plane in (ROAD, WALL):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (plane.offset_m - origin @ plane.normal) / (direction @ plane.normal)
        point = origin + np.where(np.isfinite(t), t, 0.0)[..., None] * direction
        hit = (t > 0) & (t < depth)
        if plane is WALL:
            hit &= (point[..., 0] > -2) & (point[..., 0] < 3) & (point[..., 1] > -1) & (point[..., 1] < ROAD_M)
        depth[hit] = t[hit]
    return depth, origin + np.where(np.isfinite(depth), depth, 0.0)[..., None] * direction


def write_calibration(path: Path, content: object) -> None:
    """As MS2's authors wrote it: NumPy's own pickle of a dictionary."""
    np.save(path, content, allow_pickle=True)


def write_frame(root: Path, sequence: str, number: int, *, share: float = 0.4) -> None:
    """Left images and depth of all bands; `share` of the pixels nearer than 80 m have depth."""
    rng = np.random.default_rng([number, 7])
    for band, (width, height) in SIZES.items():
        depth, points = true_depth(intrinsics(band), poses()[band], width, height)
        grey = 0.5 + 0.3 * np.sin(3.0 * points[..., 0] + number) * np.cos(2.0 * points[..., 1] + points[..., 2])
        image = {
            "rgb": np.stack((255 * grey, 200 * grey, 60 * grey), axis=-1).astype(np.uint8),
            "nir": (255 * grey).astype(np.uint8),
            "thr": (3300 + 900 * grey).astype(np.uint16),
        }[band]
        known = (depth < 80) & (rng.random(depth.shape) < share)
        stored = np.round(np.where(known, depth, 0.0) * 256).astype(np.uint16)
        for path, pixels in (
            (root / "sync_data" / sequence / band / "img_left", image),
            (root / "proj_depth" / sequence / band / "depth_filtered", stored),
        ):
            path.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path / f"{number:06d}.png"), pixels)


def write_ms2(root: Path, lists: dict[str, dict[str, int]], *, share: float = 0.4) -> Path:
    """A tree with these lists.

    Args:
        root: where.
        lists: name of a list, as `train_list.txt`, to its sequences and how many frames each has, from 0 on.
        share: of pixels with depth.

    Returns:
        The root.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name, sequences in lists.items():
        (root / name).write_text("".join(f"{sequence}\n" for sequence in sequences))
        for sequence, count in sequences.items():
            for number in range(count):
                write_frame(root, sequence, number, share=share)
            write_calibration(root / "sync_data" / sequence / "calib.npy", calibration())
    return root


ALL_LISTS = {
    "train_list.txt": {"_2021-08-06-10-59-33": 7, "_2021-08-13-21-36-10": 2},
    "val_list.txt": {"_2021-08-13-16-08-46": 2},
    "test_day_list.txt": {"_2021-08-06-11-23-45": 2},
    "test_night_list.txt": {"_2021-08-13-22-03-03": 2},
    "test_rainy_list.txt": {"_2021-08-06-16-19-00": 1},
}
