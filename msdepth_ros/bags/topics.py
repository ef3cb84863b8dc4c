"""Which topics of a recording are the cameras, their camera_info and the ground truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from msdepth_ros.bags.bag import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, Bag
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA, spectra_of_topic

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


def find_camera(bag: Bag, spectrum: str, *, compressed: bool = False, taken: Collection[str] = ()) -> str | None:
    """The image topic of a spectrum, found by its name.

    It must name this spectrum and no other, by `spectra_of_topic`; depth, confidences and rectified images do not
    count.

    Args:
        bag: An open recording.
        spectrum: Of the camera.
        compressed: Of an image that is there in both ways, take the compressed one instead of the raw one.
        taken: Topics that are those of other cameras.

    Returns:
        None if there is none.

    Raises:
        MsdepthError: Several topics fit equally well, or one fits several cameras.
    """
    found: dict[str, list[str]] = {}
    shared: dict[str, tuple[str, ...]] = {}
    others = {base_topic(topic) for topic in taken}
    for topic, summary in bag.topics.items():
        base = base_topic(topic)
        if not _is_camera_image(topic) or summary.msgtype not in _IMAGE_TYPES or not summary.message_count:
            continue
        named = spectra_of_topic(base)
        if named == (spectrum,):
            found.setdefault(base, []).append(topic)
        elif spectrum in named and base not in others:
            shared[topic] = named
    exact = {base: topics for base, topics in found.items() if base == f"/{spectrum}/image"}
    bases = exact or found
    if len(bases) > 1:
        raise MsdepthError(
            f"bag {bag.path} has several image topics for {spectrum}: {', '.join(sorted(bases))}; "
            f"choose one with --topic {spectrum}=TOPIC"
        )
    if shared and not bases:
        topic, named = next(iter(shared.items()))
        raise MsdepthError(
            f"bag {bag.path}: topic {topic} names {' and '.join(named)}, but one topic is one camera's; say whose it "
            f"is with --topic {spectrum}={topic}, or leave the camera out with --drop {spectrum}"
        )
    choose = max if compressed else min
    return choose(next(iter(bases.values())), key=len) if bases else None


def _is_camera_image(topic: str) -> bool:
    """Whether a topic may be what a camera sees, not what was computed of it."""
    segments = base_topic(topic).strip("/").split("/")
    computed = {TRUTH, "depth", "confidence"} & set(segments) or "rect" in segments[-1] or topic.endswith("Depth")
    return not computed


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
    transports: Mapping[str, str] | None = None,
) -> Sources:
    """Finds what to evaluate in a recording.

    Args:
        bag: An open recording.
        spectra: Cameras that may be used; those that are not in the bag are left out.
        images: Image topics by spectrum, where their names do not tell.
        infos: camera_info topics by spectrum, where they are not beside the images.
        ground_truth: Its topic; None takes one that has our name, empty takes none.
        transports: `raw` or `compressed` by spectrum, for images that are there in both ways; raw where not given.

    Raises:
        MsdepthError: A named topic is not there or of another type, two cameras have one, or there is no camera at all.
    """
    images, infos, transports = images or {}, infos or {}, transports or {}
    _check_distinct(images)
    bag.require(dict.fromkeys(images.values(), _IMAGE_TYPES))
    bag.require(dict.fromkeys(infos.values(), (CAMERA_INFO,)))
    cameras = {}
    for spectrum in spectra:
        compressed = transports.get(spectrum) == "compressed"
        topic = images.get(spectrum) or find_camera(bag, spectrum, compressed=compressed, taken=images.values())
        if topic is not None:
            cameras[spectrum] = CameraTopics(topic, infos.get(spectrum) or find_camera_info(bag, topic))
    if not cameras:
        raise _no_camera(bag, spectra)
    if ground_truth:
        bag.require({ground_truth: _TRUTH_TYPES})
    truth = find_truth(bag) if ground_truth is None else ground_truth
    return Sources(cameras, CameraTopics(truth, find_camera_info(bag, truth)) if truth else None)


def _check_distinct(images: Mapping[str, str]) -> None:
    """Refuses one topic for two cameras, raw and compressed included."""
    owners: dict[str, str] = {}
    for spectrum, topic in images.items():
        other = owners.setdefault(base_topic(topic), spectrum)
        if other != spectrum:
            raise MsdepthError(f"--topic: {topic} is given to {other} and to {spectrum}; one topic is one camera's")


def _no_camera(bag: Bag, spectra: tuple[str, ...]) -> MsdepthError:
    """The error for a recording in which no topic has a telling name."""
    there = ", ".join(f"{name} ({summary.msgtype})" for name, summary in bag.topics.items()) or "nothing"
    return MsdepthError(
        f"bag {bag.path} has no image topic named after {', '.join(spectra)}; it holds {there}. "
        "Name them, for example --topic rgb=/camera/image_raw"
    )
