"""With which quality of service a topic was offered when it was recorded."""

from __future__ import annotations

from typing import NamedTuple

from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2.metadata import parse_qos

from msdepth_ros.core.errors import MsdepthError

_ALWAYS_LATCHED = ("/tf_static", "/robot_description")
_DEPTH = 10
_MOST = 1000


class RecordedQos(NamedTuple):
    """What of a QoS profile matters for playing; deadlines and lifespans do not hold at another speed.

    Attributes:
        depth: Messages kept for each subscriber.
        reliable: Else best effort.
        latched: Transient local: who comes late gets the last messages.
    """

    depth: int
    reliable: bool
    latched: bool


def recorded_qos(topic: str, text: str, message_count: int) -> RecordedQos:
    """How to offer a topic.

    As `ros2 bag play` does it: what the publishers agreed on; where they did not, reliable and volatile, which suits
    every subscriber but a latched one.

    Args:
        topic: Its name; some are latched by convention.
        text: The offered profiles as YAML; empty where the recording does not say.
        message_count: Messages in the recording: a latched topic keeps them all, since several publishers sent them.

    Raises:
        MsdepthError: The text cannot be read.
    """
    try:
        profiles = parse_qos(text)
    except Exception as error:  # rosbags raises whatever a text leads to
        reason = " ".join(str(error).split())[:200]
        raise MsdepthError(f"the QoS profiles of {topic} cannot be read: {reason}") from error
    reliable = {profile.reliability != QosReliability.BEST_EFFORT for profile in profiles}
    latched = {profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles}
    # Unlimited or unknown depths are written as 0.
    depth = min(_MOST, max((profile.depth for profile in profiles), default=0) or _DEPTH)
    is_latched = latched == {True} or (not profiles and topic in _ALWAYS_LATCHED)
    return RecordedQos(min(_MOST, max(depth, message_count)) if is_latched else depth, reliable != {False}, is_latched)
