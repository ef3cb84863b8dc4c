"""Reads what the model contract needs from an ONNX file without the onnx package, which is not a runtime dependency.

ONNX Runtime tells the metadata but not the opset. Both lie at the top level of the file, which is a protocol buffer:
a sequence of fields, each a key (number and wire type) and a value. Only the fields named below are read, and those
that lead to tensors, to see that the whole model is in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msdepth_ros.core.errors import MsdepthError

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
GRAPH_FIELD, OPSET_FIELD, METADATA_FIELD = 7, 8, 14
KEY_FIELD, VALUE_FIELD = 1, 2
MAX_VARINT_BYTES = 10

EXTERNAL_FIELD, LOCATION_FIELD, LOCATION_EXTERNAL = 13, 14, 1
_MEMBERS: dict[str, dict[int, str]] = {
    "model": {GRAPH_FIELD: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Where tensors are: the kind of each field that leads to some, by the kind of message that has it."""


class OnnxHeader(NamedTuple):
    """The top level of an ONNX file.

    Attributes:
        opset: Version of the standard operators.
        metadata: The `metadata_props`.
    """

    opset: int
    metadata: dict[str, str]


def read_onnx_header(data: bytes) -> OnnxHeader:
    """Reads opset and metadata.

    Args:
        data: The whole file.

    Raises:
        MsdepthError: This is no ONNX model.
    """
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    has_graph = False
    try:
        for field, value in _fields(data):
            if field == GRAPH_FIELD:
                has_graph = True
            elif field == OPSET_FIELD:
                entry = dict(_fields(_as_bytes(value)))
                opsets[_as_bytes(entry.get(KEY_FIELD, b"")).decode()] = int(entry.get(VALUE_FIELD, 0))
            elif field == METADATA_FIELD:
                entry = dict(_fields(_as_bytes(value)))
                metadata[_as_bytes(entry[KEY_FIELD]).decode()] = _as_bytes(entry.get(VALUE_FIELD, b"")).decode()
        external = _has_external_data("model", data)
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise MsdepthError(f"not an ONNX model, or damaged ({error})") from error
    if external:
        raise MsdepthError("it takes weights from other files, which nobody has checked; save it as one file")
    opset = opsets.get("", opsets.get("ai.onnx"))
    if not has_graph or opset is None:
        raise MsdepthError("not an ONNX model: it has no graph or no opset")
    return OnnxHeader(opset, metadata)


def _has_external_data(kind: str, data: bytes) -> bool:
    """Whether a tensor in a message of this kind lies in another file, whose path the model may choose."""
    for field, value in _fields(data):
        if kind == "tensor" and (field == EXTERNAL_FIELD or (field, value) == (LOCATION_FIELD, LOCATION_EXTERNAL)):
            return True
        member = _MEMBERS[kind].get(field)
        if member and _has_external_data(member, _as_bytes(value)):
            return True
    return False


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Goes through the fields of a message: number, and the value of a varint or the content of anything else."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        wire_type = key & 7
        if wire_type == VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if wire_type == BYTES:
            size, position = _varint(data, position)
        elif wire_type in (FIXED_32, FIXED_64):
            size = 4 if wire_type == FIXED_32 else 8
        else:
            raise ValueError(f"wire type {wire_type} at byte {position}")
        if position + size > len(data):
            raise ValueError(f"it ends early, at byte {len(data)}")
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Reads a variable-length integer; returns it and the position behind it."""
    value = 0
    for index in range(MAX_VARINT_BYTES):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, position + index + 1
    raise ValueError(f"unreadable number at byte {position}")


def _as_bytes(value: int | bytes) -> bytes:
    """Insists on content."""
    if isinstance(value, int):
        raise TypeError("a number where text was expected")
    return value
