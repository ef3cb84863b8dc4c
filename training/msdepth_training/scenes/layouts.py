"""Where the cameras of a rig sit, which way they look and how much they see, beyond the MS2 vehicle's."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.scenes.instances import Triple, log_uniform

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

FACTOR = (0.2, 2.0)
"""Baselines are those of a layout times a number within this, each order of magnitude equally likely."""
WIDEST = 2.0
"""Rigs may be asked for that many times as wide: their cameras still stay above the ground and clear of things."""
LOWEST_M = 0.3
"""Of any camera above the ground."""
FIELD_RAD = (math.radians(30), math.radians(100))
"""Horizontal fields of view."""
LAYOUTS = ("ms2", "ms2", "ms2", "beside", "stacked", "front", "mixed")


class Mount(NamedTuple):
    """One camera relative to the rig's first, in the rig's own axes (x right, y down, z ahead)."""

    centre_m: Triple
    angles_rad: Triple
    """Pitch, yaw, roll."""


class Sensor(NamedTuple):
    """One camera's image before it is cropped and resized, px."""

    width: int
    height: int
    f: float
    cx: float
    cy: float


def draw_mounts(rng: np.random.Generator) -> dict[str, Mount]:
    """Cameras as on the MS2 vehicle, side by side, above one another, thermal in front and below, or anyhow."""
    layout, factor = LAYOUTS[int(rng.integers(len(LAYOUTS)))], log_uniform(rng, *FACTOR)
    nir, thermal = _centres(rng, layout)
    mounts = {"rgb": Mount((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))}
    for spectrum, centre in (("nir", nir), ("thermal", thermal)):
        x, y, z = (factor * c for c in centre)
        pitch = MS2_PITCH_RAD[spectrum] if layout == "ms2" else float(rng.normal(0.0, 0.04))
        turned = rng.normal(0.0, 1.0, 3) * (0.025, 0.02, 0.01)
        mounts[spectrum] = Mount((x, y, z), (pitch + float(turned[0]), float(turned[1]), float(turned[2])))
    return mounts


def _centres(rng: np.random.Generator, layout: str) -> tuple[Triple, Triple]:
    """Centres of NIR and thermal relative to RGB, metres."""

    def about(x: float, y: float, z: float, spread: float) -> Triple:
        a, b, c = rng.normal(0.0, spread, 3)
        return x + float(a), y + float(b), z + float(c)

    side, apart = float(rng.choice([-1.0, 1.0])), (float(rng.uniform(0.03, 0.4)), float(rng.uniform(0.12, 0.7)))
    if layout == "ms2":
        return about(*MS2_CENTRE_M["nir"], 0.04), about(*MS2_CENTRE_M["thermal"], 0.1)
    if layout == "beside":
        return about(-side * apart[0], 0.0, 0.0, 0.02), about(side * apart[1], 0.0, 0.0, 0.04)
    if layout == "stacked":
        return about(0.0, -side * apart[0], 0.0, 0.02), about(0.0, side * apart[1], 0.0, 0.04)
    if layout == "front":
        return about(*MS2_CENTRE_M["nir"], 0.04), about(0.0, apart[1], float(rng.uniform(0.1, 0.7)), 0.1)
    return about(0.0, 0.0, 0.0, 0.25), about(0.0, 0.0, 0.0, 0.3)


def draw_sensors(rng: np.random.Generator) -> dict[str, Sensor]:
    """As on the MS2 vehicle, give or take, or with other shapes and fields of view; of one rig they are alike."""
    like_ms2, tangent = rng.random() < 0.5, log_uniform(rng, *(math.tan(0.5 * a) for a in FIELD_RAD))
    sensors = {}
    for spectrum in SPECTRA:
        w, h, f, cx, cy = MS2_INTRINSICS[spectrum]
        scale = float(np.exp(rng.normal(0.0, 0.15 if like_ms2 else 0.25)))
        if like_ms2:
            f, h = f * scale, round(h * (1.0 + float(rng.uniform(-0.1, 0.3))))
        else:
            low, high = (math.tan(0.5 * a) for a in FIELD_RAD)
            f = 0.5 * w / min(max(tangent * scale, low), high)
            h = round(w * float(rng.uniform(0.4, 0.75)))
            cx, cy = 0.5 * w, 0.5 * h
        cx, cy = cx + float(rng.normal(0.0, 0.03)) * w, cy + float(rng.normal(0.0, 0.05)) * h
        sensors[spectrum] = Sensor(w, h, f, cx, cy)
    return sensors


def draw_body(rng: np.random.Generator) -> tuple[float, Triple]:
    """Height of the RGB camera, metres, and pitch, yaw and roll of the whole rig, rad; most rigs look ahead."""
    height = float(rng.uniform(1.0, 1.9) if rng.random() < 0.7 else rng.uniform(0.8, 2.5))
    steep = math.radians(15)
    pitch = float(rng.normal(0.0, 0.05) if rng.random() < 0.7 else rng.uniform(-steep, steep))
    yaw = float(rng.normal(0.0, 0.03) if rng.random() < 0.6 else rng.uniform(-math.pi, math.pi))
    return height, (min(max(pitch, -steep), steep), yaw, float(rng.normal(0.0, 0.02)))
