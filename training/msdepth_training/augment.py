"""Augmentation of synchronized sets. Geometry is changed for all views together, appearance for each view by itself.

Every set of a batch has its own generator of random numbers: what happens to it does not depend on the others, so that
several devices can share a batch. Decisions are drawn on the CPU; pictures are changed where the batch is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.batch import Batch, flip
from msdepth_training.crops import crop, random_window
from msdepth_training.scenes.faults import IMAGE_FAULTS, possible

VIEW_SHARES = (0.55, 0.3, 0.15)
"""How often the fusion gets three, two, one views, unless told otherwise."""
NOISE_SHARE = 0.3
"""How often a view gets noise."""
WORLD_SHARE, WORLD_SPREAD = 0.6, 0.45
"""How often a set's world is scaled, and the standard deviation of the log of the factor."""
PLANE_SHARE = 0.5
"""How often the network is not told the road."""
PLANE_TILT_RAD, PLANE_HEIGHT_SHARE = 0.0122, 0.03
"""Standard deviations of what is told: 0.7 degrees in pitch and roll, 3 % of the height."""
WHOLE = (0.0, 0.0, 1.0)
"""The window that crops nothing."""


def _on_some(batch: Batch, chosen: Sequence[bool], change: Callable[[Batch, Tensor], Batch]) -> Batch:
    """Change the sets that are chosen, [B]; `change` is also told their rows."""
    if not any(chosen):
        return batch
    rows = torch.tensor(chosen).nonzero()[:, 0]
    there = rows.to(batch.k.device)
    changed = change(Batch(*(part[there] for part in batch)), rows)
    return Batch(*(part.index_copy(0, there, new) for part, new in zip(batch, changed, strict=True)))


def draw_appearance(rng: np.random.Generator) -> list[float]:
    """Gamma, gain, offset and deviation of the noise of one view."""
    gamma, gain = np.exp(rng.normal(0.0, 0.4)), np.exp(rng.normal(0.0, 0.3))
    offset = rng.normal(0.0, 0.04)
    noise = rng.uniform(0.0, 0.06) if rng.random() < NOISE_SHARE else 0.0
    return [float(gamma), float(gain), float(offset), float(noise)]


def change_appearance(images: Tensor, appearance: Tensor, seeds: Sequence[int]) -> Tensor:
    """Gamma, gain, offset and noise of every view.

    Args:
        images: [B, N, 3, H, W] in [0, 1].
        appearance: [B, N, 4] rows of `draw_appearance`.
        seeds: [B] of the noise; the noise of a set is the same on CPU and GPU only in distribution.

    Returns:
        Same shape, in [0, 1].
    """
    gamma, gain, offset, _ = (part[..., None, None, None] for part in appearance.to(images.device).unbind(-1))
    changed = images.clamp(min=1e-3) ** gamma * gain + offset
    for row, deviations in enumerate(appearance[..., 3].tolist()):
        generator = torch.Generator(images.device).manual_seed(seeds[row])
        for view, deviation in enumerate(deviations):
            if deviation > 0.0:
                shape = images.shape[-2:]
                changed[row, view] += deviation * torch.randn(shape, generator=generator, device=images.device)
    return changed.clamp(0.0, 1.0)


def break_view(image: Tensor, previous: Tensor, spectrum: str, rng: np.random.Generator) -> Tensor:
    """One view [3, H, W] with a random fault; `previous` is the frame that a frozen camera repeats."""
    choices = [name for name in (*IMAGE_FAULTS, "frozen") if possible(name, spectrum)]
    fault = choices[int(rng.integers(len(choices)))]
    return previous if fault == "frozen" else IMAGE_FAULTS[fault](image, rng)


def sample_present(rng: np.random.Generator, view_shares: Sequence[float]) -> list[float]:
    """Which views the fusion gets, 1 or 0 each; all three, two and one of them have the probabilities `view_shares`."""
    kept = rng.permutation(3)[: int(rng.choice([3, 2, 1], p=view_shares))]
    return [1.0 if i in kept else 0.0 for i in range(3)]


def scale_world(batch: Batch, factors: Tensor) -> Batch:
    """A larger or smaller world: depth, baselines and the road's distance times a factor, pictures unchanged.

    Only what measures can tell the factor: parallax between cameras whose baselines are told, or the height above the
    road. Without it a network has no reason to measure.

    Args:
        batch: B sets.
        factors: [B], positive.
    """
    f = factors.to(batch.k)
    pose = batch.view_from_reference.clone()
    pose[..., :3, 3] *= f[:, None, None]
    longer = torch.stack((torch.ones_like(f), torch.ones_like(f), torch.ones_like(f), f), dim=1)[:, None]
    return batch._replace(
        depth_m=batch.depth_m * f[:, None, None, None],
        view_from_reference=pose,
        ground_plane=batch.ground_plane * longer,
        told_plane=batch.told_plane * longer,
    )


def draw_world_scale(rng: np.random.Generator, *, measurable: bool) -> float:
    """Factor of `scale_world`: exp of a normal number for `WORLD_SHARE` of the sets whose scale can be measured."""
    factor = float(np.exp(np.clip(rng.normal(0.0, WORLD_SPREAD), -2 * WORLD_SPREAD, 2 * WORLD_SPREAD)))
    return factor if rng.random() < WORLD_SHARE and measurable else 1.0


def tell_plane(ground_plane: Tensor, rng: np.random.Generator) -> Tensor:
    """What is told of the road in a set: nothing, half of the time, or the plane as a pitching vehicle knows it.

    Args:
        ground_plane: [3, 4] in each camera's frame.
        rng: of the set.

    Returns:
        [3, 4].
    """
    roll, pitch = rng.normal(0.0, PLANE_TILT_RAD, 2)
    longer = 1.0 + float(np.clip(rng.normal(0.0, PLANE_HEIGHT_SHARE), -0.1, 0.1))
    if rng.random() < PLANE_SHARE:
        return torch.zeros_like(ground_plane)
    normal = ground_plane[:, :3] + ground_plane.new_tensor([roll, 0.0, pitch]) * ground_plane[:, 1:2].abs()
    told = torch.cat((F.normalize(normal, dim=1), ground_plane[:, 3:] * longer), dim=1)
    return torch.where(ground_plane[:, 3:] > 0.0, told, 0.0)


def augment(
    batch: Batch,
    previous: Tensor,
    rngs: Sequence[np.random.Generator],
    *,
    fault_share: float,
    view_shares: Sequence[float] = VIEW_SHARES,
    crop_share: float = 0.0,
    world_scale: bool = False,
) -> Batch:
    """Training augmentation.

    Args:
        batch: as loaded.
        previous: [B, 3, 3, H, W] an earlier frame of each set.
        rngs: [B] one for each set; they decide everything.
        fault_share: probability that a view is broken.
        view_shares: probabilities that the fusion gets three, two, one views.
        crop_share: probability that a set shows an enlarged part of its images.
        world_scale: whether sets whose scale can be measured are made larger or smaller, see `scale_world`.

    Returns:
        A new batch.
    """
    images = batch.images.clone()
    appearance, present, seeds, flips, windows, planes, factors = [], [], [], [], [], [], []
    for b, rng in enumerate(rngs):
        for n, spectrum in enumerate(SPECTRA):
            if rng.random() < fault_share:
                images[b, n] = break_view(images[b, n], previous[b, n], spectrum, rng)
        appearance.append([draw_appearance(rng) for _ in SPECTRA])
        present.append(sample_present(rng, view_shares))
        seeds.append(int(rng.integers(2**31)))
        flips.append(bool(rng.random() < 0.5))
        windows.append(random_window(rng) if rng.random() < crop_share else WHOLE)
        told = tell_plane(batch.ground_plane[b].cpu(), rng)
        planes.append(told)
        measurable = world_scale and (sum(present[-1]) > 1 or bool((told[:, 3] > 0.0).all()))
        factors.append(draw_world_scale(rng, measurable=measurable))
    images = change_appearance(images, torch.tensor(appearance, dtype=images.dtype), seeds)
    batch = batch._replace(
        images=images,
        present=batch.present.new_tensor(present),
        told_plane=torch.stack(planes).to(batch.ground_plane),
    )
    batch = scale_world(batch, torch.tensor(factors))
    batch = _on_some(batch, flips, lambda part, _: flip(part))
    return _on_some(batch, [w != WHOLE for w in windows], lambda part, rows: crop(part, torch.tensor(windows)[rows]))
