"""YAML files from anywhere: no objects are made, and nothing grows beyond what a settings file may be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from msdepth_ros.core.errors import MsdepthError

MAX_BYTES = 1 << 20
_REPEATED_CHARACTERS = 100_000
"""How much references may add to a text: a few lines of references to references stand for more than memory holds."""
_LONGEST_NUMBER = 400


def load_yaml(path: Path, what: str, advice: str, *, max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401
    """Reads a YAML file.

    Args:
        path: The file.
        what: it should hold, for messages.
        advice: what to do if it is something else.
        max_bytes: larger files are not read.

    Returns:
        Mappings, lists, strings, numbers, dates, None.

    Raises:
        MsdepthError: It cannot be read, is not YAML, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise MsdepthError(f"{path}: cannot read the {what}: {error.strerror}; check the path") from error
    if len(data) > max_bytes:
        raise MsdepthError(f"{path}: more than {max_bytes} bytes are no {what}; {advice}")
    try:
        text = data.decode("utf-8")
    except ValueError as error:
        raise MsdepthError(f"{path}: not valid YAML: {error}; {advice}") from error
    return parse_yaml(text, str(path), advice)


def parse_yaml(text: str, where: str, advice: str) -> Any:  # noqa: ANN401
    """Reads YAML.

    Args:
        text: One document.
        where: it comes from, for messages.
        advice: what to do if it is something else.

    Returns:
        Mappings, lists, strings, numbers, dates, None.

    Raises:
        MsdepthError: It is not YAML, or stands for much more than its own length.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > 2 * len(text) + _REPEATED_CHARACTERS:
                raise MsdepthError(
                    f"{where}: references to references make more than {_REPEATED_CHARACTERS} characters; {advice}"
                )
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except MsdepthError:
        raise
    except Exception as error:  # PyYAML raises whatever a value leads to: KeyError for `!!bool x`
        raise MsdepthError(f"{where}: not valid YAML: {' '.join(str(error).split())[:200]}; {advice}") from error


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """How many characters a node stands for, references counted each time; those within themselves without end."""
    if id(node) not in known:
        known[id(node)] = math.inf  # in case it is met again below itself
        children: list[yaml.Node] = []
        own = 1
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        else:
            own += len(node.value)
            if own > _LONGEST_NUMBER and node.tag.endswith((":int", ":float")):
                raise ValueError(f"a number of {len(node.value)} digits")  # takes the square of its length to read
        known[id(node)] = own + sum(_size(child, known) for child in children)
    return known[id(node)]
