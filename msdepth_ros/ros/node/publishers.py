"""The node's outputs: what is published, by which rule, and nothing for outputs that nobody subscribes to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from msdepth_ros.core.model.engine import DepthResult
from msdepth_ros.core.published_images import CAMERA_INFO, IMAGES, published_image
from msdepth_ros.ros.messages import array_to_image, pinhole_camera_info

_DEPTH_OF_QUEUE = 5


class Outputs:
    """Lifecycle publishers of depth, confidences and their kin; silent until the node is active.

    Args:
        node: the node that publishes.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._images = {name: self._create(Image, name) for name in IMAGES}
        self._camera_info = self._create(CameraInfo, CAMERA_INFO)

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

    def publish(
        self, header: Header, result: DepthResult, depth_m: NDArray[np.float32], *, min_m: float, max_m: float
    ) -> None:
        """Publishes one result on every output that somebody subscribes to.

        Args:
            header: stamp and frame of all messages.
            result: of the network.
            depth_m: of `published_depth_m`.
            min_m: lower end of the colour scale, metres.
            max_m: its upper end, metres.
        """
        for name, publisher in self._images.items():
            if publisher.get_subscription_count():
                pixels, encoding = published_image(name, result, depth_m, min_m=min_m, max_m=max_m)
                publisher.publish(array_to_image(header, pixels, encoding))
        if self._camera_info.get_subscription_count():
            height, width = depth_m.shape
            self._camera_info.publish(pinhole_camera_info(header, width, height, result.intrinsics))

    def destroy(self) -> None:
        """Removes the publishers from the node."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
