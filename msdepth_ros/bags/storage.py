"""What the storage files of a recording have in common: channels, and an index of their messages."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

INDEX = np.dtype([("log_ns", np.int64), ("offset", np.int64), ("block", np.int32), ("channel", np.int32)])
"""One message: when it was recorded, where it is (by the storage's own measure), and whose it is."""


class Channel(NamedTuple):
    """One recording of one topic in one file.

    Attributes:
        topic: Its name.
        msgtype: Such as `sensor_msgs/msg/Image`; followed by the encoding in brackets where that is not CDR.
        definition: Text of the message type; empty where the file has none.
        definition_format: `ros2msg` or `ros2idl`.
        qos: Offered QoS profiles as YAML, as rosbag2 writes them.
    """

    topic: str
    msgtype: str
    definition: str = ""
    definition_format: str = ""
    qos: str = ""


class Storage(Protocol):
    """An open storage file.

    Attributes:
        index: Array of INDEX in the order in which the messages lie in the file.
        damage: Why there may be fewer messages than were recorded; empty for a whole file.
    """

    index: NDArray[Any]
    damage: str

    @property
    def channels(self) -> dict[int, Channel]:
        """By the number that the index has for them."""

    def message(self, entry: Any) -> bytes:
        """The serialized message of an entry of the index.

        Raises:
            MsdepthError: It is damaged.
        """

    def close(self) -> None:
        """Closes the file."""


def type_name(msgtype: str, encoding: str) -> str:
    """A message type as we show it: with its encoding where we cannot read that."""
    return msgtype if encoding == "cdr" else f"{msgtype} ({encoding or 'no encoding'})"
