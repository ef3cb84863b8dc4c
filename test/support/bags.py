"""Small bags for tests: a rig of tiny cameras in front of a slanted plane, written by rosbags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_HUMBLE)
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
SIZES = {"rgb": (64, 32), "nir": (48, 24), "thermal": (40, 20), "ground_truth": (32, 16)}
THERMAL_LATE_NS = 7_000_000


def header(stamp_ns: int, frame: str) -> Any:
    """A std_msgs/Header."""
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)


def camera_info(stamp_ns: int, frame: str, size: tuple[int, int]) -> Any:
    """A distortion-free CameraInfo with a focal length of the image's width."""
    width, height = size
    k = np.array([width, 0, (width - 1) / 2, 0, width, (height - 1) / 2, 0, 0, 1], dtype=np.float64)
    p = np.insert(k.reshape(3, 3), 3, 0, axis=1).ravel()
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return TYPES.types[INFO](
        header=header(stamp_ns, frame), height=height, width=width, distortion_model="plumb_bob", d=np.zeros(5), k=k,
        r=np.eye(3).ravel(), p=p, binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def raw_image(stamp_ns: int, frame: str, pixels: NDArray[Any], encoding: str) -> Any:
    """A sensor_msgs/Image."""
    return TYPES.types[IMAGE](
        header=header(stamp_ns, frame), height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
        is_bigendian=0, step=pixels.strides[0], data=np.ascontiguousarray(pixels).view(np.uint8).ravel(),
    )  # fmt: skip


def compressed_image(stamp_ns: int, frame: str, pixels: NDArray[Any], kind: str) -> Any:
    """A sensor_msgs/CompressedImage."""
    data = cv2.imencode(f".{kind}", pixels)[1].ravel()
    return TYPES.types[COMPRESSED](header=header(stamp_ns, frame), format=f"{pixels.dtype}; {kind}", data=data)


def pixels_of(camera: str, index: int) -> NDArray[Any]:
    """What a camera sees at an instant; brightness tells the instant, so that tests can recognise it."""
    width, height = SIZES[camera]
    if camera == "rgb":
        return np.full((height, width, 3), 10 + index, dtype=np.uint8)
    if camera == "nir":
        return np.full((height, width), 50 + index, dtype=np.uint8)
    if camera == "thermal":
        return np.full((height, width), 3000 + index, dtype=np.uint16)
    return np.repeat(np.linspace(20_000, 2_000, height, dtype=np.uint16)[:, None], width, axis=1)


def stamps_of(camera: str, index: int) -> int:
    """Stamp of a camera's image at an instant; thermal is late, as real ones are."""
    return START_NS + index * PERIOD_NS + (THERMAL_LATE_NS if camera == "thermal" else 0)


def write_bag(
    folder: Path,
    *,
    instants: int = 5,
    cameras: tuple[str, ...] = ("rgb", "nir", "thermal", "ground_truth"),
    missing: dict[str, set[int]] | None = None,
    storage: StoragePlugin = StoragePlugin.MCAP,
) -> Path:
    """Write a bag shaped like the sample drive.

    Args:
        folder: Where; must not exist.
        instants: How many, ten per second.
        cameras: Which streams to write.
        missing: Instants at which a camera gives nothing.
        storage: MCAP or SQLite.
    """
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        images, infos = {}, {}
        for camera in cameras:
            topic = "/ground_truth/depth" if camera == "ground_truth" else f"/{camera}/image/compressed"
            images[camera] = writer.add_connection(topic, COMPRESSED, typestore=TYPES)
            infos[camera] = writer.add_connection(f"/{camera}/camera_info", INFO, typestore=TYPES)
        for index in range(instants):
            for camera in cameras:
                if index in (missing or {}).get(camera, set()):
                    continue
                stamp_ns = stamps_of(camera, index)
                frame = "rgb_optical_frame" if camera == "ground_truth" else f"{camera}_optical_frame"
                info = camera_info(stamp_ns, frame, SIZES[camera])
                image = compressed_image(stamp_ns, frame, pixels_of(camera, index), "png")
                writer.write(infos[camera], stamp_ns, TYPES.serialize_cdr(info, INFO))
                writer.write(images[camera], stamp_ns, TYPES.serialize_cdr(image, COMPRESSED))
    return folder
