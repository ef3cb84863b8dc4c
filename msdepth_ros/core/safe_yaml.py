"""YAML files from anywhere: no objects are made, and nothing grows beyond what a settings file may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from msdepth_ros.core.errors import MsdepthError

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
"""Counted with repetitions: a few lines of references to references stand for more than any memory holds."""


def load_yaml(path: Path, what: str, advice: str) -> Any:  # noqa: ANN401
    """Reads a YAML file.

    Args:
        path: The file.
        what: it should hold, for messages.
        advice: what to do if it is something else.

    Returns:
        Mappings, lists, strings, numbers, dates, None.

    Raises:
        MsdepthError: It cannot be read, is not YAML, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MsdepthError(f"{path}: cannot read the {what}: {error.strerror}; check the path") from error
    if len(data) > MAX_BYTES:
        raise MsdepthError(f"{path}: more than {MAX_BYTES} bytes are no {what}; {advice}")
    try:
        loader = yaml.SafeLoader(data.decode("utf-8"))
        try:
            node = loader.get_single_node()
            if node is not None and _values(node, {}) > MAX_VALUES:
                raise MsdepthError(f"{path}: references to references make more than {MAX_VALUES} values; {advice}")
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MsdepthError(f"{path}: not valid YAML: {' '.join(str(error).split())}; {advice}") from error


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, references counted each time; those within themselves without end."""
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1  # in case it is met again below itself
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        known[id(node)] = 1 + sum(_values(child, known) for child in children)
    return known[id(node)]
