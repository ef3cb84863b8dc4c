"""Results of finished pieces on disk."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.replay.piece_store import PieceStore, pack
from msdepth_ros.replay.results import BAND_EDGES_M, FrameRecord, Timings


def record(number: int, variant: str = "rgb+nir") -> FrameRecord:
    """A record with something in every field, in numbers that no short text holds."""
    rng = np.random.default_rng(number)
    third = float(rng.random()) / 3
    return FrameRecord(
        bag="city", variant=variant, number=number, stamp_ns=1_700_000_000_123_456_789 + number,
        spectra=tuple(variant.split("+")), skew_ms=third, scores={"abs_rel": 1e-17 * third, "rmse": third * 1e9},
        truth_stamp_ns=2**62 + number, truth_pixels=7, confidence=third, view_confidence={"rgb": third},
        consistency={"nir": third}, band_counts=(1,) * (len(BAND_EDGES_M) - 1),
        band_abs_rel_sums=tuple(rng.random(3).tolist()), bin_counts=(3, 4), bin_confidence_sums=(third, 0.1 + 0.2),
        bin_correct_counts=(0, 2), health=("rgb:black",), error="", timings=Timings(third, third * 2, third * 3),
    )  # fmt: skip


def test_records_come_back_to_the_last_bit(tmp_path: Path) -> None:
    store = PieceStore(tmp_path / "parts")
    records = [record(number) for number in range(5)]
    empty = FrameRecord(bag="city", variant="rgb+nir", number=5, stamp_ns=6, spectra=(), error="no depth: rgb is black")
    store.write("a", pack([*records, empty]))
    assert store.read("a", "rgb+nir") == [*records, empty]
    assert all(field.name in dataclasses.asdict(empty) for field in dataclasses.fields(FrameRecord))


def test_numpy_numbers_come_back_as_equal_python_numbers(tmp_path: Path) -> None:
    store = PieceStore(tmp_path)
    value = np.float32(0.1)
    store.write("a", pack([dataclasses.replace(record(0), confidence=value)]))  # type: ignore[arg-type]
    (read,) = store.read("a", "rgb+nir")
    assert read.confidence == float(value)
    assert type(read.confidence) is float


def test_pieces_are_merged_variant_by_variant(tmp_path: Path) -> None:
    store = PieceStore(tmp_path)
    store.write("a", pack([record(0), record(1), record(0, "nir")]))
    store.write("b", pack([record(2), record(1, "nir")]))
    store.write("c", pack([record(3)]))
    merged = [(r.variant, r.number) for r in store.merged(["a", "b", "c"], ["rgb+nir", "nir"])]
    assert merged == [("rgb+nir", 0), ("rgb+nir", 1), ("rgb+nir", 2), ("rgb+nir", 3), ("nir", 0), ("nir", 1)]


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign", "empty"])
def test_a_damaged_piece_counts_as_not_there(tmp_path: Path, damage: str) -> None:
    store = PieceStore(tmp_path)
    content = pack([record(0)])
    store.write("a", content)
    assert store.has("a")
    flipped = bytearray(content)
    flipped[-9] ^= 1
    bad = {"cut": content[:-1], "flip": bytes(flipped), "foreign": b"something else", "empty": b""}[damage]
    (path,) = tmp_path.iterdir()
    path.write_bytes(bad)
    assert not store.has("a")


def test_a_damaged_result_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="arrived damaged"):
        PieceStore(tmp_path).write("a", pack([record(0)])[:-1])
    assert list(tmp_path.iterdir()) == []


def test_clear_removes_pieces_only(tmp_path: Path) -> None:
    store = PieceStore(tmp_path / "parts")
    store.clear()
    store.write("a", pack([record(0)]))
    (store.folder / "b.4711.partial").write_bytes(b"of a run that was killed")
    store.clear()
    assert not store.folder.exists()
    store.write("a", pack([record(0)]))
    (store.folder / "notes.md").touch()
    store.clear()
    assert [path.name for path in store.folder.iterdir()] == ["notes.md"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MsdepthError, match="pieces cannot be kept there"):
        PieceStore(tmp_path / "file").write("a", pack([record(0)]))
