"""Read rosbag2 recordings (MCAP or SQLite) without ROS, and notice when something is missing."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from msdepth_ros.core.errors import MsdepthError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"


class TopicSummary(NamedTuple):
    """What a bag says of one topic."""

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


@functools.cache
def ros2_typestore() -> Typestore:
    """Types of the messages that every supported distribution shares (none of ours changed since Humble)."""
    return get_typestore(Stores.ROS2_HUMBLE)


class Bag:
    """A recording, open for reading.

    Args:
        path: The bag's folder, or one `.mcap` or `.db3` file.

    Raises:
        MsdepthError: On opening, if the path is not a readable rosbag2.
    """

    def __init__(self, path: Path) -> None:
        """Remember the path; nothing is opened yet."""
        self.path = path
        self._reader: AnyReader | None = None
        self._topics: dict[str, TopicSummary] = {}

    def __enter__(self) -> Bag:
        """Open the bag and read its table of contents."""
        if not self.path.exists():
            raise MsdepthError(f"bag {self.path} does not exist; give the folder that holds metadata.yaml")
        if self.path.suffix == ".bag":
            raise MsdepthError(f"bag {self.path} is of ROS 1; convert it with rosbags-convert --src FILE --dst DIR")
        try:
            reader = AnyReader([self.path], default_typestore=ros2_typestore())
            reader.open()
            self._topics = {
                name: TopicSummary(info.msgtype or "several types", int(info.msgcount))
                for name, info in sorted(reader.topics.items())
            }
        except Exception as error:  # broken bytes make rosbags, apsw, ruamel.yaml and zstd raise whatever they like
            raise MsdepthError(
                f"bag {self.path} cannot be read: {_text(error)}; record or copy it again, or try `ros2 bag reindex`"
            ) from error
        self._reader = reader
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def topics(self) -> dict[str, TopicSummary]:
        """Type and number of messages of each topic, sorted by name."""
        self._opened()
        return self._topics

    @property
    def duration_ns(self) -> int:
        """Time from the first to the last message, by the clock of the recording."""
        return self._opened().duration

    def require(self, wanted: Mapping[str, Collection[str]]) -> None:
        """Check that topics are there with an acceptable type.

        Args:
            wanted: Accepted message types for each topic.

        Raises:
            MsdepthError: Names the bag, the topics that are missing and what is there instead.
        """
        topics = self.topics
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
            MsdepthError: Damaged data; or, at the end, another number of messages than the bag promised.
        """
        stop_ns = None if duration_ns is None else self.start_ns + duration_ns
        for payload in self.payloads(topics, stop_ns=stop_ns):
            message = self.deserialise(payload)
            yield BagMessage(payload.topic, stamp_of(message, payload.log_ns), message)

    @property
    def start_ns(self) -> int:
        """When the first message was recorded."""
        return int(self._opened().start_time)

    def payloads(
        self, topics: Collection[str], *, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Payload]:
        """Serialized messages of the given topics in order of recording.

        Args:
            topics: The topics wanted; each must be in the bag.
            start_ns: Leave out what was recorded earlier.
            stop_ns: Leave out what was recorded at this time or later.

        Raises:
            MsdepthError: Damaged data; or, for a whole recording, another number of messages than it promised.
        """
        reader = self._opened()
        self.require({name: (self.topics[name].msgtype,) if name in self.topics else () for name in topics})
        connections = [connection for connection in reader.connections if connection.topic in topics]
        counts: Counter[str] = Counter()
        stream = reader.messages(connections, start=start_ns, stop=stop_ns)
        while True:
            try:
                connection, log_ns, data = next(stream)
            except StopIteration:
                break
            except Exception as error:  # as on opening; nothing of ours runs in this block
                read = ", ".join(f"{name} {counts[name]}" for name in topics)
                raise MsdepthError(f"bag {self.path} is damaged after reading {read}: {_text(error)}") from error
            counts[connection.topic] += 1
            yield Payload(connection.topic, int(log_ns), data)
        if start_ns is None:  # a window may well be empty
            self._compare(counts, topics, whole=stop_ns is None)

    def deserialise(self, payload: Payload) -> Any:
        """The message of a payload.

        Raises:
            MsdepthError: The bytes are not a message of the topic's type.
        """
        try:
            return self._opened().deserialize(payload.data, self.topics[payload.topic].msgtype)
        except Exception as error:  # rosbags raises whatever the bytes lead to
            raise MsdepthError(
                f"bag {self.path}: a message on {payload.topic} at {payload.log_ns} ns is damaged: {_text(error)}"
            ) from error

    def _compare(self, counts: Counter[str], topics: Collection[str], *, whole: bool) -> None:
        """Fail loudly if the storage gave other numbers than the table of contents."""
        promised = {name: self.topics[name].message_count for name in topics}
        wrong = [name for name in topics if (counts[name] != promised[name] if whole else not counts[name])]
        if wrong and (whole or not sum(counts.values())):
            details = ", ".join(f"{name}: {counts[name]} of {promised[name]}" for name in wrong)
            raise MsdepthError(
                f"bag {self.path} does not hold what its metadata promises (read of promised: {details}); "
                "the recording is incomplete or its metadata.yaml does not fit the storage: try `ros2 bag reindex`"
            )

    def _opened(self) -> AnyReader:
        """The reader, or an error for the programmer."""
        if self._reader is None:
            raise MsdepthError(f"bag {self.path} is not open; use `with Bag(path) as bag:`")
        return self._reader


def stamp_of(message: Any, otherwise_ns: int) -> int:
    """Header stamp in nanoseconds, or `otherwise_ns` for a message without a header."""
    header = getattr(message, "header", None)
    return otherwise_ns if header is None else int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _text(error: BaseException) -> str:
    """One line for an error that may have none of its own."""
    return " ".join(str(error).split()) or type(error).__name__
