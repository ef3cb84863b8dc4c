"""Semi-dense disparity of a rectified pair of one camera, where several checks agree: a reference, not a product."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

BLOCKS = (5, 11)
"""Sides of the blocks that are compared, px, odd; both results must agree."""
LEFT_RIGHT_TOLERANCE_PX = 1.0
AGREEMENT_PX, AGREEMENT_SHARE = 0.5, 0.05
"""How far the results with both blocks may differ: so many px, or that share of the disparity, whichever is more."""
CONTRAST_SIGMA_PX, CONTRAST_GAIN = 15.0, 40.0
"""Neighbourhood in which contrast is made equal, and how many grey levels a standard deviation becomes."""
TEXTURE_PX = 11
"""Neighbourhood in which texture is measured."""


def match(left: NDArray[Any], right: NDArray[Any], *, max_px: int, min_texture: float, upsample: int = 1) -> FloatImage:
    """Disparity of the left image by semi-global matching (Hirschmueller 2008), only where several checks agree.

    A pixel counts if matching from the right gives the same place, if small and large blocks agree, if the minimum is
    unique, and if it is not part of a small speckle. What is smooth is matched, too: see `texture`.

    Args:
        left: [h, w] or [h, w, 3], any unsigned type; rows are epipolar lines.
        right: of the same size and type.
        max_px: largest disparity that is looked for.
        min_texture: smallest mean step between neighbours, in the image's own units, that is more than noise.
        upsample: columns are enlarged so many times first; for short baselines, where a pixel is many metres.

    Returns:
        [h, w] px of the given image, above 0; NaN where unknown.
    """
    grey = [_grey(image) for image in (left, right)]
    even, other = (_enlarged(_even_contrast(image, 2.0 * min_texture), upsample) for image in grey)
    small, large = (
        _checked(even, other, max_px * upsample, block)[:, upsample // 2 :: upsample] / np.float32(upsample)
        for block in BLOCKS
    )
    agree = np.abs(small - large) <= np.maximum(AGREEMENT_PX / upsample, AGREEMENT_SHARE * large)
    return np.where(agree, large, np.nan).astype(np.float32)


def texture(image: NDArray[Any]) -> FloatImage:
    """Mean absolute step [h, w] between horizontal neighbours around each pixel, in the image's own units.

    Args:
        image: [h, w] or [h, w, 3], any unsigned type.
    """
    steps = np.abs(cv2.Sobel(_grey(image), cv2.CV_32F, 1, 0, ksize=1))
    return np.asarray(cv2.blur(steps, (TEXTURE_PX, TEXTURE_PX)))


def _enlarged(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """With so many times the columns."""
    if times == 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=times, fy=1, interpolation=cv2.INTER_CUBIC), np.uint8)


def _grey(image: NDArray[Any]) -> FloatImage:
    """One channel, smoothed a little, in the image's own units."""
    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8), np.float32)


def _even_contrast(grey: FloatImage, least: float) -> NDArray[np.uint8]:
    """8 bits of equal local contrast, where it is more than `least`, so that dark and 14-bit images match like any."""
    mean = cv2.GaussianBlur(grey, (0, 0), CONTRAST_SIGMA_PX)
    variance = cv2.GaussianBlur(grey * grey, (0, 0), CONTRAST_SIGMA_PX) - mean * mean
    deviation = np.sqrt(np.maximum(variance, 0.0)) + least
    return np.asarray(np.clip((grey - mean) / deviation * CONTRAST_GAIN + 128.0, 0, 255), np.uint8)


def _checked(left: NDArray[np.uint8], right: NDArray[np.uint8], max_px: int, block: int) -> FloatImage:
    """Disparity of the left image where the right one's says the same; NaN elsewhere."""
    search = -(-max_px // 16) * 16  # what the matcher takes
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=search,
        blockSize=block,
        P1=8 * block * block,
        P2=32 * block * block,
        disp12MaxDiff=-1,
        uniquenessRatio=5,
        speckleWindowSize=100,
        speckleRange=1,
        mode=cv2.STEREO_SGBM_MODE_HH,
    )
    from_left = _disparity(matcher, left, right, search)
    from_right = _disparity(matcher, right[:, ::-1], left[:, ::-1], search)[:, ::-1]
    found = np.arange(left.shape[1]) - from_left
    column = np.clip(np.round(found), 0, left.shape[1] - 1).astype(np.int64)
    difference = np.abs(np.take_along_axis(from_right, column, axis=1) - from_left)
    good = (from_left > 0) & (found >= 0) & (difference <= LEFT_RIGHT_TOLERANCE_PX)
    return np.where(good, from_left, np.nan).astype(np.float32)


def _disparity(matcher: Any, left: NDArray[np.uint8], right: NDArray[np.uint8], search: int) -> FloatImage:
    """px; the left edge, of which the right image may not show all, is padded so that it too is searched."""
    padded = [cv2.copyMakeBorder(np.ascontiguousarray(i), 0, 0, search, 0, cv2.BORDER_REPLICATE) for i in (left, right)]
    disparity: FloatImage = matcher.compute(*padded)[:, search:].astype(np.float32) / 16.0
    return disparity
