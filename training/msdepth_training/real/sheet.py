"""A picture sheet of real frames: image, depth, reference, signed error and confidence, a row for each frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.spectra import SPECTRA, spectra_key
from msdepth_ros.core.visualize import Picture, colourise, colourise_confidence, depth_scale, displayable
from msdepth_training.drawing import beside, titled, write_sheet
from msdepth_training.real.frames import RealFrame, Reference
from msdepth_training.real.predict import Network, predict
from msdepth_training.real.score import Score, score

TILE_PX = 420
"""Width of each picture."""
ROWS_PER_PAGE = 6
DENSE = 60_000
"""Points of a reference from which each is one pixel of the picture; fewer are drawn as squares."""
DIM = 0.45
"""Brightness of the image below dots."""
WORST_FACTOR = 2.0
"""Prediction over reference at the ends of the scale of errors."""


def colour_of_error(ratio: NDArray[np.float64]) -> Picture:
    """Colours [M, 3] of prediction over reference: blue too near, white right, red too far, full at a factor 2."""
    share = np.clip(np.log(ratio) / np.log(WORST_FACTOR), -1.0, 1.0)[:, None]
    ends = np.where(share > 0, np.array((255.0, 30.0, 30.0)), np.array((40.0, 90.0, 255.0)))
    return np.asarray(255.0 + np.abs(share) * (ends - 255.0), np.uint8)


def _small(picture: Picture) -> Picture:
    height = max(1, round(picture.shape[0] * TILE_PX / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (TILE_PX, height), interpolation=cv2.INTER_AREA), np.uint8)


def _dots(below: Picture, known: Reference, width: int, colours: Picture) -> Picture:
    """Coloured dots [M, 3] at a reference's pixels on a picture of `TILE_PX`; near ones cover far ones."""
    order = np.argsort(-known.depth_m, kind="stable")
    places = ((known.pixels[order] + 0.5) * (TILE_PX / width)).astype(np.int64)
    reach = 0 if len(order) > DENSE else 1
    canvas: Picture = below.copy()
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            u = np.clip(places[:, 0] + right, 0, canvas.shape[1] - 1)
            v = np.clip(places[:, 1] + down, 0, canvas.shape[0] - 1)
            canvas[v, u] = colours[order]
    return canvas


def row(frame: RealFrame, network: Network, spectra: Sequence[str], *, ground: bool) -> Picture:
    """One frame in the RGB camera's frame.

    Args:
        frame: to show.
        network: whose depth.
        spectra: of the images it gets.
        ground: give it the plane of the road.
    """
    images = {spectrum: frame.images[spectrum] for spectrum in spectra}
    found = predict(network, images, frame.rig, "rgb", frame.ground if ground else None)
    known = frame.reference("rgb")
    depth_m, width = known.at(found.depth_m), frame.rig.cameras["rgb"].width
    seen = ~np.isnan(depth_m)
    inside = Reference(known.pixels[seen], known.depth_m[seen], known.rays[seen])
    image = _small(displayable("rgb", frame.images["rgb"]))
    grey = np.repeat((DIM * image.mean(axis=2, keepdims=True)).astype(np.uint8), 3, axis=2)
    reference = _dots(np.zeros_like(grey), known, width, colourise(known.depth_m[:, None].astype(np.float32))[:, 0])
    error = _dots(grey, inside, width, colour_of_error(depth_m[seen] / inside.depth_m))
    measured = score(depth_m, known, frame.ground, known.at(found.confidence))
    which = f"{spectra_key(spectra)}{', road known' if ground else ''}"
    return beside(
        [
            titled(image, f"{frame.set_name} {frame.name}"),
            titled(_small(colourise(found.depth_m)), f"depth from {which}"),
            titled(reference, "reference"),
            titled(error, _error_text(measured)),
            titled(_small(colourise_confidence(found.confidence)), _confidence_text(measured)),
        ]
    )


def _error_text(found: Score) -> str:
    mean, obstacles = found.values["mean"], found.values.get("obstacles")
    text = f"error: red too far, blue too near; AbsRel {mean['abs_rel']:.2f}"
    return f"{text}, obst >1.5 {obstacles['over_1_5']:.2f}" if obstacles else text


def _confidence_text(found: Score) -> str:
    stated = found.values["confidence"]
    return f"confidence {stated['mean']:.2f}, right {stated['right']:.2f}"


def page_path(path: Path, number: int) -> Path:
    """File of a page, from 1: sheet.png, sheet_2.png, ..."""
    return path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")


def draw_sheets(path: Path, frames: Sequence[RealFrame], network: Network) -> list[Path]:
    """Draw every frame from RGB alone, with the plane of the road where both know it, and from all cameras together.

    Args:
        path: of the first page.
        frames: from `load_frames`.
        network: whose depth.

    Returns:
        The files of all pages.
    """
    rows = []
    for frame in frames:
        ground = network.takes_ground and frame.ground is not None
        given = [("rgb",), SPECTRA] if set(frame.images) == set(SPECTRA) else [("rgb",)]
        rows += [row(frame, network, spectra, ground=ground) for spectra in given]
    pages = [rows[first : first + ROWS_PER_PAGE] for first in range(0, len(rows), ROWS_PER_PAGE)]
    paths = [page_path(path, number + 1) for number in range(len(pages))]
    for file, page in zip(paths, pages, strict=True):
        write_sheet(file, [*page, depth_scale(page[0].shape[1])])
    return paths
