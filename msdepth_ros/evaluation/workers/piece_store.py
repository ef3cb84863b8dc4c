"""Finished pieces of an evaluation on disk, from which an interrupted run goes on."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from msdepth_ros.core.errors import MsdepthError

_MAGIC = b"msdepth piece 1\n"
_SUFFIX = ".piece"
_START = len(_MAGIC) + hashlib.sha256().digest_size


class PieceStore:
    """A folder of files, each named by the digest of everything that decides its content.

    A file is there whole or not at all. One that is damaged all the same counts as not there.

    Args:
        folder: Made when the first piece is written.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self.folder = folder

    def read(self, digest: str) -> bytes | None:
        """A piece; None if it is not there, or damaged.

        Raises:
            MsdepthError: The folder cannot be read.
        """
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        data = content[_START:]
        return data if content[:_START] == _MAGIC + hashlib.sha256(data).digest() else None

    def write(self, digest: str, data: bytes) -> None:
        """Keeps a piece.

        Raises:
            MsdepthError: The folder cannot be written.
        """
        path = self._path(digest)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(_MAGIC + hashlib.sha256(data).digest() + data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise self._unusable(error) from error

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
