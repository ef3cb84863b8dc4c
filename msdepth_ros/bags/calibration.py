"""The rig of a recording: intrinsics from camera_info, poses from a rig file or from tf."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import TF_MESSAGE, Bag, Payload
from msdepth_ros.bags.files import RIG_BESIDE_BAG
from msdepth_ros.bags.topics import Sources, find_camera_info
from msdepth_ros.core.camera.camera_info import InfoChoice
from msdepth_ros.core.camera.frames import CameraFrame, camera_frame, optical_doubts, same_frame_problem
from msdepth_ros.core.camera.ground import NO_SOURCE, GroundSource
from msdepth_ros.core.camera.images import image_size
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.camera.transforms import TransformTree, frame_name
from msdepth_ros.core.errors import MsdepthError

TF_STATIC = "/tf_static"
TF_NAMES = ("tf_static", "tf")
_TF_ENOUGH_NS = 10_000_000_000
_LOOK_AT_IMAGES = 20
_AFTER_STAMP = 12  # header stamp ends here: 4 bytes of encapsulation, 8 of time


@dataclass(frozen=True)
class Calibration:
    """Where the cameras of a recording are, and how they project.

    Attributes:
        rig: Every camera that is used, the reference included, and the road where it is known.
        reference: The camera whose frame the depth is in.
        frames: Frame id of each camera, where it is known.
        tree: What tf says; empty where there is none.
        origin: Where the poses come from, for people.
        notes: What is worth telling, for people.
    """

    rig: Rig
    reference: str
    frames: Mapping[str, str]
    tree: TransformTree = field(compare=False)
    origin: str
    notes: tuple[str, ...] = ()

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


class Transforms(NamedTuple):
    """What tf says in a recording.

    Attributes:
        tree: All of it.
        topics: Where it was recorded; empty where it was not.
    """

    tree: TransformTree
    topics: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The topics, for people."""
        return " and ".join(self.topics) or TF_STATIC


def read_transforms(bag: Bag, cameras: Iterable[str], frames: Collection[str]) -> Transforms:
    """Reads /tf_static and /tf, in order of recording, as the node hears them.

    A vehicle in a namespace has its own: of several, the one nearest to the camera topics that connects the cameras
    counts. /tf repeats itself, so that only its beginning is read, or as much of it as it takes.

    Args:
        bag: An open recording.
        cameras: Image topics; their namespaces are looked into.
        frames: Of the cameras.
    """
    found = [_read_tree(bag, topics, frames) for topics in _transform_topics(bag, cameras)]
    connected = (one for one in found if _connects(one.tree, frames))
    return next(connected, next((one for one in found if one.tree.frames), Transforms(TransformTree())))


def _transform_topics(bag: Bag, cameras: Iterable[str]) -> list[tuple[str, ...]]:
    """Topics of tf by namespace: those above the cameras, the nearest first, then the only other one."""
    spaces: dict[str, list[str]] = {}
    for topic, summary in bag.topics.items():
        space, _, last = topic.rpartition("/")
        if last in TF_NAMES and summary.msgtype == TF_MESSAGE and summary.message_count:
            spaces.setdefault(space, []).append(topic)
    above = [space for space in spaces if any(camera.startswith(f"{space}/") for camera in cameras)]
    others = [space for space in spaces if space not in above]
    ordered = sorted(above, key=len, reverse=True) + (others if len(others) == 1 else [])
    return [tuple(sorted(spaces[space], reverse=True)) for space in ordered]


def _read_tree(bag: Bag, topics: tuple[str, ...], frames: Collection[str]) -> Transforms:
    """The transforms of one namespace."""
    tree, used, enough_ns = TransformTree(), dict.fromkeys(topics, False), bag.start_ns + _TF_ENOUGH_NS
    latched = [topic for topic in topics if topic.endswith("_static")]
    moving = [topic for topic in topics if topic not in latched]
    for payload in bag.payloads(topics, stop_ns=enough_ns):
        _take(tree, bag, payload, used)
    for payload in bag.payloads(latched, start_ns=enough_ns) if latched else ():
        _take(tree, bag, payload, used)
    for payload in bag.payloads(moving, start_ns=enough_ns) if moving else ():
        if _connects(tree, frames):
            break
        _take(tree, bag, payload, used)
    return Transforms(tree, tuple(topic for topic, there in used.items() if there))


def _take(tree: TransformTree, bag: Bag, payload: Payload, used: dict[str, bool]) -> None:
    """Takes the transforms of one message; a damaged one is left out like a bad transform."""
    try:
        message = bag.deserialise(payload)
    except MsdepthError as error:
        tree.left_out.setdefault(payload.topic, str(error))
        return
    used[payload.topic] = True
    for stamped in message.transforms:
        tree.take(stamped)


def _connects(tree: TransformTree, frames: Collection[str]) -> bool:
    """Whether a tree knows where all frames are to each other."""
    first = next(iter(frames), "")
    return all(tree.lookup(first, frame) is not None for frame in frames)


def load_calibration(
    bag: Bag, sources: Sources, reference: str, rig_file: Path | None, ground: GroundSource = NO_SOURCE
) -> Calibration:
    """Finds the calibration of a recording.

    Poses come from the rig file if there is one, else from tf, else from a `rig.yaml` beside the recording. Intrinsics
    are those of the first camera_info that is usable and fits the images; a rig file's serve where there is none. This
    is what the node does.

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
    labels = tuple(dict.fromkeys((*sources.cameras, reference)))
    looks = {label: _look_at_camera(bag, label, sources, reference) for label in labels}
    frames = {label: look.frame.frame_id for label, look in looks.items()}
    images = [topics.image for topics in sources.cameras.values()]
    transforms = read_transforms(bag, images or [f"/{reference}/image"], {frame for frame in frames.values() if frame})
    tree = transforms.tree
    beside = (bag.path if bag.path.is_dir() else bag.path.parent) / RIG_BESIDE_BAG
    unknown = _unknown_pose(labels, reference, frames, transforms)
    found_beside = rig_file is None and beside.is_file() and bool(unknown or len(labels) == 1 and not tree.frames)
    rig_file = beside if found_beside else rig_file
    file_rig = None if rig_file is None else Rig.load(rig_file)
    cameras = {label: _camera(bag, looks[label], file_rig) for label in labels}
    if rig_file is None and unknown:
        raise MsdepthError(f"bag {bag.path}: {unknown}")
    notes = list(_notes(looks, frames, tree, found_beside, unknown))
    if file_rig is not None:
        poses = {label: file_rig.view_from_reference(label, reference) for label in labels}
        everything = {**{name: camera for name, camera in file_rig.cameras.items() if name not in cameras}, **cameras}
        poses |= {name: file_rig.view_from_reference(name, reference) for name in everything if name not in poses}
        rig, origin = Rig(everything, poses, file_rig.ground), str(rig_file)
    else:
        found = {label: tree.lookup(frames[label], frames[reference]) for label in labels if label != reference}
        poses = {reference: np.eye(4), **{label: pose for label, pose in found.items() if pose is not None}}
        rig, origin = Rig(cameras, poses), transforms.origin if len(labels) > 1 else "one camera"
    return Calibration(rig, reference, frames, tree, origin, tuple(notes))


def _unknown_pose(labels: tuple[str, ...], reference: str, frames: Mapping[str, str], transforms: Transforms) -> str:
    """Why tf does not tell where the cameras are; empty where it does."""
    advice = "give --rig FILE (the node: parameter calibration.file)"
    shared = same_frame_problem(frames, labels)
    if shared:
        return f"{shared}; {advice}, or let each driver name its own frame"
    tree = transforms.tree
    for label in labels:
        known = frames[label] and frames[reference]
        if label != reference and (not known or tree.lookup(frames[label], frames[reference]) is None):
            ends = frame_name(frames[label]), frame_name(frames[reference])
            bad = [f"; that to {end} cannot be used: {tree.left_out[end]}" for end in ends if end in tree.left_out]
            known_frames = ", ".join(tree.frames) or "nothing"
            return (
                f"no transform between {reference} (frame {frames[reference]!r}) and {label} (frame "
                f"{frames[label]!r}) on {transforms.origin}, which knows {known_frames}{''.join(bad)}; {advice}, or "
                f"leave the camera out with --drop {label}"
            )
    return ""


def _notes(
    looks: Mapping[str, CameraLook], frames: Mapping[str, str], tree: TransformTree, beside: bool, unknown: str
) -> Iterator[str]:
    """What is worth telling of a calibration."""
    if beside:
        why = "whose tf does not connect the cameras" if tree.frames else "which has no /tf_static"
        why = unknown.partition(";")[0] if "one frame_id" in unknown else why
        yield f"calibration from {RIG_BESIDE_BAG} beside the recording, {why}"
    for look in looks.values():
        yield from look.notes
        if look.frame.doubt:
            yield f"{look.label}: {look.frame.doubt}"
    yield from optical_doubts(frames, tree).values()
    for child, why in tree.left_out.items():
        yield f"a transform to {child} is left out: {why}"


class CameraLook(NamedTuple):
    """What the messages of one camera tell of its calibration.

    Attributes:
        label: The camera.
        topic: Of camera_info; empty where there is none.
        camera: By the camera_info that counts; None without a usable one.
        fits: Whether it is for images of the size that comes.
        frame: Of the images.
        size: Width and height of the images, px; None where it is not known.
        problem: Why the first camera_info cannot be used; empty if it can.
        notes: For people.
    """

    label: str
    topic: str
    camera: CameraModel | None
    fits: bool
    frame: CameraFrame
    size: tuple[int, int] | None
    problem: str
    notes: tuple[str, ...]


def _look_at_camera(bag: Bag, label: str, sources: Sources, reference: str) -> CameraLook:
    """Looks at the first images of a camera, and at its camera_info until one is usable and fits them."""
    topics = sources.cameras.get(label)
    topic = topics.info if topics else _lone_info(bag, reference)
    image_frame, size = _first_image(bag, topics.image) if topics else ("", None)
    choice = InfoChoice(label)
    info_frame, seen = "", -1
    for payload in bag.payloads([topic]) if topic else ():
        digest = zlib.crc32(memoryview(payload.data)[_AFTER_STAMP:])
        if digest == seen:
            continue
        seen = digest
        try:
            message = bag.deserialise(payload)
            choice.offer(message)
        except MsdepthError:
            continue
        info_frame = info_frame or str(message.header.frame_id)
        if choice.fitting(size) is not None:
            break
    notes = tuple(f"{topic}: {note}" for note in choice.notes(size))
    camera = choice.fitting(size) or choice.first
    frame = camera_frame(image_frame, info_frame)
    return CameraLook(label, topic, camera, choice.fitting(size) is not None, frame, size, choice.problem, notes)


def _first_image(bag: Bag, topic: str) -> tuple[str, tuple[int, int] | None]:
    """Frame id and size of a camera's images, by the first that tells them."""
    frame = ""
    for payload in itertools.islice(bag.payloads([topic]), _LOOK_AT_IMAGES):
        try:
            message = bag.deserialise(payload)
        except MsdepthError:
            continue
        frame = frame or str(message.header.frame_id)
        size = image_size(message)
        if size is not None:
            return frame, size
    return frame, None


def _lone_info(bag: Bag, reference: str) -> str:
    """The camera_info of a reference camera whose images were not recorded."""
    return find_camera_info(bag, f"/{reference}/image")


def _camera(bag: Bag, look: CameraLook, file_rig: Rig | None) -> CameraModel:
    """One camera's intrinsics."""
    label, camera = look.label, look.camera
    known = None if file_rig is None else file_rig.cameras.get(label)
    if file_rig is not None and known is None:
        raise MsdepthError(f"the rig file has no camera {label}, which bag {bag.path} needs; add it, or --drop {label}")
    if camera is None or (known and not look.fits and look.size == (known.width, known.height)):
        if known:
            return known
        if look.problem:
            raise MsdepthError(f"bag {bag.path}, topic {look.topic}: {look.problem}")
        raise MsdepthError(
            f"bag {bag.path} has no camera_info of {label}; name its topic with --camera-info {label}=TOPIC, give "
            f"a rig file with --rig, or leave the camera out with --drop {label}"
        )
    if known and (known.width, known.height) != (camera.width, camera.height):
        raise MsdepthError(
            f"bag {bag.path}, topic {look.topic}: camera_info is for {camera.width} x {camera.height}, the rig file "
            f"for {known.width} x {known.height}; give the calibration of the recorded size"
        )
    return camera
