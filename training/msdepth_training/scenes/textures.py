"""Procedural tileable textures: octave noise, cells, stripes, bricks, foliage, blobs, lattices, veins, checks, ridges.

Training and test scenes draw from different families: a test scene shows nothing the network could have memorised.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIZE = 256
"""Texels per side of one texture."""
TEST_LAYERS = tuple(range(12, 18))
TRAIN_LAYERS = (*range(12), *range(18, 42))
RICH_TRAIN_LAYERS, RICH_TEST_LAYERS = (*TRAIN_LAYERS, *range(42, 48)), (*TEST_LAYERS, *range(48, 51))
"""Of rich streets."""
SIGN_LAYERS, TEST_SIGN_LAYERS = tuple(range(51, 57)), tuple(range(57, 60))
"""Something like writing and pictures."""


def _octaves(
    rng: np.random.Generator, falloff: float, stretch: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float64]:
    """Periodic noise with power spectrum f^-falloff, unit deviation."""
    fy = np.fft.fftfreq(SIZE)[:, None] * SIZE * stretch[0]
    fx = np.fft.fftfreq(SIZE)[None, :] * SIZE * stretch[1]
    radius = np.maximum(np.hypot(fy, fx), 1.0)
    spectrum = np.fft.fft2(rng.standard_normal((SIZE, SIZE))) * radius**-falloff
    spectrum[0, 0] = 0.0
    noise = np.fft.ifft2(spectrum).real
    return noise / noise.std()


def _cells(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Distance to the nearest of some points on the torus (Voronoi cells)."""
    points = rng.random((count, 2)) * SIZE
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), axis=-1)
    distance = np.full((SIZE, SIZE), np.inf)
    for point in points:
        delta = np.abs(grid - point)
        delta = np.minimum(delta, SIZE - delta)
        distance = np.minimum(distance, np.hypot(delta[..., 0], delta[..., 1]))
    return distance


def _stripes(rng: np.random.Generator, periods: int) -> NDArray[np.float64]:
    return np.sign(np.sin(2 * np.pi * periods * np.arange(SIZE) / SIZE))[None, :] + 0.4 * _octaves(rng, 1.2)


def _bricks(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    v, u = np.meshgrid(np.arange(SIZE) * rows / SIZE, np.arange(SIZE) * rows / 2 / SIZE, indexing="ij")
    u = u + 0.5 * (np.floor(v) % 2)
    joint = ((v % 1) < 0.14) | ((u % 1) < 0.07)
    tone = rng.standard_normal((rows, rows))[np.floor(v).astype(int) % rows, np.floor(u).astype(int) % (rows // 2)]
    return np.where(joint, 1.6, 0.6 * tone - 0.3) + 0.3 * _octaves(rng, 1.0)


def _checks(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    i = np.arange(SIZE) * count // SIZE
    return (((i[:, None] + i[None, :]) % 2) * 2.0 - 1.0) + 0.3 * _octaves(rng, 1.0)


def _dots(rng: np.random.Generator, count: int, radius: float) -> NDArray[np.float64]:
    """A lattice of discs, with tones of their own."""
    i = np.arange(SIZE) * count / SIZE
    inside = np.hypot((i % 1)[:, None] - 0.5, (i % 1)[None, :] - 0.5) < radius
    tone = rng.standard_normal((count, count))[np.floor(i).astype(int)][:, np.floor(i).astype(int)]
    return np.where(inside, 1.5 + 0.7 * tone, -0.5) + 0.3 * _octaves(rng, 1.2)


def _more(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Variants of the training families, and blobs, lattices and veins: what a network meets often it relies on."""
    noise = [
        _octaves(rng, rng.uniform(0.5, 2.0), (rng.choice([1.0, 1.0, 3.0]), rng.choice([1.0, 1.0, 3.0])))
        for _ in range(8)
    ]
    blobs = [np.tanh(3.0 * _octaves(rng, falloff)) for falloff in (0.8, 1.2, 1.6, 2.0)]
    cells = [sign * _cells(rng, count) for sign, count in ((1, 30), (-1, 120), (1, 400))]
    lattices = [_dots(rng, count, radius) for count, radius in ((10, 0.3), (24, 0.35), (5, 0.4))]
    veins = [np.exp(-4.0 * np.abs(_octaves(rng, falloff))) for falloff in (1.2, 1.6, 2.0)]
    products = [_octaves(rng, a) * _cells(rng, b) for a, b in ((0.8, 40), (1.4, 150), (2.0, 90))]
    return [*noise, *blobs, *cells, *lattices, *veins, *products]


def _edges(rng: np.random.Generator, count: int, *, manhattan: bool = False) -> NDArray[np.float64]:
    """Cracks between cells: the way from the nearest point to the second nearest."""
    points = rng.random((count, 2)) * SIZE
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), axis=-1)
    first, second = np.full((SIZE, SIZE), np.inf), np.full((SIZE, SIZE), np.inf)
    for point in points:
        delta = np.abs(grid - point)
        delta = np.minimum(delta, SIZE - delta)
        distance = delta.sum(axis=-1) if manhattan else np.hypot(delta[..., 0], delta[..., 1])
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return np.minimum(second - first, 6.0)


def _panels(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Slabs or planks of different tone with dark joints."""
    v, u = np.meshgrid(np.arange(SIZE) * rows / SIZE, np.arange(SIZE) * columns / SIZE, indexing="ij")
    tone = rng.standard_normal((rows, columns))[v.astype(int), u.astype(int)]
    joint = ((v % 1) < 0.06) | ((u % 1) < 0.06)
    return np.where(joint, -2.0, 0.7 * tone) + 0.4 * _octaves(rng, 1.2)


def _writing(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Lines of random letters, some in blocks of another colour, as one sees them on signs from afar."""
    canvas = np.full((SIZE, SIZE), -1.0)
    height = SIZE // rows
    for row in range(rows):
        colour, u = float(rng.choice([-1.0, 1.0])), int(rng.integers(0, height))
        canvas[row * height : (row + 1) * height] = colour
        while u < SIZE - height:
            width = int(height * rng.uniform(0.3, 0.8))
            letter = np.kron(rng.random((4, 3)) < 0.55, np.ones((max(1, (height - 8) // 4), max(1, width // 3))))
            part = canvas[row * height + 3 :, u:][: letter.shape[0], : letter.shape[1]]
            part[letter[: part.shape[0], : part.shape[1]] > 0] = -colour
            u += width + int(rng.choice([2, 3, height // 2]))
    return canvas


def _rich() -> list[NDArray[np.float64]]:
    """Layers that only rich streets use: of training, of test scenes, signs of training, signs of test scenes."""
    rng = np.random.default_rng(20251126)
    wave = np.sin(2 * np.pi * 24 * np.arange(SIZE) / SIZE)[None, :]
    train = [
        _edges(rng, 60), -_edges(rng, 250), _panels(rng, 4, 6), _panels(rng, 16, 2),
        wave + 0.3 * _octaves(rng, 1.2, (1.0, 5.0)), np.exp(1.2 * _octaves(rng, 0.3)),
    ]  # fmt: skip
    test = [_edges(rng, 120, manhattan=True), np.sin(3.0 * _octaves(rng, 2.0)), _panels(rng, 9, 9)]
    signs = [_writing(rng, rows) for rows in (2, 3, 4, 6, 8, 12)]
    pictures = [
        np.sign(_octaves(rng, 1.8)) + np.sign(_octaves(rng, 1.4)),
        _writing(rng, 5),
        np.sign(_cells(rng, 12) - 25),
    ]
    return [*train, *test, *signs, *pictures]


@functools.lru_cache(maxsize=1)
def _atlas() -> NDArray[np.float32]:
    rng = np.random.default_rng(20250301)
    train = [
        _octaves(rng, 1.0), _octaves(rng, 1.4), _octaves(rng, 1.8), _octaves(rng, 0.6),
        _octaves(rng, 1.2, (1.0, 5.0)), _octaves(rng, 1.2, (5.0, 1.0)),
        _cells(rng, 60), -_cells(rng, 300), _stripes(rng, 8), _bricks(rng, 16),
        np.abs(_octaves(rng, 1.1)), _octaves(rng, 0.9) * _octaves(rng, 1.6),
    ]  # fmt: skip
    test = [
        _octaves(rng, 1.2) ** 3 + _octaves(rng, 0.8), _checks(rng, 16), -np.abs(_octaves(rng, 1.5)),
        _cells(rng, 25) - _cells(rng, 120), _stripes(rng, 20), _bricks(rng, 32),
    ]  # fmt: skip
    layers = np.stack([*train, *test, *_more(rng), *_rich()])
    layers -= layers.mean(axis=(1, 2), keepdims=True)
    layers /= layers.std(axis=(1, 2), keepdims=True)
    return np.clip(layers, -2.5, 2.5).astype(np.float32)


def atlas(device: torch.device) -> Tensor:
    """All textures: float32 [layers, SIZE, SIZE], zero mean, unit deviation, within 2.5 deviations."""
    return torch.from_numpy(_atlas()).to(device)


def look_up(textures: Tensor, layer: Tensor, u: Tensor, v: Tensor, *, nearest: bool = False) -> Tensor:
    """Texture value, bilinear unless told otherwise.

    Args:
        textures: [layers, SIZE, SIZE].
        layer: integer, any shape.
        u: texture coordinate in texels, shape of layer; wraps around.
        v: likewise.
        nearest: one look-up instead of four, for detail that is faded anyway.

    Returns:
        float32, shape of layer.
    """
    if nearest:
        return textures.reshape(-1)[layer * (SIZE * SIZE) + v.long() % SIZE * SIZE + u.long() % SIZE]
    left, top = torch.floor(u), torch.floor(v)
    right_share, bottom_share = u - left, v - top
    x0, y0 = left.long() % SIZE, top.long() % SIZE
    x1, y1 = (x0 + 1) % SIZE, (y0 + 1) % SIZE
    flat, base = textures.reshape(-1), layer * (SIZE * SIZE)
    upper = torch.lerp(flat[base + y0 * SIZE + x0], flat[base + y0 * SIZE + x1], right_share)
    lower = torch.lerp(flat[base + y1 * SIZE + x0], flat[base + y1 * SIZE + x1], right_share)
    return torch.lerp(upper, lower, bottom_share)
