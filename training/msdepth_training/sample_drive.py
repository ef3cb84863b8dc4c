"""Writes `samples/city_drive`: ten seconds through a street that training never saw, as a rosbag2 MCAP recording.

Day turns into night; a wiper passes; the RGB camera is black for 2 s, the thermal camera repeats one frame for 2 s, the
NIR camera delivers nothing for 2 s.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from msdepth_ros.core.arguments import POSITIVE
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.scenes import SceneRig, render_frame, sample_scene
from msdepth_training.scenes.faults import wiper
from msdepth_training.scenes.render import Frame
from msdepth_training.scenes.rig import MS2_CENTRE_M, MS2_PITCH_RAD, rotation
from msdepth_training.scenes.scene import Scene

SEED = 263
"""One of the streets where nothing comes nearer than a metre to the vehicle."""
PERIOD_NS = 100_000_000
INSTANTS = 100
START_NS = 1_760_000_000_000_000_000
MOUNT_M = 1.5
THERMAL_LATE_NS = 12_000_000
"""The thermal camera triggers on its own clock."""

# The MS2 vehicle's cameras at about two thirds of their size: width, height, focal length, cx, cy in px.
CAMERAS = {
    "rgb": (800, 288, 499.6, 378.5, 118.0),
    "nir": (720, 224, 359.4, 355.7, 105.0),
    "thermal": (400, 160, 242.4, 187.8, 94.5),
}
GROUND_TRUTH_STRIDE = 2

WIPER_S = (1.2, 2.4)
RGB_BLACK_S = (3.0, 5.0)
THERMAL_FROZEN_S = (5.5, 7.5)
NIR_MISSING_S = (7.8, 9.8)

TYPES = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, INFO = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"


class Picture(NamedTuple):
    """One message's worth."""

    topic: str
    stamp_ns: int
    pixels: NDArray[Any]
    extension: str
    parameters: list[int]
    format: str
    camera: CameraModel
    frame_id: str


def camera_models() -> dict[str, CameraModel]:
    """The three cameras, free of distortion."""
    return {
        s: CameraModel(s, w, h, np.array([[f, 0.0, cx], [0.0, f, cy], [0.0, 0.0, 1.0]]), "none", ())
        for s, (w, h, f, cx, cy) in CAMERAS.items()
    }


def vehicle_from_camera(spectrum: str) -> NDArray[np.float64]:
    """[4, 4], metres; the vehicle's origin is on the ground below the RGB camera."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(MS2_PITCH_RAD[spectrum], 0.0, 0.0)
    pose[:3, 3] = np.array(MS2_CENTRE_M[spectrum]) - (0.0, MOUNT_M, 0.0)
    return pose


def rig() -> Rig:
    """The rig file's content."""
    reference = vehicle_from_camera("rgb")
    return Rig(camera_models(), {s: np.linalg.inv(vehicle_from_camera(s)) @ reference for s in SPECTRA})


def daylight(time_s: float) -> float:
    """Full day for 2 s, night from 7 s on."""
    return float(np.interp(time_s, (2.0, 7.0), (0.9, 0.004)))


def scene_at(scene: Scene, time_s: float) -> Scene:
    """The street at that moment's light."""
    light = daylight(time_s)
    conditions = dataclasses.replace(
        scene.conditions, daylight=light, sun_share=scene.conditions.sun_share * min(1.0, light * 1.5)
    )
    return dataclasses.replace(scene, conditions=conditions)


def render(scene: Scene, spectrum: str, time_s: float) -> Frame:
    """One camera's image and depth at its own resolution."""
    models = camera_models()
    k = {s: torch.tensor(m.k, dtype=torch.float32) for s, m in models.items()}
    poses = {s: torch.tensor(vehicle_from_camera(s), dtype=torch.float32) for s in SPECTRA}
    cameras = SceneRig(k, poses, models[spectrum].height, models[spectrum].width)
    return render_frame(scene_at(scene, time_s), cameras, time_s=time_s, spectra=(spectrum,))


def _within(time_s: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= time_s < interval[1]


def _ground_truth(depth_m: torch.Tensor, stamp_ns: int) -> Picture:
    """16UC1 millimetres, 0 where unknown: the sky and what is farther than 65.5 m."""
    stride = GROUND_TRUTH_STRIDE
    depth = depth_m[::stride, ::stride].numpy()
    millimetres = np.where(np.isfinite(depth) & (depth < 65.5), depth * 1000.0, 0.0).round().astype(np.uint16)
    k = camera_models()["rgb"].k.copy()
    k[:2] /= stride  # whole pixels are taken, so the first one stays at (0, 0)
    camera = CameraModel("ground_truth", millimetres.shape[1], millimetres.shape[0], k, "none", ())
    return Picture(
        "/ground_truth/depth",
        stamp_ns,
        millimetres,
        ".png",
        [cv2.IMWRITE_PNG_COMPRESSION, 9],
        "16UC1; png",
        camera,
        "rgb_optical_frame",
    )


def _picture(spectrum: str, image: torch.Tensor, stamp_ns: int) -> Picture:
    pixels = image.numpy()
    topic, frame = f"/{spectrum}/image/compressed", f"{spectrum}_optical_frame"
    camera = camera_models()[spectrum]
    if spectrum == "thermal":
        return Picture(
            topic,
            stamp_ns,
            pixels[0].astype(np.uint16),
            ".png",
            [cv2.IMWRITE_PNG_COMPRESSION, 9],
            "mono16; png",
            camera,
            frame,
        )
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
    if spectrum == "rgb":
        bgr = np.ascontiguousarray(pixels.transpose(1, 2, 0)[..., ::-1])
        return Picture(topic, stamp_ns, bgr, ".jpg", quality, "bgr8; jpeg compressed bgr8", camera, frame)
    return Picture(topic, stamp_ns, pixels[0], ".jpg", quality, "mono8; jpeg compressed mono8", camera, frame)


def pictures(instants: int) -> Iterator[Picture]:
    """Everything the recording holds, in order."""
    scene = sample_scene(SEED, "test", condition="day", length_m=230.0, floating=False)
    scene = dataclasses.replace(scene, ego_speed_mps=9.0)
    rng = np.random.default_rng(SEED)
    frozen: torch.Tensor | None = None
    for index in tqdm(range(instants), desc="city_drive", unit="instant"):
        time_s, stamp = index * PERIOD_NS / 1e9, START_NS + index * PERIOD_NS
        rgb = render(scene, "rgb", time_s)
        yield _ground_truth(rgb.depth_m["rgb"], stamp)
        sweep = (time_s - WIPER_S[0]) / (WIPER_S[1] - WIPER_S[0])
        image = rgb.images["rgb"]
        if 0.0 <= sweep < 1.0:
            image = _wipe(image, sweep)
        if _within(time_s, RGB_BLACK_S):
            image = (torch.from_numpy(rng.integers(0, 3, image.shape))).to(torch.uint8)
        yield _picture("rgb", image, stamp)
        if not _within(time_s, NIR_MISSING_S):
            nir = render(scene, "nir", time_s).images["nir"]
            yield _picture(
                "nir", _wipe(nir, sweep - 0.05) if 0.0 <= sweep < 1.0 else nir, stamp + int(rng.integers(0, 1_500_000))
            )
        late = THERMAL_LATE_NS + int(rng.integers(-1_000_000, 1_000_000))
        thermal = render(scene, "thermal", time_s + late / 1e9).images["thermal"]
        if _within(time_s, THERMAL_FROZEN_S):
            frozen = thermal if frozen is None else frozen
            thermal = frozen
        yield _picture("thermal", thermal, stamp + late)


def _wipe(image: torch.Tensor, sweep: float) -> torch.Tensor:
    """The wiper at a part of its way, 0 to 1."""
    angle = -1.2 + 2.4 * sweep
    return (wiper(image.float() / 255.0, angle=angle, half_share=0.06, pivot_share=0.5) * 255.0).round().to(torch.uint8)


def _header(stamp_ns: int, frame_id: str) -> Any:
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def _camera_info(picture: Picture) -> Any:
    k = picture.camera.k
    projection = np.hstack((k, np.zeros((3, 1))))
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return TYPES.types[INFO](
        header=_header(picture.stamp_ns, picture.frame_id), height=picture.camera.height, width=picture.camera.width,
        distortion_model="plumb_bob", d=np.zeros(5), k=k.ravel(), r=np.eye(3).ravel(), p=projection.ravel(),
        binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def write(folder: Path, instants: int = INSTANTS) -> None:
    """Write the recording, replacing what is there.

    Args:
        folder: of the bag; rig.yaml goes there too.
        instants: how many tenths of a second.
    """
    bag = folder.with_suffix(".part")
    shutil.rmtree(bag, ignore_errors=True)
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for picture in sorted(pictures(instants), key=lambda p: p.stamp_ns):
            info_topic = f"{picture.topic.removesuffix('/image/compressed').removesuffix('/depth')}/camera_info"
            for topic, kind in ((info_topic, INFO), (picture.topic, IMAGE)):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            data = cv2.imencode(picture.extension, picture.pixels, picture.parameters)[1].ravel()
            image = TYPES.types[IMAGE](
                header=_header(picture.stamp_ns, picture.frame_id), format=picture.format, data=data
            )
            writer.write(connections[info_topic], picture.stamp_ns, TYPES.serialize_cdr(_camera_info(picture), INFO))
            writer.write(connections[picture.topic], picture.stamp_ns, TYPES.serialize_cdr(image, IMAGE))
    rig().save(bag / "rig.yaml")
    if folder.exists():
        shutil.rmtree(folder)
    bag.rename(folder)
    for part in folder.glob("*.mcap"):
        part.rename(folder / f"{folder.name}.mcap")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace(f"{bag.name}.mcap", f"{folder.name}.mcap"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("samples/city_drive"))
    parser.add_argument("--instants", type=POSITIVE, default=INSTANTS)
    arguments = parser.parse_args()
    write(arguments.out, arguments.instants)


if __name__ == "__main__":
    main()
