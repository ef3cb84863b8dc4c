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
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import colourise
from msdepth_ros.ros.messages import array_to_image, pinhole_camera_info

_DEPTH_OF_QUEUE = 5
_NEAREST_COLOUR_M = 0.1


class Outputs:
    """Lifecycle publishers of depth, confidences and their kin; silent until the node is active.

    Args:
        node: the node that publishes.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._depth = self._create(Image, "depth/image")
        self._camera_info = self._create(CameraInfo, "depth/camera_info")
        self._confidence = self._create(Image, "depth/confidence")
        self._colour = self._create(Image, "depth/image_color")
        self._view_confidence = {spectrum: self._create(Image, f"confidence/{spectrum}") for spectrum in SPECTRA}

    def _create(self, kind: type, name: str) -> Any:  # noqa: ANN401  rclpy's publishers are generic over untyped messages
        return self._node.create_lifecycle_publisher(
            kind, f"~/{name}", QoSProfile(depth=_DEPTH_OF_QUEUE),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )  # fmt: skip

    @property
    def _all(self) -> list[Any]:
        single = [self._depth, self._camera_info, self._confidence, self._colour]
        return single + list(self._view_confidence.values())

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
        if self._depth.get_subscription_count():
            self._depth.publish(array_to_image(header, depth_m, "32FC1"))
        if self._camera_info.get_subscription_count():
            height, width = depth_m.shape
            self._camera_info.publish(pinhole_camera_info(header, width, height, result.intrinsics))
        if self._confidence.get_subscription_count():
            self._confidence.publish(_confidence_image(header, result.confidence))
        for spectrum, publisher in self._view_confidence.items():
            if publisher.get_subscription_count():
                confidence = result.view_confidence.get(spectrum)
                publisher.publish(
                    _confidence_image(header, np.zeros_like(depth_m) if confidence is None else confidence)
                )
        if self._colour.get_subscription_count():
            picture = colourise(depth_m, max(min_m, _NEAREST_COLOUR_M), max_m)
            self._colour.publish(array_to_image(header, picture, "rgb8"))

    def destroy(self) -> None:
        """Removes the publishers from the node."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)


def _confidence_image(header: Header, confidence: NDArray[np.float32]) -> Image:
    """Confidence in [0,1]; what is not a number is no confidence."""
    return array_to_image(header, np.fmin(np.fmax(confidence, np.float32(0.0)), np.float32(1.0)), "32FC1")
