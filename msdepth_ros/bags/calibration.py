"""The rig of a recording: intrinsics from camera_info, poses from a rig file or from /tf_static."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.files import RIG_BESIDE_BAG
from msdepth_ros.bags.topics import Sources, find_camera_info
from msdepth_ros.core.camera.camera_info import camera_model_from_info
from msdepth_ros.core.camera.ground import NO_SOURCE, GroundSource
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.camera.transforms import TransformTree, rigid_matrix
from msdepth_ros.core.errors import MsdepthError

TF_STATIC = "/tf_static"


@dataclass(frozen=True)
class Calibration:
    """Where the cameras of a recording are, and how they project.

    Attributes:
        rig: Every camera that is used, the reference included, and the road where it is known.
        reference: The camera whose frame the depth is in.
        frames: Frame id of each camera, where it is known.
        tree: What /tf_static says; empty where there is none.
        origin: Where the poses come from, for people.
        beside: Whether nobody named that file, and it was found beside the recording.
    """

    rig: Rig
    reference: str
    frames: Mapping[str, str]
    tree: TransformTree = field(compare=False)
    origin: str
    beside: bool = False

    def reference_from_frame(self, frame_id: str) -> NDArray[np.float64] | None:
        """The [4,4] that maps points from a frame into the reference camera's, metres; None where it is unknown."""
        for label in (self.reference, *self.rig.cameras):
            known = self.frames.get(label, "")
            link = self.tree.lookup(known, frame_id) if known else None
            if label == frame_id:
                link = np.eye(4)
            if link is not None:
                return self.rig.view_from_reference(self.reference, label) @ link
        return None

    def with_ground(self, source: GroundSource) -> Calibration:
        """The same with the road in the reference camera's frame, see `Rig.with_ground`.

        Raises:
            MsdepthError: No road is like that, or the frame is not known.
        """
        return replace(self, rig=self.rig.with_ground(source, self.reference, self._frame_from_reference))

    def _frame_from_reference(self, frame_id: str) -> NDArray[np.float64]:
        """The pose of a frame that somebody named."""
        pose = self.reference_from_frame(frame_id)
        if pose is None:
            raise MsdepthError(
                f"nothing on {TF_STATIC} of the recording connects it with the {self.reference} camera; it knows "
                f"{', '.join(self.tree.frames) or 'nothing'}"
            )
        return np.asarray(np.linalg.inv(pose), np.float64)


def read_transforms(bag: Bag) -> TransformTree:
    """Everything on /tf_static of a recording."""
    tree = TransformTree()
    if TF_STATIC not in bag.topics or not bag.topics[TF_STATIC].message_count:
        return tree
    for payload in bag.messages([TF_STATIC]):
        for stamped in payload.message.transforms:
            t, q = stamped.transform.translation, stamped.transform.rotation
            matrix = rigid_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
            tree.add(stamped.header.frame_id, stamped.child_frame_id, matrix)
    return tree


def load_calibration(
    bag: Bag, sources: Sources, reference: str, rig_file: Path | None, ground: GroundSource = NO_SOURCE
) -> Calibration:
    """Finds the calibration of a recording.

    Poses come from the rig file if there is one, else from /tf_static, else from a `rig.yaml` beside the recording.
    Intrinsics are those of camera_info; a rig file's serve where there is none. This is what the node does.

    Args:
        bag: An open recording.
        sources: Its topics.
        reference: The camera whose frame the depth is in; it needs no images.
        rig_file: Kalibr camchain YAML.
        ground: What parameters say of the road; it goes before what the rig file says.

    Raises:
        MsdepthError: A camera or its pose is not known, or no road is as somebody says.
    """
    return _cameras(bag, sources, reference, rig_file).with_ground(ground)


def _cameras(bag: Bag, sources: Sources, reference: str, rig_file: Path | None) -> Calibration:
    """Everything but what parameters say of the road."""
    tree = read_transforms(bag)
    beside = (bag.path if bag.path.is_dir() else bag.path.parent) / RIG_BESIDE_BAG
    found_beside = rig_file is None and not tree.frames and beside.is_file()
    rig_file = beside if found_beside else rig_file
    file_rig = None if rig_file is None else Rig.load(rig_file)
    infos = {name: topics.info for name, topics in sources.cameras.items() if topics.info}
    lone = "" if reference in sources.cameras else _lone_info(bag, reference)
    if lone:
        infos[reference] = lone
    labels = tuple(dict.fromkeys((*sources.cameras, reference)))
    messages = {name: next(bag.messages([topic])).message for name, topic in infos.items()}
    cameras = {label: _camera(bag, label, messages.get(label), infos, file_rig) for label in labels}
    frames = {label: _frame(bag, label, messages.get(label), sources) for label in labels}
    if file_rig is not None:
        poses = {label: file_rig.view_from_reference(label, reference) for label in labels}
        everything = {**{name: camera for name, camera in file_rig.cameras.items() if name not in cameras}, **cameras}
        poses |= {name: file_rig.view_from_reference(name, reference) for name in everything if name not in poses}
        rig = Rig(everything, poses, file_rig.ground)
        return Calibration(rig, reference, frames, tree, str(rig_file), found_beside)
    poses = {label: _pose(bag, label, reference, frames, tree) for label in labels}
    return Calibration(Rig(cameras, poses), reference, frames, tree, TF_STATIC if len(labels) > 1 else "one camera")


def _lone_info(bag: Bag, reference: str) -> str:
    """The camera_info of a reference camera whose images were not recorded."""
    return find_camera_info(bag, f"/{reference}/image")


def _camera(bag: Bag, label: str, message: Any, infos: Mapping[str, str], file_rig: Rig | None) -> CameraModel:
    """One camera's intrinsics."""
    known = None if file_rig is None else file_rig.cameras.get(label)
    if file_rig is not None and known is None:
        raise MsdepthError(f"the rig file has no camera {label}, which bag {bag.path} needs; add it, or --drop {label}")
    if message is None:
        if known is None:
            raise MsdepthError(
                f"bag {bag.path} has no camera_info of {label}; name its topic with --camera-info {label}=TOPIC, give "
                f"a rig file with --rig, or leave the camera out with --drop {label}"
            )
        return known
    try:
        camera = camera_model_from_info(label, message)
    except MsdepthError as error:
        raise MsdepthError(f"bag {bag.path}, topic {infos[label]}: {error}") from error
    if known and (known.width, known.height) != (camera.width, camera.height):
        raise MsdepthError(
            f"bag {bag.path}, topic {infos[label]}: camera_info is for {camera.width} x {camera.height}, the rig file "
            f"for {known.width} x {known.height}; give the calibration of the recorded size"
        )
    return camera


def _frame(bag: Bag, label: str, message: Any, sources: Sources) -> str:
    """Frame id of a camera: that of its camera_info, else of its first image."""
    if message is not None and message.header.frame_id:
        return str(message.header.frame_id)
    if label not in sources.cameras:
        return ""
    return str(next(bag.messages([sources.cameras[label].image])).message.header.frame_id)


def _pose(bag: Bag, label: str, reference: str, frames: Mapping[str, str], tree: TransformTree) -> NDArray[np.float64]:
    """The pose of a camera by /tf_static."""
    if label == reference:
        return np.eye(4)
    pose = None
    if frames[label] and frames[reference]:
        pose = tree.lookup(frames[label], frames[reference])
    if pose is None:
        raise MsdepthError(
            f"bag {bag.path}: no transform between {reference} (frame {frames[reference]!r}) and {label} (frame "
            f"{frames[label]!r}) on {TF_STATIC}, which knows {', '.join(tree.frames) or 'nothing'}; give --rig FILE, "
            f"or leave the camera out with --drop {label}"
        )
    return pose
