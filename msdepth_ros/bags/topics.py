"""Which topics of a recording are the cameras, their camera_info and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from msdepth_ros.bags.bag import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, Bag
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA

POINTS = "sensor_msgs/msg/PointCloud2"
TRUTH = "ground_truth"
_IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_TRUTH_TYPES = (*_IMAGE_TYPES, POINTS)
_TRANSPORTS = ("compressedDepth", "compressed")
_TRUTH_NAMES = ("depth", "points")


class CameraTopics(NamedTuple):
    """Topics of one camera, or of a ground truth.

    Attributes:
        image: Raw or compressed images, or points.
        info: camera_info; empty where there is none.
    """

    image: str
    info: str


@dataclass(frozen=True)
class Sources:
    """What of a recording is used.

    Attributes:
        cameras: By spectrum, in canonical order.
        truth: None without ground truth.
    """

    cameras: Mapping[str, CameraTopics]
    truth: CameraTopics | None

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that is read."""
        parts = [*self.cameras.values(), *([self.truth] if self.truth else [])]
        return tuple(topic for part in parts for topic in part if topic)


def base_topic(topic: str) -> str:
    """The topic without the name of its image transport.

    >>> base_topic("/rgb/image/compressed")
    '/rgb/image'
    """
    head, _, last = topic.rpartition("/")
    return head if last in _TRANSPORTS else topic


def find_camera_info(bag: Bag, image_topic: str) -> str:
    """The camera_info beside an image topic, as image_transport names it; empty if the bag has none."""
    topic = f"{base_topic(image_topic).rpartition('/')[0]}/camera_info"
    there = bag.topics.get(topic)
    return topic if there and there.msgtype == CAMERA_INFO and there.message_count else ""


def find_camera(bag: Bag, spectrum: str, *, compressed: bool = False) -> str | None:
    """The image topic of a spectrum, found by its name.

    A segment of the topic must be the spectrum, or a part of it between underscores (`/rgb/image_raw`,
    `/flir_thermal/image`); depth, confidences and rectified images do not count.

    Args:
        bag: An open recording.
        spectrum: Of the camera.
        compressed: Of an image that is there in both ways, take the compressed one instead of the raw one.

    Returns:
        None if there is none.

    Raises:
        MsdepthError: Several cameras fit equally well.
    """
    found: dict[str, list[str]] = {}
    for topic, summary in bag.topics.items():
        segments = base_topic(topic).strip("/").split("/")
        named = any(segment == spectrum or spectrum in segment.split("_") for segment in segments)
        other = {TRUTH, "depth", "confidence"} & set(segments) or "rect" in segments[-1] or topic.endswith("Depth")
        if named and not other and summary.msgtype in _IMAGE_TYPES and summary.message_count:
            found.setdefault(base_topic(topic), []).append(topic)
    exact = {base: topics for base, topics in found.items() if base == f"/{spectrum}/image"}
    bases = exact or found
    if len(bases) > 1:
        raise MsdepthError(
            f"bag {bag.path} has several image topics for {spectrum}: {', '.join(sorted(bases))}; "
            f"choose one with --topic {spectrum}=TOPIC"
        )
    choose = max if compressed else min
    return choose(next(iter(bases.values())), key=len) if bases else None


def find_truth(bag: Bag) -> str | None:
    """The ground truth where the recording follows our names: `[/...]/ground_truth/{depth,points}[/transport]`."""
    for topic, summary in bag.topics.items():
        segments = base_topic(topic).split("/")
        named = len(segments) > 2 and segments[-2] == TRUTH and segments[-1] in _TRUTH_NAMES
        if named and summary.msgtype in _TRUTH_TYPES and summary.message_count:
            return topic
    return None


def find_sources(
    bag: Bag,
    spectra: tuple[str, ...] = SPECTRA,
    *,
    images: Mapping[str, str] | None = None,
    infos: Mapping[str, str] | None = None,
    ground_truth: str | None = None,
    compressed: bool = False,
) -> Sources:
    """Finds what to evaluate in a recording.

    Args:
        bag: An open recording.
        spectra: Cameras that may be used; those that are not in the bag are left out.
        images: Image topics by spectrum, where their names do not tell.
        infos: camera_info topics by spectrum, where they are not beside the images.
        ground_truth: Its topic; None takes one that has our name, empty takes none.
        compressed: As for `find_camera`.

    Raises:
        MsdepthError: A named topic is not there or of another type, or there is no camera at all.
    """
    images, infos = images or {}, infos or {}
    bag.require(dict.fromkeys(images.values(), _IMAGE_TYPES))
    bag.require(dict.fromkeys(infos.values(), (CAMERA_INFO,)))
    cameras = {}
    for spectrum in spectra:
        topic = images.get(spectrum) or find_camera(bag, spectrum, compressed=compressed)
        if topic is not None:
            cameras[spectrum] = CameraTopics(topic, infos.get(spectrum) or find_camera_info(bag, topic))
    if not cameras:
        raise _no_camera(bag, spectra)
    if ground_truth:
        bag.require({ground_truth: _TRUTH_TYPES})
    truth = find_truth(bag) if ground_truth is None else ground_truth
    return Sources(cameras, CameraTopics(truth, find_camera_info(bag, truth)) if truth else None)


def _no_camera(bag: Bag, spectra: tuple[str, ...]) -> MsdepthError:
    """The error for a recording in which no topic has a telling name."""
    there = ", ".join(f"{name} ({summary.msgtype})" for name, summary in bag.topics.items()) or "nothing"
    return MsdepthError(
        f"bag {bag.path} has no image topic named after {', '.join(spectra)}; it holds {there}. "
        "Name them, for example --topic rgb=/camera/image_raw"
    )
