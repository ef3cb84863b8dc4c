"""Message types of a recording: those that it describes itself, else those of ROS 2."""

from __future__ import annotations

import functools
import struct
from typing import Any

from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from msdepth_ros.bags.storage import Channel
from msdepth_ros.core.errors import MsdepthError

_IDL_LINE = "=" * 80 + "\n"


@functools.cache
def ros2_typestore() -> Typestore:
    """Types of the messages that every supported distribution shares (none of ours changed since Humble)."""
    return get_typestore(Stores.ROS2_HUMBLE)


@functools.cache
def typestore_of(msgtype: str, definition: str, definition_format: str) -> Typestore:
    """The types that are needed to read one type.

    Args:
        msgtype: Such as `sensor_msgs/msg/Image`.
        definition: Its text in the recording; empty where it has none.
        definition_format: `ros2msg` or `ros2idl`.

    Raises:
        MsdepthError: The text cannot be read, or there is none and the type is not one of ROS 2.
    """
    if not definition:
        if msgtype not in ros2_typestore().fielddefs:
            raise MsdepthError(
                f"type {msgtype} is not one of ROS 2 and the recording does not describe it; record with Iron or newer"
            )
        return ros2_typestore()
    try:
        return _described(msgtype, definition, definition_format)
    except Exception as error:  # the parsers of rosbags raise whatever a text leads to
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MsdepthError(f"the recording's description of type {msgtype} cannot be read: {reason}") from error


def _described(msgtype: str, definition: str, definition_format: str) -> Typestore:
    """The types of a description, and where it leaves them out, those that every distribution has."""
    described = {}
    if definition_format == "ros2msg":
        described = get_types_from_msg(definition, msgtype)
    else:
        parts = [part.partition("\n")[2] for part in definition.split(_IDL_LINE)[1:]] or [definition]
        for part in parts:
            described.update(get_types_from_idl(part))
    if msgtype not in described:
        raise MsdepthError("it describes other types")
    store = get_typestore(Stores.EMPTY)
    store.register(described)
    try:
        store.generate_msgdef(msgtype, ros_version=2)  # visits every type that it is made of
    except (TypesysError, KeyError):
        store = get_typestore(Stores.EMPTY)
        store.register({**ros2_typestore().fielddefs, **described})
        store.generate_msgdef(msgtype, ros_version=2)
    return store


def typestore_for(channels: list[Channel]) -> Typestore:
    """The types for a topic, by the first of its recordings that describes them."""
    channel = next((channel for channel in channels if channel.definition), channels[0])
    return typestore_of(channel.msgtype, channel.definition, channel.definition_format)


def stamp_of(message: Any, otherwise_ns: int) -> int:
    """Header stamp in nanoseconds, or `otherwise_ns` for a message without a header."""
    header = getattr(message, "header", None)
    return otherwise_ns if header is None else int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def payload_stamp_ns(payload: bytes) -> int:
    """Header stamp of a serialized message whose first field is a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from("<iI" if payload[1] & 1 else ">iI", payload, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def begins_with_header(store: Typestore, msgtype: str) -> bool:
    """Whether the first field of a type is a std_msgs/Header."""
    fields = store.fielddefs[msgtype][1]
    return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"
