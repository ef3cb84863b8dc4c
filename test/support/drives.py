"""Recordings for tests of the evaluation: cameras that see noise in front of a slanted plane, and some ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bags import COMPRESSED, IMAGE, INFO, PERIOD_NS, SIZES, START_NS, TYPES
from bags import camera_info as camera_info
from bags import compressed_image as compressed_image
from bags import header as header
from bags import raw_image as raw_image
from bags import stamps_of as stamps_of
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig

SPECTRA = ("rgb", "nir", "thermal")
POINTS = "sensor_msgs/msg/PointCloud2"
TF = "tf2_msgs/msg/TFMessage"
BASELINE_M = 0.1
See = Callable[[str, int], NDArray[Any]]
"""What a camera sees at an instant."""
TROUBLED_INSTANTS = 40


class Drive:
    """Messages of a recording in the making."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str, str, bytes]] = []

    def add(self, topic: str, kind: str, message: Any, log_ns: int) -> None:
        """Records a message at a time."""
        self.messages.append((log_ns, topic, kind, bytes(TYPES.serialize_cdr(message, kind))))

    def write(self, folder: Path, storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
        """Writes the recording in order of time."""
        with Writer(folder, version=9, storage_plugin=storage) as writer:
            connections = {
                topic: writer.add_connection(topic, kind, typestore=TYPES)
                for topic, kind in dict.fromkeys((topic, kind) for _, topic, kind, _ in self.messages)
            }
            for log_ns, topic, _, data in sorted(self.messages, key=lambda entry: entry[0]):
                writer.write(connections[topic], log_ns, data)
        return folder

    def add_cameras(
        self, instants: int, spectra: Sequence[str] = SPECTRA, *, raw: bool = False, see: See | None = None
    ) -> Drive:
        """Adds images, of noise unless told otherwise, and their camera_info, recorded 1 ms after their stamps."""
        for index in range(instants):
            for name in spectra:
                stamp_ns, frame = stamps_of(name, index), f"{name}_optical_frame"
                self.add(f"/{name}/camera_info", INFO, camera_info(stamp_ns, frame, SIZES[name]), stamp_ns)
                pixels = (see or noise)(name, index)
                if raw:
                    encoding = {"rgb": "bgr8", "nir": "mono8", "thermal": "mono16"}[name]
                    image = raw_image(stamp_ns, frame, pixels, encoding)
                    self.add(f"/{name}/image", IMAGE, image, stamp_ns + 1_000_000)
                else:
                    image = compressed_image(stamp_ns, frame, pixels, "png")
                    self.add(f"/{name}/image/compressed", COMPRESSED, image, stamp_ns + 1_000_000)
        return self

    def add_truth(self, instants: int, late_ns: int = 0) -> Drive:
        """Adds depth images of a slanted plane in the frame of the rgb camera, 16UC1 as PNG."""
        for index in range(instants):
            stamp_ns = START_NS + index * PERIOD_NS + late_ns
            frame = "rgb_optical_frame"
            info = camera_info(stamp_ns, frame, SIZES["ground_truth"])
            self.add("/ground_truth/camera_info", INFO, info, stamp_ns)
            image = compressed_image(stamp_ns, frame, plane_mm(), "png")
            self.add("/ground_truth/depth", COMPRESSED, image, stamp_ns)
        return self

    def add_transforms(self, frames: dict[str, tuple[float, float, float]], parent: str = "base_link") -> Drive:
        """Adds one message on /tf_static: frames at places, not turned."""
        types = TYPES.types
        transforms = [
            types["geometry_msgs/msg/TransformStamped"](
                header=header(START_NS, parent), child_frame_id=frame,
                transform=types["geometry_msgs/msg/Transform"](
                    translation=types["geometry_msgs/msg/Vector3"](*place),
                    rotation=types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
                ),
            )
            for frame, place in frames.items()
        ]  # fmt: skip
        self.add("/tf_static", TF, types[TF](transforms=transforms), START_NS)
        return self


def noise(name: str, index: int) -> NDArray[Any]:
    """What a camera sees at an instant."""
    width, height = SIZES[name]
    generator = np.random.default_rng([SPECTRA.index(name), index])
    if name == "thermal":
        return generator.integers(2900, 3300, (height, width)).astype(np.uint16)
    shape = (height, width, 3) if name == "rgb" else (height, width)
    return generator.integers(20, 230, shape).astype(np.uint8)


def troubled(name: str, index: int) -> NDArray[Any]:
    """What cameras see that fail one after the other, at one instant all together, and at the end stand still."""
    sound = noise(name, index)
    if name == "rgb":
        return np.zeros_like(sound) if 5 <= index < 9 else np.full_like(sound, 255) if 12 <= index < 14 else sound
    if name == "nir" and 7 <= index < 10:
        return np.full_like(sound, 90)
    if name == "nir" and 15 <= index < 25:
        return noise(name, 15)
    if name == "thermal" and index == 8:
        return np.zeros_like(sound)
    if name == "thermal" and 20 <= index < 23:
        return (sound // 100).astype(np.uint16) + np.uint16(3000)
    return sound


def standing(name: str, index: int) -> NDArray[Any]:
    """Cameras of a simulated vehicle that stops for good: all pictures repeat."""
    return noise(name, min(index, 3))


def plane_mm() -> NDArray[np.uint16]:
    """Depth of a slanted plane, 20 m at the top to 2 m at the bottom, millimetres."""
    width, height = SIZES["ground_truth"]
    return np.repeat(np.linspace(20_000, 2_000, height).astype(np.uint16)[:, None], width, axis=1)


def rig() -> Rig:
    """The cameras' calibration: side by side, a tenth of a metre apart."""
    cameras, poses = {}, {}
    for index, name in enumerate(SPECTRA):
        width, height = SIZES[name]
        k = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]])
        cameras[name] = CameraModel(name, width, height, k)
        poses[name] = np.eye(4)
        poses[name][0, 3] = -BASELINE_M * index
    return Rig(cameras, poses)


def camera_frames() -> dict[str, tuple[float, float, float]]:
    """The same places as transforms."""
    return {f"{name}_optical_frame": (BASELINE_M * index, 0.0, 0.0) for index, name in enumerate(SPECTRA)}


def write_drive(folder: Path, instants: int = 6, *, truth: bool = True) -> Path:
    """A recording with a rig.yaml beside it."""
    drive = Drive().add_cameras(instants)
    if truth:
        drive.add_truth(instants)
    drive.write(folder)
    rig().save(folder / "rig.yaml")
    return folder


def points_message(points_m: NDArray[Any], frame: str, stamp_ns: int = START_NS, dtype: str = "<f4") -> Any:
    """A PointCloud2 with x, y, z and an intensity between them, rows padded."""
    kind = np.dtype(dtype)
    layout = np.dtype({"names": ["x", "y", "i", "z"], "formats": [kind, kind, "u1", kind],
                       "offsets": [0, kind.itemsize, 2 * kind.itemsize, 2 * kind.itemsize + 4],
                       "itemsize": 3 * kind.itemsize + 8})  # fmt: skip
    records = np.zeros(len(points_m), layout)
    for name, column in zip("xyz", points_m.T, strict=True):
        records[name] = column
    field = TYPES.types["sensor_msgs/msg/PointField"]
    number = {4: 7, 8: 8}[kind.itemsize]
    fields = [field(name=name, offset=layout.fields[name][1], datatype=number, count=1) for name in "xyz"]
    return TYPES.types[POINTS](
        header=header(stamp_ns, frame), height=1, width=len(points_m), fields=fields,
        is_bigendian=kind.byteorder == ">", point_step=layout.itemsize, row_step=layout.itemsize * len(points_m),
        data=records.view(np.uint8).reshape(-1), is_dense=True,
    )  # fmt: skip
