"""The rig's frames and the road's on /tf_static, for whoever looks at the depth: nobody else publishes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from msdepth_ros.core.camera.transforms import quaternion
from msdepth_ros.ros.node.calibration import Calibration

TOPIC = "/tf_static"
_LOOK_EVERY_S = 0.5
_PATIENCE_LOOKS = 4


class StaticFrames:
    """Broadcasts frames as they become known, and again when they change, as tf2_ros's own broadcaster does.

    Needs only the messages of tf2, and these only once there is something to say.

    Args:
        node: to publish with.
        calibration: knows the frames.
    """

    def __init__(self, node: Node, calibration: Calibration) -> None:
        self._node, self._calibration = node, calibration
        self._publisher = None
        self._told: dict[str, bytes] = {}
        self._waited = 0
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_LOOK_EVERY_S, self._look, clock=steady)

    def close(self) -> None:
        """Frees timer and publisher; whoever listened keeps what it heard."""
        self._node.destroy_timer(self._timer)
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)

    def _look(self) -> None:
        """Broadcasts what is new."""
        frames = self._calibration.frames_below_reference()
        if not frames or not self._parent_is_settled():
            return
        parent = self._calibration.output_frame
        now = {child: parent.encode() + pose.tobytes() for child, pose in frames.items()}
        if now != self._told:
            self._told = now
            self._publish(parent, frames)

    def _parent_is_settled(self) -> bool:
        """Whether the reference camera has named its frame, or is not going to: links of tf cannot be taken back."""
        self._waited += 1
        return self._calibration.reference_is_named or self._waited > _PATIENCE_LOOKS

    def _publish(self, parent: str, frames: Mapping[str, NDArray[np.float64]]) -> None:
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._node.get_logger().info("publish_tf needs tf2_msgs, which is not installed: no frames on /tf_static")
            self._timer.cancel()
            return
        if self._publisher is None:
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self._publisher = self._node.create_publisher(TFMessage, TOPIC, qos)
        stamp = self._node.get_clock().now().to_msg()
        links = [transform_stamped(parent, child, pose) for child, pose in frames.items()]
        for link in links:
            link.header.stamp = stamp
        self._publisher.publish(TFMessage(transforms=links))


def transform_stamped(parent: str, child: str, parent_from_child: NDArray[np.float64]) -> TransformStamped:
    """A link of the tree of frames.

    Args:
        parent: frame id.
        child: frame id.
        parent_from_child: [4,4], metres.
    """
    link = TransformStamped(child_frame_id=child)
    link.header.frame_id = parent
    translation, rotation = link.transform.translation, link.transform.rotation
    translation.x, translation.y, translation.z = parent_from_child[:3, 3].tolist()
    rotation.x, rotation.y, rotation.z, rotation.w = quaternion(parent_from_child[:3, :3])
    return link
