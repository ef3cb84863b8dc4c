"""Pictures of one set for the report: inputs, depth, confidences and truth, small enough to hold a few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.images import DecodedImage
from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.results.frame import FrameRecord, Snapshot
from msdepth_ros.results.live import SetRecord
from msdepth_ros.results.moments import Moment
from msdepth_ros.scoring.ground_truth import Truth

MAX_WIDTH_PX = 640
"""Inputs are reduced to this width."""


def make_snapshot(
    record: FrameRecord,
    images: Mapping[str, NDArray[Any]],
    result: DepthResult,
    depth_m: NDArray[np.float32],
    truth: Truth | None,
) -> Snapshot:
    """Keeps the pictures of a set.

    Args:
        record: Its numbers.
        images: As the network got them: rgb in RGB order.
        result: Of the network.
        depth_m: float32 [H,W] as published.
        truth: On its own pixels.
    """
    confidences = {"confidence": result.confidence, **result.view_confidence}
    moment = Moment(
        record=_set_record(record),
        inputs={name: _reduced(image) for name, image in images.items()},
        depth_m=depth_m,
        confidences={name: np.round(255 * np.clip(c, 0, 1)).astype(np.uint8) for name, c in confidences.items()},
        truth_m=None if truth is None else truth.depth_m,
        depth_at_truth_m=None if truth is None else truth.sample(depth_m),
        fx_over_fy=float(result.intrinsics[0, 0] / result.intrinsics[1, 1]),
    )
    return Snapshot(record, moment)


def _set_record(record: FrameRecord) -> SetRecord:
    """A record as the pictures' captions read it."""
    return SetRecord(
        stamp_ns=record.stamp_ns,
        newest_ns=record.stamp_ns,
        received_ns=record.stamp_ns,
        spectra=record.spectra,
        abs_rel=record.scores.get("abs_rel"),
        coverage=record.scores.get("coverage"),
        confidence=record.confidence,
        view_confidence=record.view_confidence,
    )


def _reduced(image: NDArray[Any]) -> DecodedImage:
    """An image, smaller where it is large."""
    encoding = "rgb8" if image.ndim == 3 else "mono8" if image.dtype == np.uint8 else "mono16"
    height, width = image.shape[:2]
    if width > MAX_WIDTH_PX:
        size = MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return DecodedImage(image, encoding)
