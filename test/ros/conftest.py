"""A real node on real Fast DDS, alone in its own domain on this host, and someone who talks and listens to it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig

SIZES = {"rgb": (160, 64), "nir": (150, 60), "thermal": (80, 32)}
"""Width and height of the test cameras, px: small, since the node resizes them anyway."""


def camera(spectrum: str) -> CameraModel:
    """A small camera of the proportions that the network likes."""
    width, height = SIZES[spectrum]
    k = np.array([[100.0, 0.0, width / 2], [0.0, 100.0, height / 2], [0.0, 0.0, 1.0]])
    return CameraModel(spectrum, width, height, k)


@pytest.fixture(scope="session")
def rig_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rig of the three test cameras, a tenth of a metre apart."""
    poses = {}
    for index, spectrum in enumerate(SIZES):
        poses[spectrum] = np.eye(4)
        poses[spectrum][0, 3] = -0.1 * index
    path = tmp_path_factory.mktemp("rig") / "rig.yaml"
    Rig({spectrum: camera(spectrum) for spectrum in SIZES}, poses).save(path)
    return path


class Bench:
    """The node under test and a peer that publishes camera messages and records what comes back."""

    def __init__(self, rig_file: Path) -> None:
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        self.peer = Node("peer")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.peer)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self.node: Any = None
        self.rig_file = rig_file
        self._publishers: dict[tuple[str, str], Any] = {}

    def start(self, *arguments: str, begin: bool = True, **parameters: Any) -> Any:
        """Makes the node; arguments are those after --ros-args, parameters have double underscores for dots."""
        from rclpy.parameter import Parameter

        from msdepth_ros.ros.node.lifecycle import FusedDepthNode

        # A busy machine may take long to bring three images over; a short deadline would split their set.
        values = {"calibration.source": "file", "calibration.file": str(self.rig_file)}
        values |= {"sync.deadline_s": 0.5, "sync.stale_after_s": 10.0}
        values |= {name.replace("__", "."): value for name, value in parameters.items()}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = FusedDepthNode(parameter_overrides=overrides, cli_args=["--ros-args", *arguments])
        self.executor.add_node(self.node)
        if begin:
            assert self.node.autostart()
        return self.node

    def listen(self, *topics: str) -> None:
        """Subscribes to outputs of the node, reliable as RViz does."""
        from sensor_msgs.msg import CameraInfo, Image

        for topic in topics:
            kind = CameraInfo if topic.endswith("camera_info") else Image
            self.peer.create_subscription(kind, f"/fused_depth/{topic}", self.received[topic].append, 10)

    def listen_to_diagnostics(self) -> None:
        """Subscribes to /diagnostics."""
        from diagnostic_msgs.msg import DiagnosticArray

        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self.received["diagnostics"].append, 10)

    def publisher(self, kind: type, topic: str, qos: Any = None) -> Any:
        """A publisher of the peer, made once."""
        from rclpy.qos import qos_profile_sensor_data

        key = (kind.__name__, topic)
        if key not in self._publishers:
            self._publishers[key] = self.peer.create_publisher(kind, topic, qos or qos_profile_sensor_data)
        return self._publishers[key]

    def connect(self, *spectra: str) -> None:
        """Waits until the node hears the cameras, and the peer the outputs it listens to."""
        from sensor_msgs.msg import Image

        publishers = [self.publisher(Image, f"/{spectrum}/image") for spectrum in spectra]
        self.until(lambda: all(publisher.get_subscription_count() for publisher in publishers))
        outputs = [topic for topic in self.received if topic != "diagnostics"]
        self.until(lambda: all(self.peer.count_publishers(f"/fused_depth/{topic}") for topic in outputs))
        self.spin(0.2)

    def send(self, spectrum: str, stamp_ns: int, **changes: Any) -> None:
        """Publishes an image of a camera, with fields changed as asked."""
        self.publisher(type(image := make_image(spectrum, stamp_ns, **changes)), f"/{spectrum}/image").publish(image)

    def tell(self, spectrum: str, camera_info: Any) -> None:
        """Publishes a camera_info once somebody hears it."""
        publisher = self.publisher(type(camera_info), f"/{spectrum}/camera_info")
        self.until(publisher.get_subscription_count)
        publisher.publish(camera_info)

    def latch(self, spectrum: str, camera_info: Any) -> None:
        """Publishes a camera_info for whoever comes later."""
        from rclpy.qos import DurabilityPolicy, QoSProfile

        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.publisher(type(camera_info), f"/{spectrum}/camera_info", qos).publish(camera_info)

    def spin(self, seconds: float) -> None:
        """Lets both nodes work for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Lets both nodes work until something holds.

        Raises:
            AssertionError: it never did.
        """
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"not within {timeout_s} s"
            self.executor.spin_once(timeout_sec=0.05)

    def status(self, task: str) -> SimpleNamespace:
        """The node's diagnostics of one task, values as a dict."""
        statuses = self.node._diagnostics.statuses()  # the topic says the same once a second
        status = next(status for status in statuses if status.name.endswith(f"fused_depth: {task}"))
        values = {value.key: value.value for value in status.values}
        return SimpleNamespace(level=status.level, message=status.message, values=values)

    def close(self) -> None:
        """Ends both nodes."""
        for node in (self.node, self.peer):
            if node is not None:
                self.executor.remove_node(node)
                node.destroy_node()
        self.executor.shutdown()


def make_image(spectrum: str, stamp_ns: int, **changes: Any) -> Any:
    """An image message of a test camera: noise, of the spectrum's usual encoding."""
    from msdepth_ros.ros.messages import array_to_image, header_at

    width, height = SIZES[spectrum]
    generator = np.random.default_rng(7)
    shape = (height, width, 3) if spectrum == "rgb" else (height, width)
    kind, encoding = {"rgb": (np.uint8, "bgr8"), "nir": (np.uint8, "mono8"), "thermal": (np.uint16, "16UC1")}[spectrum]
    pixels = generator.integers(0, 255, shape).astype(kind)
    message = array_to_image(header_at(stamp_ns, f"{spectrum}_optical_frame"), pixels, encoding)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def make_camera_info(spectrum: str, stamp_ns: int = 0, **changes: Any) -> Any:
    """A camera_info of a test camera."""
    from msdepth_ros.ros.messages import header_at, pinhole_camera_info

    model = camera(spectrum)
    header = header_at(stamp_ns, f"{spectrum}_optical_frame")
    message = pinhole_camera_info(header, model.width, model.height, model.k)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.fixture
def messages() -> SimpleNamespace:
    """Makers of messages: ``image(spectrum, stamp_ns, **fields)`` and ``camera_info(spectrum, stamp_ns, **fields)``."""
    pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")
    return SimpleNamespace(image=make_image, camera_info=make_camera_info, camera=camera, sizes=SIZES)


@pytest.fixture
def bench(ros: None, rig_file: Path) -> Iterator[Bench]:
    """A peer, and on demand the node."""
    made = Bench(rig_file)
    yield made
    made.close()
