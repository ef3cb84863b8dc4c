"""Ground truth of a recording on the pixels where the depth is scored."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.calibration import Calibration
from msdepth_ros.bags.images import DecodedImage, decode_image, depth_metres
from msdepth_ros.bags.topics import CameraTopics
from msdepth_ros.core.camera.camera_info import camera_model_from_info
from msdepth_ros.core.camera.lens import undistort
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import RigViews
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.scoring.lidar import cloud_points_m, project, without_seen_through

_SAME_PLACE = 1e-9
_COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")
_TOLERANCE_PX = 0.01


class Truth(NamedTuple):
    """True depth, and where on the network's image each of its pixels lies.

    Attributes:
        depth_m: float32 [h,w], along the reference camera's z axis, metres; NaN unknown.
        maps: float32 [h,w] each, columns and rows in the network's image; None where the grids are the same.
    """

    depth_m: NDArray[np.float32]
    maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None

    def sample(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brings values [H,W] of the network's image to the truth's pixels: the nearest one, NaN outside."""
        return values if self.maps is None else sample_nearest(values, self.maps)


def sample_nearest(
    values: NDArray[np.float32], maps: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Values at columns and rows of an image: the nearest pixel's, NaN outside."""
    sampled = cv2.remap(values, *maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
    return np.asarray(sampled, np.float32)


def decode_depth(topic: str, message: Any) -> NDArray[np.float32]:
    """Depth image of any kind in metres, NaN where unknown.

    Args:
        topic: Where the message came from, for the error text.
        message: A sensor_msgs/Image or CompressedImage: 32FC1 metres or 16UC1 millimetres; PNG or compressedDepth.

    Raises:
        MsdepthError: It is no depth image, or damaged.
    """
    if "compressedDepth" not in getattr(message, "format", ""):
        return depth_metres(topic, decode_image(topic, message))
    data = memoryview(message.data)
    if "rvl" in message.format or len(data) <= _COMPRESSED_DEPTH_HEADER.size:
        raise MsdepthError(
            f"{topic}: {len(data)} bytes of {message.format!r} are not supported; record compressedDepth as png, "
            "which is its default"
        )
    _, scale, offset = _COMPRESSED_DEPTH_HEADER.unpack_from(data)
    png = SimpleNamespace(format=message.format, data=data[_COMPRESSED_DEPTH_HEADER.size :])
    image = decode_image(topic, png)
    if not message.format.startswith("32FC1"):
        return depth_metres(topic, image)
    # compressed_depth_image_transport stores the inverse depth: steps that grow with the distance.
    levels = image.pixels.astype(np.float32)
    with np.errstate(divide="ignore"):
        metres = np.where(levels > 0, np.float32(scale) / (levels - np.float32(offset)), np.float32(np.nan))
    return depth_metres(topic, DecodedImage(metres.astype(np.float32), "32FC1"))


class TruthReader:
    """Turns messages of the ground truth's topic into depth where it is scored.

    A depth image that looks from where the reference camera is keeps its own pixels. Anything else, a depth image of
    another camera or a point cloud, is projected into the network's image of the reference camera, z-buffered and
    cleaned of points that are seen through a foreground object.

    Args:
        bag: The recording.
        topics: Of the ground truth.
        calibration: Where the cameras are.
        views: The reference camera's network image.
    """

    def __init__(self, bag: Bag, topics: CameraTopics, calibration: Calibration, views: RigViews) -> None:
        """Read the truth's camera_info if it has one."""
        self.topic, self._path = topics.image, bag.path
        self._calibration, self._views = calibration, views
        self._info = next(bag.messages([topics.info])).message if topics.info else None
        self._maps: dict[tuple[str, tuple[int, ...]], Any] = {}

    def read(self, message: Any) -> Truth:
        """The truth in one message.

        Raises:
            MsdepthError: It is damaged, or nothing says where its frame is.
        """
        if hasattr(message, "point_step"):
            return self._from_points(cloud_points_m(self.topic, message), message.header.frame_id)
        depth_m = decode_depth(self.topic, message)
        frame = message.header.frame_id or (self._info.header.frame_id if self._info is not None else "")
        reference_from_truth = self._pose(frame)
        rays = self._rays(frame, depth_m.shape)
        if np.abs(reference_from_truth - np.eye(4)).max() < _SAME_PLACE:
            return Truth(depth_m, self._grid(frame, rays))
        known = np.isfinite(depth_m)
        points_m = np.column_stack([rays[known], np.ones(int(known.sum()))]) * depth_m[known][:, None]
        return self._from_points(points_m.astype(np.float64), frame)

    def _from_points(self, points_m: NDArray[np.float64], frame: str) -> Truth:
        """Points of a frame in the network's image."""
        pose = self._pose(frame)
        view = self._views.maps[self._views.reference]
        in_reference = points_m @ pose[:3, :3].T + pose[:3, 3]
        depth_m = project(in_reference, view.intrinsics, (view.width, view.height))
        return Truth(without_seen_through(depth_m), None)

    def _pose(self, frame: str) -> NDArray[np.float64]:
        """Where a frame is."""
        pose = self._calibration.reference_from_frame(frame)
        if pose is None:
            known = ", ".join(sorted({*self._calibration.frames.values(), *self._calibration.tree.frames} - {""}))
            raise MsdepthError(
                f"bag {self._path}, topic {self.topic}: nothing says where frame {frame!r} is; known are {known}. "
                "Record /tf_static, add a camera with this label to the rig file, or evaluate with --ground-truth none"
            )
        return pose

    def _rays(self, frame: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """x/z and y/z [h,w,2] of every pixel of a depth image."""
        key = (frame, shape)
        if key not in self._maps:
            camera = self._camera(frame, shape)
            pixels = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).astype(np.float64)
            tolerance = _TOLERANCE_PX / min(camera.k[0, 0], camera.k[1, 1])
            flat = camera.rays(pixels.reshape(-1, 2))
            rays = undistort(flat, camera.distortion_model, camera.distortion, tolerance=tolerance)
            self._maps[key] = rays.reshape(*shape, 2)
        rays_of: NDArray[np.float64] = self._maps[key]
        return rays_of

    def _camera(self, frame: str, shape: tuple[int, ...]) -> CameraModel:
        """The camera that a depth image belongs to: its own camera_info, else the camera of its frame and size."""
        if self._info is not None:
            camera = camera_model_from_info(self.topic, self._info)
        else:
            labels = [label for label, known in self._calibration.frames.items() if known and known == frame]
            if not labels:
                raise MsdepthError(
                    f"bag {self._path}, topic {self.topic}: it has no camera_info beside it, and frame {frame!r} is "
                    "that of no camera; record its camera_info"
                )
            camera = self._calibration.rig.camera(labels[0])
        if (camera.height, camera.width) != shape:
            raise MsdepthError(
                f"bag {self._path}, topic {self.topic}: images are {shape[1]} x {shape[0]}, the calibration of "
                f"{camera.label} is for {camera.width} x {camera.height}; record the camera_info of these images"
            )
        return camera

    def _grid(self, frame: str, rays: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where the pixels of a depth image lie in the network's image."""
        key = (f"{frame} grid", rays.shape)
        if key not in self._maps:
            k = self._views.maps[self._views.reference].intrinsics
            columns = np.nan_to_num(rays[..., 0] * k[0, 0] + k[0, 2], nan=-10.0)
            rows = np.nan_to_num(rays[..., 1] * k[1, 1] + k[1, 2], nan=-10.0)
            self._maps[key] = (columns.astype(np.float32), rows.astype(np.float32))
        grid: tuple[NDArray[np.float32], NDArray[np.float32]] = self._maps[key]
        return grid
