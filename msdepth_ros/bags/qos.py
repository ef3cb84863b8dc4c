"""With which quality of service a topic was offered when it was recorded."""

from __future__ import annotations

from typing import NamedTuple

from rosbags.interfaces import Qos, QosDurability, QosReliability
from rosbags.rosbag2.metadata import parse_qos

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import MAX_BYTES, parse_yaml

_ALWAYS_LATCHED = ("/tf_static", "/robot_description")
_DEPTH = 10
_MOST = 1000
_ADVICE = "leave the topic out, or repair metadata.yaml"


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
    profiles = _profiles(topic, text)
    reliable = {profile.reliability != QosReliability.BEST_EFFORT for profile in profiles}
    latched = {profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles}
    # Unlimited or unknown depths are written as 0.
    depth = min(_MOST, max((profile.depth for profile in profiles), default=0) or _DEPTH)
    is_latched = latched == {True} or (not profiles and topic in _ALWAYS_LATCHED)
    return RecordedQos(min(_MOST, max(depth, message_count)) if is_latched else depth, reliable != {False}, is_latched)


def _profiles(topic: str, text: str) -> list[Qos]:
    """The offered profiles, read with the bounds of every YAML that others wrote."""
    where = f"the QoS profiles of {topic}"
    if len(text) > MAX_BYTES:
        raise MsdepthError(f"{where} have {len(text)} characters; {_ADVICE}")
    document = parse_yaml(text, where, _ADVICE)
    try:
        profiles = parse_qos(document or [])
    except Exception as error:  # rosbags raises whatever a document leads to
        reason = " ".join(str(error).split())[:200]
        raise MsdepthError(f"{where} cannot be read: {reason}; {_ADVICE}") from error
    for profile in profiles:
        if type(profile.depth) is not int or profile.depth < 0:
            raise MsdepthError(f"{where} have depth {str(profile.depth)[:80]!r}; {_ADVICE}")
    return profiles
