"""Notes what a user sees: depth, which cameras are in it, diagnostics; and passes faults on to the injectors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String

from fault_bench.judge import Depth, Sightings, Words
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.ros.inject.faulty_messages import stamp_of

_HEAD_BYTES = 200  # more than what precedes the pixels of a serialized image


class Watcher:
    """A ROS node in a thread of its own.

    Args:
        cameras: whether to see which cameras are in a depth image; that costs the node another few images each time.

    Attributes:
        seen: everything so far; it only grows.
        events: what injectors told.
        values: the newest key-values of each diagnostics task.
    """

    def __init__(self, *, cameras: bool = True) -> None:
        self.seen = Sightings()
        self.values: dict[str, dict[str, str]] = {}
        self.events: list[dict[str, Any]] = []
        self._node: Node = rclpy.create_node("watcher")
        self._commands = {}
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for name in SPECTRA:
            self._commands[name] = self._node.create_publisher(String, f"injector_{name}/inject", 10)
            self._node.create_subscription(String, f"injector_{name}/events", self._on_event, latched)
            if cameras:
                topic = f"fused_depth/confidence/{name}"
                self._node.create_subscription(Image, topic, self._on_confidence(name), 10, raw=True)
        self._node.create_subscription(Image, "fused_depth/depth/image", self._on_depth, 10, raw=True)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and the node."""
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()

    def inject(self, spectrum: str, text: str) -> None:
        """Tells an injector."""
        self._commands[spectrum].publish(String(data=text))

    def listening(self, spectra: Sequence[str] = SPECTRA) -> bool:
        """Whether the injectors of these cameras hear us and we them."""
        return all(
            self._commands[name].get_subscription_count() and self._node.count_publishers(f"injector_{name}/events")
            for name in spectra
        )

    def calm(self, since_ns: int) -> bool:
        """Whether the last diagnostics say nothing of any camera, and the last depth was made of all of them."""
        if not self.seen.words or self.seen.words[-1].arrival_ns < since_ns or len(self.seen.depths) < 2:
            return False
        used = self.seen.used.get(self.seen.depths[-2].stamp_ns, set())  # confidences follow the depth
        fresh = time.time_ns() - self.seen.depths[-1].arrival_ns < 1_000_000_000
        return fresh and used == set(SPECTRA) and not any(self.seen.words[-1].cameras.values())

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _on_event(self, message: String) -> None:
        self.events.append(json.loads(message.data))

    def _on_depth(self, payload: bytes) -> None:
        self.seen.depths.append(Depth(time.time_ns(), stamp_of(payload)))

    def _on_confidence(self, spectrum: str) -> Callable[[bytes], None]:
        def note(payload: bytes) -> None:
            if np.frombuffer(payload, np.uint8, offset=_HEAD_BYTES).any():  # of an absent camera all are 0
                self.seen.used.setdefault(stamp_of(payload), set()).add(spectrum)

        return note

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        cameras = {}
        for status in message.status:
            task = status.name.partition(": ")[2]
            self.values[task] = {value.key: value.value for value in status.values}
            if task.startswith("camera "):
                words = next((value.value for value in status.values if value.key == "faults"), "inactive")
                cameras[task.removeprefix("camera ")] = frozenset(word for word in words.split(",") if word)
        self.seen.words.append(Words(time.time_ns(), cameras))
