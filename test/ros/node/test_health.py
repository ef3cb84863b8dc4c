"""Faulty cameras in front of the real node: what it leaves out, what it says, and that depth goes on."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter

from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.ros.messages import stamp_to_ns

STAMP_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
ALL = ("rgb", "nir", "thermal")
CONFIDENCES = tuple(f"confidence/{spectrum}" for spectrum in ALL)
ERROR, WARN = b"\x02", b"\x01"


Logged = Callable[[], list[str]]


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str]) -> Logged:
    """Gives the lines that the node has logged since the test began; what /rosout repeats may come late."""
    text: list[str] = []

    def lines() -> list[str]:
        text.append(capfd.readouterr().err)
        return "".join(text).splitlines()

    return lines


class Rig:
    """Three cameras whose pictures change all the time, unless told otherwise."""

    def __init__(self, bench: Any, messages: SimpleNamespace, *spectra: str) -> None:
        self.bench, self.messages, self.spectra, self.number = bench, messages, spectra or ALL, 0

    def send(self, **changes: str) -> int:
        """Publishes one set; ``rgb="black"`` and the like change a camera's picture; returns its stamp."""
        self.number += 1
        stamp_ns = STAMP_NS + self.number * PERIOD_NS
        for spectrum in self.spectra:
            message = self.messages.image(spectrum, stamp_ns)
            self.bench.send(spectrum, stamp_ns, data=self.picture(message, changes.get(spectrum, "")))
        return stamp_ns

    def picture(self, message: Any, change: str) -> array[int]:
        if change == "still":
            return message.data
        size = len(message.data)
        if change == "black":
            return array("B", bytes(size))
        if change == "white":
            return array("B", b"\xff" * size)
        turned = np.frombuffer(message.data, np.uint8)
        return array("B", np.roll(turned, 2 * self.number * (1 + turned.size // 97)).tobytes())

    def answer(self, **changes: str) -> dict[str, Any]:
        """Publishes a set and waits for its depth; returns the outputs with its stamp."""
        stamp_ns = self.send(**changes)
        received = self.bench.received

        def outputs() -> dict[str, Any]:
            return {
                topic: message
                for topic in received
                for message in received[topic]
                if topic != "diagnostics" and stamp_to_ns(message.header.stamp) == stamp_ns
            }

        wanted = len([topic for topic in received if topic != "diagnostics"])
        self.bench.until(lambda: len(outputs()) == wanted)
        return outputs()

    def used(self, **changes: str) -> set[str]:
        """Publishes a set; returns the cameras that the depth was made of."""
        outputs = self.answer(**changes)
        return {name for name in ALL if decode_image(outputs[f"confidence/{name}"]).pixels.any()}


@pytest.fixture
def rig(bench: Any, messages: SimpleNamespace) -> Rig:
    """The node with three sound cameras that it knows."""
    bench.start(health__silent_after_s=60.0)  # these tests send as fast as a busy machine answers
    bench.listen("depth/image", *CONFIDENCES)
    bench.connect(*ALL)
    made = Rig(bench, messages)
    made.send()
    bench.spin(0.3)
    for _ in range(3):
        made.answer()
    return made


def faults(bench: Any, spectrum: str) -> str:
    return bench.status(f"camera {spectrum}").values["faults"]


def picture_faults(bench: Any, spectrum: str) -> set[str]:
    """Without those of timing: these sets come as fast as a busy machine can answer them."""
    return set(faults(bench, spectrum).split(",")) & {"black", "overexposed", "flat", "frozen", "noisy", "blurred"}


@pytest.mark.parametrize("spectrum", ALL)
@pytest.mark.parametrize(("change", "word"), [("black", "black"), ("white", "overexposed")])
def test_a_picture_that_shows_nothing_is_left_out_and_named(rig: Rig, spectrum: str, change: str, word: str) -> None:
    others = set(ALL) - {spectrum}
    for _ in range(3):
        assert rig.used(**{spectrum: change}) == others
    status = rig.bench.status(f"camera {spectrum}")
    assert (status.level, status.values["left_out"]) == (ERROR, "3")
    assert {name: picture_faults(rig.bench, name) for name in ALL} == {
        name: {word} if name == spectrum else set() for name in ALL
    }
    assert [rig.used() for _ in range(3)][-1] == set(ALL)
    assert picture_faults(rig.bench, spectrum) == set()


def test_the_stamp_is_still_that_of_the_reference_whose_picture_is_left_out(rig: Rig) -> None:
    depth = rig.answer(rgb="black")["depth/image"]  # found by the stamp of the rgb image
    assert depth.header.frame_id == "rgb_optical_frame"


def test_a_frozen_camera_is_left_out_while_another_shows_that_things_move(rig: Rig) -> None:
    rig.bench.node.set_parameters([Parameter("health.frozen_after_s", value=0.01)])
    assert [rig.used(thermal="still") for _ in range(4)][-1] == {"rgb", "nir"}
    assert picture_faults(rig.bench, "thermal") == {"frozen"}
    assert [rig.used() for _ in range(3)][-1] == set(ALL)


def test_nothing_is_left_out_when_all_cameras_repeat_their_pictures(rig: Rig) -> None:
    rig.bench.node.set_parameters([Parameter("health.frozen_after_s", value=0.01)])
    for _ in range(4):
        assert rig.used(rgb="still", nir="still", thermal="still") == set(ALL)
    assert rig.bench.status("camera nir").level == WARN


def test_leaving_out_can_be_switched_off_while_it_runs(rig: Rig) -> None:
    assert rig.bench.node.set_parameters([Parameter("health.leave_out", value=False)])[0].successful
    outputs = rig.answer(nir="black")
    assert "depth/image" in outputs
    assert rig.bench.status("camera nir").values["left_out"] == "0"


def test_without_any_usable_picture_there_is_no_depth_and_the_reason_is_given(rig: Rig, logged: Logged) -> None:
    rig.bench.node.set_parameters([Parameter("watchdog.silence_s", value=0.5)])
    before = len(rig.bench.received["depth/image"])

    def told() -> list[str]:
        rig.send(rgb="black", nir="white", thermal="black")
        rig.bench.spin(0.1)
        return [line for line in logged() if "]: no depth for " in line]

    rig.bench.until(told)
    reason = "no image of the set is usable: rgb black, nir overexposed, thermal black"
    assert reason in told()[0]
    assert reason in rig.bench.status("output").message or rig.bench.status("output").level != ERROR
    for _ in range(10):
        told()
    assert len(told()) == 1, "one line, not one a second"
    assert len(rig.bench.received["depth/image"]) == before
    assert int(rig.bench.status("output").values["unusable_sets"]) > 10
    assert rig.bench.status("inference").values["errors"] == "0"


def test_a_changed_encoding_is_told(rig: Rig) -> None:
    stamp_ns = rig.send() + PERIOD_NS
    rig.bench.send("nir", stamp_ns, encoding="8UC1")
    rig.bench.until(lambda: "changed" in faults(rig.bench, "nir"))
    assert "from 150 x 60 mono8 to 150 x 60 8UC1" in rig.bench.status("camera nir").message


def test_a_skewed_camera_is_named(bench: Any, messages: SimpleNamespace) -> None:
    bench.start()
    bench.connect(*ALL)
    rig = Rig(bench, messages)

    def skewed() -> bool:
        stamp_ns = rig.number * PERIOD_NS + STAMP_NS
        rig.number += 1
        for spectrum in ALL:
            late_ns = 400_000_000 if spectrum == "thermal" else 0
            bench.send(spectrum, stamp_ns - late_ns)
        bench.spin(0.1)
        return "skewed" in faults(bench, "thermal")

    bench.until(skewed)
    assert "sync.offset_s.thermal" in bench.status("camera thermal").message
    assert "skewed" not in faults(bench, "rgb") + faults(bench, "nir")


def test_a_stuck_stamp_makes_no_set_and_the_reason_is_given(rig: Rig) -> None:
    rig.bench.node.set_parameters([Parameter("watchdog.silence_s", value=0.3)])
    stamp_ns = rig.send()
    rig.bench.spin(1.2)

    def output() -> str:
        for spectrum in ALL:
            rig.bench.send(spectrum, stamp_ns)
        rig.bench.spin(0.1)
        return rig.bench.status("output").message

    rig.bench.until(lambda: "images repeat a stamp: the driver is stuck" in output())
    assert "no depth: images of rgb+nir+thermal come but make no set" in output()
    assert "nearest stamps differ by: nir +0 ms, thermal +0 ms; " in output()


def test_a_missing_publisher_and_an_incompatible_one_are_told_apart(bench: Any, messages: SimpleNamespace) -> None:
    bench.start(**{"qos_overrides./rgb/image.subscription.reliability": "reliable"})
    rgb, nir = bench.status("camera rgb"), bench.status("camera nir")
    assert (rgb.level, rgb.values["faults"]) == (ERROR, "no_publisher")
    assert nir.message == "/nir/image has no publisher; start the driver, or remap the topic"
    bench.send("rgb", STAMP_NS)  # best effort
    bench.until(lambda: faults(bench, "rgb") == "qos")
    status = bench.status("camera rgb")
    assert status.level == ERROR
    assert "incompatible QoS" in status.message and "qos_overrides./rgb/image" in status.message


def test_calibration_that_does_not_fit_is_told_apart_from_bad_messages(rig: Rig, messages: SimpleNamespace) -> None:
    rig.bench.tell("nir", messages.camera_info("nir", k=np.full(9, np.nan)))
    rig.bench.until(lambda: "calibration" in faults(rig.bench, "nir"))
    rig.send()
    rig.bench.send("rgb", rig.send() + PERIOD_NS, encoding="rainbow")
    rig.bench.until(lambda: "rejected" in faults(rig.bench, "rgb"))


def test_a_change_of_level_is_published_at_once(rig: Rig) -> None:
    bench = rig.bench
    bench.listen_to_diagnostics()
    bench.until(lambda: bench.received["diagnostics"])

    def level() -> bytes:
        array_: DiagnosticArray = bench.received["diagnostics"][-1]
        return next(status.level for status in array_.status if status.name == "fused_depth: camera nir")

    for _ in range(3):
        rig.answer(nir="black")
    bench.until(lambda: level() == ERROR, timeout_s=1.0)
    status = next(one for one in bench.received["diagnostics"][-1].status if one.name == "fused_depth: camera nir")
    assert status.hardware_id == "fused_depth"
    assert "black" in {value.key: value.value for value in status.values}["faults"].split(",")


def test_missing_simulated_time_is_told_and_depth_goes_on(
    bench: Any, messages: SimpleNamespace, logged: Logged
) -> None:
    bench.start(use_sim_time=True, watchdog__silence_s=0.2)
    bench.listen("depth/image")
    bench.connect(*ALL)
    rig = Rig(bench, messages)
    rig.answer()
    rig.answer()
    status = bench.status("output")
    assert status.level == WARN
    assert "use_sim_time is set but nothing comes on /clock" in status.message
    assert "latency_ms_p50" not in status.values
    bench.until(lambda: any("nothing comes on /clock" in line for line in logged()))
