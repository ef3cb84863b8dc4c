"""Compressed images as bytes: which format they are, the size they claim, and where they end, without decoding them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

JPEG, PNG, TIFF = "JPEG", "PNG", "TIFF"
_JPEG_START, _JPEG_END, _JPEG_SCAN = b"\xff\xd8", 0xD9, 0xDA
_MARK = re.compile(rb"\xff")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK_BYTES = 12  # length, kind and checksum around the content
_TIFF_STARTS = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_PLACES = ((273, 279), (324, 325))  # offsets and byte counts, of strips or tiles
_TIFF_NUMBERS = {3: "H", 4: "I"}
_OTHERS = (
    (8, b"WEBP", "WebP"), (0, b"\0\0\0\x0cjP  ", "JPEG 2000"), (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"), (0, b"\0\0\0\x0cJXL ", "JPEG XL"), (0, b"BM", "BMP"), (0, b"GIF8", "GIF"),
    (0, b"II+\0", "BigTIFF"), (0, b"MM\0+", "BigTIFF"), (4, b"ftyp", "AVIF or HEIF"),
    (0, b"\0\0\0\x01", "an H.264 or H.265 stream"), (0, b"\0\0\x01", "an H.264 or H.265 stream"),
)  # fmt: skip


class Content(NamedTuple):
    """What compressed data are.

    Attributes:
        kind: `JPEG`, `PNG`, `TIFF`, another format that is not decoded here, or empty if it is none that we know.
        size: Claimed width and height, px; None where it is not told, or the data are cut off before it.
        end: Bytes up to the end of the image; None if it is cut off. What follows is padding.
    """

    kind: str
    size: tuple[int, int] | None = None
    end: int | None = None


def look_at(data: Any) -> Content:
    """Tells what compressed data are, by the data alone: what drivers say of them is often wrong.

    Args:
        data: Bytes, in any buffer; they are not copied.

    >>> look_at(b"GIF89a").kind
    'GIF'
    """
    view = memoryview(data)
    first = bytes(view[:16])
    if first.startswith(_JPEG_START):
        return _jpeg(view)
    if first.startswith(_PNG_START):
        return _png(view)
    if first[:4] in _TIFF_STARTS:
        return _tiff(view, _TIFF_STARTS[first[:4]])
    return Content(next((kind for place, start, kind in _OTHERS if first.startswith(start, place)), ""))


def _jpeg(data: memoryview) -> Content:
    """Size by the first start-of-frame segment, found as libjpeg finds it; the end by the mark behind a scan.

    In the data of a scan no content looks like a mark, and segments, such as one with a thumbnail, tell their length.
    """
    size, at, in_scan = None, len(_JPEG_START), False
    while found := _MARK.search(data, at):
        at = found.start()
        while at < len(data) and data[at] == 0xFF:
            at += 1
        if at >= len(data):
            break
        marker = data[at]
        at += 1
        if marker == _JPEG_END:
            return Content(JPEG, size, at if in_scan else None)
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # stuffing and restarts have no length
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and size is None:
            height, width = data[at + 3 : at + 5], data[at + 5 : at + 7]
            if len(width) < 2:
                break
            size = (int.from_bytes(width, "big"), int.from_bytes(height, "big"))
        if marker == _JPEG_SCAN:
            if size is None:  # the data begin before any frame
                break
            in_scan = True
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return Content(JPEG, size)


def _png(data: memoryview) -> Content:
    """Every chunk must lie within the data: decoders allocate what a chunk claims before they read it."""
    ihdr = data[16:24] if bytes(data[12:16]) == b"IHDR" else b""
    size = (int.from_bytes(ihdr[:4], "big"), int.from_bytes(ihdr[4:], "big")) if len(ihdr) == 8 else None
    at = len(_PNG_START)
    while at + _PNG_CHUNK_BYTES <= len(data):
        kind, at = bytes(data[at + 4 : at + 8]), at + _PNG_CHUNK_BYTES + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return Content(PNG, size, at if at <= len(data) else None)
    return Content(PNG, size)


def _tiff(data: memoryview, order: str) -> Content:
    """The first image of a TIFF file; it is whole if all its strips or tiles lie within the data."""
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        entries = [struct.unpack_from(f"{order}HHI", data, at + 2 + 12 * index) for index in range(count)]
        tags = {tag: (kind, number, at + 10 + 12 * index) for index, (tag, kind, number) in enumerate(entries)}
        width, height = (next(_tiff_numbers(data, order, *tags[tag])) for tag in (_TIFF_WIDTH, _TIFF_HEIGHT))
        places = next(pair for pair in _TIFF_PLACES if pair[0] in tags and pair[1] in tags)
        offsets, counts = (list(_tiff_numbers(data, order, *tags[tag])) for tag in places)
        ends = [offset + length for offset, length in zip(offsets, counts, strict=True)]
    except (struct.error, KeyError, StopIteration, ValueError):
        return Content(TIFF)
    whole = ends and max(ends) <= len(data)
    return Content(TIFF, (width, height), len(data) if whole else None)


def _tiff_numbers(data: memoryview, order: str, kind: int, count: int, at: int) -> Iterator[int]:
    """The numbers of an entry, which lie elsewhere if they need more than four bytes."""
    code = _TIFF_NUMBERS[kind]
    size = struct.calcsize(code)
    if count * size > len(data):
        raise ValueError("more numbers than data")
    if count * size > 4:
        (at,) = struct.unpack_from(f"{order}I", data, at)
    yield from struct.unpack_from(f"{order}{count}{code}", data, at)
