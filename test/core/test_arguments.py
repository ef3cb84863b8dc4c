"""Numbers of command lines are finite and in their range, or refused in one line that names the option."""

from __future__ import annotations

import argparse
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.arguments import Parser, number, whole_number
from msdepth_ros.core.errors import MsdepthError

texts = st.text(max_size=8) | st.floats().map(str) | st.integers().map(str) | st.sampled_from(["nan", "-inf", "1e400"])
limits = st.none() | st.floats(-1e6, 1e6)


@given(texts, limits, limits, limits)
def test_a_number_is_finite_and_in_its_range_or_refused(
    text: str, above: float | None, at_least: float | None, at_most: float | None
) -> None:
    try:
        value = number(above=above, at_least=at_least, at_most=at_most)(text)
    except argparse.ArgumentTypeError as error:
        assert str(error).startswith(f"{text!r} must be a number")
    else:
        assert math.isfinite(value) and value == float(text)
        assert (above is None or value > above) and (at_least is None or value >= at_least)
        assert at_most is None or value <= at_most


@given(st.floats(0.5, 10.0).filter(lambda value: value > 0.5))
def test_every_number_in_the_range_is_taken(value: float) -> None:
    assert number(above=0.5, at_most=10.0)(repr(value)) == value


@given(texts, st.integers(-5, 5), st.integers(-5, 5))
def test_a_whole_number_is_in_its_range_or_refused(text: str, at_least: int, at_most: int) -> None:
    try:
        value = whole_number(at_least=at_least, at_most=at_most)(text)
    except argparse.ArgumentTypeError as error:
        assert " must be a whole number of at least " in str(error)
    else:
        assert type(value) is int and at_least <= value <= at_most


def test_an_error_is_one_line_that_names_the_option_the_range_and_the_help() -> None:
    parser = Parser(prog="msdepth do")
    parser.add_argument("--rate", type=number(above=0.0, at_most=1000.0))
    expected = r"argument --rate: 'nan' must be a number above 0 and of at most 1000; see msdepth do --help"
    with pytest.raises(MsdepthError, match=expected):
        parser.parse_args(["--rate", "nan"])
    with pytest.raises(MsdepthError, match="unrecognized arguments: --other; see msdepth do --help"):
        parser.parse_args(["--other"])
