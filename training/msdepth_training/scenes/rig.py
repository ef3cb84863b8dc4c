"""Camera rigs at the network's image size: the MS2 vehicle's, and what varies around and beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.view import make_view
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.geometry import inside, pixel_rays, reproject
from msdepth_training.scenes import layouts
from msdepth_training.scenes.layouts import MS2_CENTRE_M, MS2_INTRINSICS, MS2_PITCH_RAD, Mount, Sensor
from msdepth_training.scenes.style import scene_style

FOCAL_SPREAD, TILT_RAD, MOUNT_M = 0.15, 0.02, (-0.3, 0.5)
"""Of rigs around the MS2 vehicle's: deviation of the logarithm of focal lengths and of the pitch (the roll has half of
that), and the range of the RGB camera's height above ground, less 1.5 m."""
ATTEMPTS = 100
OVERLAP = {"rgb": 0.65, "nir": 0.45, "thermal": 0.45}
"""Share of each camera's pixels that some other camera sees, at least."""
OVERLAP_AT_M = 12.0
HORIZON = (-0.5, 0.8)
"""Where the horizon is, in parts of the RGB image's height: rigs that see little but sky are drawn again."""


class Looks(NamedTuple):
    """What a street has to know of a rig: where things should stand, and where none may."""

    yaw_rad: float = 0.0
    """Direction about the vertical in the vehicle's frame: 0 ahead, positive to the right."""
    reach_m: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """How far cameras sit to the left, right, back and front of the vehicle's origin along that direction, also of a
    rig `layouts.WIDEST` times as wide."""


AHEAD = Looks()


@dataclass(frozen=True)
class SceneRig:
    """Cameras at the network's image size, in the vehicle."""

    k: dict[str, Tensor]
    """Spectrum to [3, 3], px of the height x width image."""
    vehicle_from_camera: dict[str, Tensor]
    """Spectrum to [4, 4], metres. The vehicle's frame: x right, y down, z forward, origin on the ground."""
    height: int
    width: int
    looks: Looks = AHEAD

    def view_from_reference(self, view: str, reference: str) -> Tensor:
        """[4, 4] for points, metres."""
        return torch.linalg.inv(self.vehicle_from_camera[view]) @ self.vehicle_from_camera[reference]


def rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Rotation by yaw about y, pitch about x, roll about z, radians."""
    cp, sp, cy, sy, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw), np.cos(roll), np.sin(roll)
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: NDArray[np.float64] = about_y @ about_x @ about_z
    return rotation


def sample_rig(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    jitter: float = 1.0,
    style: str = "street",
    baseline: float = 1.0,
) -> SceneRig:
    """A rig; jitter 0 gives the MS2 vehicle's, 1.5 m above the ground.

    What varies and how far is the style's: `street` stays around the MS2 vehicle; rigs of `rich` have layouts, heights,
    directions and fields of view of all kinds, see `layouts`. The image each network view shows follows the product's
    own rule for resizing and cropping (`make_view`).

    Args:
        rng: decides everything but the baseline.
        height: of the network's image, px.
        width: likewise.
        jitter: how far rigs vary, 0 not at all; `rich` knows 0 and 1 only.
        style: name of a style.
        baseline: factor on the distances between cameras, which changes nothing else: for the same seed, rigs half
            and twice as wide see the same street from the same RGB camera.
    """
    if scene_style(style).varied_rigs and jitter > 0:
        return _varied(rng, height, width, baseline)
    return _around_ms2(rng, height, width, jitter, baseline)


def _network_k(spectrum: str, sensor: Sensor, height: int, width: int) -> Tensor:
    """[3, 3] px of the network's image."""
    w, h, f, cx, cy = sensor
    matrix = np.array([[f, 0.0, cx], [0.0, f, cy], [0.0, 0.0, 1.0]])
    view = make_view(CameraModel(spectrum, w, h, matrix, "none", ()), width, height)
    return torch.tensor(view.intrinsics, dtype=torch.float32)


def _around_ms2(rng: np.random.Generator, height: int, width: int, jitter: float, baseline: float) -> SceneRig:
    """Sensor sizes, focal lengths, principal points, poses and the mounting height vary around the MS2 vehicle's."""
    k, poses = {}, {}
    mount = 1.5 + jitter * rng.uniform(*MOUNT_M)
    tilt = jitter * rng.normal(0.0, TILT_RAD)
    body = rotation(tilt, 0.0, jitter * rng.normal(0.0, 0.5 * TILT_RAD))
    for spectrum in SPECTRA:
        w, h, f, cx, cy = MS2_INTRINSICS[spectrum]
        f = f * float(np.exp(jitter * rng.normal(0.0, FOCAL_SPREAD)))
        cx, cy = cx + jitter * rng.normal(0.0, 0.03) * w, cy + jitter * rng.normal(0.0, 0.05) * h
        h = int(round(h * (1.0 + jitter * rng.uniform(-0.1, 0.3))))
        k[spectrum] = _network_k(spectrum, Sensor(w, h, f, cx, cy), height, width)
        spread = 0.0 if spectrum == "rgb" else jitter
        # a positive angle about x lifts the optical axis (y points down)
        turned = body @ rotation(
            MS2_PITCH_RAD[spectrum] + spread * rng.normal(0, 0.02),
            spread * rng.normal(0, 0.015),
            spread * rng.normal(0, 0.008),
        )
        centre = np.array(MS2_CENTRE_M[spectrum]) + spread * rng.normal(0, 0.08, 3) * (1.0, 1.0, 1.5)
        poses[spectrum] = _pose(turned, body @ (baseline * centre) + (0.0, -mount, 0.0))
    return SceneRig(k, poses, height, width)


def _pose(turned: NDArray[np.float64], centre: NDArray[np.float64]) -> Tensor:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turned, centre
    return torch.tensor(pose, dtype=torch.float32)


def _varied(rng: np.random.Generator, height: int, width: int, baseline: float) -> SceneRig:
    """A rig of any layout whose cameras see much of the same and not only sky."""
    for _ in range(ATTEMPTS):
        mount, angles = layouts.draw_body(rng)
        mounts, sensors = layouts.draw_mounts(rng), layouts.draw_sensors(rng)
        k = {s: _network_k(s, sensor, height, width) for s, sensor in sensors.items()}
        # whether a rig will do must not depend on the baseline asked for
        if _useful(_assembled(mount, angles, mounts, k, (height, width), 1.0)):
            break
    return _assembled(mount, angles, mounts, k, (height, width), baseline)


def _assembled(
    mount_m: float,
    angles: tuple[float, float, float],
    mounts: dict[str, Mount],
    k: dict[str, Tensor],
    size: tuple[int, int],
    baseline: float,
) -> SceneRig:
    """Cameras on a body that is turned as a whole."""
    body, level = rotation(*angles), rotation(0.0, angles[1], 0.0)
    poses, reach = {}, []
    for spectrum, (centre, turned) in mounts.items():
        place = body @ np.array(centre)
        place[1] = min(place[1], (mount_m - layouts.LOWEST_M) / layouts.WIDEST)
        poses[spectrum] = _pose(body @ rotation(*turned), baseline * place + (0.0, -mount_m, 0.0))
        reach.append(layouts.WIDEST * (level.T @ place))
    x, _, z = (tuple(float(r[i]) for r in reach) for i in range(3))
    return SceneRig(k, poses, *size, Looks(angles[1], (-min(x), max(x), -min(z), max(z))))


def _useful(rig: SceneRig) -> bool:
    """Whether each camera sees much of what others see, and the RGB camera the ground."""
    k, forward = rig.k["rgb"], rig.vehicle_from_camera["rgb"][:3, 2]
    pitch_up = math.asin(float(-forward[1]))
    horizon = (float(k[1, 2]) + float(k[1, 1]) * math.tan(pitch_up)) / rig.height
    return HORIZON[0] < horizon < HORIZON[1] and all(overlap(rig, s) > least for s, least in OVERLAP.items())


def overlap(rig: SceneRig, reference: str) -> float:
    """Share of a camera's pixels whose points, `OVERLAP_AT_M` away, are in the image of some other camera."""
    rays = pixel_rays(rig.k[reference], rig.height, rig.width)[:, ::16, ::16]
    depth_m = torch.full((1, 1, *rays.shape[1:]), OVERLAP_AT_M)
    others = [s for s in rig.k if s != reference]
    poses = torch.stack([rig.view_from_reference(s, reference) for s in others])
    seen = reproject(depth_m, rays[None], poses[None], torch.stack([rig.k[s] for s in others])[None])
    return float(inside(*seen, rig.height, rig.width).amax(dim=1).mean())
