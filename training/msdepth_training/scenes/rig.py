"""Camera rigs like the MS2 vehicle's, at the network's image size, and jitter around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.view import make_view
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.scenes.style import scene_style

# Left cameras of the MS2 recording vehicle (Shin, Park, Kweon, CVPR 2023): width, height, fx = fy, cx, cy in px.
MS2_INTRINSICS = {
    "rgb": (1224, 384, 764.51387058, 579.54701233, 153.00541306),
    "nir": (1280, 352, 638.90606689, 632.70062256, 163.07611084),
    "thermal": (640, 256, 387.78695052, 300.82013702, 151.62576294),
}
# Where each camera sits, from the same calibration: rotation about x (pitch, rad) and the camera's centre in the RGB
# optical frame, metres. The thermal camera is on the roof, 0.42 m above and 0.50 m behind, and looks 10 degrees down.
MS2_PITCH_RAD = {"rgb": 0.0, "nir": -0.0089, "thermal": -0.1743}
MS2_CENTRE_M = {"rgb": (0.0, 0.0, 0.0), "nir": (0.0539, 0.0016, 0.0225), "thermal": (-0.0083, -0.4234, -0.5024)}


@dataclass(frozen=True)
class SceneRig:
    """Cameras at the network's image size, in the vehicle."""

    k: dict[str, Tensor]
    """Spectrum to [3, 3], px of the height x width image."""
    vehicle_from_camera: dict[str, Tensor]
    """Spectrum to [4, 4], metres. The vehicle's frame: x right, y down, z forward, origin on the ground."""
    height: int
    width: int

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
    rng: np.random.Generator, height: int, width: int, *, jitter: float = 1.0, style: str = "street"
) -> SceneRig:
    """A rig around the MS2 vehicle's; jitter 0 gives that one, 1.5 m above the ground.

    Sensor sizes, focal lengths, principal points, poses and the mounting height vary; the image each network view shows
    follows the product's own rule for resizing and cropping (`make_view`). How far they vary is the style's.
    """
    k, poses, spreads = {}, {}, scene_style(style)
    mount = 1.5 + jitter * rng.uniform(*spreads.mount_m)
    tilt = jitter * rng.normal(0.0, spreads.tilt_spread_rad)
    body = rotation(tilt, 0.0, jitter * rng.normal(0.0, 0.5 * spreads.tilt_spread_rad))
    for spectrum in SPECTRA:
        w, h, f, cx, cy = MS2_INTRINSICS[spectrum]
        f = f * float(np.exp(jitter * rng.normal(0.0, spreads.focal_spread)))
        cx, cy = cx + jitter * rng.normal(0.0, 0.03) * w, cy + jitter * rng.normal(0.0, 0.05) * h
        h = int(round(h * (1.0 + jitter * rng.uniform(-0.1, 0.3))))
        matrix = np.array([[f, 0.0, cx], [0.0, f, cy], [0.0, 0.0, 1.0]])
        k[spectrum] = torch.tensor(
            make_view(CameraModel(spectrum, w, h, matrix, "none", ()), width, height).intrinsics, dtype=torch.float32
        )
        spread = 0.0 if spectrum == "rgb" else jitter
        vehicle_from_camera = np.eye(4)
        # a positive angle about x lifts the optical axis (y points down)
        vehicle_from_camera[:3, :3] = body @ rotation(
            MS2_PITCH_RAD[spectrum] + spread * rng.normal(0, 0.02),
            spread * rng.normal(0, 0.015),
            spread * rng.normal(0, 0.008),
        )
        centre = np.array(MS2_CENTRE_M[spectrum]) + spread * rng.normal(0, 0.08, 3) * (1.0, 1.0, 1.5)
        vehicle_from_camera[:3, 3] = body @ centre + (0.0, -mount, 0.0)
        poses[spectrum] = torch.tensor(vehicle_from_camera, dtype=torch.float32)
    return SceneRig(k, poses, height, width)
