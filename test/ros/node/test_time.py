"""Clocks that jump, loop or lag, cameras that are late or slow, and a computer that is: depth goes on, and is told."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.parameter import Parameter
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from msdepth_ros.ros.messages import stamp_to_ns

STAMP_NS = 1_700_000_000_000_000_000
S = 1_000_000_000
PERIOD_NS = S // 10
ALL = ("rgb", "nir", "thermal")


class Drive:
    """Sends sets of all cameras and waits for the depth of each."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench

    def depth_at(self, stamp_ns: int) -> Any:
        found = self.bench.received["depth/image"]
        return next((one for one in found if stamp_to_ns(one.header.stamp) == stamp_ns), None)

    def send(self, stamp_ns: int, *spectra: str, **offsets_s: float) -> None:
        for spectrum in spectra or ALL:
            self.bench.send(spectrum, stamp_ns + round(offsets_s.get(spectrum, 0.0) * S))

    def answer(self, stamp_ns: int, *spectra: str, **offsets_s: float) -> Any:
        self.send(stamp_ns, *spectra, **offsets_s)
        self.bench.until(lambda: self.depth_at(stamp_ns))
        return self.depth_at(stamp_ns)

    def sets(self) -> dict[str, int]:
        values = self.bench.status("synchronizer").values
        return {key.removeprefix("sets_"): int(value) for key, value in values.items() if key.startswith("sets_")}


@pytest.fixture
def drive(bench: Any) -> Drive:
    """The active node, which has heard three cameras."""
    bench.start()
    bench.listen("depth/image")
    bench.connect(*ALL)
    made = Drive(bench)
    made.send(STAMP_NS - 3 * PERIOD_NS)
    bench.spin(0.3)
    for number in (-2, -1):
        made.answer(STAMP_NS + number * PERIOD_NS)
    return made


def faults(bench: Any, spectrum: str) -> set[str]:
    return set(bench.status(f"camera {spectrum}").values["faults"].split(","))


@pytest.mark.parametrize("jump_s", [-3600, -10, 10, 3600])
def test_a_clock_that_jumps_costs_no_set(drive: Drive, jump_s: int) -> None:
    for number in range(4):
        drive.answer(STAMP_NS + number * PERIOD_NS)
    jumped_ns = STAMP_NS + jump_s * S
    drive.answer(jumped_ns)
    drive.send(jumped_ns + PERIOD_NS)
    drive.bench.until(lambda: "jumping" in faults(drive.bench, "rgb"))
    for number in range(2, 4):
        drive.answer(jumped_ns + number * PERIOD_NS)
    assert drive.bench.status("synchronizer").values["resets"] == ("1" if jump_s < 0 else "0")


def test_a_recording_that_loops(drive: Drive) -> None:
    for loop in range(2):
        drive.bench.received["depth/image"].clear()
        for number in range(8):
            drive.answer(STAMP_NS + number * PERIOD_NS)
        assert int(drive.bench.status("synchronizer").values["resets"]) == loop


def test_a_constant_offset_is_corrected_while_the_node_runs(drive: Drive) -> None:
    node = drive.bench.node
    assert node.set_parameters([Parameter("sync.deadline_s", value=0.05)])[0].successful
    before = drive.sets()["rgb+nir+thermal"]
    for number in range(4):
        drive.answer(STAMP_NS + number * PERIOD_NS, thermal=-0.06)
    assert drive.sets()["rgb+nir+thermal"] == before
    assert node.set_parameters([Parameter("sync.offset_s.thermal", value=0.06)])[0].successful
    node.set_parameters([Parameter("sync.deadline_s", value=0.5)])
    for number in range(4, 8):
        drive.answer(STAMP_NS + number * PERIOD_NS, thermal=-0.06)
    assert drive.sets()["rgb+nir+thermal"] >= before + 3


def test_the_tolerance_is_changed_while_the_node_runs(drive: Drive) -> None:
    node = drive.bench.node
    drive.answer(STAMP_NS, nir=0.01)
    changes = {"sync.tolerance_s": 0.001, "sync.deadline_s": 0.05}
    results = node.set_parameters([Parameter(name, value=value) for name, value in changes.items()])
    assert [result.successful for result in results] == [True, True]

    def counts() -> tuple[int, int]:
        values = drive.bench.status("synchronizer").values
        return int(values["complete"]), int(values["partial"])

    complete, partial = counts()
    drive.send(STAMP_NS + PERIOD_NS, nir=0.01)
    drive.bench.until(lambda: counts()[1] > partial)
    assert counts()[0] == complete
    refused = node.set_parameters([Parameter("sync.tolerance_s", value=3.0), Parameter("sync.policy", value="exact")])
    assert not refused[0].successful
    assert "read-only" in refused[1].reason


def test_a_camera_at_half_the_rate_is_not_waited_for(drive: Drive) -> None:
    for number in range(12):
        drive.answer(STAMP_NS + number * PERIOD_NS, *(ALL if number % 2 == 0 else ("rgb", "nir")))
    sets = drive.sets()
    assert sets["rgb+nir"] >= 5 and sets["rgb+nir+thermal"] >= 6
    begin = time.monotonic()
    drive.answer(STAMP_NS + 12 * PERIOD_NS)
    drive.answer(STAMP_NS + 13 * PERIOD_NS, "rgb", "nir")
    assert time.monotonic() - begin < 2.0  # its deadline is half a second each


def test_latency_is_measured_in_simulated_time(bench: Any, messages: SimpleNamespace) -> None:
    bench.start(use_sim_time=True)
    bench.listen("depth/image")
    bench.connect(*ALL)
    clock = bench.publisher(Clock, "/clock", 10)
    bench.until(clock.get_subscription_count)
    clock.publish(Clock(clock=Time(nanoseconds=STAMP_NS + S // 4).to_msg()))
    bench.until(lambda: bench.node.get_clock().now().nanoseconds > 0)
    Drive(bench).answer(STAMP_NS)
    assert bench.status("output").values["latency_ms_p50"] == "250.000"
    assert "use_sim_time" not in bench.status("output").message


def test_overload_lowers_the_rate_and_not_the_newness(bench: Any) -> None:
    node = bench.start()
    bench.listen("depth/image")
    bench.connect("rgb")
    drive = Drive(bench)
    drive.answer(STAMP_NS, "rgb")
    engine, slow_s = node._equipment.engine, 0.6  # noqa: SLF001  nothing else makes the network slow
    estimate = engine.estimate

    def dawdle(*args: Any, **kwargs: Any) -> Any:
        begin = time.monotonic()
        result = estimate(*args, **kwargs)
        time.sleep(max(0.0, slow_s - (time.monotonic() - begin)))
        return result

    engine.estimate = dawdle
    sent_s: dict[int, float] = {}
    taken_s: dict[int, float] = {}
    for number in range(1, 25):  # three images while the network computes one
        stamp_ns = STAMP_NS + number * 2 * PERIOD_NS
        sent_s[stamp_ns] = time.monotonic()
        bench.send("rgb", stamp_ns)
        end = sent_s[stamp_ns] + slow_s / 3
        while time.monotonic() < end:
            bench.executor.spin_once(timeout_sec=0.01)
            for one in bench.received["depth/image"]:
                taken_s.setdefault(stamp_to_ns(one.header.stamp), time.monotonic())
    latencies = sorted(taken_s[stamp] - sent_s[stamp] for stamp in sent_s if stamp in taken_s)
    assert 5 <= len(latencies) <= 9
    assert latencies[len(latencies) // 2] < 2 * slow_s
    assert bench.status("inference").level == b"\x01"
    assert int(bench.status("inference").values["dropped"]) >= 10
