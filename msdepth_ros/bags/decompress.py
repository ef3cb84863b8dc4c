"""Decompression that knows when to stop: what would grow beyond a limit is refused before memory is allocated."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor

from msdepth_ros.core.errors import MsdepthError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_START = b"\x28\xb5\x2f\xfd"
MAX_BLOCK_BYTES = 1 << 29
"""No message, and no chunk of messages, is larger than 512 MiB."""
_DISK_RESERVE_BYTES = 1 << 30
_STEP_BYTES = 1 << 22


def unpack(data: bytes, compression: str, size: int | None = None) -> bytes:
    """Decompresses a block.

    Args:
        data: One frame.
        compression: `zstd`, `lz4` or empty.
        size: How large it says to be; None where nothing says it.

    Raises:
        MsdepthError: It is damaged, has another size, or is larger than any message.
    """
    claimed = size if size is not None else _claimed_size(data) if compression == "zstd" else None
    if claimed is not None and claimed > MAX_BLOCK_BYTES:
        raise MsdepthError(
            f"{len(data)} bytes claim to unpack to {claimed}, more than any message has; they are damaged"
        )
    limit = MAX_BLOCK_BYTES if size is None else size
    if compression == "":
        result = data
    elif compression == "zstd":
        result = _unpack_zstd(data, limit)
    elif compression == "lz4":
        result = _unpack_lz4(data, limit)
    else:
        raise MsdepthError(f"compression {compression!r} is not known; use zstd, lz4 or none")
    if size is not None and len(result) != size:
        raise MsdepthError(f"a block unpacks to {len(result)} bytes instead of {size}; it is damaged")
    return result


def unpack_file(source: Path, folder: Path) -> Path:
    """Decompresses a zstd file into a folder, as long as the disk has room.

    Returns:
        The new file, named without `.zstd`.

    Raises:
        MsdepthError: The file is damaged or cut off, or the disk is too small.
    """
    target = folder / source.with_suffix("").name
    try:
        with zstd.open(source, "rb") as packed, target.open("wb") as out:
            while block := packed.read(_STEP_BYTES):
                if shutil.disk_usage(folder).free < _DISK_RESERVE_BYTES + len(block):
                    raise MsdepthError(
                        f"{source} unpacks to more than the disk of {folder} has room for; free some, or set TMPDIR"
                    )
                out.write(block)
    except (zstd.ZstdError, EOFError, OSError) as error:
        raise MsdepthError(f"{source} cannot be unpacked: {error}; copy it again, or try `zstd -d` on it") from error
    return target


def _claimed_size(data: bytes) -> int | None:
    """Size in the header of a zstd frame, if it has one."""
    try:
        size: int | None = zstd.get_frame_info(data).decompressed_size
    except zstd.ZstdError as error:
        raise MsdepthError(f"{len(data)} bytes are no zstd frame: {error}") from error
    return size


def _unpack_zstd(data: bytes, limit: int) -> bytes:
    """One zstd frame of at most `limit` bytes."""
    decompressor = zstd.ZstdDecompressor()
    try:
        result: bytes = decompressor.decompress(data, max_length=limit)
        if not decompressor.eof:  # the end mark may still be unread, or there is more than the limit
            result += decompressor.decompress(b"", max_length=1)
    except (zstd.ZstdError, EOFError) as error:
        raise MsdepthError(f"a zstd block is damaged: {error}") from error
    _check_end(decompressor.eof, decompressor.unused_data)
    return result


def _unpack_lz4(data: bytes, limit: int) -> bytes:
    """One lz4 frame of at most `limit` bytes."""
    decompressor = LZ4FrameDecompressor()
    try:
        result: bytes = decompressor.decompress(data, max_length=limit)
        if not decompressor.eof and not decompressor.needs_input:
            result += decompressor.decompress(b"", max_length=1)
    except (RuntimeError, EOFError) as error:
        raise MsdepthError(f"an lz4 block is damaged: {error}") from error
    _check_end(decompressor.eof, decompressor.unused_data or b"")
    return result


def _check_end(complete: bool, rest: bytes) -> None:
    """Refuses a frame that is cut off, goes on beyond the limit, or is followed by something else."""
    if not complete or rest:
        raise MsdepthError("a compressed block is cut off, or holds more than it says; it is damaged")
