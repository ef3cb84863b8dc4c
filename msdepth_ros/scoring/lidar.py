"""LiDAR clouds as sparse depth images of a camera that looks from somewhere else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.errors import MsdepthError

_FLOATS = {7: "f4", 8: "f8"}
NEAREST_M = 0.1
"""Points nearer than this to the camera's plane are behind it, or on the vehicle."""
WINDOW_PX = (8, 12)
"""Half width and height of the neighbourhood in which foreground is looked for: a few LiDAR lines."""
NEARER_BY = 0.1
"""Share of its depth by which foreground must be nearer than the point behind it."""


def cloud_points_m(topic: str, message: Any) -> NDArray[np.float64]:
    """The points of a sensor_msgs/PointCloud2 that are finite.

    Args:
        topic: Where the message came from, for the error text.
        message: The message.

    Returns:
        float64 [N,3], metres in the sensor's frame.

    Raises:
        MsdepthError: There is no x, y or z of a floating type, or the data do not fit what the message says of itself.
    """
    fields = {field.name: field for field in message.fields}
    order = ">" if message.is_bigendian else "<"
    formats, offsets = [], []
    step, width, height = int(message.point_step), int(message.width), int(message.height)
    for name in "xyz":
        kind = _FLOATS.get(int(fields[name].datatype)) if name in fields else None
        if kind is None or int(fields[name].offset) + int(kind[1]) > step:
            raise MsdepthError(
                f"{topic}: a point cloud with fields {', '.join(fields) or 'none'} and {step} bytes a point has no "
                f"usable {name}; it must be a FLOAT32 or FLOAT64 field"
            )
        formats.append(order + kind)
        offsets.append(int(fields[name].offset))
    data, row_step = np.frombuffer(message.data, np.uint8), int(message.row_step)
    if row_step < width * step or row_step * height > data.size:
        row_step = width * step  # drivers of unorganised clouds leave it 0, or state the size of something else
    if row_step < width * step or data.size < row_step * height:
        raise MsdepthError(
            f"{topic}: {data.size} bytes cannot hold {height} rows of {row_step} bytes with {width} points of {step} "
            "bytes; the driver or the recording is broken"
        )
    rows = np.ascontiguousarray(data[: row_step * height].reshape(height, row_step)[:, : width * step])
    layout = np.dtype({"names": list("xyz"), "formats": formats, "offsets": offsets, "itemsize": step})
    points = rows.reshape(-1).view(layout)
    xyz = np.stack([points[name].astype(np.float64) for name in "xyz"], axis=1)
    return np.asarray(xyz[np.isfinite(xyz).all(axis=1)])


def project(points_m: NDArray[np.float64], k: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Depth image of points; of several on one pixel, the nearest.

    Args:
        points_m: [N,3] in the camera's optical frame, metres.
        k: 3x3 pinhole matrix, px.
        size: Width and height of the image, px.

    Returns:
        float32 [H,W], metres along z; NaN where no point falls.
    """
    width, height = size
    points = points_m[points_m[:, 2] > NEAREST_M]
    z = points[:, 2]
    columns = np.rint(points[:, 0] / z * k[0, 0] + k[0, 2])
    rows = np.rint(points[:, 1] / z * k[1, 1] + k[1, 2])
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    pixels = (rows[inside] * width + columns[inside]).astype(np.int64)
    depth_m = np.full(height * width, np.inf, np.float32)
    np.minimum.at(depth_m, pixels, z[inside].astype(np.float32))
    depth_m[np.isinf(depth_m)] = np.nan
    return depth_m.reshape(height, width)


def without_seen_through(
    depth_m: NDArray[np.float32], window_px: tuple[int, int] = WINDOW_PX, nearer_by: float = NEARER_BY
) -> NDArray[np.float32]:
    """Removes points that lie behind something: a LiDAR beside the camera sees past what hides them from it.

    A point goes if in each of the four quadrants around it, within the window, some point is clearly nearer: then it
    is seen through the gaps between the points of a foreground object. A road or a wall that recedes is nearer on one
    or two sides only and stays. What goes with the rest is background in a narrow gap of the foreground: a little
    truth is lost, no false truth is kept.

    Args:
        depth_m: float32 [H,W], NaN where there is no point.
        window_px: Half width and height of the neighbourhood, px.
        nearer_by: Least share of its own depth by which foreground is nearer.
    """
    filled = np.where(np.isnan(depth_m), np.float32(np.inf), depth_m)
    half_x, half_y = window_px
    kernel = np.ones((half_y + 1, half_x + 1), np.uint8)
    farthest_cover = np.zeros_like(filled)
    for anchor in ((0, 0), (half_x, 0), (0, half_y), (half_x, half_y)):
        nearest = cv2.erode(filled, kernel, anchor=anchor, borderType=cv2.BORDER_CONSTANT, borderValue=float("inf"))
        np.maximum(farthest_cover, nearest, out=farthest_cover)
    hidden = farthest_cover < (1.0 - nearer_by) * filled
    return np.where(hidden, np.float32(np.nan), depth_m)
