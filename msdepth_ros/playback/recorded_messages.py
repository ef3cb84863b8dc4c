"""Turns a recording into messages to publish as they were recorded: every topic, in order of recording."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msdepth_ros.bags.bag import COMPRESSED_IMAGE, IMAGE, TF_MESSAGE, Bag, Payload, ros2_typestore
from msdepth_ros.bags.message_types import begins_with_header, payload_stamp_ns
from msdepth_ros.bags.qos import RecordedQos, recorded_qos
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.playback.camera_messages import STAMP_PLACE, Outgoing, Packet, serialise_image

CLOCK_TOPIC = "/clock"
_COMPRESSED = "/compressed"
_TRANSFORM_BYTES = 56  # seven numbers of double precision


@dataclass(frozen=True)
class RecordedConfig:
    """What to play.

    Attributes:
        bag: The recording.
        topics: Those wanted; None for all that can be played.
        raw: Decode JPEG and PNG and publish them as raw images.
        start_ns: Leave out what was recorded earlier, from the start of the recording; latched topics excepted.
        duration_ns: Play only this much; None plays all.
        loop: Start again at the end, for ever.
    """

    bag: Path
    topics: tuple[str, ...] | None = None
    raw: bool = False
    start_ns: int = 0
    duration_ns: int | None = None
    loop: bool = False


class Track(NamedTuple):
    """One topic to play.

    Attributes:
        topic: In the bag.
        live: Where it is published.
        msgtype: What is published.
        qos: How to offer it.
        decode: Whether images are decoded on the way.
    """

    topic: str
    live: str
    msgtype: str
    qos: RecordedQos
    decode: bool


def find_tracks(bag: Bag, config: RecordedConfig) -> list[Track]:
    """The topics to play; those without messages are left out.

    Raises:
        MsdepthError: A wanted topic is not there, two would be published on one, or there is none.
    """
    wanted = bag.topics if config.topics is None else config.topics
    bag.require({name: (bag.topics[name].msgtype,) if name in bag.topics else () for name in config.topics or ()})
    tracks = []
    for topic in wanted:
        msgtype, count = bag.topics[topic]
        decode = config.raw and msgtype == COMPRESSED_IMAGE and topic.endswith(_COMPRESSED)
        live, msgtype = (topic.removesuffix(_COMPRESSED), IMAGE) if decode else (topic, msgtype)
        if count:
            qos = recorded_qos(topic, bag.offered_qos(topic), count)
            tracks.append(Track(topic, live, msgtype, qos, decode))
    for track in tracks:
        if track.decode and track.live in wanted:
            raise MsdepthError(f"bag {bag.path} has {track.live} raw and compressed; choose one with --topics")
    if not tracks:
        raise MsdepthError(f"bag {bag.path} has no messages: there is nothing to play")
    return tracks


def read_recorded(config: RecordedConfig, tracks: list[Track]) -> Iterator[Packet]:
    """Messages of a recording in order of recording, pass after pass in a loop."""
    with Bag(config.bag) as bag:
        by_topic = {track.topic: track for track in tracks}
        headers = {name: begins_with_header(bag.typestore(name), bag.topics[name].msgtype) for name in by_topic}
        begin_ns = bag.start_ns + config.start_ns
        end_ns = bag.end_ns + 1 if config.duration_ns is None else begin_ns + config.duration_ns
        if begin_ns > bag.end_ns:
            raise MsdepthError(
                f"bag {config.bag} has only {bag.duration_ns * 1e-9:.1f} s; nothing is left after --start"
            )
        loop_ns = 0
        while True:
            last_ns = None
            for payload in _pass(bag, by_topic, begin_ns if config.start_ns else None, end_ns):
                last_ns = max(payload.log_ns, begin_ns)
                track, due_ns = by_topic[payload.topic], last_ns
                yield Packet(due_ns + loop_ns, track.topic, (_outgoing(payload, track, headers, due_ns),), loop_ns)
            if last_ns is None:
                raise MsdepthError(f"bag {config.bag}: nothing was recorded in the time that is to be played")
            if not config.loop:
                return
            loop_ns += last_ns - begin_ns + _mean_step_ns(bag)


def _pass(bag: Bag, tracks: dict[str, Track], begin_ns: int | None, end_ns: int) -> Iterator[Payload]:
    """One pass; first what was latched before it begins, since a player that had played it would still offer it."""
    latched = [name for name, track in tracks.items() if track.qos.latched]
    if begin_ns is not None and latched:
        yield from bag.payloads(latched, stop_ns=begin_ns)
    yield from bag.payloads(list(tracks), start_ns=begin_ns, stop_ns=end_ns)


def _mean_step_ns(bag: Bag) -> int:
    """Between the last message and the first of the next pass: the mean interval of the busiest topic."""
    most = max(summary.message_count for summary in bag.topics.values())
    return max(1, bag.duration_ns // max(1, most - 1))


def _outgoing(payload: Payload, track: Track, headers: dict[str, bool], due_ns: int) -> Outgoing:
    """A message, with the places of its stamps."""
    data = bytearray(payload.data)
    if track.decode:
        types = ros2_typestore()
        try:
            message = types.deserialize_cdr(payload.data, COMPRESSED_IMAGE)
        except Exception as error:  # rosbags raises whatever the bytes lead to
            raise MsdepthError(f"{track.topic}: a message at {payload.log_ns} ns is damaged: {error}") from error
        data = serialise_image(types, track.topic, message)
    places: tuple[int, ...] = ()
    if headers[track.topic] and len(data) >= STAMP_PLACE + 8:
        places = (STAMP_PLACE,)
    elif track.msgtype == TF_MESSAGE:
        places = transform_stamps(bytes(data))
    stamps = tuple((place, payload_stamp_ns(bytes(data[:4] + data[place : place + 8])) - due_ns) for place in places)
    return Outgoing(track.live, data, stamps)


def transform_stamps(data: bytes) -> tuple[int, ...]:
    """Where the stamps of a serialized tf2_msgs/TFMessage are; none beyond what is damaged."""
    order = "<" if data[1:2] == b"\1" else ">"
    places = []
    at = STAMP_PLACE + 4
    try:
        for _ in range(struct.unpack_from(f"{order}I", data, STAMP_PLACE)[0]):
            at += -at % 4
            place, at = at, at + 8
            for _ in range(2):  # the frame and the child frame
                at += -at % 4
                at += 4 + int(struct.unpack_from(f"{order}I", data, at)[0])
            at += -(at - STAMP_PLACE) % 8 + _TRANSFORM_BYTES
            if at > len(data):
                break
            places.append(place)
    except struct.error:  # deserialising it would say what is wrong; here it is passed on as it is
        return tuple(places)
    return tuple(places)
