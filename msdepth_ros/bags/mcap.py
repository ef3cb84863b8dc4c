"""MCAP storage, read record by record: a file whose recorder was killed has no index at its end, but its messages.

Every record is stepped over once on opening; chunks are unpacked only where no index of their messages follows them.
The format is described at https://mcap.dev/spec.
"""

from __future__ import annotations

import os
import threading
import zlib
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags import mcap_records as mcap
from msdepth_ros.bags.decompress import MAX_BLOCK_BYTES, unpack
from msdepth_ros.bags.storage import INDEX, Channel
from msdepth_ros.core.errors import MsdepthError

_CACHE_BYTES = 8 << 20  # chunks overlap in time, so that a few are read at once, two at least
_CHUNK_START = 4096  # more than the head of any chunk
_UNCHUNKED = -1
_PAIR = np.dtype([("log_ns", "<u8"), ("offset", "<u8")])
_REPAIR = "copy it again, or try `mcap recover`"


class McapFile:
    """An open MCAP file; see `storage.Storage`.

    Args:
        path: The file.

    Raises:
        MsdepthError: It is damaged, or no recording of ROS 2.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and index its messages."""
        self.path = path
        self.damage = ""
        self._names = mcap.Names()
        self._chunks: list[mcap.ChunkHeader] = []
        self._indexes: dict[int, list[NDArray[Any]]] = {}
        self._loose = (array("q"), array("q"), array("q"))  # time, offset, channel of messages outside of chunks
        self._statistics: dict[int, int] = {}
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise MsdepthError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            self._scan(self._file, path.stat().st_size)
            self.index = self._build_index()
            self._find_names()
            self._check_statistics()
        except (MsdepthError, OSError, OverflowError) as error:
            self._file.close()
            raise MsdepthError(f"{path}: {error}; {_REPAIR}") from error

    @property
    def channels(self) -> dict[int, Channel]:
        """By number."""
        return self._names.channels

    def message(self, entry: Any) -> bytes:
        """The serialized message of an entry of the index."""
        offset, number = int(entry["offset"]), int(entry["block"])
        try:
            if number != _UNCHUNKED:
                return self._checked(self._chunk(number), offset, entry)
            head = os.pread(self._file.fileno(), mcap.RECORD.size, offset)
            length = mcap.RECORD.unpack(head)[1] if len(head) == mcap.RECORD.size else 0
            if length > MAX_BLOCK_BYTES:
                raise MsdepthError(f"the message at byte {offset} has {length} bytes, more than any has")
            return self._checked(head + os.pread(self._file.fileno(), length, offset + len(head)), 0, entry)
        except MsdepthError as error:
            raise MsdepthError(f"{self.path.name}: {error}; {_REPAIR}") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        self._cache.clear()

    def _checked(self, data: bytes, at: int, entry: Any) -> bytes:
        """The content of a message record, if it is the one that the index means."""
        start = at + mcap.RECORD.size
        body = start + mcap.MESSAGE_HEADER.size
        if body <= len(data):
            kind, length = mcap.RECORD.unpack_from(data, at)
            channel, _, log_ns, _ = mcap.MESSAGE_HEADER.unpack_from(data, start)
            fits = body <= start + length <= len(data)
            if kind == mcap.MESSAGE and fits and (channel, log_ns) == (entry["channel"], entry["log_ns"]):
                return data[body : start + length]
        raise MsdepthError("there is no message where its index says")

    def _scan(self, file: BinaryIO, size: int) -> None:
        """Steps over all records."""
        if not mcap.MAGIC.startswith(file.read(len(mcap.MAGIC))):
            raise MsdepthError("is no MCAP file")
        at, kind = len(mcap.MAGIC), 0
        while kind != mcap.FOOTER:
            file.seek(at)
            head = file.read(mcap.RECORD.size)
            kind, length = mcap.RECORD.unpack(head) if len(head) == mcap.RECORD.size else (0, 0)
            start = at + len(head)
            if not (0 < kind <= mcap.LAST_OPCODE or kind >= mcap.PRIVATE) or start + length > size:
                file.seek(max(0, size - len(mcap.MAGIC)))
                if size > len(mcap.MAGIC) and file.read() == mcap.MAGIC:
                    raise MsdepthError(f"the record at byte {at} makes no sense")
                self.damage = f"{self.path.name} was cut off: it ends within the record at byte {at}"
                return
            self._note(file, kind, start, length)
            at = start + length

    def _note(self, file: BinaryIO, kind: int, start: int, length: int) -> None:
        """Takes from a record what is needed; the file is at its first byte."""
        if kind == mcap.MESSAGE:
            head = file.read(mcap.MESSAGE_HEADER.size) if length >= mcap.MESSAGE_HEADER.size else b""
            if not head:
                raise MsdepthError(f"the message at byte {start} has only {length} bytes")
            channel, _, log_ns, _ = mcap.MESSAGE_HEADER.unpack(head)
            for column, value in zip(self._loose, (log_ns, start - mcap.RECORD.size, channel), strict=True):
                column.append(value)
        elif kind == mcap.CHUNK:
            self._chunks.append(mcap.chunk_header(file.read(min(length, _CHUNK_START)), start, length))
        elif kind in (mcap.HEADER, mcap.SCHEMA, mcap.CHANNEL, mcap.MESSAGE_INDEX, mcap.STATISTICS):
            if length > MAX_BLOCK_BYTES:
                raise MsdepthError(f"the record at byte {start} has {length} bytes, more than any has")
            content = file.read(length)
            if kind == mcap.MESSAGE_INDEX and self._chunks:
                self._note_index(content)
            elif kind == mcap.STATISTICS:
                self._statistics = mcap.message_counts(content)
            elif kind == mcap.HEADER and mcap.Fields(content).text() == "ros1":
                raise MsdepthError("holds messages of ROS 1; convert the original with rosbags-convert")
            else:
                self._names.add(kind, content)

    def _note_index(self, content: bytes) -> None:
        """Takes the index of one channel in the chunk before it."""
        fields = mcap.Fields(content)
        channel, block = fields.number(2), fields.block()
        pairs = np.frombuffer(block[: len(block) // _PAIR.itemsize * _PAIR.itemsize], _PAIR)
        entries = np.empty(len(pairs), INDEX)
        entries["log_ns"], entries["offset"] = pairs["log_ns"], pairs["offset"]
        entries["block"], entries["channel"] = len(self._chunks) - 1, channel
        self._indexes.setdefault(len(self._chunks) - 1, []).append(entries)

    def _build_index(self) -> NDArray[Any]:
        """All messages in the order in which they lie in the file."""
        if self.damage and self._chunks:
            self._indexes.pop(len(self._chunks) - 1, None)  # it may be cut off, too
        parts = [np.empty(0, INDEX)]
        for number in range(len(self._chunks)):
            found = self._indexes.pop(number, None)
            parts.append(self._unpacked_index(number) if found is None else np.concatenate(found))
        loose = np.empty(len(self._loose[0]), INDEX)
        loose["log_ns"], loose["offset"], loose["channel"] = self._loose
        loose["block"] = _UNCHUNKED
        index = np.concatenate([*parts, loose])
        if (index["log_ns"] < 0).any() or (index["offset"] < 0).any():
            raise MsdepthError("its index of messages is damaged")
        return index

    def _unpacked_index(self, number: int) -> NDArray[Any]:
        """The index of a chunk that has none."""
        rows = []
        for kind, at, content in mcap.records(self._chunk(number)):
            if kind == mcap.MESSAGE:
                if len(content) < mcap.MESSAGE_HEADER.size:
                    raise MsdepthError("a message in a chunk has no head")
                channel, _, log_ns, _ = mcap.MESSAGE_HEADER.unpack(content)
                rows.append((log_ns, at, number, channel))
            self._names.add(kind, content)
        return np.array(rows, INDEX)

    def _find_names(self) -> None:
        """Unpacks chunks until every channel is known; a summary at the end of the file spares that."""
        needed = set(np.unique(self.index["channel"]).tolist())
        for number in range(len(self._chunks)):
            if needed <= self.channels.keys():
                return
            for kind, _, content in mcap.records(self._chunk(number)):
                self._names.add(kind, content)
        if not needed <= self.channels.keys():
            raise MsdepthError(f"it does not describe its channels {sorted(needed - self.channels.keys())}")

    def _check_statistics(self) -> None:
        """Compares the index with the statistics, if there are any."""
        found = dict(
            zip(*(part.tolist() for part in np.unique(self.index["channel"], return_counts=True)), strict=True)
        )
        for channel, promised in self._statistics.items():
            if found.get(channel, 0) != promised:
                topic = self.channels[channel].topic if channel in self.channels else f"channel {channel}"
                raise MsdepthError(f"{topic} should have {promised} messages, its index has {found.get(channel, 0)}")

    def _chunk(self, number: int) -> bytes:
        """The records of a chunk."""
        with self._lock:
            if number not in self._cache:
                self._cache[number] = self._unpack(self._chunks[number])
                while len(self._cache) > 2 and sum(map(len, self._cache.values())) > _CACHE_BYTES:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(number)
            return self._cache[number]

    def _unpack(self, chunk: mcap.ChunkHeader) -> bytes:
        """Reads, unpacks and checks a chunk."""
        data = os.pread(self._file.fileno(), chunk.size, chunk.offset)
        try:
            if len(data) != chunk.size:
                raise MsdepthError("it is cut off")
            unpacked = unpack(data, chunk.compression, chunk.unpacked_size)
            if chunk.crc and zlib.crc32(unpacked) != chunk.crc:
                raise MsdepthError("its checksum is wrong")
        except MsdepthError as error:
            raise MsdepthError(f"chunk at byte {chunk.offset}: {error}") from error
        return unpacked
