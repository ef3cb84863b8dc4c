"""Short recordings with one thing in them that users of cameras have reported, and what evaluating them gives.

Made of the cameras of `drives` and the toy network of `models`, whose depth is the mean of the images plus the x of the
poses: a camera that is missing, too dark or in the wrong place changes AbsRel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import drives
import numpy as np
import replays
from bags import (
    COMPRESSED,
    IMAGE,
    INFO,
    SIZES,
    START_NS,
    TYPES,
    camera_info,
    compressed_image,
    header,
    raw_image,
    stamps_of,
)
from numpy.typing import NDArray

import models
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions

INSTANTS = 6
POINTS, TF = drives.POINTS, drives.TF


class Row(NamedTuple):
    """A message of a recording in the making."""

    log_ns: int
    topic: str
    kind: str
    message: Any


Change = Callable[[list[Row]], list[Row]]


class Evaluated(NamedTuple):
    """What an evaluation gave.

    Attributes:
        abs_rel: Mean over the sets of most cameras.
        sets: By the cameras in them.
        notes: Of the plan.
        errors: Of the sets.
    """

    abs_rel: float
    sets: Counter[str]
    notes: list[str]
    errors: set[str]


def grey(name: str, index: int) -> NDArray[np.uint8]:
    """The picture of a camera in 8 bits, smooth enough for JPEG and Bayer."""
    width, height = SIZES[name]
    wave = np.add.outer(np.linspace(0, 3, height), np.linspace(index, 4 + index, width))
    return (110 + 90 * np.sin(wave)).astype(np.uint8)


def picture(name: str, index: int) -> NDArray[Any]:
    """What a camera sees: bgr8 for rgb, mono8 for nir, counts for thermal."""
    seen = grey(name, index)
    if name == "rgb":
        return np.dstack([seen // 2, seen, 255 - seen])
    return (3000 + 2 * seen.astype(np.uint16)) if name == "thermal" else seen


def rows(instants: int = INSTANTS) -> list[Row]:
    """An unchanged recording: three cameras, compressed, and depth of a slanted plane."""
    made = []
    for index in range(instants):
        for name in drives.SPECTRA:
            stamp_ns, frame = stamps_of(name, index), f"{name}_optical_frame"
            image = compressed_image(stamp_ns, frame, picture(name, index), "png")
            made.append(Row(stamp_ns, f"/{name}/camera_info", INFO, camera_info(stamp_ns, frame, SIZES[name])))
            made.append(Row(stamp_ns + 1_000_000, f"/{name}/image/compressed", COMPRESSED, image))
        stamp_ns, size = stamps_of("rgb", index), SIZES["ground_truth"]
        info = camera_info(stamp_ns, "rgb_optical_frame", size)
        depth = compressed_image(stamp_ns, "rgb_optical_frame", drives.plane_mm(), "png")
        made += [Row(stamp_ns, "/ground_truth/camera_info", INFO, info)]
        made += [Row(stamp_ns, "/ground_truth/depth", COMPRESSED, depth)]
    return made


def images(made: list[Row], name: str, change: Callable[[Row, int], Row]) -> list[Row]:
    """A recording with the images of a camera changed, each by its number."""
    topic, number, changed = f"/{name}/image/compressed", iter(range(len(made))), []
    for row in made:
        changed.append(change(row, next(number)) if row.topic == topic else row)
    return changed


def raw(name: str, encoding: str, pixels: Callable[[int], NDArray[Any]]) -> Change:
    """Makes the images of a camera raw ones of an encoding."""

    def change(row: Row, number: int) -> Row:
        stamp = row.message.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        message = raw_image(stamp_ns, row.message.header.frame_id, pixels(number), encoding)
        return Row(row.log_ns, f"/{name}/image", IMAGE, message)

    return lambda made: images(made, name, change)


def repacked(name: str, stated: str, data: Callable[[int], bytes]) -> Change:
    """Gives the images of a camera other data and another format."""

    def change(row: Row, number: int) -> Row:
        row.message.data, row.message.format = np.frombuffer(data(number), np.uint8), stated
        return row

    return lambda made: images(made, name, change)


def infos(name: str, change: Callable[[Any, int], None]) -> Change:
    """Changes the camera_info of a camera in place, each by its number."""

    def changed(made: list[Row]) -> list[Row]:
        found = (row.message for row in made if row.topic == f"/{name}/camera_info")
        for number, message in enumerate(found):
            change(message, number)
        return made

    return changed


def framed(rename: Callable[[str], str]) -> Change:
    """Renames the frames in all headers."""

    def changed(made: list[Row]) -> list[Row]:
        for row in made:
            row.message.header.frame_id = rename(row.message.header.frame_id)
        return made

    return changed


def transform(parent: str, child: str, place: tuple[float, float, float], turn: Any = (0.0, 0.0, 0.0, 1.0)) -> Any:
    """A geometry_msgs/TransformStamped."""
    types = TYPES.types
    return types["geometry_msgs/msg/TransformStamped"](
        header=header(START_NS, parent), child_frame_id=child,
        transform=types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](*map(float, place)),
            rotation=types["geometry_msgs/msg/Quaternion"](*map(float, turn)),
        ),
    )  # fmt: skip


def tf(transforms: list[Any], topic: str = "/tf_static", log_ns: int = START_NS) -> Row:
    """A message of tf."""
    return Row(log_ns, topic, TF, TYPES.types[TF](transforms=transforms))


def rig_tf(parent: str = "rgb_optical_frame", suffix: str = "_optical_frame") -> list[Any]:
    """Where the cameras of `drives.rig` are."""
    places = {f"{name}{suffix}": (drives.BASELINE_M * index, 0, 0) for index, name in enumerate(drives.SPECTRA)}
    return [transform(parent, frame, place) for frame, place in places.items() if frame != parent]


def mosaic(index: int) -> NDArray[np.uint8]:
    """The rgb picture as a camera with an RGGB filter sees it."""
    bgr = picture("rgb", index)
    seen = bgr[:, :, 1].copy()
    seen[::2, ::2], seen[1::2, 1::2] = bgr[::2, ::2, 2], bgr[1::2, 1::2, 0]
    return seen


def encoded(kind: str, pixels: NDArray[Any]) -> bytes:
    """Pixels as a file."""
    return bytes(cv2.imencode(kind, pixels)[1])


def points(made: list[Row]) -> Iterator[Row]:
    """A recording whose truth is a cloud of one row that states no length of it."""
    width, height = SIZES["ground_truth"]
    for row in made:
        if row.topic == "/ground_truth/depth":
            v, u = np.mgrid[0:height, 0:width].reshape(2, -1)
            z = drives.plane_mm().ravel() / 1000.0
            places = np.stack([(u - (width - 1) / 2) / width * z, (v - (height - 1) / 2) / width * z, z], 1)
            cloud = drives.points_message(places, "rgb_optical_frame", row.log_ns)
            yield Row(row.log_ns, "/ground_truth/points", POINTS, cloud)
        elif row.topic != "/ground_truth/camera_info":
            yield row


def write(folder: Path, made: list[Row], *, rig: bool = True) -> Path:
    """Writes a recording, with a rig.yaml beside it if that is wanted."""
    drive = drives.Drive()
    for row in made:
        drive.add(row.topic, row.kind, row.message, row.log_ns)
    drive.write(folder)
    if rig:
        drives.rig().save(folder / "rig.yaml")
    return folder


def evaluate(folder: Path, bag: Path, **asked: Any) -> Evaluated:
    """Evaluates a recording with the toy network.

    Args:
        folder: For the network.
        bag: The recording.
        asked: Parameters of the node with double underscores for dots; or `rig`, `images`, `drop` of the command.
    """
    model = models.toy_model(folder / "toy.onnx", added_m=5.0)
    command = {name: asked.pop(name) for name in ("rig", "images", "drop", "infos") if name in asked}
    values = {**DEFAULTS, "model.path": str(model), **{name.replace("__", "."): one for name, one in asked.items()}}
    options = EvaluateOptions(Settings.from_values(values), **command)
    plan = replays.plan(bag, "drive", options)
    records = replays.compute(bag, plan.plans, options, options.make_engine(1))
    most = max(len(record.spectra) for record in records)
    scored = [record.scores["abs_rel"] for record in records if record.scores and len(record.spectra) == most]
    sets = Counter("+".join(record.spectra) for record in records)
    return Evaluated(float(np.mean(scored)), sets, plan.notes, {record.error for record in records if record.error})
