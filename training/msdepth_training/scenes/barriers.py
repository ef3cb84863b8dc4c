"""What closes roads or lies about on them: barriers in rows, and single things."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from msdepth_training.scenes import furniture, lorries, materials
from msdepth_training.scenes.instances import BOX, TAPERED, TUBE
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.placing import Stand


class Row(NamedTuple):
    """A barrier of equal pieces."""

    draw: Callable[[Stand, float, Material], None]
    """One piece along a stand's direction, from half its length and a material."""
    length_m: float
    """Of a piece."""
    gap_m: float


class Thing(NamedTuple):
    """Something single."""

    draw: Callable[[Stand, Material], None]
    half_m: tuple[float, float]
    """Half of its width and length."""


def look(rng: np.random.Generator) -> Material:
    """Concrete, or any paint."""
    if rng.random() < 0.5:
        return materials.vary(rng, materials.PAVEMENT)
    return materials.vary(rng, materials.anything(rng))._replace(offset_k=0.0, emissivity=0.92)


def _jersey(s: Stand, half: float, stuff: Material) -> None:
    """Concrete with a broad foot."""
    s.darken(0.3, half)
    s.add(TAPERED, (0.0, 0.15, 0.0), (0.3, 0.16, half), stuff, taper=(0.35, 0.0, 0.0))
    s.add(TAPERED, (0.0, 0.56, 0.0), (0.19, 0.26, half), stuff, taper=(0.45, 0.0, 0.0))


def _boards(s: Stand, half: float, stuff: Material) -> None:
    """Red and white, on feet of rubber."""
    stripes = Material((0.6, 0.2, 0.15), 0.55, 0.9, 6.0, 0.0, (0.8, 0.2, 0.2))
    for up in (0.45, 0.95):
        s.add(BOX, (0.0, up, 0.0), (0.02, 0.12, half), stripes, layer=s.b.sign(), texels_per_m=120.0)
    for ahead in (-0.9 * half, 0.9 * half):
        s.add(BOX, (0.0, 0.55, ahead), (0.03, 0.55, 0.03), stuff)
        s.add(BOX, (0.0, 0.05, ahead), (0.3, 0.05, 0.1), materials.RUBBER)


def _hoarding(s: Stand, half: float, stuff: Material) -> None:
    """Higher than a man."""
    s.darken(0.04, half)
    s.add(BOX, (0.0, 0.9, 0.0), (0.04, 1.2, half), stuff)


def _fence(s: Stand, half: float, stuff: Material) -> None:
    """Panels of wire and tubes."""
    metal = materials.METAL._replace(emissivity=0.8)
    for up in (0.25, 0.9, 1.9):
        s.add(BOX, (0.0, up, 0.0), (0.015, 0.02, half), metal)
    for ahead in np.linspace(-1.0, 1.0, 11) * half:
        s.add(BOX, (0.0, 1.05, float(ahead)), (0.01, 0.9, 0.012), metal)


def _bollard(s: Stand, half: float, stuff: Material) -> None:
    s.limb((0.0, -0.1, 0.0), (0.0, 0.95, 0.0), (0.1, 0.09), stuff)
    s.add(TUBE, (0.0, 0.8, 0.0), (0.105, 0.06, 0.105), materials.lamp((0.6, 0.6, 0.6)))


def _cone(s: Stand, half: float, stuff: Material) -> None:
    orange = materials.lamp((0.6, 0.15, 0.04))
    s.add(TUBE, (0.0, 0.37, 0.0), (0.17, 0.37, 0.17), orange, taper=(0.85, 0.0, 0.0))
    s.add(TUBE, (0.0, 0.45, 0.0), (0.115, 0.06, 0.115), materials.lamp((0.65, 0.65, 0.62)), taper=(0.25, 0.0, 0.0))
    s.add(BOX, (0.0, 0.02, 0.0), (0.19, 0.025, 0.19), orange)


ROWS = (
    Row(_jersey, 2.0, 0.05), Row(_boards, 2.0, 0.4), Row(_hoarding, 2.4, 0.0), Row(_fence, 2.5, 0.05),
    Row(_bollard, 0.3, 1.2), Row(_cone, 0.4, 1.4),
)  # fmt: skip


def _crate(s: Stand, stuff: Material) -> None:
    up, wide, long = (float(v) for v in s.b.rng.uniform(0.12, 0.45, 3))
    s.add(BOX, (0.0, up, 0.0), (wide, up, long), stuff)


def _barrel(s: Stand, stuff: Material) -> None:
    s.add(TUBE, (0.0, 0.45, 0.0), (0.29, 0.45, 0.29), stuff, gloss=0.3)


def _tyre(s: Stand, stuff: Material) -> None:
    s.add(TUBE, (0.0, 0.11, 0.0), (0.33, 0.11, 0.33), materials.RUBBER)


def _bin(s: Stand, stuff: Material) -> None:
    """With a lid."""
    up = float(s.b.rng.uniform(0.5, 0.7))
    s.add(TAPERED, (0.0, up + 0.08, 0.0), (0.6, up, 0.42), stuff, gloss=0.3)
    s.add(BOX, (0.0, 2 * up + 0.12, 0.0), (0.64, 0.05, 0.46), materials.vary(s.b.rng, materials.PLASTIC))


def _skip(s: Stand, stuff: Material) -> None:
    """Open, its rim stands out."""
    s.add(BOX, (0.0, 0.75, 0.0), (0.9, 0.75, 1.7), stuff)
    s.add(BOX, (0.0, 1.45, 0.0), (0.96, 0.06, 1.76), stuff)


def _trailer(s: Stand, stuff: Material) -> None:
    lorries.trailer(s.b, s)


def _pillar(s: Stand, stuff: Material) -> None:
    furniture.pillar(s)


THINGS = (
    Thing(_crate, (0.45, 0.45)), Thing(_barrel, (0.3, 0.3)), Thing(_tyre, (0.35, 0.35)), Thing(_bin, (0.65, 0.5)),
    Thing(_skip, (1.0, 1.8)), Thing(_trailer, (1.2, 3.2)), Thing(_pillar, (0.25, 0.25)),
)  # fmt: skip
