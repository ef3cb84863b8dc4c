"""Pictures of a report: what went in, what came out, and how far off it was, as embedded images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.images import DecodedImage
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
from msdepth_ros.results.moments import Moment, RecordT

_TICKS_M = (1, 2, 5, 10, 20, 40, 80)
WIDE_PX, NARROW_PX = 640, 400  # depth and error are looked at closely; the others are beside each other
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
        strip: The colours as an embedded image, near or low on the left.
        ticks: Its labels.
    """

    label: str
    strip: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Tile:
    """One picture with its text.

    Attributes:
        name: Its place on the page, for example `depth` or `confidence-rgb`.
        caption: What it is.
        alt: What it shows, for those who do not see it.
        image: The embedded image; empty if there is none.
        absent: What to say then.
        note: A number or remark beside the caption.
        scale: Field of `Scales` with its colour scale; empty where it has none.
    """

    name: str
    caption: str
    alt: str
    image: str = ""
    absent: str = ""
    note: str = ""
    scale: str = ""


def data_uri(rgb: NDArray[np.uint8], kind: str = "webp") -> str:
    """Embed an image.

    Args:
        rgb: uint8 [H,W,3] in RGB order, or [H,W].
        kind: `webp`, small and for the eye, or `png`, exact.
    """
    image = rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    settings = [cv2.IMWRITE_WEBP_QUALITY, _QUALITY] if kind == "webp" else []
    encoded, data = cv2.imencode(f".{kind}", image, settings)
    if not encoded:
        raise MsdepthError(f"an image of shape {rgb.shape} could not be encoded as {kind}")
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def input_picture(spectrum: str, image: DecodedImage, width_px: int = WIDE_PX) -> NDArray[np.uint8]:
    """An input image as the network gets it, at most so wide: uint8 [H,W,3] in RGB order."""
    pixels = cv2.cvtColor(image.pixels, cv2.COLOR_BGR2RGB) if image.encoding in ("bgr8", "8UC3") else image.pixels
    return shrink(displayable(spectrum, pixels), width_px)


def shrink(image: NDArray[Any], width_px: int = WIDE_PX) -> NDArray[Any]:
    """An image of at most a width."""
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def squared(image: NDArray[Any], fx_over_fy: float, interpolation: int, width_px: int = WIDE_PX) -> NDArray[Any]:
    """An image of a width, with square pixels."""
    height, width = image.shape
    size = (width_px, max(1, round(height * width_px / width * fx_over_fy)))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))


def depth_picture(depth_m: NDArray[np.float32], fx_over_fy: float = 1.0) -> NDArray[np.uint8]:
    """Depth in colour."""
    square: NDArray[np.float32] = squared(depth_m, fx_over_fy, cv2.INTER_NEAREST)
    return colourise(square, NEAR_M, FAR_M)


def error_picture(depth_m: NDArray[np.float32], truth_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Relative error in colour, grey where there is no truth or no depth; beyond range counts as the farthest."""
    within = np.where(np.isposinf(depth_m), np.float32(FAR_M), depth_m)
    return shrink(colourise_error(within, truth_m))


FUSED = "confidence"  # its key among the confidences of a moment


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


def moment_tiles(moment: Moment[RecordT]) -> tuple[Tile, ...]:
    """The pictures of one moment: depth and error, the inputs and the truth, the confidences of each and of all.

    Args:
        moment: The moment.
    """
    depth = data_uri(depth_picture(moment.depth_m, moment.fx_over_fy))
    return (
        Tile("depth", "Depth", _depth_alt("Fused depth", moment.depth_m), depth, scale="depth"),
        _error_tile(moment),
        *(_input_tile(moment, spectrum) for spectrum in SPECTRA),
        _truth_tile(moment),
        *(_confidence_tile(moment, spectrum) for spectrum in SPECTRA),
        _confidence_tile(moment, FUSED),
    )


def _input_tile(moment: Moment[RecordT], spectrum: str) -> Tile:
    """One camera's image."""
    image = moment.inputs.get(spectrum)
    name, caption = f"input-{spectrum}", f"{spectrum} input"
    if image is None:
        return Tile(name, caption, f"No {spectrum} image at this moment", absent=f"no {spectrum} image")
    note = "" if spectrum in moment.record.spectra else "not used"
    alt = f"{spectrum} camera image, mean level {float(image.pixels.mean()):.0f}"
    return Tile(name, caption, alt, data_uri(input_picture(spectrum, image, NARROW_PX)), note=note)


def _confidence_tile(moment: Moment[RecordT], key: str) -> Tile:
    """Confidence of one spectrum, or of the fused depth under the name `confidence`."""
    fused = key == FUSED
    name = "confidence-fused" if fused else f"confidence-{key}"
    caption = "Fused confidence" if fused else f"{key} confidence"
    image = moment.confidences.get(key)
    if image is None or not (fused or key in moment.record.spectra):
        return Tile(name, caption, f"{caption}: not in the set", absent="not in the set", scale="confidence")
    note = f"mean {float(image.mean()) / 255:.2f}"
    levels = squared(image, moment.fx_over_fy, cv2.INTER_LINEAR, NARROW_PX)
    picture = data_uri(colourise_confidence(levels.astype(np.float32) / np.float32(255)))
    return Tile(name, caption, f"{caption}, {note}", picture, note=note, scale="confidence")


def _truth_tile(moment: Moment[RecordT]) -> Tile:
    """The ground truth."""
    if moment.truth_m is None:
        return Tile("truth", "Ground truth", "No ground truth at this moment", absent="no ground truth", scale="depth")
    picture = data_uri(shrink(depth_picture(moment.truth_m), NARROW_PX))
    return Tile("truth", "Ground truth", _depth_alt("True depth", moment.truth_m), picture, scale="depth")


def _error_tile(moment: Moment[RecordT]) -> Tile:
    """Where depth and truth differ."""
    caption = "Relative error"
    if moment.truth_m is None or moment.depth_at_truth_m is None:
        return Tile("error", caption, "No ground truth at this moment", absent="no ground truth", scale="error")
    picture = data_uri(error_picture(moment.depth_at_truth_m, moment.truth_m))
    abs_rel = moment.record.abs_rel
    note = "" if abs_rel is None else f"AbsRel {abs_rel:.3f}"
    alt = f"Relative error against the truth, {note or 'not scored'}"
    return Tile("error", caption, alt, picture, note=note, scale="error")


def _depth_alt(what: str, depth_m: NDArray[np.float32]) -> str:
    """A depth image in words."""
    known = depth_m[np.isfinite(depth_m)]
    if not known.size:
        return f"{what}, unknown everywhere"
    near, middle, far = np.percentile(known, (5, 50, 95))
    return f"{what}, mostly {near:.1f} to {far:.1f} m, median {middle:.1f} m"
