"""From radiance to what a camera delivers: exposure, optics, noise, quantisation, drops on the windshield."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from msdepth_training.scenes.conditions import Conditions
from msdepth_training.scenes.optics import Optics, develop, halo, lens
from msdepth_training.scenes.optics import gain as mean_gain

MAX_GAIN = 14.0
COUNTS_PER_K = 40.0
COUNTS_AT_AIR = 4200.0
"""Thermal counts: roughly 3000 to 6000 over a street, like the real camera's 14-bit output."""


@dataclass(frozen=True)
class SensorNoise:
    """Random numbers of one camera in one sequence, drawn on the CPU so that every device sees the same."""

    exposure_bias: float
    """Factor on the exposure."""
    blur_px: float
    """Of the optics, standard deviation."""
    read_noise: float
    """Standard deviation, in parts of full scale."""
    tint: tuple[float, float, float]
    """Gains of red, green, blue: white balance."""
    pattern_seed: int
    """Of the thermal camera's fixed pattern."""


def sample_noise(rng: np.random.Generator) -> SensorNoise:
    """Draw one camera's character."""
    r, g, b = np.exp(rng.normal(0, 0.06, 3))
    return SensorNoise(
        exposure_bias=float(np.exp(rng.normal(0, 0.3))),
        blur_px=float(rng.uniform(0.3, 0.8)),
        read_noise=float(rng.uniform(0.003, 0.012)),
        tint=(float(r), float(g), float(b)),
        pattern_seed=int(rng.integers(2**31)),
    )


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of [C, h, w]; sigma in px, edges replicated."""
    if sigma_px < 0.2:
        return image
    radius = max(1, int(round(2.5 * sigma_px)))
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (x / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


def _noise(shape: torch.Size | tuple[int, ...], seed: int, device: torch.device) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def _drops(rng: np.random.Generator, height: int, width: int, rain: float) -> Tensor:
    """[h, w] in [0, 1]: where drops on the windshield blur the image."""
    mask = np.zeros((height, width), np.float32)
    v, u = np.mgrid[0:height, 0:width]
    for _ in range(int(rain * rng.uniform(5, 40))):
        radius = rng.uniform(0.01, 0.045) * height
        cu, cv = rng.uniform(0, width), rng.uniform(0, height)
        top, bottom, left, right = (
            int(max(cv - 3 * radius, 0)),
            int(cv + 3 * radius) + 1,
            int(max(cu - 3 * radius, 0)),
            int(cu + 3 * radius) + 1,
        )
        part = np.hypot((u - cu)[top:bottom, left:right], (v - cv)[top:bottom, left:right] / rng.uniform(1.0, 1.6))
        mask[top:bottom, left:right] = np.maximum(mask[top:bottom, left:right], np.clip(1.5 - part / radius, 0, 1))
    return torch.from_numpy(mask)


def visible_camera(
    radiance: Tensor, noise: SensorNoise, conditions: Conditions, *, frame_seed: int, optics: Optics | None = None
) -> Tensor:
    """RGB or NIR image behind the windshield.

    Args:
        radiance: [C, h, w] in units of a white surface in daylight.
        noise: the camera's character.
        conditions: for drops.
        frame_seed: noise and drops of this frame.
        optics: what else happens between windshield and file; without, exposure aims at the geometric mean and the
            tone curve has gamma 2.2.

    Returns:
        uint8 [C, h, w].
    """
    rng = np.random.default_rng([frame_seed, noise.pattern_seed])
    channels, height, width = radiance.shape
    image = blur(radiance, noise.blur_px if optics is None else noise.blur_px + optics.soft_px)
    if conditions.rain > 0:
        mask = _drops(rng, height, width, conditions.rain).to(image.device)
        smeared = blur(image, 0.02 * height)
        image = torch.lerp(image, 1.05 * smeared.roll(int(0.02 * height), dims=1), mask)
    image = image if optics is None else lens(image, optics)
    gain = _geometric_gain(image, noise) if optics is None else mean_gain(image, optics, 3.0 * MAX_GAIN)
    if channels == 3:
        image = image * image.new_tensor(noise.tint)[:, None, None]
    sigma = noise.read_noise * max(1.0, gain / 6.0) ** 0.5
    exposed = image * gain if optics is None else halo(image * gain, optics)
    seed = int(rng.integers(2**31))
    shot = (exposed.clamp(min=0.0) * 0.0006 * max(1.0, gain / 2.0)).sqrt()
    noise_scale = 1.0 if optics is None else optics.noise
    exposed = exposed + _noise(image.shape, seed, image.device) * ((sigma + shot) * noise_scale)
    levels = exposed.clamp(0.0, 1.0) ** (1 / 2.2) if optics is None else develop(exposed, optics)
    return (levels * 255.0).round().to(torch.uint8)


def _geometric_gain(image: Tensor, noise: SensorNoise) -> float:
    """Of an automatic exposure that takes the mean of logarithms."""
    level = image.mean(dim=0).clamp(min=1e-5).log().mean().exp().item()
    return float(min(0.2 * noise.exposure_bias / level, MAX_GAIN))


def thermal_camera(
    apparent_k: Tensor, noise: SensorNoise, conditions: Conditions, *, frame_seed: int, drift: float | None = None
) -> Tensor:
    """Thermal counts, outside the windshield.

    Args:
        apparent_k: [1, h, w] kelvin.
        noise: the camera's character; the fixed pattern is the same for all its frames.
        conditions: for the air temperature.
        frame_seed: temporal noise of this frame.
        drift: how far the pattern has drifted since the shutter's last calibration, 0 to 1; without, it does not drift.

    Returns:
        int32 [1, h, w], 14-bit counts.
    """
    rng = np.random.default_rng([frame_seed, noise.pattern_seed, 1])
    character = np.random.default_rng([noise.pattern_seed, 2])
    image = blur(apparent_k, 0.5 + noise.blur_px)
    netd_k = character.uniform(0.03, 0.08)
    _, height, width = image.shape
    pattern = (
        _noise((1, 1, width), noise.pattern_seed % 2**31, image.device) * 0.04
        + _noise((1, height, width), noise.pattern_seed // 2, image.device) * 0.03
    )
    if drift is not None:
        pattern = pattern * (0.2 + 0.8 * drift) + _drifted(noise.pattern_seed, drift, height, width, image.device)
    image = image + pattern + netd_k * _noise(image.shape, int(rng.integers(2**31)), image.device)
    counts = COUNTS_AT_AIR + COUNTS_PER_K * (image - conditions.air_k) + character.uniform(-300, 300)
    return counts.round().clamp(0, 16383).to(torch.int32)


def _drifted(seed: int, drift: float, height: int, width: int, device: torch.device) -> Tensor:
    """[1, h, w] K: the warm housing shines on the corners, and coarse patches come and go."""
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)[None]
    patches = F.interpolate(_noise((1, 1, 4, 8), seed // 3, device), (height, width), mode="bilinear")[0]
    return drift * (0.5 * (x * x + y * y) + 0.25 * patches)
