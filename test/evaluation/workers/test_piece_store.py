"""Finished pieces on disk."""

from pathlib import Path

import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.evaluation.workers.piece_store import PieceStore

DATA = bytes(range(256)) * 3


def test_a_piece_comes_back(tmp_path: Path) -> None:
    store = PieceStore(tmp_path / "parts")
    assert store.read("a") is None
    store.write("a", DATA)
    store.write("b", b"")
    assert (store.read("a"), store.read("b"), store.read("c")) == (DATA, b"", None)


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign", "empty"])
def test_a_damaged_piece_counts_as_not_there_and_can_be_written_again(tmp_path: Path, damage: str) -> None:
    store = PieceStore(tmp_path)
    store.write("a", DATA)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    flipped = content.copy()
    flipped[-9] ^= 1
    path.write_bytes({"cut": content[:-1], "flip": flipped, "foreign": b"something else", "empty": b""}[damage])
    assert store.read("a") is None
    store.write("a", DATA)
    assert store.read("a") == DATA


def test_clear_removes_pieces_only(tmp_path: Path) -> None:
    store = PieceStore(tmp_path / "parts")
    store.clear()
    store.write("a", DATA)
    (store.folder / "b.4711.partial").write_bytes(b"of a run that was killed")
    store.clear()
    assert not store.folder.exists()
    store.write("a", DATA)
    (store.folder / "notes.md").touch()
    store.clear()
    assert [path.name for path in store.folder.iterdir()] == ["notes.md"]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MsdepthError, match="file: pieces cannot be kept there"):
        PieceStore(tmp_path / "file").write("a", DATA)
    with pytest.raises(MsdepthError, match="file: pieces cannot be kept there"):
        PieceStore(tmp_path / "file").read("a")
