"""Records of an MCAP file: what their fields mean. Nothing is read beyond the end of a record."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from msdepth_ros.bags.storage import Channel, type_name
from msdepth_ros.core.errors import MsdepthError

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX = 1, 2, 3, 4, 5, 6, 7
STATISTICS, LAST_OPCODE, PRIVATE = 0x0B, 0x0F, 0x80
RECORD = struct.Struct("<BQ")
MESSAGE_HEADER = struct.Struct("<HIQQ")  # channel, sequence, time of recording, time of publishing
_QOS_KEY = "offered_qos_profiles"


class Fields:
    """Reads the fields of a record one after the other.

    Args:
        data: The record without its head.
    """

    def __init__(self, data: bytes) -> None:
        """Begin at the first field."""
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        found = self._data[self.at : self.at + size]
        if len(found) != size:
            raise MsdepthError(f"a record ends after {len(self._data)} bytes, within a field; it is damaged")
        self.at += size
        return found

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def block(self) -> bytes:
        """Bytes after their number."""
        return self.take(self.number(4))

    def text(self) -> str:
        """Text after its number of bytes."""
        try:
            return self.block().decode()
        except UnicodeDecodeError as error:
            raise MsdepthError("a record has a text that is not UTF-8; it is damaged") from error


class ChunkHeader(NamedTuple):
    """A chunk of messages.

    Attributes:
        offset: Where its compressed data begin in the file.
        size: Bytes of the compressed data.
        unpacked_size: Bytes of the records.
        crc: Checksum of the records; 0 for none.
        compression: `zstd`, `lz4` or empty.
    """

    offset: int
    size: int
    unpacked_size: int
    crc: int
    compression: str


def chunk_header(start: bytes, offset: int, length: int) -> ChunkHeader:
    """Reads the head of a chunk.

    Args:
        start: Its first bytes.
        offset: Where it begins in the file.
        length: Of the whole record, without its head.
    """
    fields = Fields(start)
    fields.take(16)  # first and last time, which the index tells, too
    unpacked_size, crc, compression, size = fields.number(8), fields.number(4), fields.text(), fields.number(8)
    if fields.at + size > length:
        raise MsdepthError(f"the chunk at byte {offset} says to hold {size} bytes, its record has {length}; damaged")
    return ChunkHeader(offset + fields.at, size, unpacked_size, crc, compression)


def records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, place and content of the records in a chunk; of messages only the head."""
    at = 0
    while at < len(data):
        if at + RECORD.size > len(data):
            raise MsdepthError("a chunk ends within a record; it is damaged")
        kind, length = RECORD.unpack_from(data, at)
        start = at + RECORD.size
        if start + length > len(data):
            raise MsdepthError("a chunk ends within a record; it is damaged")
        yield kind, at, data[start : start + (min(length, MESSAGE_HEADER.size) if kind == MESSAGE else length)]
        at = start + length


def message_counts(content: bytes) -> dict[int, int]:
    """Messages of each channel by a record of statistics."""
    fields = Fields(content)
    fields.take(42)  # totals and times
    block = fields.block()
    counts = Fields(block)
    return {counts.number(2): counts.number(8) for _ in range(len(block) // 10)}


class Names:
    """Schemas and channels met so far; the first of each number counts."""

    def __init__(self) -> None:
        """Begin with none."""
        self.channels: dict[int, Channel] = {}
        self._schemas: dict[int, tuple[str, str, str]] = {}

    def add(self, kind: int, content: bytes) -> None:
        """Notes a schema or a channel; other records are ignored."""
        fields = Fields(content)
        if kind == SCHEMA:
            number, name, encoding = fields.number(2), fields.text(), fields.text()
            # Schemas of other encodings (protobuf) are not text.
            self._schemas.setdefault(number, (name, encoding, fields.block().decode(errors="replace")))
        elif kind == CHANNEL:
            number, schema_id, topic, encoding = fields.number(2), fields.number(2), fields.text(), fields.text()
            name, kind_of_text, text = self._schemas.get(schema_id, ("no type", "", ""))
            qos = _pairs(fields.block()).get(_QOS_KEY, "")
            self.channels.setdefault(number, Channel(topic, type_name(name, encoding), text, kind_of_text, qos))


def _pairs(block: bytes) -> dict[str, str]:
    """A map of texts."""
    fields = Fields(block)
    found = {}
    while fields.at < len(block):
        key = fields.text()
        found[key] = fields.text()
    return found
