"""What leaves the pipeline: the network's depth by the rules that its readers rely on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.model.engine import DepthResult

_SMALLEST_M = 1e-6


def published_depth_m(result: DepthResult, *, min_m: float, max_m: float, min_confidence: float) -> NDArray[np.float32]:
    """Depth by the rules of REP 117 and REP 118.

    Args:
        result: of the network.
        min_m: nearer is not measured, metres.
        max_m: from here on is beyond range, metres.
        min_confidence: lower is unknown, 0 to 1.

    Returns:
        float32 [H,W], metres along z: +Inf beyond range; NaN where unknown or nearer than ``min_m``; never 0.
    """
    depth_m = np.where(result.depth_m >= max_m, np.float32(np.inf), result.depth_m)
    # Asked the other way round, so that NaN is unknown, too.
    np.putmask(depth_m, ~(depth_m >= max(min_m, _SMALLEST_M)), np.nan)
    if min_confidence > 0.0:
        np.putmask(depth_m, ~(result.confidence >= min_confidence), np.nan)
    return depth_m
