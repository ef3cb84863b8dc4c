"""The same messages through the live node and through the evaluation of their recording: the same depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from bags import TYPES
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer

from msdepth_ros.core.images import decode_image
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.nodes.messages import stamp_to_ns
from msdepth_ros.replay.options import EvaluateOptions
from msdepth_ros.replay.planning import plan_bag
from msdepth_ros.replay.runner import Computed, run

ALL = ("rgb", "nir", "thermal")
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
LATE_NS = 15_000_000
# Which cameras give an image at each instant; before the fourth, both sides have heard all three of them.
INSTANTS = [ALL, ALL, ALL, ALL, ("rgb", "thermal"), ("nir", "thermal"), ALL]


def noisy(messages: Any, spectrum: str, number: int) -> Any:
    """An image of this camera and instant, unlike all others."""
    stamp_ns = START_NS + number * PERIOD_NS + (LATE_NS if spectrum == "thermal" else 0)
    image = messages.image(spectrum, stamp_ns)
    generator = np.random.default_rng([number, ALL.index(spectrum)])
    image.data = generator.integers(0, 255, len(image.data)).astype(np.uint8).tobytes()
    return image


def record(folder: Path, messages: Any) -> Path:
    """The recording of everything that is sent."""
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = {"image": "sensor_msgs/msg/Image", "camera_info": "sensor_msgs/msg/CameraInfo"}
        topics = {
            (spectrum, name): writer.add_connection(f"/{spectrum}/{name}", kind, typestore=TYPES)
            for spectrum in ALL
            for name, kind in kinds.items()
        }
        for spectrum in ALL:
            info = messages.camera_info(spectrum, START_NS)
            writer.write(topics[spectrum, "camera_info"], START_NS, serialize_message(info))
        for number, spectra in enumerate(INSTANTS):
            for spectrum in spectra:
                image = noisy(messages, spectrum, number)
                writer.write(topics[spectrum, "image"], stamp_to_ns(image.header.stamp), serialize_message(image))
    return folder


def live(bench: Any, messages: Any) -> dict[int, np.ndarray]:
    """Depth by stamp, as the node publishes it."""
    bench.start(sync__deadline_s=1.0)
    bench.listen("depth/image")
    for spectrum in ALL:
        bench.tell(spectrum, messages.camera_info(spectrum, START_NS))
    bench.connect(*ALL)
    for number, spectra in enumerate(INSTANTS):
        for spectrum in spectra:
            image = noisy(messages, spectrum, number)
            bench.publisher(type(image), f"/{spectrum}/image").publish(image)
        stamp_ns = START_NS + number * PERIOD_NS
        found = bench.received["depth/image"]
        wanted = {stamp_ns, stamp_ns + LATE_NS}
        if number:  # the first set may be of whichever camera is heard first
            bench.until(lambda: any(stamp_to_ns(one.header.stamp) in wanted for one in found))  # noqa: B023
        else:
            bench.spin(1.5)
    return {stamp_to_ns(one.header.stamp): decode_image(one).pixels for one in bench.received["depth/image"]}


def test_depth_of_the_same_set_is_identical(bench: Any, messages: Any, rig_file: Path, tmp_path: Path) -> None:
    values = DEFAULTS | {"calibration.source": "file", "calibration.file": str(rig_file)}
    values |= {"sync.deadline_s": 1.0, "sync.stale_after_s": 10.0}
    options = EvaluateOptions(Settings.from_values(values))
    path = record(tmp_path / "bag", messages)
    plan = plan_bag(path, "bag", options)
    replayed: dict[int, Computed] = {}
    engine = options.make_engine()
    list(run(path, plan.plans, options, engine, sink=lambda one: replayed.update({one.planned.stamp_ns: one})))
    published = live(bench, messages)
    stamps = [START_NS + number * PERIOD_NS for number in range(3, len(INSTANTS))]
    assert set(stamps) <= published.keys()
    for stamp_ns, spectra in zip(stamps, INSTANTS[3:], strict=True):
        assert replayed[stamp_ns].result.spectra == spectra
        np.testing.assert_allclose(published[stamp_ns], replayed[stamp_ns].depth_m, rtol=1e-5, equal_nan=True)
    values = [published[stamp_ns] for stamp_ns in stamps]
    assert not any(np.allclose(a, b, rtol=1e-3) for a, b in zip(values, values[1:], strict=False)), "sets differ"
