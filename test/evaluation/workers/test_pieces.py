"""Plans cut into pieces of work, and the names of the pieces."""

import dataclasses
import os
from pathlib import Path

import pytest

from msdepth_ros.bags.bag_list import expand_bags
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.planned_sets import MessageRef, Plan, SetPlan
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.evaluation.workers.pieces import MOST_PIECES, Piece, cut, identity_of
from msdepth_ros.report.frame_pictures import PictureRange

TOPICS = {"rgb": "/rgb/image", "nir": "/nir/image"}
PERIOD_NS = 50_000_000


def plan(variant: str, count: int, *, start: int = 0, stamp_step: int = 1, bag: str = "city") -> Plan:
    """A plan whose sets were recorded every 50 ms; stamps may run backwards."""
    sets = []
    for number in range(start, start + count):
        log_ns = 10**9 + number * PERIOD_NS
        stamp_ns = 10**9 + stamp_step * number * PERIOD_NS
        refs = {name: MessageRef(TOPICS[name], log_ns, 0, stamp_ns) for name in variant.split("+")}
        sets.append(SetPlan(bag, variant, number, stamp_ns, refs, None, 0.0))
    return Plan.pack(bag, variant, TOPICS, sets)


def pieces_of(plans: list[Plan], identity: str, **arguments: int) -> list[Piece]:
    return cut(BagPlan("city", plans, [], PictureRange("rgb", 0, 1)), identity, **arguments)


def numbers(pieces: list[Piece], variant: str) -> list[list[int]]:
    """The sets of one variant in each piece."""
    return [[planned.number for p in piece.plans if p.variant == variant for planned in p] for piece in pieces]


def test_every_set_is_in_one_piece_in_order_and_variants_are_cut_at_the_same_time() -> None:
    pieces = pieces_of([plan("rgb+nir", 10), plan("nir", 10)], "id", sets=8)
    assert numbers(pieces, "rgb+nir") == numbers(pieces, "nir") == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9]]
    assert [piece.sets for piece in pieces] == [6, 8, 6]


def test_a_camera_that_starts_late_has_no_part_in_the_first_pieces() -> None:
    pieces = pieces_of([plan("rgb", 8), plan("nir", 2, start=6)], "id", sets=5)
    assert numbers(pieces, "rgb") == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert [len(piece.plans) for piece in pieces] == [1, 2]


def test_stamps_that_run_backwards_do_not_matter() -> None:
    pieces = pieces_of([plan("rgb", 6, stamp_step=-1)], "id", sets=4)
    assert numbers(pieces, "rgb") == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_pieces_at_the_edges_of_their_size(count: int) -> None:
    pieces = pieces_of([plan("rgb", count)], "id", sets=4)
    assert [piece.sets for piece in pieces] == {0: [], 1: [1], 4: [4], 5: [3, 2]}[count]


def test_a_long_recording_has_larger_pieces_not_more_of_them() -> None:
    pieces = pieces_of([plan("rgb", 10 * MOST_PIECES + 1)], "id", sets=4)
    assert MOST_PIECES // 2 < len(pieces) <= MOST_PIECES
    assert sum(piece.sets for piece in pieces) == 10 * MOST_PIECES + 1


def test_the_name_of_a_piece_tells_its_sets_its_recording_and_its_identity() -> None:
    (piece,) = pieces_of([plan("rgb", 3)], "id")
    assert pieces_of([plan("rgb", 3)], "id")[0].digest == piece.digest
    others = [
        pieces_of([plan("rgb", 3)], "other")[0],
        pieces_of([plan("rgb", 2)], "id")[0],
        pieces_of([plan("nir", 3)], "id")[0],
        pieces_of([plan("rgb", 3, bag="hill")], "id")[0],
        pieces_of([plan("rgb", 3, start=1)], "id")[0],
    ]
    assert len({piece.digest, *(other.digest for other in others)}) == 6


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A folder that stands for a recording; nothing here looks into the files."""
    folder = tmp_path / "city"
    folder.mkdir()
    (folder / "metadata.yaml").write_text("version: 9")
    (folder / "city_0.mcap").write_bytes(bytes(200_000))
    return folder


NIR_FIRST = Settings.from_values({**DEFAULTS, "reference": "nir"})
OPTIONS = EvaluateOptions(Settings.from_values(DEFAULTS))


def test_identity_of_the_same_thing_is_the_same_also_after_a_move(bag: Path) -> None:
    before = identity_of(bag, OPTIONS, "model", "city")
    moved = bag.rename(bag.with_name("moved"))
    assert identity_of(moved, OPTIONS, "model", "city") == before


@pytest.mark.parametrize("position", [0, 199_999])
def test_identity_changes_with_the_recording(bag: Path, position: int) -> None:
    before = identity_of(bag, OPTIONS, "model", "city")
    path = bag / "city_0.mcap"
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[position] = 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identity_of(bag, OPTIONS, "model", "city") != before


def test_identity_changes_with_the_time_of_change(bag: Path) -> None:
    before = identity_of(bag, OPTIONS, "model", "city")
    os.utime(bag / "city_0.mcap", ns=(0, 0))
    assert identity_of(bag, OPTIONS, "model", "city") != before


def test_identity_changes_with_the_model_and_the_options(bag: Path) -> None:
    changed = [
        identity_of(bag, OPTIONS, "model", "city"),
        identity_of(bag, OPTIONS, "another", "city"),
        identity_of(bag, OPTIONS, "model", "hill"),
        identity_of(bag, dataclasses.replace(OPTIONS, every=2), "model", "city"),
        identity_of(bag, dataclasses.replace(OPTIONS, settings=NIR_FIRST), "model", "city"),
    ]
    assert len(set(changed)) == len(changed)


WAYS = {
    "folder": lambda bag: bag,
    "metadata": lambda bag: bag / "metadata.yaml",
    "from elsewhere": lambda bag: bag / "..." / ".." / "metadata.yaml",
    "link": lambda bag: linked(bag),
    "metadata of a link": lambda bag: linked(bag) / "metadata.yaml",
    "file": lambda bag: bag / "city_0.db3",
    "file of a link": lambda bag: linked(bag) / "city_0.db3",
}
"""How a recording may be given."""


def linked(bag: Path) -> Path:
    """A link to a folder."""
    link = bag.with_name("link")
    if not link.exists():
        link.symlink_to(bag)
    return link


@pytest.mark.parametrize("file", ["city_0.db3", "city_0.db3-wal", "city_0.db3-journal", "rig.yaml", "metadata.yaml"])
@pytest.mark.parametrize("way", WAYS)
def test_identity_changes_with_every_file_that_is_read_however_the_recording_is_given(
    bag: Path, way: str, file: str
) -> None:
    (bag / "...").mkdir()
    (bag / "city_0.db3").write_bytes(bytes(200_000))
    found = []
    for content in (b"one", b"another"):
        (bag / file).write_bytes(content)
        found.append(identity_of(WAYS[way](bag), OPTIONS, "model", "city"))
    is_read = not (file == "metadata.yaml" and way.startswith("file"))
    assert (found[0] != found[1]) == is_read


def test_a_folder_and_its_metadata_are_the_same_recording(bag: Path) -> None:
    assert identity_of(bag / "metadata.yaml", OPTIONS, "model", "city") == identity_of(bag, OPTIONS, "model", "city")
    assert expand_bags([str(bag / "metadata.yaml"), str(bag)]) == [bag]


def test_identity_follows_the_content_of_the_rig_file_not_its_name(bag: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("cam0: 1")
    second.write_text("cam0: 1")
    before = identity_of(bag, dataclasses.replace(OPTIONS, rig=first), "model", "city")
    assert identity_of(bag, dataclasses.replace(OPTIONS, rig=second), "model", "city") == before
    first.write_text("cam0: 2")
    assert identity_of(bag, dataclasses.replace(OPTIONS, rig=first), "model", "city") != before


def test_a_recording_or_rig_that_is_not_there_is_named(bag: Path, tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="nowhere"):
        identity_of(tmp_path / "nowhere", OPTIONS, "model", "city")
    with pytest.raises(MsdepthError, match="absent.yaml"):
        identity_of(bag, dataclasses.replace(OPTIONS, rig=tmp_path / "absent.yaml"), "model", "city")
