"""Command lines: numbers in their ranges, and errors in one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from msdepth_ros.core.errors import MsdepthError

LONGEST_S = 1e9
"""About 32 years, so that any time in nanoseconds has room in 64 bits."""


class Parser(argparse.ArgumentParser):
    """A parser of options whose errors are those of the package: one line that names the option."""

    def error(self, message: str) -> NoReturn:
        """Refuses a command line.

        Raises:
            MsdepthError: Always.
        """
        raise MsdepthError(f"{message}; see {self.prog} --help")


def number(
    *, above: float | None = None, at_least: float | None = None, at_most: float | None = None
) -> Callable[[str], float]:
    """Makes the `type` of an option that takes a finite number.

    Args:
        above: It must be larger than this; None allows any.
        at_least: It must not be smaller.
        at_most: It must not be larger.
    """
    allowed = _in_words(above, at_least, at_most)

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or _is_outside(value, above, at_least, at_most):
            raise argparse.ArgumentTypeError(f"{text!r} must be a number{allowed}")
        return value

    return parse


def whole_number(*, at_least: int | None = None, at_most: int | None = None) -> Callable[[str], int]:
    """Makes the `type` of an option that takes a whole number.

    Args:
        at_least: It must not be smaller.
        at_most: It must not be larger.
    """
    allowed = _in_words(None, at_least, at_most)

    def parse(text: str) -> int:
        try:
            value = int(text)
            if not _is_outside(value, None, at_least, at_most):
                return value
        except ValueError:  # no number: explained below
            pass
        raise argparse.ArgumentTypeError(f"{text[:80]!r} must be a whole number{allowed}")

    return parse


def _is_outside(value: float, above: float | None, at_least: float | None, at_most: float | None) -> bool:
    """Whether a number is not allowed."""
    return (
        (above is not None and not value > above)
        or (at_least is not None and not value >= at_least)
        or (at_most is not None and not value <= at_most)
    )


def _in_words(above: float | None, at_least: float | None, at_most: float | None) -> str:
    """The range, as a message says it."""
    limits = (("above", above), ("of at least", at_least), ("of at most", at_most))
    words = [f"{word} {limit:.10g}" for word, limit in limits if limit is not None]
    return "".join(f" {word}" if index == 0 else f" and {word}" for index, word in enumerate(words))


START_S = number(at_least=0.0, at_most=LONGEST_S)
"""A time from some start on, or a tolerance, seconds."""
DURATION_S = number(above=0.0, at_most=LONGEST_S)
"""A length of time, seconds."""
SPEED = number(at_least=0.001, at_most=1000.0)
"""How fast to play; 1 is as recorded."""
COUNT = whole_number(at_least=0, at_most=1_000_000)
"""How many of something; none will do."""
POSITIVE = whole_number(at_least=1, at_most=1_000_000)
"""How many of something, at least one."""
SEED = whole_number(at_least=0, at_most=2**32 - 1)
"""Of random numbers, as NumPy and PyTorch take it."""
