"""The node's outputs: what is published, by which rule, and nothing for outputs that nobody subscribes to."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image

from msdepth_ros.core.behaviour import OUTPUT_IMAGES, OUTPUT_INFO, Published
from msdepth_ros.ros.messages import array_to_image, header_at, pinhole_camera_info

_DEPTH_OF_QUEUE = 5


class Outputs:
    """Lifecycle publishers of depth, confidences and their kin; silent until the node is active.

    Args:
        node: the node that publishes.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._images = {topic: self._create(Image, topic) for topic in OUTPUT_IMAGES}
        self._camera_info = self._create(CameraInfo, OUTPUT_INFO)

    def _create(self, kind: type, name: str) -> Any:  # noqa: ANN401  rclpy's publishers are generic over untyped messages
        return self._node.create_lifecycle_publisher(
            kind, f"~/{name}", QoSProfile(depth=_DEPTH_OF_QUEUE),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )  # fmt: skip

    @property
    def _all(self) -> list[Any]:
        return [*self._images.values(), self._camera_info]

    def subscribers(self) -> int:
        """How many subscriptions there are on all outputs together."""
        return sum(publisher.get_subscription_count() for publisher in self._all)

    def publish(self, published: Published) -> None:
        """Publishes what goes out for one set, on every output that somebody subscribes to."""
        header = header_at(published.stamp_ns, published.frame_id)
        for topic, publisher in self._images.items():
            if publisher.get_subscription_count():
                publisher.publish(array_to_image(header, *published.image(topic)))
        if self._camera_info.get_subscription_count():
            height, width = published.depth_m.shape
            self._camera_info.publish(pinhole_camera_info(header, width, height, published.result.intrinsics))

    def destroy(self) -> None:
        """Removes the publishers from the node."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
