"""Results of finished pieces of an evaluation on disk, from which an interrupted run goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.replay.results import FrameRecord, Timings

_MAGIC = b"msdepth piece 1\n"
_SUFFIX = ".piece"
_SIZE_BYTES = 8


def pack(records: Iterable[FrameRecord]) -> bytes:
    """The records of one piece, in order, as the content of a file; each variant can be read alone.

    Numbers keep every bit.
    """
    by_variant: dict[str, list[Any]] = {}
    for record in records:
        by_variant.setdefault(record.variant, []).append(dataclasses.asdict(record))
    sections = {name: zlib.compress(json.dumps(rows, default=_plain).encode(), 1) for name, rows in by_variant.items()}
    header = json.dumps({name: len(section) for name, section in sections.items()}).encode()
    body = len(header).to_bytes(_SIZE_BYTES, "big") + header + b"".join(sections.values())
    return _MAGIC + hashlib.sha256(body).digest() + body


class PieceStore:
    """A folder of such files, each named by the digest of everything that decides its content.

    A file is there whole or not at all. One that is damaged all the same counts as not there.

    Args:
        folder: Made when the first piece is written.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self.folder = folder

    def has(self, digest: str) -> bool:
        """Whether this piece is finished and undamaged."""
        try:
            return _is_whole(self._path(digest).read_bytes())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unusable(error) from error

    def write(self, digest: str, content: bytes) -> None:
        """Keeps a finished piece.

        Args:
            digest: Its name.
            content: As `pack` makes it.

        Raises:
            MsdepthError: The folder cannot be written, or what arrived is damaged.
        """
        if not _is_whole(content):
            raise MsdepthError(f"the result of piece {digest} arrived damaged; run the same command again")
        path = self._path(digest)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise self._unusable(error) from error

    def read(self, digest: str, variant: str) -> list[FrameRecord]:
        """The records of one variant in a piece that `has` found, in the order in which they were packed."""
        with self._path(digest).open("rb") as file:
            file.seek(len(_MAGIC) + hashlib.sha256().digest_size)
            size = int.from_bytes(file.read(_SIZE_BYTES), "big")
            lengths: Mapping[str, int] = json.loads(file.read(size))
            names = list(lengths)
            if variant not in lengths:
                return []
            file.seek(sum(lengths[name] for name in names[: names.index(variant)]), os.SEEK_CUR)
            rows = json.loads(zlib.decompress(file.read(lengths[variant])))
        return [_record(row) for row in rows]

    def merged(self, digests: Sequence[str], variants: Sequence[str]) -> Iterator[FrameRecord]:
        """All records of one recording, variant by variant; only one piece is in memory at a time.

        Args:
            digests: Its pieces in order of time.
            variants: In the order wanted.
        """
        for variant in variants:
            for digest in digests:
                yield from self.read(digest, variant)

    def clear(self) -> None:
        """Removes all pieces, and the folder unless somebody keeps something else in it."""
        for path in [*self.folder.glob(f"*{_SUFFIX}"), *self.folder.glob("*.partial")]:
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, digest: str) -> Path:
        """The file of a piece."""
        return self.folder / f"{digest}{_SUFFIX}"

    def _unusable(self, error: OSError) -> MsdepthError:
        """What to say when the folder cannot be used."""
        return MsdepthError(f"{self.folder}: pieces cannot be kept there ({error.strerror}); choose another --out")


def _is_whole(content: bytes) -> bool:
    """Whether this is what `pack` made, to the last bit."""
    start = len(_MAGIC) + hashlib.sha256().digest_size
    return content[: len(_MAGIC)] == _MAGIC and hashlib.sha256(content[start:]).digest() == content[len(_MAGIC) : start]


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, which holds it exactly."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in a piece")


def _record(row: Mapping[str, Any]) -> FrameRecord:
    """A record out of plain values: lists were tuples."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    timings = values.pop("timings")
    return FrameRecord(**values, timings=None if timings is None else Timings(**timings))
