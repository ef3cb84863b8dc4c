"""The same messages through the live node and through the evaluation of their recording: the same depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

import replays
from bags import TYPES
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer

import models
from msdepth_ros.core.camera.ground import GroundPlane, level_normal
from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.run.compute import Computed
from msdepth_ros.ros.messages import stamp_to_ns

Make = Callable[[Any, str, int], Any]
ALL = ("rgb", "nir", "thermal")
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
LATE_NS = 15_000_000
# Which cameras give an image at each instant; before the fourth, both sides have heard all three of them.
INSTANTS = [ALL, ALL, ALL, ALL, ("rgb", "thermal"), ("nir", "thermal"), ALL]


SOUND, BLACK, WHITE, FLAT, SAME = None, b"\0", b"\xff", b"\x5a", -1
# Pictures that are not sound at some instants. A picture is the same for 10 ms or more: that is the next instant in the
# recording and for the live node, too, however busy this machine is.
TROUBLE = {
    "rgb": {5: BLACK, 6: BLACK, 10: WHITE, 12: BLACK},
    "nir": {6: FLAT, 12: WHITE, 17: SAME, 18: SAME},
    "thermal": {10: SAME, 12: BLACK, 15: SAME, 16: SAME},
}
FROZEN_AFTER_S = 0.01
# Of each instant, from the fourth on: what the rules in the README say.
USED = [
    ALL, ALL, ("nir", "thermal"), ("thermal",),  # 6: black and flat
    ("nir", "thermal"), ALL, ALL,  # 7: two black images, one good one does not end it; one flat image does
    ("nir",), ("rgb", "nir"), (), ALL, ALL,  # 11: thermal was frozen, which takes two good images to end; 12: nothing
    # 15: by now thermal is known not to repeat itself, so this is its shutter, which ends with the first new picture
    ("rgb", "nir"), ("rgb", "nir"), ("rgb", "thermal"), ("rgb", "thermal"), ("rgb", "thermal"),
]  # fmt: skip


def noisy(messages: Any, spectrum: str, number: int) -> Any:
    """An image of this camera and instant, unlike all others."""
    stamp_ns = START_NS + number * PERIOD_NS + (LATE_NS if spectrum == "thermal" else 0)
    image = messages.image(spectrum, stamp_ns)
    generator = np.random.default_rng([number, ALL.index(spectrum)])
    image.data = generator.integers(0, 255, len(image.data)).astype(np.uint8).tobytes()
    return image


def failing(messages: Any, spectrum: str, number: int) -> Any:
    """The same, unless the camera is in trouble."""
    image, trouble = noisy(messages, spectrum, number), TROUBLE[spectrum].get(number)
    if trouble == SAME:
        image.data = failing(messages, spectrum, number - 1).data
    elif trouble is not SOUND:
        image.data = trouble * len(image.data)
    return image


def record(folder: Path, messages: Any, instants: Sequence[tuple[str, ...]], make: Make = noisy) -> Path:
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
        for number, spectra in enumerate(instants):
            for spectrum in spectra:
                image = make(messages, spectrum, number)
                writer.write(topics[spectrum, "image"], stamp_to_ns(image.header.stamp), serialize_message(image))
    return folder


def replay(path: Path, rig_file: Path, **parameters: Any) -> dict[int, Computed]:
    """Depth by stamp, as the evaluation computes it."""
    values = DEFAULTS | {"calibration.source": "file", "calibration.file": str(rig_file)}
    values |= {"sync.deadline_s": 1.0, "sync.stale_after_s": 10.0}
    values |= {name.replace("__", "."): value for name, value in parameters.items()}
    options = EvaluateOptions(Settings.from_values(values))
    found: dict[int, Computed] = {}
    sink = SimpleNamespace(take=lambda one: found.update({one.planned.stamp_ns: one}))
    plans = replays.plan(path, "bag", options).plans
    replays.compute(path, plans, options, options.make_engine(), sink=sink)
    return found


def live(
    bench: Any, messages: Any, instants: Sequence[tuple[str, ...]], make: Make = noisy, **parameters: Any
) -> dict[int, np.ndarray]:
    """Depth by stamp, as the node publishes it."""
    bench.start(sync__deadline_s=1.0, **parameters)
    bench.listen("depth/image")
    for spectrum in ALL:
        bench.tell(spectrum, messages.camera_info(spectrum, START_NS))
    bench.connect(*ALL)
    found = bench.received["depth/image"]
    for number, spectra in enumerate(instants):
        unusable = int(bench.status("output").values["unusable_sets"])
        for spectrum in spectra:
            image = make(messages, spectrum, number)
            bench.publisher(type(image), f"/{spectrum}/image").publish(image)
        stamp_ns = START_NS + number * PERIOD_NS
        wanted = {stamp_ns, stamp_ns + LATE_NS}

        def answered(wanted: set[int] = wanted, unusable: int = unusable) -> bool:
            depth = any(stamp_to_ns(one.header.stamp) in wanted for one in found)
            return depth or int(bench.status("output").values["unusable_sets"]) > unusable

        if number:  # the first set may be of whichever camera is heard first
            bench.until(answered)
        else:
            bench.spin(1.5)
    return {stamp_to_ns(one.header.stamp): decode_image(one).pixels for one in found}


def test_depth_of_the_same_set_is_identical(bench: Any, messages: Any, rig_file: Path, tmp_path: Path) -> None:
    replayed = replay(record(tmp_path / "bag", messages, INSTANTS), rig_file)
    published = live(bench, messages, INSTANTS)
    stamps = [START_NS + number * PERIOD_NS for number in range(3, len(INSTANTS))]
    assert set(stamps) <= published.keys()
    for stamp_ns, spectra in zip(stamps, INSTANTS[3:], strict=True):
        assert replayed[stamp_ns].published.result.spectra == spectra
        np.testing.assert_allclose(published[stamp_ns], replayed[stamp_ns].published.depth_m, rtol=1e-5, equal_nan=True)
    values = [published[stamp_ns] for stamp_ns in stamps]
    assert not any(np.allclose(a, b, rtol=1e-3) for a, b in zip(values, values[1:], strict=False)), "sets differ"


@pytest.mark.parametrize("leave_out", [True, False])
def test_the_same_images_are_left_out(
    bench: Any, messages: Any, rig_file: Path, tmp_path: Path, leave_out: bool
) -> None:
    parameters = {"health__frozen_after_s": FROZEN_AFTER_S, "health__leave_out": leave_out}
    instants = [ALL] * (3 + len(USED))
    replayed = replay(record(tmp_path / "bag", messages, instants, failing), rig_file, **parameters)
    published = live(bench, messages, instants, failing, **parameters)
    stamps = [START_NS + number * PERIOD_NS for number in range(3, len(instants))]
    used = USED if leave_out else [ALL] * len(USED)
    assert [replayed[stamp_ns].published.result.spectra if stamp_ns in replayed else () for stamp_ns in stamps] == used
    assert published.keys() & set(stamps) == replayed.keys() & set(stamps)
    for stamp_ns in replayed.keys() & set(stamps):
        np.testing.assert_allclose(published[stamp_ns], replayed[stamp_ns].published.depth_m, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize(
    "parameters", [{}, {"ground__height_m": 1.4, "ground__camera": "nir", "ground__roll_deg": 5.0}]
)
def test_the_road_is_the_same(
    bench: Any, messages: Any, rig_file: Path, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    file = tmp_path / "rig.yaml"
    road = GroundPlane("thermal", level_normal(6.0, 2.0), 1.5, "a test")
    dataclasses.replace(Rig.load(rig_file), ground=road).save(file)
    model = str(models.toy_model(tmp_path / "toy.onnx", contract=2, added_m=9.0))
    parameters = {"calibration__file": str(file), "model__path": model, "reference": "nir", **parameters}
    bag = record(tmp_path / "bag", messages, INSTANTS)
    replayed = replay(bag, file, **parameters)
    without = replay(bag, rig_file, **parameters | {"calibration__file": str(rig_file), "ground__height_m": 0.0})
    published = live(bench, messages, INSTANTS, **parameters)
    for number in (3, 6):
        stamp_ns = START_NS + number * PERIOD_NS
        np.testing.assert_allclose(published[stamp_ns], replayed[stamp_ns].published.depth_m, rtol=1e-6)
        assert np.abs(published[stamp_ns] - without[stamp_ns].published.depth_m).min() > 20
