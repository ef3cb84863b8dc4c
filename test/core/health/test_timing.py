"""Rate, silence and stamps, from arrivals at made-up times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from msdepth_ros.core.health.findings import Fault, S, Thresholds
from msdepth_ros.core.health.timing import Timing, nearest_skews_s, skews_s

LIMITS = Thresholds()
EPOCH_NS = 1_700_000_000 * S


class Driver:
    """A camera driver whose clock and rate can be changed."""

    def __init__(self, hz: float = 10.0) -> None:
        self.timing, self.now_ns, self.hz, self.ahead_ns = Timing(), 0, hz, 0

    def send(self, count: int, *, speed: float = 1.0) -> None:
        for _ in range(count):
            self.now_ns += round(S / self.hz)
            stamp_ns = EPOCH_NS + round(self.now_ns * speed) + self.ahead_ns
            self.timing.accept(stamp_ns, self.now_ns, LIMITS)

    def faults(self, later_s: float = 0.0) -> set[Fault]:
        return {found.fault for found in self.timing.findings(self.now_ns + round(later_s * S), LIMITS)}


@pytest.mark.parametrize("hz", [2, 10, 30, 100])
def test_rate_is_that_of_the_last_second(hz: int) -> None:
    driver = Driver(hz)
    driver.send(20 * hz)
    assert driver.timing.rate_hz(driver.now_ns) == pytest.approx(hz, rel=0.01)
    assert driver.timing.age_s(driver.now_ns + S // 2) == pytest.approx(0.5)
    assert driver.faults() == set()
    assert driver.timing.rate_hz(driver.now_ns + 60 * S) == 0.0


def test_a_burst_after_silence_is_not_a_rate() -> None:
    timing = Timing()
    for number in range(4):
        timing.accept(EPOCH_NS + number * S // 10, number * 1_000_000, LIMITS)
    assert timing.rate_hz(S // 2) == pytest.approx(6)


def test_nothing_is_known_before_the_first_image() -> None:
    assert (Timing().rate_hz(0), Timing().age_s(0), Timing().offset_ns(0)) == (0.0, float("inf"), None)
    assert Timing().findings(0, LIMITS) == []


def test_silence_is_found_and_over_with_the_next_image() -> None:
    driver = Driver()
    driver.send(50)
    assert driver.faults(0.6) == set()
    assert driver.faults(0.8) == {Fault.SILENT}
    driver.now_ns += 5 * S
    driver.send(1)
    assert driver.faults() == set()
    driver.send(30)
    assert driver.faults() == set()


def test_half_the_usual_rate_is_too_slow_within_a_second() -> None:
    driver = Driver(10)
    driver.send(100)
    driver.hz = 5
    driver.send(5)
    assert driver.faults() == {Fault.SLOW}
    driver.hz = 10
    driver.send(12)
    assert driver.faults() == set()


def test_a_camera_that_was_always_slow_is_judged_by_its_rate_alone() -> None:
    for hz, faults in ((2.5, set()), (1.6, {Fault.SLOW})):
        driver = Driver(hz)
        driver.send(30)
        assert driver.faults() == faults


def jitter() -> Iterator[int]:
    """Delays of up to 40 ms that repeat without a pattern of ten."""
    return (1_000_000 * (17 * number % 41) for number in range(1000))


def test_jitter_of_the_transport_is_no_fault() -> None:
    driver, delays = Driver(), jitter()
    for number, delay_ns in zip(range(300), delays, strict=False):
        driver.now_ns = number * S // 10 + delay_ns
        driver.timing.accept(EPOCH_NS + number * S // 10, driver.now_ns, LIMITS)
        assert driver.faults() == set()


@pytest.mark.parametrize("jump_s", [-3600.0, -0.6, 0.6, 3600.0])
def test_a_jump_of_the_stamps_is_told_for_a_second(jump_s: float) -> None:
    driver = Driver()
    driver.send(30)
    driver.ahead_ns = round(jump_s * S)
    driver.send(2)
    assert driver.faults() == {Fault.JUMPING}
    assert f"jumped by {jump_s:+.2f} s" in driver.timing.findings(driver.now_ns, LIMITS)[0].message
    driver.send(11)
    assert driver.faults() == set()


def test_one_image_that_comes_late_is_not_a_jump() -> None:
    driver = Driver()
    driver.send(30)
    late = Driver()
    late.timing, late.now_ns = driver.timing, driver.now_ns + 8 * S // 10
    late.timing.accept(EPOCH_NS + driver.now_ns + S // 10, late.now_ns, LIMITS)
    assert driver.faults(0.8) == set()
    late.send(10)
    assert Fault.JUMPING not in late.faults()


def test_stamps_that_go_back_a_little_are_told() -> None:
    driver = Driver()
    driver.send(30)
    driver.ahead_ns = -150_000_000
    driver.send(1)
    assert "stamps go back, by 0.050 s" in driver.timing.findings(driver.now_ns, LIMITS)[0].message


@pytest.mark.parametrize("speed", [0.1, 1.0, 5.0, 20.0])
def test_a_recording_played_at_another_speed_does_not_jump(speed: float) -> None:
    driver = Driver()
    driver.send(100, speed=speed)
    assert driver.faults() == set()


def test_images_that_come_in_bursts_do_not_jump() -> None:
    driver = Driver()
    for number in range(90):
        driver.now_ns = (number - number % 3 + 3) * S // 10 + number % 3
        driver.timing.accept(EPOCH_NS + number * S // 10, driver.now_ns, LIMITS)
        assert driver.faults() == set()


def test_offset_is_that_of_the_less_delayed_of_the_last_two_images() -> None:
    timing = Timing()
    for number, delay_ns in enumerate([5, 30, 80, 20]):
        timing.accept(number * S // 10, number * S // 10 + delay_ns, LIMITS)
    assert timing.offset_ns(4 * S // 10) == -20
    assert timing.offset_ns(9 * S) is None


def test_offset_is_unknown_where_an_image_is_overdue() -> None:
    driver = Driver()
    driver.send(20)
    assert driver.timing.offset_ns(driver.now_ns + S // 5) is not None
    assert driver.timing.offset_ns(driver.now_ns + S // 4) is None


def test_images_that_come_twice_are_no_higher_rate() -> None:
    timing = Timing()
    for number in range(130):
        now_ns = number * S // 10
        timing.accept(EPOCH_NS + now_ns, now_ns, LIMITS)
        if 60 <= number < 100:
            timing.accept(EPOCH_NS + now_ns, now_ns + 1000, LIMITS)
        assert timing.rate_hz(now_ns) == pytest.approx(10.0 if number > 1 else 0.0, abs=0.1 if number > 1 else 20)
        assert timing.findings(now_ns + 1000, LIMITS) == []


def test_a_while_at_a_higher_rate_does_not_make_the_usual_one_slow() -> None:
    driver = Driver(10)
    driver.send(200)
    driver.hz = 20
    driver.send(100)
    driver.hz = 10
    driver.send(30)
    assert driver.faults() == set()


def test_skew_of_two_and_of_three() -> None:
    assert skews_s({}, "rgb") == {}
    assert skews_s({"rgb": 0, "nir": -S}, "rgb") == {"rgb": 0.0, "nir": -1.0}
    assert skews_s({"thermal": 0, "nir": -S}, "rgb") == {"thermal": 0.0, "nir": -1.0}
    assert skews_s({"rgb": S, "nir": 0, "thermal": 0}, "rgb")["rgb"] == 1.0


def test_cameras_whose_stamps_have_jumped_do_not_outvote_one_whose_have_not() -> None:
    offsets = {"rgb": 0, "nir": S, "thermal": S}
    assert skews_s(offsets, "rgb", ["rgb"]) == {"rgb": 0.0, "nir": 1.0, "thermal": 1.0}
    assert skews_s(offsets, "rgb", []) == skews_s(offsets, "rgb") == {"rgb": -1.0, "nir": 0.0, "thermal": 0.0}
    driver = Driver()
    driver.send(30)
    assert driver.timing.is_credible
    driver.ahead_ns = 5 * S
    driver.send(2)
    assert not driver.timing.is_credible
    driver.ahead_ns = 0  # back where it was
    driver.send(2)
    assert driver.timing.is_credible
    driver.ahead_ns = -5 * S
    driver.send(590)
    assert not driver.timing.is_credible
    driver.send(20)
    assert driver.timing.is_credible
    driver.ahead_ns -= 4 * S // 10  # images that come late go back and are no jump
    driver.send(10)
    assert driver.timing.is_credible


def test_nearest_stamps() -> None:
    stamps = {"nir": [0, S], "thermal": [S // 2], "rgb": []}
    assert nearest_skews_s(stamps, "rgb") == {"thermal": 0.5}
    assert nearest_skews_s({}, "rgb") == {}
