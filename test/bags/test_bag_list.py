"""Which recordings a command is to work on."""

from pathlib import Path

import pytest

from msdepth_ros.bags.bag_list import bag_names, expand_bags
from msdepth_ros.core.errors import MsdepthError


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Three recordings as folders, one as a file, and things that are no recordings."""
    for name in ("monday/city", "monday/hill", "tuesday/city"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "city_0.mcap").touch()
    (tmp_path / "tuesday" / "night.db3").touch()
    (tmp_path / "tuesday" / "notes.md").touch()
    (tmp_path / "tuesday" / "pictures").mkdir()
    return tmp_path


def test_paths_are_taken_as_they_are_also_if_they_do_not_exist(drives: Path) -> None:
    paths = [drives / "monday" / "city", drives / "nowhere"]
    assert expand_bags([str(path) for path in paths]) == paths


def test_a_pattern_takes_recordings_only_and_in_order_of_their_names(drives: Path) -> None:
    assert expand_bags([f"{drives}/*/*"]) == [
        drives / "monday/city",
        drives / "monday/hill",
        drives / "tuesday/city",
        drives / "tuesday/night.db3",
    ]


def test_a_pattern_at_any_depth_takes_a_folder_once_not_its_files_too(drives: Path) -> None:
    (drives / "tuesday" / "night.db3").unlink()
    assert expand_bags([f"{drives}/**"]) == [drives / name for name in ("monday/city", "monday/hill", "tuesday/city")]


@pytest.mark.parametrize("pattern", ["*/nothing*", "*/*.md"])
def test_a_pattern_that_meets_no_recording_is_an_error(drives: Path, pattern: str) -> None:
    with pytest.raises(MsdepthError, match="pattern .* meets"):
        expand_bags([f"{drives}/{pattern}"])


def test_a_name_with_brackets_that_exists_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "drive[1]"
    path.mkdir()
    assert expand_bags([str(path)]) == [path]


def test_a_list_file_is_relative_to_itself_and_takes_comments_and_patterns(drives: Path) -> None:
    listed = drives / "night runs.txt"
    listed.write_text("# nights\ntuesday/night.db3   # rain\n\nmonday/*\n")
    assert expand_bags([str(listed)]) == [drives / name for name in ("tuesday/night.db3", "monday/city", "monday/hill")]


@pytest.mark.parametrize(("text", "message"), [("# empty\n", "names no recording"), ("other.txt\n", "list named in a")])
def test_a_list_file_that_names_nothing_or_a_list(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bags.txt").write_text(text)
    with pytest.raises(MsdepthError, match=message):
        expand_bags([str(tmp_path / "bags.txt")])


def test_a_list_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.txt", "absent.txt"):
        with pytest.raises(MsdepthError, match=f"list of bags .*{name} cannot be read"):
            expand_bags([str(tmp_path / name)])


def test_the_same_recording_named_in_two_ways_counts_once(drives: Path) -> None:
    city = drives / "monday" / "city"
    assert expand_bags([str(city), f"{drives}/monday/*", str(drives / "tuesday/../monday/city")]) == [
        city,
        drives / "monday" / "hill",
    ]


def test_names_are_as_short_as_they_can_be(drives: Path) -> None:
    assert bag_names(expand_bags([f"{drives}/*/*"])) == ["monday/city", "hill", "tuesday/city", "night"]


def test_names_differ_for_a_folder_and_a_file_of_the_same_name(tmp_path: Path) -> None:
    paths = [tmp_path / "city", tmp_path / "city.mcap"]
    paths[0].mkdir()
    paths[1].touch()
    assert len(set(bag_names(paths))) == 2
