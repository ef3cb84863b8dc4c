"""Tables for the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.text_table import text_table

words = st.text("ab 1", min_size=1, max_size=6).map(str.strip).filter(bool)


def test_names_at_the_left_and_numbers_at_the_right() -> None:
    lines = text_table(("who", "n"), [("rgb", "7"), ("thermal", "12")], numbers_from=1, rule=True)
    assert lines == ["who       n", "-----------", "rgb       7", "thermal  12"]
    assert text_table(("who", "n"), [("thermal", "1")]) == ["who      n", "thermal  1"]


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(words, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_columns_begin_at_the_same_place_in_every_line(rows: list[list[str]]) -> None:
    lines = text_table(rows[0], rows[1:])
    assert len(lines) == len(rows)
    start = 0
    for column in zip(*rows, strict=True):
        assert all(line[start : start + len(cell)] == cell for line, cell in zip(lines, column, strict=True))
        start += max(map(len, column)) + 2
