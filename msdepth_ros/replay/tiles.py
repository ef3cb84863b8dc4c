"""Pictures of a report: what went in, what came out, and how far off it was, as embedded images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import (
    FAR_M,
    NEAR_M,
    WORST_ERROR,
    colourise,
    colourise_confidence,
    colourise_error,
    displayable,
)
from msdepth_ros.replay.images import DecodedImage
from msdepth_ros.replay.moments import Moment

_TICKS_M = (1, 2, 5, 10, 20, 40, 80)
_WIDTH = 640
_QUALITY = 82
_STRIP_PIXELS = 256


class Tick(NamedTuple):
    """A label on a scale; `at` is its place in percent of the width."""

    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """A colour scale.

    Attributes:
        label: What it shows, with the unit.
        strip: The colours as an embedded image.
        ticks: Its labels.
    """

    label: str
    strip: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Tile:
    """One picture with its text.

    Attributes:
        caption: What it is.
        alt: What it shows, for those who do not see it.
        image: The embedded image; None if there is none.
        absent: What to say then.
        note: A number or remark beside the caption.
        scale: Its colour scale.
    """

    caption: str
    alt: str
    image: str | None = None
    absent: str = ""
    note: str = ""
    scale: Scale | None = None


def data_uri(rgb: NDArray[np.uint8], kind: str = "jpeg") -> str:
    """Embed an image.

    Args:
        rgb: uint8 [H,W,3] in RGB order, or [H,W].
        kind: `jpeg` or `png`.
    """
    image = rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if kind == "jpeg" else []
    encoded, data = cv2.imencode(f".{kind}", image, settings)
    if not encoded:
        raise MsdepthError(f"an image of shape {rgb.shape} could not be encoded as {kind}")
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def input_picture(spectrum: str, image: DecodedImage) -> NDArray[np.uint8]:
    """An input image as the network gets it, in the width of a tile: uint8 [H,W,3] in RGB order."""
    pixels = cv2.cvtColor(image.pixels, cv2.COLOR_BGR2RGB) if image.encoding in ("bgr8", "8UC3") else image.pixels
    return shrink(displayable(spectrum, pixels))


def shrink(image: NDArray[Any]) -> NDArray[Any]:
    """An image of at most the width of a tile."""
    height, width = image.shape[:2]
    if width <= _WIDTH:
        return image
    return np.asarray(cv2.resize(image, (_WIDTH, round(height * _WIDTH / width)), interpolation=cv2.INTER_AREA))


def squared(image: NDArray[Any], fx_over_fy: float, interpolation: int) -> NDArray[Any]:
    """An image as wide as a tile, with square pixels."""
    height, width = image.shape
    size = (_WIDTH, max(1, round(height * _WIDTH / width * fx_over_fy)))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))


def depth_picture(depth_m: NDArray[np.float32], fx_over_fy: float = 1.0) -> NDArray[np.uint8]:
    """Depth in colour."""
    square: NDArray[np.float32] = squared(depth_m, fx_over_fy, cv2.INTER_NEAREST)
    return colourise(square, NEAR_M, FAR_M)


def error_picture(depth_m: NDArray[np.float32], truth_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Relative error in colour, grey where there is no truth or no depth; beyond range counts as the farthest."""
    within = np.where(np.isposinf(depth_m), np.float32(FAR_M), depth_m)
    return shrink(colourise_error(within, truth_m))


class Scales(NamedTuple):
    """The three scales of a report."""

    depth: Scale
    error: Scale
    confidence: Scale


def make_scales() -> Scales:
    """Scales whose strips are coloured by the functions that colour the pictures."""
    depths = np.geomspace(NEAR_M, FAR_M, _STRIP_PIXELS, dtype=np.float32)[None]
    ramp = np.linspace(0, 1, _STRIP_PIXELS, dtype=np.float32)[None]
    span = np.log(FAR_M / NEAR_M)
    depth_ticks = tuple(Tick(round(100 * float(np.log(m / NEAR_M) / span), 2), f"{m} m") for m in _TICKS_M)
    error_ticks = tuple(Tick(at, f"{WORST_ERROR * at:.0f} %") for at in (0, 20, 40, 60, 80))
    confidence_ticks = tuple(Tick(at, f"{at / 100:g}") for at in (0, 25, 50, 75, 100))
    return Scales(
        Scale("depth in metres", data_uri(colourise(depths, NEAR_M, FAR_M), "png"), depth_ticks),
        Scale(
            "relative error",
            data_uri(colourise_error(1 + WORST_ERROR * ramp, np.ones_like(ramp)), "png"),
            (*error_ticks, Tick(100, f"≥ {100 * WORST_ERROR:.0f} %")),
        ),
        Scale("confidence", data_uri(colourise_confidence(ramp), "png"), confidence_ticks),
    )


def moment_tiles(moment: Moment, scales: Scales) -> list[list[Tile]]:
    """The pictures of one moment in groups: inputs, confidence of each spectrum, results.

    Args:
        moment: The moment.
        scales: Made once for the page.
    """
    inputs = [_input_tile(moment, spectrum) for spectrum in SPECTRA]
    confidences = [_confidence_tile(moment, spectrum, scales) for spectrum in SPECTRA]
    results = [
        Tile("Depth", _depth_alt("Fused depth", moment.depth_m),
             data_uri(depth_picture(moment.depth_m, moment.fx_over_fy)), scale=scales.depth),
        _truth_tile(moment, scales),
        _error_tile(moment, scales),
        _confidence_tile(moment, "confidence", scales),
    ]  # fmt: skip
    return [inputs, confidences, results]


def _input_tile(moment: Moment, spectrum: str) -> Tile:
    """One camera's image."""
    image = moment.inputs.get(spectrum)
    used = spectrum in moment.record.spectra
    if image is None:
        return Tile(f"{spectrum} input", f"No {spectrum} image at this moment", absent=f"no {spectrum} image")
    height, width = image.pixels.shape[:2]
    note = f"{width} × {height} {image.encoding}" + ("" if used else ", not used")
    alt = f"{spectrum} camera image, mean level {float(image.pixels.mean()):.0f}"
    return Tile(f"{spectrum} input", alt, data_uri(input_picture(spectrum, image)), note=note)


def _confidence_tile(moment: Moment, name: str, scales: Scales) -> Tile:
    """Confidence of one spectrum, or of the fused depth under the name `confidence`."""
    caption = "Fused confidence" if name == "confidence" else f"{name} confidence"
    image = moment.confidences.get(name)
    if image is None or (name != "confidence" and name not in moment.record.spectra):
        return Tile(caption, f"{caption}: not in the set", absent="not in the set")
    mean = float(image.mean()) / 255
    levels = squared(image, moment.fx_over_fy, cv2.INTER_LINEAR)
    picture = colourise_confidence(levels.astype(np.float32) / np.float32(255))
    return Tile(
        caption, f"{caption}, mean {mean:.2f}", data_uri(picture), note=f"mean {mean:.2f}", scale=scales.confidence
    )


def _truth_tile(moment: Moment, scales: Scales) -> Tile:
    """The ground truth."""
    if moment.truth_m is None:
        return Tile("Ground truth", "No ground truth at this moment", absent="no ground truth")
    picture = data_uri(depth_picture(moment.truth_m))
    return Tile("Ground truth", _depth_alt("True depth", moment.truth_m), picture, scale=scales.depth)


def _error_tile(moment: Moment, scales: Scales) -> Tile:
    """Where depth and truth differ."""
    if moment.truth_m is None or moment.depth_at_truth_m is None:
        return Tile("Relative error", "No ground truth at this moment", absent="no ground truth")
    picture = data_uri(error_picture(moment.depth_at_truth_m, moment.truth_m))
    abs_rel = moment.record.abs_rel
    note = "" if abs_rel is None else f"AbsRel {abs_rel:.3f}"
    return Tile("Relative error", f"Relative error against the truth, {note or 'not scored'}", picture, note=note,
                scale=scales.error)  # fmt: skip


def _depth_alt(what: str, depth_m: NDArray[np.float32]) -> str:
    """A depth image in words."""
    known = depth_m[np.isfinite(depth_m)]
    if not known.size:
        return f"{what}, unknown everywhere"
    near, middle, far = np.percentile(known, (5, 50, 95))
    return f"{what}, mostly {near:.1f} to {far:.1f} m, median {middle:.1f} m"
