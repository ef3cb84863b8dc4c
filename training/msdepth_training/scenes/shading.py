"""What each band measures at each pixel: reflected light in RGB and NIR, emitted and reflected radiation in thermal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from msdepth_training.scenes.instances import GROUND_ZONES
from msdepth_training.scenes.primitives import Vector
from msdepth_training.scenes.scene import Scene
from msdepth_training.scenes.surfaces import Surface
from msdepth_training.scenes.textures import look_up

SHADE_M = 0.3
"""How far beside what stands on the ground its shade fades to a third."""
SHADED_M = 40.0
"""Farther away it is not drawn."""


def _dot(a: Vector, b: tuple[float, float, float] | Vector) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _lamps(scene: Scene, s: Surface) -> Tensor:
    """Light of the street lamps, in units of full daylight."""
    light = torch.zeros_like(s.distance_m)
    for lamp in scene.lamps_m.tolist():
        to = tuple(lamp[i] - s.point[i] for i in range(3))
        square = sum(t * t for t in to)
        cosine = (_dot(s.normal, to) / square.sqrt()).clamp(min=0.0)
        light = light + 0.5 * cosine / (square + 2.0)
    return light


def _headlights(s: Surface, forward: Tensor) -> Tensor:
    """Light of the own vehicle's headlights, a forward cone."""
    cosine = _dot(s.view, tuple(forward)).clamp(0.0, 1.0)
    facing = -_dot(s.normal, s.view)
    return 4.0 * cosine**24 * facing.clamp(min=0.0) / (s.distance_m**2 + 9.0)


def _fogged(radiance: Tensor, s: Surface, sigma: float, airlight: Tensor | float) -> Tensor:
    transmission = torch.exp(-sigma * s.distance_m)
    return radiance * transmission + airlight * (1.0 - transmission)


def _clouds(textures: Tensor, s: Surface, time_s: float) -> Tensor:
    """Cloud texture of the sky in [0, 1], finer towards the horizon."""
    height = (-s.view[1]).clamp(min=0.03)
    u, v = s.view[0] / height * 30 + 2 * time_s, s.view[2] / height * 30
    noise = look_up(textures, torch.full_like(s.instance, 2), u, v)
    return (0.5 + 0.35 * noise).clamp(0.0, 1.0) * (1.0 - torch.exp(-12 * height))


def reflected(
    scene: Scene, s: Surface, textures: Tensor, sunlit: Tensor, forward: Tensor, *, band: str, time_s: float
) -> Tensor:
    """Radiance in the RGB or NIR band.

    Args:
        scene: the scene.
        s: visible surfaces.
        textures: the atlas.
        sunlit: [h, w] 1 in the sun, 0 in shadow.
        forward: [3] unit vector of the vehicle's headlights, world frame.
        band: "rgb" or "nir".
        time_s: time, moves the clouds.

    Returns:
        [C, h, w] in units of a white surface in full daylight; C is 3 or 1.
    """
    t, c = scene.instances, scene.conditions
    nir = band == "nir"
    albedo = _nir_albedo(scene)[s.instance][None] if nir else t.rgb[s.instance].movedim(-1, 0)
    albedo = albedo * (1.0 + t.contrast[s.instance][..., 1 if nir else 0] * s.texture).clamp(min=0.1)
    albedo = torch.where(s.glass, torch.full_like(albedo, 0.035), albedo) * (1.0 - 0.35 * c.rain)
    grey = albedo.new_tensor([0.75] if nir else [0.75, 0.77, 0.8])[:, None, None]
    sky = _sky(scene, s, textures, grey.expand_as(albedo), nir=nir, time_s=time_s)
    light = _light(scene, s, sunlit, forward, nir=nir, time_s=time_s)
    mirrored = _mirrored(scene, s, sky)
    dark = _darkness(scene)
    glow = t.emission[s.instance] * (1.0 if dark else 0.3) + 0.12 * dark * s.lit_window
    radiance = albedo * light + mirrored + glow * (0.5 if nir else 1.0)
    sky = c.daylight * c.sky_gain * sky + 0.0008
    airlight = c.daylight * grey * 0.8 + 0.004
    return _fogged(torch.where(s.sky, sky, radiance), s, c.extinction_per_m, airlight)


def _nir_albedo(scene: Scene) -> Tensor:
    """[P] reflectance that the NIR camera sees: some of its light is visible light."""
    t, leak = scene.instances, scene.conditions.nir_leak
    return torch.lerp(t.nir, t.rgb.mean(dim=1), leak) if leak else t.nir


def _mirrored(scene: Scene, s: Surface, sky: Tensor) -> Tensor:
    """[h, w] light of the surroundings that glass, varnish and wet ground mirror."""
    c = scene.conditions
    if not scene.style.rich:
        glass = torch.where(s.glass, 0.25 * (1.0 - s.view[1].abs()), torch.zeros_like(s.distance_m))
        return glass * c.daylight * sky.mean(dim=0)
    cosine = -_dot(s.normal, s.view)
    up = -(s.view[1] + 2.0 * cosine * s.normal[1])
    # below the horizon a road, around it dark trees and houses, above it the sky
    around = 0.06 + (0.75 * c.sky_gain - 0.06) * torch.sigmoid(12.0 * (up - 0.1))
    fresnel = 0.05 + 0.9 * (1.0 - cosine.clamp(0.0, 1.0)) ** 5
    return _gloss(scene, s) * fresnel * around * c.daylight


def _gloss(scene: Scene, s: Surface) -> Tensor:
    """[h, w] share of grazing light that is mirrored; rain makes a film on what lies flat."""
    gloss = torch.where(s.glass, 0.9, scene.instances.gloss[s.instance])
    wet = 0.8 * scene.conditions.rain * (-s.normal[1]).clamp(0.0, 1.0) ** 4
    return torch.maximum(gloss, wet) if scene.conditions.rain > 0 else gloss


def _sees_sky(scene: Scene, s: Surface) -> Tensor:
    """[h, w] how much of the zenith's cold a surface mirrors in the thermal band."""
    if not scene.style.rich:
        return (0.5 - 0.5 * s.normal[1]).clamp(0.0, 1.0)
    up = -(s.view[1] - 2.0 * _dot(s.normal, s.view) * s.normal[1])
    return up.clamp(0.0, 1.0) ** 0.6


def _darkness(scene: Scene) -> float:
    """How far lamps are on: 0 by day to 1 at night."""
    return max(0.0, 1.0 - 4.0 * scene.conditions.daylight)


def _sky(scene: Scene, s: Surface, textures: Tensor, grey: Tensor, *, nir: bool, time_s: float) -> Tensor:
    """Radiance of the sky in every direction at full daylight, shape of the grey [C, h, w] of clouds and horizon."""
    c = scene.conditions
    blue = grey.new_tensor([0.12] if nir else [0.42, 0.58, 0.85])[:, None, None]
    cover = c.clouds if c.clouds == 1.0 else (_clouds(textures, s, time_s) * 2.0 * c.clouds).clamp(max=1.0)
    if scene.style.rich and nir:
        blue = torch.lerp(blue, 0.6 * torch.ones_like(blue), c.nir_leak)
    sky = torch.lerp(blue.expand_as(grey), grey, cover + 0.0 * s.distance_m)
    horizon = torch.exp(-6.0 * (-s.view[1]).clamp(min=0.0))
    sky = torch.lerp(sky, 0.85 * grey, 0.6 * horizon)
    if scene.style.rich:
        return sky * _relief(scene, s, textures, time_s)
    return sky * (0.8 + 0.3 * _clouds(textures, s, time_s)) if c.clouds == 1.0 else sky


def _relief(scene: Scene, s: Surface, textures: Tensor, time_s: float) -> Tensor:
    """[h, w] clouds from dark bellies to bright rims, brighter around the sun, seen or behind them."""
    c, height = scene.conditions, (-s.view[1]).clamp(min=0.05)
    u, v = s.view[0] / height, s.view[2] / height
    broad = look_up(textures, torch.full_like(s.instance, 2), 22 * u + time_s, 22 * v)
    fine = look_up(textures, torch.full_like(s.instance, 0), 90 * u + 2 * time_s, 90 * v)
    high = 1.0 - torch.exp(-12 * (-s.view[1]).clamp(min=0.0))
    glow = torch.exp(6.0 * (_dot(s.view, c.sun_direction) - 1.0))
    return torch.exp(c.clouds * c.cloud_relief * high * (0.35 * broad + 0.12 * fine)) * (0.75 + 1.5 * glow)


def contact_shade(scene: Scene, s: Surface, time_s: float) -> Tensor:
    """[h, w] how much of the sky's light reaches the ground below and beside what stands on it; 1 elsewhere."""
    share = torch.ones_like(s.distance_m)
    ground = (s.instance >= scene.instances.kind.shape[0] - GROUND_ZONES) & (s.distance_m < SHADED_M)
    if scene.contacts.shape[0] == 0 or not bool(ground.any()):
        return share
    px, pz, left = s.point[0][ground], s.point[2][ground], share[ground]
    low, high = (torch.stack((f(px), f(pz))) - m for f, m in ((torch.amin, SHADE_M * 4), (torch.amax, -SHADE_M * 4)))
    for x, z, width, length, yaw, vx, vz in scene.contacts.tolist():
        x, z, reach = x + time_s * vx, z + time_s * vz, math.hypot(width, length)
        if x + reach < low[0] or x - reach > high[0] or z + reach < low[1] or z - reach > high[1]:
            continue
        c, sine = math.cos(yaw), math.sin(yaw)
        dx, dz = px - x, pz - z
        right = ((c * dx - sine * dz).abs() - width).clamp(min=0.0)
        ahead = ((sine * dx + c * dz).abs() - length).clamp(min=0.0)
        left = left * (1.0 - 0.85 * torch.exp(-torch.hypot(right, ahead) / SHADE_M))
    return share.masked_scatter(ground, left)


def _light(scene: Scene, s: Surface, sunlit: Tensor, forward: Tensor, *, nir: bool, time_s: float) -> Tensor:
    """[h, w] light that falls on the surfaces, in units of full daylight."""
    c, dark = scene.conditions, _darkness(scene)
    sun = c.sun_share * _dot(s.normal, c.sun_direction).clamp(min=0.0) * sunlit
    ambient = (1.0 - c.sun_share) * (0.6 - 0.4 * s.normal[1]) * (0.6 if nir and c.clouds < 1.0 else 1.0)
    if s.open_share is not None:
        sun, ambient = sun * (0.4 + 0.6 * s.open_share), ambient * s.open_share * contact_shade(scene, s, time_s)
    lamps = dark * (_lamps(scene, s) + _headlights(s, forward)) * (0.35 if nir else 1.0)
    facing = (-_dot(s.normal, s.view)).clamp(min=0.0)
    own = c.active_nir * 40.0 * dark * facing / (s.distance_m**2 + 25.0) if nir else 0.0
    return c.daylight * (sun * 1.3 + ambient) + 0.0006 + lamps + own


def emitted(scene: Scene, s: Surface, textures: Tensor, sunlit: Tensor, *, time_s: float) -> Tensor:
    """Apparent temperature in the thermal band.

    Radiance is taken to be linear in temperature around the air's, so emissivity and the atmosphere mix temperatures.

    Args:
        scene: the scene.
        s: visible surfaces.
        textures: the atlas.
        sunlit: [h, w] 1 in the sun; warmth lags behind, so shadows are faint.
        time_s: time, moves the clouds.

    Returns:
        [1, h, w] kelvin.
    """
    t, c = scene.instances, scene.conditions
    warmth = 0.35 + 0.65 * (0.4 + 0.6 * sunlit) * _dot(s.normal, c.sun_direction).clamp(min=0.0)
    history = c.daylight * (0.25 + c.sun_share) + 0.12 * (1.0 - c.daylight)
    temperature = (
        t.sun_gain_k[s.instance] * warmth * history
        + t.contrast[s.instance][..., 2] * s.texture
        + t.offset_k[s.instance]
    )
    if s.open_share is not None:  # glass is near the air's temperature; what sees much of the sky is colder
        temperature = torch.where(s.glass, 0.3 * temperature + 1.5 * s.lit_window, temperature)
        temperature = temperature + 1.5 * (1.0 - s.open_share) * (1.0 - c.daylight * c.sun_share)
    temperature = temperature * c.thermal_contrast
    if not scene.style.rich:
        temperature = torch.where(s.glass, torch.full_like(temperature, -1.0) + 4.0 * s.lit_window, temperature)
    # what a surface mirrors: the sky above, the surroundings (at air temperature) beside and below
    cold_up = -c.sky_cooling_k * _sees_sky(scene, s)
    emissivity = torch.where(s.glass, torch.full_like(temperature, 0.88), t.emissivity[s.instance])
    apparent = emissivity * temperature + (1.0 - emissivity) * cold_up
    sigma = c.extinction_per_m * c.thermal_extinction_share
    sky = torch.where(s.sky, _thermal_sky(scene, s, textures, time_s), apparent)
    mixed = torch.where(s.sky, sky * math.exp(-sigma * 1500.0), _fogged(apparent, s, sigma, 0.0))
    return (c.air_k + mixed)[None]


def _thermal_sky(scene: Scene, s: Surface, textures: Tensor, time_s: float) -> Tensor:
    """[h, w] K above the air's temperature in every direction: coldest at the zenith, warmer where clouds are."""
    c, clouds = scene.conditions, _clouds(textures, s, time_s)
    sky = -c.sky_cooling_k * (-s.view[1]).clamp(0.0, 1.0) ** 0.6 + 6.0 * (1.0 - c.clouds) * clouds * c.clouds
    return sky * (1.0 - 0.5 * c.cloud_relief * clouds).clamp(min=0.1) if scene.style.rich else sky
