"""Lorries of all kinds, buses, trailers and campers, as assemblies of tapered boxes, tubes and panes."""

from __future__ import annotations

import math

import numpy as np

from msdepth_training.scenes import materials
from msdepth_training.scenes.bodies import ends, paint, warm, wheels
from msdepth_training.scenes.instances import BOX, TAPERED, TUBE, Builder
from msdepth_training.scenes.materials import Material
from msdepth_training.scenes.placing import Stand

LENGTH_M = {
    "truck": (6.0, 11.0), "tanker": (7.0, 12.0), "dumper": (6.0, 9.0), "semi": (12.0, 16.5), "flatbed": (7.0, 11.0),
    "bus": (8.0, 13.0), "camper": (5.8, 7.5),
}  # fmt: skip


def lorry(b: Builder, s: Stand, kind: str, *, running: bool) -> None:
    """A cab with something behind it; kind is a key of `LENGTH_M` other than bus."""
    rng, colour = b.rng, paint(b.rng)
    length, w, top = float(rng.uniform(*LENGTH_M[kind])), float(rng.uniform(1.1, 1.28)), float(rng.uniform(2.7, 3.9))
    half, radius = 0.5 * length, float(rng.uniform(0.44, 0.52))
    s.add(BOX, (0.0, 0.75, 0.0), (0.8 * w, 0.2, 0.97 * half), warm(rng, materials.PLASTIC, running, 1, 12))
    axles = (-0.75, -0.62, -0.49, 0.3, 0.72) if kind == "semi" else (-0.62, -0.38, 0.66)
    wheels(b, s, radius, w, tuple(a * half for a in axles), running=running)
    long = _cab(b, s, w, half, colour, low=kind == "camper")
    rear, front = -half, half - long - float(rng.uniform(0.1, 0.6 if kind == "semi" else 0.25))
    middle, reach = 0.5 * (rear + front), 0.5 * (front - rear)
    cargo = _cargo_material(rng)
    if kind in ("truck", "semi", "camper"):
        layer = b.sign() if rng.random() < 0.5 else None
        high = 0.5 * ((2.9 if kind == "camper" else top) - 0.95)
        place, size = (0.0, 0.95 + high, middle), (w + 0.03, high, reach)
        s.add(BOX, place, size, cargo, layer=layer, texels_per_m=60.0, gloss=float(rng.uniform(0.1, 0.5)))
        _rear_doors(b, s, w, high, rear)
        if kind == "camper":
            for side in (-1, 1):
                s.add(BOX, (side * (w + 0.03), 2.0, middle), (0.02, 0.3, 0.3 * reach), materials.GLASS, gloss=0.9)
    elif kind == "tanker":
        along = {"tilt": 0.5 * math.pi, "gloss": 0.7}
        s.add(TUBE, (0.0, 2.1, middle), (1.1, reach, 1.1), cargo._replace(emissivity=0.4), **along)
        s.add(BOX, (0.0, 3.15, middle), (0.25, 0.06, 0.8 * reach), materials.PLASTIC)
    elif kind == "dumper":
        tall = float(rng.uniform(0.6, 1.1))
        s.add(BOX, (0.0, 1.0 + tall, middle), (w, tall, reach), colour._replace(contrast=(0.3, 0.2, 0.5)))
        s.add(BOX, (0.0, 1.0 + 2 * tall, middle), (0.9 * w, 0.15, 0.92 * reach), materials.SOIL)
        for ahead in np.linspace(-0.85, 0.85, 6) * reach:
            s.add(BOX, (0.0, 1.0 + tall, middle + float(ahead)), (w + 0.05, tall, 0.05), colour)
    else:
        s.add(BOX, (0.0, 1.05, middle), (w, 0.1, reach), materials.vary(rng, materials.WOOD))
        for ahead in np.arange(-0.7, 0.8, 0.45) * reach:
            load = materials.anything(rng)._replace(offset_k=0.0)
            size = (float(rng.uniform(0.4, 0.9)) * w, float(rng.uniform(0.2, 0.8)), 0.2 * reach)
            s.add(BOX, (0.0, 1.15 + size[1], middle + float(ahead)), size, load)
    s.add(BOX, (0.0, 0.05, 0.0), (0.9 * w, 0.03, 0.95 * half), materials.SHADOW)
    ends(b, s, (w, half + 0.02, 0.5, 1.2), colour, running=running)


def _cargo_material(rng: np.random.Generator) -> Material:
    """White as often as not, or any plain colour; some with ribs."""
    plain = materials.facade(rng)._replace(offset_k=0.0, emissivity=float(rng.uniform(0.6, 0.93)))
    if rng.random() < 0.5:
        white = float(rng.uniform(0.55, 0.85))
        plain = plain._replace(rgb=(white, white, white), nir=white, contrast=(0.05, 0.05, 0.3))
    return plain


def _rear_doors(b: Builder, s: Stand, w: float, high: float, rear: float) -> None:
    """Two doors' edges and bars on the rear face."""
    dark = materials.vary(b.rng, materials.PLASTIC)
    s.add(BOX, (0.0, 0.95 + high, rear), (0.02, high, 0.02), dark)
    for side in (-0.5, 0.5, -0.95, 0.95):
        s.add(BOX, (side * w, 0.95 + high, rear - 0.01), (0.025, 0.96 * high, 0.025), materials.METAL)


def _cab(b: Builder, s: Stand, w: float, half: float, colour: Material, *, low: bool) -> float:
    """The driver's cab at the front end; returns its length, metres."""
    rng = b.rng
    long, tall = float(rng.uniform(1.6, 2.3)), (0.85 if low else float(rng.uniform(0.95, 1.4)))
    up, at, lean = 0.6 + tall, half - 0.5 * long, float(rng.uniform(0.05, 0.5 if low else 0.25))
    s.add(TAPERED, (0.0, up, at), (0.97 * w, tall, 0.5 * long), colour, taper=(0.05, lean, 0.0), gloss=0.7)
    pane = (0.0, up + 0.35 * tall, at + 0.01)
    s.add(TAPERED, pane, (0.85 * w, 0.42 * tall, 0.5 * long), materials.GLASS, taper=(0.03, 0.6 * lean, 0.0), gloss=0.9)
    side = (0.0, up + 0.3 * tall, at + 0.15 * long)
    s.add(BOX, side, (0.96 * w, 0.35 * tall, 0.24 * long), materials.GLASS, gloss=0.9)
    for across in (-1, 1):
        s.add(BOX, (across * (w + 0.12), up + 0.3 * tall, half - 0.1), (0.1, 0.2, 0.06), materials.PLASTIC, gloss=0.3)
    return long


def bus(b: Builder, s: Stand, *, running: bool) -> None:
    """One long body with panes all around."""
    rng, colour = b.rng, paint(b.rng)
    length, w, top = float(rng.uniform(*LENGTH_M["bus"])), float(rng.uniform(1.15, 1.28)), float(rng.uniform(2.5, 3.3))
    half, up = 0.5 * length, 0.35 + 0.5 * top
    wheels(b, s, 0.48, w, (-0.5 * half, 0.6 * half), running=running)
    s.add(TAPERED, (0.0, up, 0.0), (w, 0.5 * top, half), colour, taper=(0.04, 0.03, 0.02), gloss=0.6)
    stripe = materials.car_paint(rng)
    s.add(BOX, (0.0, 0.75, 0.0), (w + 0.005, float(rng.uniform(0.05, 0.25)), 0.99 * half), stripe, gloss=0.6)
    for ahead in np.linspace(-0.8, 0.8, 6) * half:
        place = (0.0, 0.4 + 0.62 * top, float(ahead))
        s.add(BOX, place, (w + 0.01, 0.2 * top, 0.15 * half), materials.GLASS, gloss=0.9)
    s.add(BOX, (0.0, 0.4 + 0.58 * top, 0.0), (0.9 * w, 0.27 * top, half + 0.01), materials.GLASS, gloss=0.9)
    board = materials.lamp((0.5, 0.35, 0.05))
    s.add(BOX, (0.0, 0.35 + 0.93 * top, half), (0.6 * w, 0.12, 0.03), board, layer=b.sign(), texels_per_m=120.0,
          emission=0.3)  # fmt: skip
    s.add(BOX, (0.0, 0.05, 0.0), (0.9 * w, 0.03, 0.95 * half), materials.SHADOW)
    ends(b, s, (w, half + 0.02, 0.4, 1.1), colour, running=running)


def trailer(b: Builder, s: Stand) -> None:
    """A box on two wheels, or a caravan."""
    rng, caravan = b.rng, b.rng.random() < 0.4
    half, w = float(rng.uniform(1.8, 3.2) if caravan else rng.uniform(1.0, 2.0)), float(rng.uniform(0.7, 1.15))
    tall = float(rng.uniform(0.95, 1.2) if caravan else rng.uniform(0.25, 0.9))
    body = _cargo_material(rng)
    wheels(b, s, 0.32, w + 0.1, (0.0,), running=False)
    lean = 0.15 if caravan else 0.0
    s.add(TAPERED, (0.0, 0.5 + tall, 0.0), (w, tall, half), body, taper=(0.04, lean, lean), gloss=0.4)
    if caravan:
        s.add(BOX, (0.0, 0.6 + 1.25 * tall, 0.0), (w + 0.01, 0.3 * tall, 0.3 * half), materials.GLASS, gloss=0.9)
        s.add(BOX, (0.0, 0.6 + 1.25 * tall, 0.0), (0.6 * w, 0.25 * tall, half - 0.03), materials.GLASS, gloss=0.9)
    s.limb((0.0, 0.45, half), (0.0, 0.4, half + 1.1), (0.05, 0.05), materials.METAL)
    for side in (-1, 1):
        s.add(BOX, (0.85 * side * w, 0.6, -half), (0.1, 0.07, 0.03), materials.lamp((0.35, 0.03, 0.03)), gloss=0.5)
    s.add(BOX, (0.0, 0.04, 0.0), (0.85 * w, 0.03, 0.9 * half), materials.SHADOW)
