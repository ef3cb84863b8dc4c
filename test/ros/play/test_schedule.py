"""The clock of a recording against this moment: rate, pause, end."""

import threading
import time

import pytest

from msdepth_ros.ros.play.schedule import Clock, Schedule

MS = 1_000_000


class SetClock:
    """A clock that stands still but for waits, and whose time of day somebody sets while it waits."""

    def __init__(self, step_ns: int) -> None:
        self.now_ns, self.epoch_ns, self.step_ns, self.waited_s = 7 * MS, 10**18, step_ns, 0.0

    def steady_ns(self) -> int:
        return self.now_ns

    def time_ns(self) -> int:
        return self.epoch_ns + self.now_ns

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.now_ns += round(seconds * 1e9)
        self.waited_s += seconds
        if self.waited_s > 0.2:
            self.epoch_ns += self.step_ns
            self.step_ns = 0
        return False


@pytest.mark.parametrize("step_ns", [-3600 * 10**9, -50 * MS, 0, 50 * MS, 3600 * 10**9])
def test_setting_the_time_of_day_neither_stalls_nor_hastens(step_ns: int) -> None:
    clock: Clock = SetClock(step_ns)
    schedule = Schedule(2.0, threading.Event(), clock=clock)
    begin_ns, left_ns, stamps_ns = clock.steady_ns(), [], []
    for number in range(10):
        stamps_ns.append(schedule.wait_until(number * 100 * MS))
        left_ns.append(clock.steady_ns() - begin_ns)
    assert [b - a for a, b in zip(left_ns, left_ns[1:], strict=False)] == [50 * MS] * 9
    gaps_ns = [b - a for a, b in zip(stamps_ns, stamps_ns[1:], strict=False)]
    assert sorted(gaps_ns) == sorted([50 * MS] * 8 + [50 * MS + step_ns])
    assert stamps_ns[-1] == clock.time_ns(), "stamps follow the time of day"


@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_intervals_shrink_with_the_rate(rate: float) -> None:
    schedule = Schedule(rate, threading.Event())
    moments = [schedule.wait_until(due_ns * MS) for due_ns in (5000, 5040, 5120)]
    assert moments[1] - moments[0] == pytest.approx(40 * MS / rate, abs=1000)
    assert moments[2] - moments[0] == pytest.approx(120 * MS / rate, abs=1000)
    assert time.time_ns() >= moments[2]


def test_a_late_caller_is_not_delayed_further() -> None:
    schedule = Schedule(1.0, threading.Event())
    first = schedule.wait_until(0)
    time.sleep(0.1)
    begin = time.monotonic()
    assert schedule.wait_until(50 * MS) - first == 50 * MS
    assert time.monotonic() - begin < 0.04


def test_a_pause_does_not_count() -> None:
    told: list[int] = []
    schedule = Schedule(1.0, threading.Event(), lambda time_ns, paused: told.append(time_ns), 0.005)
    first = schedule.wait_until(0)
    threading.Timer(0.05, schedule.toggle_pause).start()
    threading.Timer(0.35, schedule.toggle_pause).start()
    second = schedule.wait_until(150 * MS)
    assert 150 * MS + 200 * MS < second - first < 150 * MS + 600 * MS
    assert told == sorted(told)
    assert max(told.count(time_ns) for time_ns in set(told)) > 3, "the clock was told while it stood still"
    assert max(told) <= 150 * MS


def test_it_can_begin_paused() -> None:
    schedule = Schedule(1.0, threading.Event(), paused=True)
    threading.Timer(0.2, schedule.toggle_pause).start()
    begin = time.monotonic()
    schedule.wait_until(10**18)
    assert time.monotonic() - begin > 0.19


@pytest.mark.parametrize("paused", [True, False])
def test_a_stop_ends_the_wait(paused: bool) -> None:
    stop = threading.Event()
    schedule = Schedule(1.0, stop, paused=paused)
    threading.Timer(0.1, stop.set).start()
    if not paused:
        schedule.wait_until(0)
    begin = time.monotonic()
    assert schedule.wait_until(60_000 * MS) is None
    assert time.monotonic() - begin < 5
