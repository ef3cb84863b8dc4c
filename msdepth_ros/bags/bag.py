"""Read rosbag2 recordings without ROS, whole or damaged, and notice when something is missing.

The storage files themselves are read, and what they hold is compared with what metadata.yaml promises. So a recording
without metadata, one whose QoS is written differently in two places, or one whose recorder was killed gives what it
has; and one that lost messages does not pass for whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from msdepth_ros.bags.decompress import ZSTD_START, unpack
from msdepth_ros.bags.files import find_files, open_files
from msdepth_ros.bags.message_types import ros2_typestore, stamp_of, typestore_for
from msdepth_ros.bags.metadata import Metadata
from msdepth_ros.bags.storage import INDEX, Channel, Storage
from msdepth_ros.core.errors import MsdepthError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
SEVERAL_TYPES = "several types"
CLOCK_GAP_NS = 86_400_000_000_000
"""No recording pauses for a day: before such a gap the recorder did not know the time."""
ZERO_GAP_NS = 10_000_000_000
"""The same for messages that were recorded at time 0."""
BROKEN_PROMISE = "does not hold what its metadata.yaml promises"
ACCEPT_LOSS = "copy it again, or accept the loss: `ros2 bag reindex`, or move metadata.yaml away"

__all__ = ["Bag", "BagMessage", "Payload", "TopicSummary", "ros2_typestore", "stamp_of"]


class TopicSummary(NamedTuple):
    """What a bag holds of one topic."""

    msgtype: str
    message_count: int


class BagMessage(NamedTuple):
    """One message.

    Attributes:
        topic: Its topic.
        stamp_ns: The header's stamp, or the time of recording for messages without a header.
        message: The message, built by rosbags.
    """

    topic: str
    stamp_ns: int
    message: Any


class Payload(NamedTuple):
    """One message as it was recorded.

    Attributes:
        topic: Its topic.
        log_ns: When it was recorded.
        data: The serialized message.
    """

    topic: str
    log_ns: int
    data: bytes


class Bag:
    """A recording, open for reading.

    Args:
        path: The bag's folder, or one `.mcap` or `.db3` file.
        partial: Read what is there, also where metadata.yaml promises more.

    Attributes:
        remarks: What is worth telling of a recording that can be read all the same.

    Raises:
        MsdepthError: On opening, if the path is not a readable rosbag2.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        """Remember the path; nothing is opened yet."""
        self.path, self._partial = path, partial
        self.remarks: tuple[str, ...] = ()
        self._stack: ExitStack | None = None
        self._storages: list[Storage] = []
        self._index: NDArray[Any] = np.empty(0, INDEX)
        self._times_ns: NDArray[np.int64] = np.empty(0, np.int64)
        self._early = ""
        self._file_of: NDArray[np.int32] = np.empty(0, np.int32)
        self._topic_of: NDArray[np.int32] = np.empty(0, np.int32)
        self._channels: dict[str, list[Channel]] = {}
        self._topics: dict[str, TopicSummary] = {}
        self._promised: Mapping[str, int] = {}
        self._qos: Mapping[str, str] = {}

    def __enter__(self) -> Bag:
        """Open the bag and read its table of contents."""
        with ExitStack() as stack:
            try:
                files, metadata = find_files(self.path)
                self._storages = open_files(files, stack)
            except MsdepthError as error:
                text = str(error)
                separator = " " if text.split()[0] in ("does", "holds", "lacks") else ": "
                raise MsdepthError(f"bag {self.path}{separator}{text}") from error
            self._take_index()
            self._promised, self._qos = (metadata.counts, metadata.qos) if metadata else ({}, {})
            self._take_topics(metadata)
            self.remarks = tuple(self._remarks())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Closes the files, however often it is called."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None

    @property
    def file_count(self) -> int:
        """Number of its storage files."""
        return len(self._storages)

    @property
    def topics(self) -> dict[str, TopicSummary]:
        """Type and number of messages of each topic, sorted by name."""
        self._opened()
        return self._topics

    @property
    def start_ns(self) -> int:
        """When the first message was recorded; 0 for an empty bag."""
        return int(self._opened_times()[0]) if len(self._index) else 0

    @property
    def end_ns(self) -> int:
        """When the last message was recorded; 0 for an empty bag."""
        return int(self._opened_times()[-1]) if len(self._index) else 0

    @property
    def duration_ns(self) -> int:
        """Time from the first to the last message, by the clock of the recording."""
        return self.end_ns - self.start_ns

    def times_ns(self, topic: str) -> NDArray[np.int64]:
        """When each message of a topic was recorded; nothing is read for it."""
        times: NDArray[np.int64] = self._opened_times()[self._topic_of == list(self._topics).index(topic)]
        return times

    def offered_qos(self, topic: str) -> str:
        """QoS profiles that a topic was published with, as YAML; empty where the recording does not say."""
        known = [channel.qos for channel in self._channels.get(topic, ())] + [self._qos.get(topic, "")]
        return next((text for text in known if text.strip() not in ("", "[]")), "")

    def require(self, wanted: Mapping[str, Collection[str]]) -> None:
        """Check that topics are there with an acceptable type, and with all messages that the metadata promises.

        Args:
            wanted: Accepted message types for each topic.

        Raises:
            MsdepthError: Names the bag, the topics that are missing and what is there instead.
        """
        topics = self.topics
        if not self._partial and (lost := self.lost([name for name in wanted if name in topics])):
            damage = (storage.damage for storage in self._storages if storage.damage)
            details = "; ".join([", ".join(lost), *damage])
            raise MsdepthError(f"bag {self.path} {BROKEN_PROMISE} (read of promised: {details}); {ACCEPT_LOSS}")
        missing = [name for name in wanted if name not in topics or not topics[name].message_count]
        if missing:
            there = ", ".join(f"{name} ({summary.message_count})" for name, summary in topics.items()) or "nothing"
            raise MsdepthError(
                f"bag {self.path} has no messages on {', '.join(missing)}; it holds {there}. "
                "Record these topics, or name the spectra and topics that the bag has"
            )
        for name, types in wanted.items():
            if topics[name].msgtype not in types:
                raise MsdepthError(
                    f"bag {self.path}: topic {name} is a {topics[name].msgtype}, expected {' or '.join(types)}"
                )

    def messages(self, topics: Collection[str], *, duration_ns: int | None = None) -> Iterator[BagMessage]:
        """Messages of the given topics in order of recording.

        Args:
            topics: The topics wanted; each must be in the bag.
            duration_ns: Stop this long after the start of the recording.

        Raises:
            MsdepthError: Damaged data; or fewer messages than the bag promises.
        """
        stop_ns = None if duration_ns is None else self.start_ns + duration_ns
        for payload in self.payloads(topics, stop_ns=stop_ns):
            message = self.deserialise(payload)
            yield BagMessage(payload.topic, stamp_of(message, payload.log_ns), message)

    def payloads(
        self, topics: Collection[str], *, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Payload]:
        """Serialized messages of the given topics in order of recording.

        Args:
            topics: The topics wanted; each must be in the bag.
            start_ns: Leave out what was recorded earlier.
            stop_ns: Leave out what was recorded at this time or later.

        Raises:
            MsdepthError: Damaged data; or fewer messages than the bag promises.
        """
        index = self._opened()
        self.require({name: (self.topics[name].msgtype,) if name in self.topics else () for name in topics})
        first = 0 if start_ns is None else int(np.searchsorted(self._times_ns, start_ns))
        last = len(index) if stop_ns is None else int(np.searchsorted(self._times_ns, stop_ns))
        names = list(self._topics)
        wanted = [number for number, name in enumerate(names) if name in topics]
        for place in np.flatnonzero(np.isin(self._topic_of[first:last], wanted)) + first:
            topic, log_ns = names[self._topic_of[place]], int(self._times_ns[place])
            try:
                data = self._storages[self._file_of[place]].message(index[place])
                data = unpack(data, "zstd") if data.startswith(ZSTD_START) else data
            except MsdepthError as error:
                raise MsdepthError(f"bag {self.path}: a message on {topic} at {log_ns} ns: {error}") from error
            yield Payload(topic, log_ns, data)

    def deserialise(self, payload: Payload) -> Any:
        """The message of a payload.

        Raises:
            MsdepthError: The bytes are not a message of the topic's type, or nothing describes that type.
        """
        store = self.typestore(payload.topic)
        try:
            return store.deserialize_cdr(payload.data, self.topics[payload.topic].msgtype)
        except Exception as error:  # rosbags raises whatever the bytes lead to
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MsdepthError(
                f"bag {self.path}: a message on {payload.topic} at {payload.log_ns} ns is damaged: {reason}"
            ) from error

    def typestore(self, topic: str) -> Typestore:
        """The types that are needed to read a topic."""
        try:
            return typestore_for(self._channels[topic])
        except MsdepthError as error:
            raise MsdepthError(f"bag {self.path}: topic {topic}: {error}") from error

    def _take_index(self) -> None:
        """Sorts the messages of all files by time of recording; equal times stay in the order of the files."""
        parts = [storage.index for storage in self._storages]
        index = np.concatenate([np.empty(0, INDEX), *parts])
        file_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        order = np.lexsort((index["offset"], index["block"], file_of, index["log_ns"]))
        self._index, self._file_of = index[order], file_of[order]
        self._times_ns, self._early = start_of_clock(self._index["log_ns"])

    def _take_topics(self, metadata: Metadata | None) -> None:
        """Counts the messages of each topic, and compares with what the metadata promises."""
        self._channels = {}
        for storage in self._storages:
            for channel in storage.channels.values():
                self._channels.setdefault(channel.topic, []).append(channel)
        types = {topic: {channel.msgtype for channel in channels} for topic, channels in self._channels.items()}
        for topic, msgtype in (metadata.types if metadata else {}).items():
            types.setdefault(topic, {msgtype})
        numbers = {topic: number for number, topic in enumerate(sorted(types))}
        self._topic_of = np.empty(len(self._index), np.int32)
        for file, storage in enumerate(self._storages):
            mine = self._file_of == file
            for number, channel in storage.channels.items():
                self._topic_of[mine & (self._index["channel"] == number)] = numbers[channel.topic]
        counts = np.bincount(self._topic_of, minlength=len(types)).tolist()
        self._topics = {
            topic: TopicSummary(next(iter(types[topic])) if len(types[topic]) == 1 else SEVERAL_TYPES, counts[number])
            for topic, number in numbers.items()
        }

    def _remarks(self) -> Iterator[str]:
        """What the storage files and the metadata tell."""
        if self._early:
            yield self._early
        for storage in self._storages:
            if storage.damage:
                yield f"{storage.damage}; what was recorded before is read"
        found = {topic: self._topics[topic].message_count for topic in self._promised}
        other = [f"{topic}: {found[topic]} instead of {n}" for topic, n in self._promised.items() if found[topic] != n]
        if other:
            yield f"the files hold other numbers of messages than metadata.yaml promises: {', '.join(other)}"

    def lost(self, topics: Collection[str]) -> list[str]:
        """Those of the topics of which the files hold less than the metadata promises, with the numbers."""
        known = {name: (self.topics[name].message_count, self._promised.get(name, 0)) for name in topics}
        return [f"{name}: {found} of {promised}" for name, (found, promised) in known.items() if found < promised]

    def _opened_times(self) -> NDArray[np.int64]:
        """When each message was recorded, in order."""
        self._opened()
        return self._times_ns

    def _opened(self) -> NDArray[Any]:
        """The index, or an error for the programmer."""
        if self._stack is None:
            raise MsdepthError(f"bag {self.path} is not open; use `with Bag(path) as bag:`")
        return self._index


def start_of_clock(log_ns: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
    """Brings messages that were recorded before the recorder knew the time to where the others begin.

    With --use-sim-time everything before the first /clock is recorded at time 0, and a computer without a battery
    counts from 1970 until it has found the time: years of nothing would follow.

    Args:
        log_ns: Times of recording [N], sorted.

    Returns:
        The times, and a remark that is empty where nothing was changed.
    """
    zeros = int(np.searchsorted(log_ns, 0, side="right"))
    gaps = np.flatnonzero(np.diff(log_ns) > CLOCK_GAP_NS)
    early = zeros or (int(gaps[0]) + 1 if len(gaps) else 0)
    if early in (0, len(log_ns)) or (not zeros and early * 2 > len(log_ns)):
        return log_ns, ""  # the last: a recording that was appended to
    gap_ns = int(log_ns[early] - log_ns[early - 1])
    if gap_ns < ZERO_GAP_NS:
        return log_ns, ""  # a simulation that begins at 0
    times = log_ns.copy()
    times[:early] = log_ns[early]
    when = "at time 0" if zeros else f"at {log_ns[0] * 1e-9:.1f} s after 1970"
    return times, (
        f"{early} messages were recorded {when}, {gap_ns * 1e-9:.0f} s before the others: the recorder did not know "
        "the time yet (with --use-sim-time: before the first /clock); they count as recorded when the others begin"
    )
