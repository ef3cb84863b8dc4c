"""Turn a recording into what camera drivers publish: raw images with their camera_info, in order of capture."""

from __future__ import annotations

import heapq
import itertools
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rosbags.typesys.store import Typestore

from msdepth_ros.bags.bag import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, Bag, ros2_typestore
from msdepth_ros.bags.images import decode_image
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.results.instants import camera_period_ns

TRUTH = "ground_truth"
STAMP_PLACE = 4  # after the encapsulation
HEADER_STAMP = ((STAMP_PLACE, 0),)
_REORDER_NS = 500_000_000  # recordings are in order of arrival; cameras differ in delay by less than this


@dataclass(frozen=True)
class PlaybackConfig:
    """What to play.

    Attributes:
        bag: The recording.
        spectra: The cameras wanted; each must be in the bag.
        prefix: What precedes the topic names in the bag, for example `/vehicle`.
        duration_ns: Play only this much from the start, in whole instants; None plays all.
        loop: Start again at the end, for ever.
    """

    bag: Path
    spectra: tuple[str, ...] = SPECTRA
    prefix: str = ""
    duration_ns: int | None = None
    loop: bool = False


class Source(NamedTuple):
    """One camera of the recording, or its ground truth.

    Attributes:
        name: The spectrum, or `ground_truth`.
        image_topic: Topic of the images in the bag.
        info_topic: Topic of the camera_info in the bag.
        live_image: Topic to publish raw images on.
        live_info: Topic to publish camera_info on.
    """

    name: str
    image_topic: str
    info_topic: str
    live_image: str
    live_info: str


class Outgoing(NamedTuple):
    """One message to publish.

    Attributes:
        topic: Where to.
        data: The serialized message.
        stamps: Places of its stamps in the data, and how much later than the packet each is, ns.
    """

    topic: str
    data: bytearray
    stamps: tuple[tuple[int, int], ...]


class Packet(NamedTuple):
    """Messages that leave together.

    Attributes:
        stamp_ns: When they are due, on the bag's clock; later passes of a loop continue it.
        name: The camera, or the topic.
        messages: In the order in which they are published.
        loop_ns: What later passes of a loop added to the time.
    """

    stamp_ns: int
    name: str
    messages: tuple[Outgoing, ...]
    loop_ns: int = 0

    @property
    def size_bytes(self) -> int:
        """Memory that the messages take."""
        return sum(len(message.data) for message in self.messages)


def find_sources(bag: Bag, config: PlaybackConfig) -> list[Source]:
    """The cameras to play, and the ground truth if the bag has any.

    Raises:
        MsdepthError: A wanted camera is not in the bag.
    """
    topics = bag.topics
    sources = []
    for spectrum in config.spectra:
        base = f"{config.prefix}/{spectrum}"
        raw, compressed = f"{base}/image", f"{base}/image/compressed"
        image_topic = raw if raw in topics else compressed
        bag.require({image_topic: (IMAGE, COMPRESSED_IMAGE), f"{base}/camera_info": (CAMERA_INFO,)})
        info = f"{base}/camera_info"
        sources.append(Source(spectrum, image_topic, info, f"{spectrum}/image", f"{spectrum}/camera_info"))
    truth, truth_info = f"{config.prefix}/{TRUTH}/depth", f"{config.prefix}/{TRUTH}/camera_info"
    if truth in topics:
        bag.require({truth: (IMAGE, COMPRESSED_IMAGE), truth_info: (CAMERA_INFO,)})
        sources.append(Source(TRUTH, truth, truth_info, f"{TRUTH}/depth", f"{TRUTH}/camera_info"))
    return sources


def read_packets(config: PlaybackConfig) -> Iterator[Packet]:
    """Images of a recording with the latest camera_info of their camera, in order of their stamps."""
    with Bag(config.bag) as bag:
        sources = find_sources(bag, config)
        infos = {source.info_topic: next(bag.messages([source.info_topic])).message for source in sources}
        length_ns = _whole_instants_ns(bag, sources, config.duration_ns)
        offset_ns = 0
        while True:
            stamps: list[tuple[int, str]] = []
            for packet in in_order(_one_pass(bag, sources, infos, length_ns), _REORDER_NS):
                if length_ns is not None and stamps and packet.stamp_ns - stamps[0][0] >= length_ns:
                    break
                stamps.append((packet.stamp_ns, packet.name))
                yield packet._replace(stamp_ns=packet.stamp_ns + offset_ns, loop_ns=offset_ns)
            if not config.loop:
                return
            period_ns = camera_period_ns(stamps)
            ticks = round((stamps[-1][0] - stamps[0][0]) / period_ns)  # whole ones: cameras differ by a part of one
            offset_ns += (ticks + 1) * period_ns


def _whole_instants_ns(bag: Bag, sources: list[Source], duration_ns: int | None) -> int | None:
    """A duration that ends between two instants, where no camera's image lies."""
    if duration_ns is None:
        return None
    most = max(bag.topics[source.image_topic].message_count for source in sources)
    period_ns = max(1.0, bag.duration_ns / max(1, most - 1))
    return int((max(1, round(duration_ns / period_ns)) - 0.5) * period_ns)


def _one_pass(bag: Bag, sources: list[Source], infos: dict[str, Any], length_ns: int | None) -> Iterator[Packet]:
    """Images in order of recording; a little more than the length, since they are not in order of stamps yet."""
    types = ros2_typestore()
    by_topic = {source.image_topic: source for source in sources}
    stop_ns = None if length_ns is None else length_ns + _REORDER_NS
    for topic, stamp_ns, message in bag.messages([*by_topic, *infos], duration_ns=stop_ns):
        if topic in infos:
            infos[topic] = message
        if topic in by_topic:
            source = by_topic[topic]
            image = serialise_image(types, topic, message)
            info = bytearray(types.serialize_cdr(infos[source.info_topic], CAMERA_INFO))
            # camera_info goes first, so that it is there when the image is.
            messages = (
                Outgoing(source.live_info, info, HEADER_STAMP),
                Outgoing(source.live_image, image, HEADER_STAMP),
            )
            yield Packet(stamp_ns, source.name, messages)


def serialise_image(types: Typestore, topic: str, message: Any) -> bytearray:
    """The raw sensor_msgs/Image of a raw or compressed one, serialized.

    Args:
        types: Where the message classes come from.
        topic: Where the message came from, for error texts.
        message: A sensor_msgs/Image or CompressedImage.
    """
    decoded, encoding = decode_image(topic, message)
    pixels = np.ascontiguousarray(decoded)
    image = types.types[IMAGE](
        header=message.header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.view(np.uint8).reshape(-1),
    )
    return bytearray(types.serialize_cdr(image, IMAGE))


def put_stamp(payload: bytearray, stamp_ns: int, place: int = STAMP_PLACE) -> None:
    """Writes a new stamp into a serialized message, by default into the header that is its first field."""
    seconds, nanoseconds = divmod(max(0, stamp_ns), 1_000_000_000)
    struct.pack_into("<iI" if payload[1] & 1 else ">iI", payload, place, seconds, nanoseconds)


def in_order(packets: Iterable[Packet], window_ns: int) -> Iterator[Packet]:
    """Sort packets by stamp, looking no further ahead than a window of time."""
    waiting: list[tuple[int, int, Packet]] = []
    count = itertools.count()
    for packet in packets:
        heapq.heappush(waiting, (packet.stamp_ns, next(count), packet))
        while waiting and packet.stamp_ns - waiting[0][0] > window_ns:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def parse_spectra(text: str, known: Collection[str] = SPECTRA) -> tuple[str, ...]:
    """Spectra from a comma-separated list.

    Raises:
        MsdepthError: An unknown name, or none at all.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise MsdepthError(f"spectra {text!r}: give a comma-separated choice of {', '.join(known)}")
    return names
