"""YAML from anywhere is data, of bounded size, or refused with the file's name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import MAX_BYTES, load_yaml, parse_yaml


def load(folder: Path, text: str | bytes) -> object:
    path = folder / "rig.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_yaml(path, "rig", "give a rig")


def test_reads_plain_values_and_references(tmp_path: Path) -> None:
    text = "a: &size [640, 256]\nb: *size\nc: {d: 1.5, e: text, f: null}\n"
    assert load(tmp_path, text) == {"a": [640, 256], "b": [640, 256], "c": {"d": 1.5, "e": "text", "f": None}}
    assert load(tmp_path, "") is None


def test_makes_no_objects_and_calls_nothing(tmp_path: Path) -> None:
    target = tmp_path / "made"
    for tag in ("!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os.system"):
        with pytest.raises(MsdepthError, match="not valid YAML: could not determine a constructor"):
            load(tmp_path, f"a: {tag} [{target}]\n")
    assert not target.exists()


@pytest.mark.parametrize("merge", [False, True])
def test_references_to_references_do_not_fill_the_memory(tmp_path: Path, merge: bool) -> None:
    lines = ["a0: &a0 {x: 1}" if merge else "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, 12):
        many = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {{<<: [{many}]}}" if merge else f"a{level}: &a{level} [{many}]")
    begin_s = time.monotonic()
    with pytest.raises(
        MsdepthError, match="rig.yaml: references to references make more than 100000 characters; give a"
    ):
        load(tmp_path, "\n".join(lines))
    assert time.monotonic() - begin_s < 5.0


@given(
    st.integers(0, 12), st.integers(1, 12), st.integers(0, 3000), st.sampled_from(["list", "mapping", "merge", "key"])
)
def test_a_text_stands_for_little_more_than_its_own_length(levels: int, width: int, leaf: int, kind: str) -> None:
    lines = [f"a0: &a0 {{x: {'y' * leaf}}}" if kind in ("merge", "key") else f"a0: &a0 {'y' * leaf}"]
    for level in range(1, levels + 1):
        many = [f"*a{level - 1}"] * width
        body = {
            "list": f"[{', '.join(many)}]",
            "mapping": f"{{{', '.join(f'k{n}: {one}' for n, one in enumerate(many))}}}",
            "merge": f"{{<<: [{', '.join(many)}]}}",
            "key": f"{{? {many[0]} : 1}}" if width == 1 else f"[{', '.join(many)}]",
        }[kind]
        lines.append(f"a{level}: &a{level} {body}")
    text = "\n".join(lines)
    try:
        found = parse_yaml(text, "here", "do something")
    except MsdepthError as error:
        assert str(error).startswith("here: ") and str(error).endswith("; do something")
    else:
        assert len(str(found)) < 10 * (len(text) + 100_000)


tags = st.sampled_from(
    ["int", "float", "bool", "null", "timestamp", "binary", "set", "omap", "pairs", "str", "seq", "map"]
)
contents = st.text("0123456789:-+_.xeTZinfa ", max_size=12) | st.sampled_from(["[]", "{}", "[1]", "{a: 1}", '""'])


@given(st.lists(st.tuples(tags, contents), min_size=1, max_size=3) | st.text(max_size=60))
def test_any_text_is_data_or_one_error(drawn: list[tuple[str, str]] | str) -> None:
    text = drawn if isinstance(drawn, str) else "\n".join(f"- !!{tag} {content}" for tag, content in drawn)
    try:
        parse_yaml(text, "here", "do something")
    except MsdepthError as error:
        assert str(error).startswith("here: ") and str(error).endswith("; do something")


@pytest.mark.parametrize("number", ["1:" * 200_000 + "1", "9" * 400_000, "1_" * 200_000 + "1", "1:" * 200_000 + "1.5"])
def test_numbers_that_take_long_to_read_are_refused(number: str) -> None:
    begin_s = time.process_time()
    with pytest.raises(MsdepthError, match="here: not valid YAML: a number of [0-9]+ digits"):
        parse_yaml(f"a: {number}", "here", "")
    assert time.process_time() - begin_s < 5.0


def test_a_value_within_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="rig.yaml"):
        load(tmp_path, "a: &a [*a]\n")


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="rig.yaml"):
        load(tmp_path, "[" * 5_000 + "]" * 5_000)


def test_large_files_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match=f"more than {MAX_BYTES} bytes are no rig; give a rig"):
        load(tmp_path, b"#" * (MAX_BYTES + 1))
    with pytest.raises(MsdepthError, match="more than"):
        load_yaml(Path("/dev/zero"), "rig", "give a rig")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\xd8", b"a: [1", b"a: 1\n--- \nb: 2\n", b"\0"])
def test_what_is_not_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MsdepthError, match="rig.yaml: not valid YAML: .*; give a rig"):
        load(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="nowhere.yaml: cannot read the rig: No such file"):
        load_yaml(tmp_path / "nowhere.yaml", "rig", "give a rig")
