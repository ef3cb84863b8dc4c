"""Every option of every command that takes a number refuses what is none, and what makes no sense."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from msdepth_ros.cli import COMMANDS
from msdepth_ros.core.arguments import Parser
from msdepth_ros.core.errors import MsdepthError

TOOLS = ("msdepth_ros.ros.inject.command", "msdepth_ros.ros.play.command", "msdepth_ros.live.monitor")
SENSELESS = ("nan", "inf", "-inf", "1e400", "1e300", "9" * 5000, "", "x", "1,5")


def parsers() -> Iterator[argparse.ArgumentParser]:
    """The command lines of all commands and tools."""
    for name, command in COMMANDS.items():
        if not command.takes_ros_arguments:
            parser = Parser(prog=f"msdepth {name}")
            importlib.import_module(command.module).add_arguments(parser)
            yield parser
    for module in TOOLS:
        yield importlib.import_module(module)._parser()


def numeric_options() -> Iterator[tuple[argparse.ArgumentParser, argparse.Action]]:
    """Every option that makes something else than a text or a path of what it is given."""
    for parser in parsers():
        yield from ((parser, action) for action in parser._actions if action.type not in (None, str, Path))


FOUND = list(numeric_options())


def test_the_options_are_found() -> None:
    names = {(parser.prog, action.option_strings[0]) for parser, action in FOUND}
    assert {("msdepth evaluate", "--start"), ("msdepth play", "--clock"), ("msdepth demo", "--rate")} <= names
    assert {("msdepth inject", "--wait-for-subscribers"), ("msdepth play", "--start")} <= names
    assert ("monitor", "--moments") in names
    assert len(names) >= 20


@pytest.mark.parametrize("text", SENSELESS, ids=lambda text: text[:5] or "empty")
@pytest.mark.parametrize(("parser", "action"), FOUND, ids=lambda part: getattr(part, "prog", "") or part.dest)
def test_what_is_no_sensible_number_is_refused(
    parser: argparse.ArgumentParser, action: argparse.Action, text: str
) -> None:
    option = action.option_strings[0]
    with pytest.raises(
        MsdepthError, match=f"argument {option}: .* must be a (whole )?number .*; see {parser.prog} --help"
    ):
        parser.parse_args([f"{option}={text}"])


@pytest.mark.parametrize(("parser", "action"), FOUND, ids=lambda part: getattr(part, "prog", "") or part.dest)
def test_the_default_is_in_the_range(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
    for default in (action.default, action.const):
        if default is not None:
            assert callable(action.type) and action.type(str(default)) == default
