"""Finds and opens the storage files of a recording."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from msdepth_ros.bags.decompress import ZSTD_START, unpack_file
from msdepth_ros.bags.mcap import McapFile
from msdepth_ros.bags.mcap_records import MAGIC
from msdepth_ros.bags.metadata import FILE_NAME, Metadata, read_metadata
from msdepth_ros.bags.sqlite import JOURNALS, SQLITE_START, SqliteFile
from msdepth_ros.bags.storage import Storage
from msdepth_ros.core.errors import MsdepthError

SUFFIXES = (".mcap", ".db3")
RIG_BESIDE_BAG = "rig.yaml"
_PACKED = ".zstd"
_ROS1_START = b"#ROSBAG V"
_SPLIT = re.compile(r"_?(\d+)$")


class BagFiles(NamedTuple):
    """Where a recording lies.

    Attributes:
        files: Storage files in order.
        metadata: None where there is none.
    """

    files: tuple[Path, ...]
    metadata: Metadata | None


def place_of(path: Path) -> Path:
    """The folder or the storage file of a recording, of which metadata.yaml may be given, too."""
    return path.parent if path.name == FILE_NAME else path


def files_of(path: Path) -> list[Path]:
    """Every file that may decide what is read of a recording: all of its folder, or one with what belongs to it.

    Args:
        path: As for `find_files`; it need not be a recording.
    """
    path = place_of(path)
    if not path.is_file():
        return sorted(member for member in path.glob("*") if member.is_file())
    beside = [path.with_name(path.name + suffix) for suffix in JOURNALS]
    return [path, *(file for file in (*beside, path.with_name(RIG_BESIDE_BAG)) if file.is_file())]


def find_files(path: Path) -> BagFiles:
    """The storage files of a recording.

    Args:
        path: A folder with or without metadata.yaml, or one storage file.

    Raises:
        MsdepthError: There is no recording, or more than one.
    """
    path = place_of(path)
    if not path.exists():
        raise MsdepthError("does not exist; give the folder of a recording, or its .mcap or .db3 file")
    if path.is_file():
        return BagFiles((path,), None)
    if (path / FILE_NAME).exists():
        metadata = read_metadata(path / FILE_NAME)
        return BagFiles(tuple(_listed(path, name) for name in metadata.files), metadata)
    files = [entry for entry in sorted(path.iterdir(), key=_natural) if _storage_name(entry)]
    files = [file for file in files if not (file.suffix == _PACKED and file.with_suffix("") in files)]
    if not files:
        if any(entry.suffix == ".bag" for entry in path.iterdir()):
            raise MsdepthError(_ros1_advice("holds bags of ROS 1"))
        raise MsdepthError("holds neither metadata.yaml nor .mcap or .db3 files; it is no recording of ROS 2")
    names = sorted({_SPLIT.sub("", _storage_name(file)) for file in files})
    if len(names) > 1:
        raise MsdepthError(f"holds several recordings and no metadata.yaml ({', '.join(names)}); give one of the files")
    return BagFiles(tuple(files), None)


def open_files(files: Sequence[Path], stack: ExitStack) -> list[Storage]:
    """Opens storage files, unpacked first where they are compressed as a whole.

    Args:
        files: In order.
        stack: Closes them, and removes what was unpacked.

    Raises:
        MsdepthError: One cannot be read. The last one may have been cut off; it then tells so by its `damage`.
    """
    opened: list[Storage] = []
    for file in files:
        storage = _open(file, stack)
        stack.callback(storage.close)
        if storage.damage and file != files[-1]:
            raise MsdepthError(f"{storage.damage}, but it is not the last file; copy it again, or try `mcap recover`")
        opened.append(storage)
    if opened and opened[-1].damage and not any(len(storage.index) for storage in opened):
        raise MsdepthError(f"{opened[-1].damage}, before the first whole message; record it again")
    return opened


def _open(file: Path, stack: ExitStack) -> Storage:
    """Opens a file by what it begins with."""
    try:
        with file.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise MsdepthError(f"{file} cannot be opened: {error.strerror}") from error
    if start.startswith(ZSTD_START):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="msdepth_")))
        return _open(unpack_file(file, folder), stack)
    if start.startswith(_ROS1_START):
        raise MsdepthError(_ros1_advice(f"{file.name} is a bag of ROS 1"))
    if start.startswith(MAGIC) or (len(start) < len(MAGIC) and file.suffix == ".mcap"):
        return McapFile(file)
    if start.startswith(SQLITE_START):
        return SqliteFile(file)
    content = "is empty: nothing was recorded" if not start else "is neither MCAP nor a database of rosbag2"
    raise MsdepthError(f"{file} {content}; give the folder of a recording, or its .mcap or .db3 file")


def _listed(folder: Path, name: str) -> Path:
    """A file that metadata.yaml names; compressed ones are listed with or without their suffix."""
    for candidate in (folder / name, folder / f"{name}{_PACKED}", folder / name.removesuffix(_PACKED)):
        if candidate.is_file():
            return candidate
    raise MsdepthError(f"lacks the file {name} that its {FILE_NAME} lists; copy it, or try `ros2 bag reindex`")


def _storage_name(path: Path) -> str:
    """Name of a storage file without the suffix; empty for other files."""
    name = path.name.removesuffix(_PACKED)
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), "")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts `name_10` behind `name_9`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _ros1_advice(text: str) -> str:
    """How to convert."""
    return f"{text}; convert it: pip install rosbags, then rosbags-convert --src FILE.bag --dst FOLDER"
