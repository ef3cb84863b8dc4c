"""The inference thread takes the newest item and survives what the work raises."""

import threading
from collections.abc import Callable

import pytest

from msdepth_ros.ros.node.inference_thread import NewestItemWorker


class Log:
    """A worker whose work blocks until it is let go."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.dropped: list[int] = []
        self.idle: list[bool] = []
        self.errors: list[Exception] = []
        self.entered, self.release = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = NewestItemWorker[int](self.work, on_drop=self.drop, on_error=self.errors.append)

    def drop(self, item: int, idle: bool) -> None:
        self.dropped.append(item)
        self.idle.append(idle)

    def work(self, item: int) -> None:
        self.entered.release()
        self.release.acquire()
        if item < 0:
            raise ValueError(item)
        self.done.append(item)


@pytest.fixture
def log() -> Log:
    return Log()


def wait(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never happened")


def test_newest_wins_and_the_rest_is_counted(log: Log) -> None:
    log.worker.submit(1)
    log.entered.acquire()
    for item in (2, 3, 4):
        log.worker.submit(item)
    assert log.dropped == [2, 3]
    assert log.idle == [False, False]
    log.release.release(2)
    wait(lambda: log.done == [1, 4])
    assert log.worker.stop()


def test_an_item_that_came_while_nothing_was_done_and_was_dropped_is_told_apart(log: Log) -> None:
    log.worker._changed.acquire()  # the thread has not woken up yet
    for item in (1, 2, 3):
        log.worker.submit(item)
    log.worker._changed.release()
    log.release.release()
    wait(lambda: log.done == [3])
    assert (log.dropped, log.idle) == ([1, 2], [True, False])
    assert log.worker.stop()


def test_an_exception_is_reported_and_the_next_item_is_done(log: Log) -> None:
    log.release.release(2)
    log.worker.submit(-1)
    wait(lambda: len(log.errors) == 1)
    log.worker.submit(5)
    wait(lambda: log.done == [5])
    assert log.worker.stop()


def test_stop_discards_what_waits(log: Log) -> None:
    log.worker.submit(1)
    log.entered.acquire()
    log.worker.submit(2)
    assert not log.worker.stop(timeout_s=0.01)
    log.worker.submit(3)
    log.release.release(3)
    assert log.worker.stop()
    assert log.done == [1]
    assert log.worker.stopping
