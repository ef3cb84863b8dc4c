"""Depth, confidence and error as pictures for people. All pictures are uint8 [h,w,3] in RGB order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.core.spectra import SPECTRA, normalise, spectra_key

NEAR_M, FAR_M = 1.0, 80.0
WORST_ERROR = 0.5
"""Relative error at the upper end of its colour scale."""

Picture = NDArray[np.uint8]

UNKNOWN = (58, 58, 62)
BACKGROUND = (18, 18, 20)
TILE_BACKGROUND = (30, 30, 33)
TEXT = (232, 232, 232)
FAINT_TEXT = (150, 150, 155)

TILE_WIDTH, TILE_HEIGHT, CAPTION_HEIGHT, GAP = 480, 192, 28, 12
SCALE_HEIGHT, LEGEND_WIDTH = 36, 84
CONFIDENCE_LEGEND = ("0", "1", cv2.COLORMAP_VIRIDIS)
ERROR_LEGEND = ("0", f"{100 * WORST_ERROR:.0f} %", cv2.COLORMAP_INFERNO)
TRUSTED = "where the confidence is above 0.5"
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5


def colourise(depth_m: NDArray[np.float32], min_m: float = NEAR_M, max_m: float = FAR_M) -> Picture:
    """Colours depth on a logarithmic scale: near is red, far is blue, unknown (NaN) is dark grey.

    Args:
        depth_m: float [h,w], metres; infinities count as the nearest or farthest depth.
        min_m: Depth of the reddest colour, metres.
        max_m: Depth of the bluest colour, metres.

    Raises:
        MsdepthError: The range is not positive and rising.
    """
    if not 0 < min_m < max_m:
        raise MsdepthError(f"colour scale from {min_m:g} to {max_m:g} m: it must be positive and rising")
    unknown = np.isnan(depth_m)
    clipped = np.clip(np.where(unknown, max_m, depth_m), min_m, max_m)
    nearness = np.log(max_m / clipped) / math.log(max_m / min_m)
    return _mapped(nearness, cv2.COLORMAP_TURBO, unknown)


def colourise_confidence(confidence: NDArray[np.float32]) -> Picture:
    """Colours a confidence [h,w]: 0 is dark purple, 1 is yellow."""
    return _mapped(np.nan_to_num(confidence), cv2.COLORMAP_VIRIDIS, np.isnan(confidence))


def colourise_error(depth_m: NDArray[np.float32], truth_m: NDArray[np.float32]) -> Picture:
    """Colours |depth - truth| / truth from 0 (black) to 50 % or more (yellow); grey where either is unknown.

    Args:
        depth_m: float [h,w], metres.
        truth_m: float [h,w], metres; what is not positive and finite is unknown.
    """
    unknown = ~(np.isfinite(depth_m) & np.isfinite(truth_m) & (truth_m > 0))
    error = np.abs(depth_m - truth_m, where=~unknown, out=np.zeros(depth_m.shape, np.float32))
    np.divide(error, truth_m, out=error, where=~unknown)
    return _mapped(error / WORST_ERROR, cv2.COLORMAP_INFERNO, unknown)


def displayable(spectrum: str, image: NDArray[Any], bits: int | None = None) -> Picture:
    """Shows a raw image as the network gets it: thermal counts are stretched between their percentiles."""
    if spectrum == "rgb" and image.dtype == np.uint8:
        return image
    planes = normalise(spectrum, image, bits=bits)
    picture: Picture = (255 * planes.transpose(1, 2, 0) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(picture)


def depth_scale(width: int, min_m: float = NEAR_M, max_m: float = FAR_M) -> Picture:
    """Draws the colour scale of `colourise`, near on the left, with labels in metres; 36 px high."""
    bar_top, bar_bottom, margin = 6, 17, 18
    canvas = np.full((SCALE_HEIGHT, width, 3), BACKGROUND, np.uint8)
    inner = width - 2 * margin
    depths = min_m * (max_m / min_m) ** np.linspace(0, 1, inner)
    canvas[bar_top:bar_bottom, margin : margin + inner] = colourise(depths[None].astype(np.float32), min_m, max_m)
    free_from = 0
    for tick_m in _ticks_m(min_m, max_m):
        x = margin + round((inner - 1) * math.log(tick_m / min_m) / math.log(max_m / min_m))
        text = f"{tick_m:g} m"
        text_width = _text_width(text)
        left = min(max(x - text_width // 2, 0), width - text_width)
        if left < free_from:
            continue
        free_from = left + text_width + 8
        cv2.line(canvas, (x, bar_bottom), (x, bar_bottom + 3), TEXT, 1)
        _write(canvas, text, left, SCALE_HEIGHT - 4)
    return canvas


def overview(
    images: Mapping[str, NDArray[Any]],
    result: DepthResult,
    truth_m: NDArray[np.float32] | None = None,
    *,
    bits: Mapping[str, int] | None = None,
    title: str = "",
) -> Picture:
    """Puts inputs, depth, confidences and, where there is truth, the error on one page.

    Args:
        images: Raw images by spectrum; an absent one gets an empty tile.
        result: What the engine made of them.
        truth_m: float32 [H,W] of the result's size, metres; what is not positive is unknown.
        bits: Significant bits of uint16 images by spectrum.
        title: Goes before the facts in the first line.
    """
    inputs = [
        _tile(f"{name} image", displayable(name, images[name], (bits or {}).get(name)) if name in images else None)
        for name in SPECTRA
    ]
    confidences = [
        _tile(f"{name} confidence", _confidence_or_none(result, name), legend=CONFIDENCE_LEGEND) for name in SPECTRA
    ]
    fused = _tile("fused confidence", colourise_confidence(result.confidence), legend=CONFIDENCE_LEGEND)
    middle = _beside(_depth_block(result, truth_m), _stacked(fused, _tile(f"fused depth, {TRUSTED}", _trusted(result))))
    page = _stacked(_headline(title, result), _beside(*inputs), middle, _beside(*confidences))
    framed = np.full((page.shape[0] + 2 * GAP, page.shape[1] + 2 * GAP, 3), BACKGROUND, np.uint8)
    framed[GAP:-GAP, GAP:-GAP] = page
    return framed


def _confidence_or_none(result: DepthResult, spectrum: str) -> Picture | None:
    """One spectrum's confidence in colour; None if it is absent."""
    confidence = result.view_confidence.get(spectrum)
    return None if confidence is None else colourise_confidence(confidence)


def _trusted(result: DepthResult) -> Picture:
    """Depth in colour where it is more likely good than not."""
    return colourise(np.where(result.confidence > 0.5, result.depth_m, np.float32(np.nan)))


def _headline(title: str, result: DepthResult) -> Picture:
    """The first line: what was computed, from what, how fast."""
    low_m, high_m = np.percentile(result.depth_m[::4, ::4], (2, 98))
    facts = (
        f"{spectra_key(result.spectra)}   depth {low_m:.1f} to {high_m:.1f} m (2nd to 98th percentile)   "
        f"network {result.inference_ms:.0f} ms"
    )
    canvas = np.full((CAPTION_HEIGHT, 3 * TILE_WIDTH + 2 * GAP, 3), BACKGROUND, np.uint8)
    _write(canvas, f"{title}   {facts}" if title else facts, 4, CAPTION_HEIGHT - 9, scale=0.6)
    return canvas


def _depth_block(result: DepthResult, truth_m: NDArray[np.float32] | None) -> Picture:
    """Depth with its scale, two tiles wide and high; where there is truth, smaller and with the error around it."""
    width, height = 2 * TILE_WIDTH + GAP, 2 * (TILE_HEIGHT + CAPTION_HEIGHT) + GAP - SCALE_HEIGHT
    depth = colourise(result.depth_m)
    if truth_m is None:
        block = _tile("fused depth", depth, width, height - CAPTION_HEIGHT)
        return np.concatenate([block, depth_scale(width)])
    truth_m = np.where(truth_m > 0, truth_m, np.float32(np.nan))
    error = colourise_error(result.depth_m, truth_m)
    trusted_error = np.where((result.confidence > 0.5)[..., None], error, np.array(UNKNOWN, np.uint8))
    low = (height - GAP) // 2 - CAPTION_HEIGHT
    block = _stacked(
        _beside(
            _tile("fused depth", depth, height=low),
            _tile("true depth", colourise(truth_m), height=low),
        ),
        _beside(
            _tile("relative error", error, height=low, legend=ERROR_LEGEND),
            _tile(f"error {TRUSTED}", trusted_error, height=low, legend=ERROR_LEGEND),
        ),
    )
    return np.concatenate([block, depth_scale(width)])


def _tile(
    caption: str,
    picture: Picture | None,
    width: int = TILE_WIDTH,
    height: int = TILE_HEIGHT,
    legend: tuple[str, str, int] | None = None,
) -> Picture:
    """A picture fitted into a box below its caption; without a picture the box says so."""
    canvas = np.full((CAPTION_HEIGHT + height, width, 3), BACKGROUND, np.uint8)
    _write(canvas, caption, 4, CAPTION_HEIGHT - 9)
    box = canvas[CAPTION_HEIGHT:]
    box[:] = TILE_BACKGROUND
    if picture is None:
        text = "absent"
        _write(box, text, (width - _text_width(text)) // 2, height // 2 + 6, colour=FAINT_TEXT)
        return canvas
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    box[top : top + size[1], left : left + size[0]] = fitted
    if legend:
        _draw_legend(canvas, *legend)
    return canvas


def _draw_legend(canvas: Picture, low: str, high: str, colour_map: int) -> None:
    """A small colour scale at the right end of a caption."""
    right = canvas.shape[1] - 4 - _text_width(high)
    _write(canvas, high, right, CAPTION_HEIGHT - 9)
    bar = _mapped(np.linspace(0, 1, LEGEND_WIDTH, dtype=np.float32)[None], colour_map, None)
    canvas[9:20, right - 6 - LEGEND_WIDTH : right - 6] = bar
    _write(canvas, low, right - 12 - LEGEND_WIDTH - _text_width(low), CAPTION_HEIGHT - 9)


def _mapped(values: NDArray[Any], colour_map: int, unknown: NDArray[np.bool_] | None) -> Picture:
    """Colours values in [0,1]; what is unknown becomes grey."""
    levels = (255 * np.clip(values, 0, 1) + 0.5).astype(np.uint8)
    picture: Picture = cv2.cvtColor(cv2.applyColorMap(levels, colour_map), cv2.COLOR_BGR2RGB)
    if unknown is not None:
        picture[unknown] = UNKNOWN
    return picture


def _ticks_m(min_m: float, max_m: float) -> list[float]:
    """The ends of the range, and 1, 2 and 5 of each decade."""
    decades = range(math.floor(math.log10(min_m)), math.ceil(math.log10(max_m)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    return sorted({min_m, max_m, *(tick for tick in ticks if min_m <= tick <= max_m)})


def _beside(*pictures: Picture) -> Picture:
    """Pictures of one height in a row."""
    gap = np.full((pictures[0].shape[0], GAP, 3), BACKGROUND, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


def _stacked(*pictures: Picture) -> Picture:
    """Pictures of one width in a column."""
    gap = np.full((GAP, pictures[0].shape[1], 3), BACKGROUND, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=0)


def _write(
    canvas: Picture, text: str, left: int, baseline: int, *, scale: float = FONT_SCALE, colour: Any = TEXT
) -> None:
    """Writes one line."""
    cv2.putText(canvas, text, (left, baseline), FONT, scale, colour, 1, cv2.LINE_AA)


def _text_width(text: str) -> int:
    """Width of one line, px."""
    return int(cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0])
