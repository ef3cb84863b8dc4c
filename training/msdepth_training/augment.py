"""Augmentation of synchronized sets. Geometry is changed for all views together, appearance for each view by itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.scenes.faults import IMAGE_FAULTS, possible


class Batch(NamedTuple):
    """B sets of three views (rgb, nir, thermal)."""

    images: Tensor
    """[B, 3, 3, H, W] in [0, 1]."""
    depth_m: Tensor
    """[B, 3, H, W] in each camera's frame, inf for sky."""
    k: Tensor
    """[B, 3, 3, 3], px."""
    view_from_reference: Tensor
    """[B, 3, 4, 4], metres."""
    reference: Tensor
    """int [B], which camera the output frame is."""
    present: Tensor
    """[B, 3] 1 for the views the fusion may use."""


def flip(batch: Batch) -> Batch:
    """Mirror all views left to right: images, depth, principal points, and transforms by diag(-1, 1, 1, 1)."""
    width = batch.images.shape[-1]
    k = batch.k.clone()
    k[..., 0, 2] = width - 1.0 - k[..., 0, 2]
    mirror = torch.diag(batch.k.new_tensor([-1.0, 1.0, 1.0, 1.0]))
    return batch._replace(
        images=batch.images.flip(-1),
        depth_m=batch.depth_m.flip(-1),
        k=k,
        view_from_reference=mirror @ batch.view_from_reference @ mirror,
    )


def change_appearance(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Gain, offset, gamma and noise of one view [3, H, W] in [0, 1]."""
    image = image.clamp(min=1e-3) ** float(np.exp(rng.normal(0.0, 0.25)))
    image = image * float(np.exp(rng.normal(0.0, 0.2))) + float(rng.normal(0.0, 0.04))
    if rng.random() < 0.3:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        noise = torch.randn(image[:1].shape, generator=generator).to(image.device)
        image = image + noise * float(rng.uniform(0.0, 0.06))
    return image.clamp(0.0, 1.0)


def break_view(image: Tensor, previous: Tensor, spectrum: str, rng: np.random.Generator) -> Tensor:
    """One view [3, H, W] with a random fault; `previous` is the frame that a frozen camera repeats."""
    choices = [name for name in (*IMAGE_FAULTS, "frozen") if possible(name, spectrum)]
    fault = choices[int(rng.integers(len(choices)))]
    return previous if fault == "frozen" else IMAGE_FAULTS[fault](image, rng)


def sample_present(rng: np.random.Generator) -> list[float]:
    """Which views the fusion gets: all three in 55 %, two in 30 %, one in 15 % of the draws."""
    kept = rng.permutation(3)[: int(rng.choice([3, 2, 1], p=[0.55, 0.3, 0.15]))]
    return [1.0 if i in kept else 0.0 for i in range(3)]


def augment(batch: Batch, previous: Tensor, rng: np.random.Generator, *, fault_share: float) -> Batch:
    """Training augmentation.

    Args:
        batch: as loaded.
        previous: [B, 3, 3, H, W] an earlier frame of each set.
        rng: decides everything.
        fault_share: probability that a view is broken.

    Returns:
        A new batch.
    """
    images = batch.images.clone()
    for b in range(images.shape[0]):
        for n, spectrum in enumerate(SPECTRA):
            image = images[b, n]
            if rng.random() < fault_share:
                image = break_view(image, previous[b, n], spectrum, rng)
            images[b, n] = change_appearance(image, rng)
    present = batch.present.new_tensor([sample_present(rng) for _ in range(images.shape[0])])
    batch = batch._replace(images=images, present=present)
    return flip(batch) if rng.random() < 0.5 else batch
