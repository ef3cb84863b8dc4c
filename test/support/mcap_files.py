"""MCAP files as other recorders write them: with and without chunks, indexes, summaries; written byte by byte."""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import lz4.frame
from backports import zstd
from bags import COMPRESSED, TYPES, compressed_image, pixels_of

MESSAGE_TEXT = "string data\n"
MAGIC = b"\x89MCAP0\r\n"
PACK = {"": bytes, "zstd": zstd.compress, "lz4": lz4.frame.compress}


def record(kind: int, content: bytes) -> bytes:
    """One record."""
    return struct.pack("<BQ", kind, len(content)) + content


def text(value: str | bytes) -> bytes:
    """A text with its length before it."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(data)) + data


def schema(number: int, name: str, definition: str = "", encoding: str = "ros2msg") -> bytes:
    """A message type."""
    return record(3, struct.pack("<H", number) + text(name) + text(encoding) + text(definition))


def channel(number: int, schema_id: int, topic: str, encoding: str = "cdr") -> bytes:
    """A topic."""
    return record(4, struct.pack("<HH", number, schema_id) + text(topic) + text(encoding) + text(b""))


def message(channel_id: int, log_ns: int, data: bytes) -> bytes:
    """A message."""
    return record(5, struct.pack("<HIQQ", channel_id, 0, log_ns, log_ns) + data)


def chunk(
    records: Iterable[bytes], compression: str = "zstd", *, indexed: bool = True, claim: int | None = None
) -> bytes:
    """A chunk, and the index of its messages.

    Args:
        records: What is in it.
        compression: zstd, lz4 or empty.
        indexed: Whether message indexes follow.
        claim: The unpacked size to state, if not the true one.
    """
    body, entries = b"", defaultdict(bytes)
    for part in records:
        if part[0] == 5:
            channel_id, _, log_ns, _ = struct.unpack_from("<HIQQ", part, 9)
            entries[channel_id] += struct.pack("<QQ", log_ns, len(body))
        body += part
    size = len(body) if claim is None else claim
    packed = PACK[compression](body)
    head = struct.pack("<QQQI", 0, 0, size, zlib.crc32(body)) + text(compression) + struct.pack("<Q", len(packed))
    indexes = b"".join(record(7, struct.pack("<H", number) + text(found)) for number, found in entries.items())
    return record(6, head + packed) + (indexes if indexed else b"")


def mcap(parts: Iterable[bytes], *, profile: str = "ros2", summary: bytes = b"") -> bytes:
    """A whole file.

    Args:
        parts: Records of the data section.
        profile: Of the header.
        summary: Records of the summary.
    """
    data = MAGIC + record(1, text(profile) + text("test")) + b"".join(parts) + record(15, bytes(4))
    start = len(data) if summary else 0
    return data + summary + record(2, struct.pack("<QQI", start, 0, 0)) + MAGIC


def image_message(log_ns: int, index: int = 0, channel_id: int = 1) -> bytes:
    """A compressed image of the rgb camera."""
    image = compressed_image(log_ns, "rgb_optical_frame", pixels_of("rgb", index), "png")
    return message(channel_id, log_ns, bytes(TYPES.serialize_cdr(image, COMPRESSED)))


IMAGES = [schema(1, COMPRESSED, encoding=""), channel(1, 1, "/rgb/image/compressed")]
"""The records that describe the topic of `image_message`."""


def write(path: Path, data: bytes) -> Path:
    """Writes a file and returns its path."""
    path.write_bytes(data)
    return path
