"""Packets prepared in a thread: all of them, in order, never too many at once."""

import threading
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from msdepth_ros.bags.read_ahead import ReadAhead
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.playback.camera_messages import HEADER_STAMP, Outgoing, Packet


def packet(stamp_ns: int, size: int = 1) -> Packet:
    return Packet(stamp_ns, "rgb", (Outgoing("/t", bytearray(size), HEADER_STAMP),))


def test_read_ahead_holds_no_more_than_its_limit_and_gives_everything() -> None:
    taken: list[int] = []

    def source() -> Iterator[Packet]:
        for index in range(100):
            taken.append(index)
            yield packet(index, size=10)

    with ReadAhead(source(), limit_bytes=200) as ahead:
        ahead.wait_until_filled()
        time.sleep(0.05)
        assert len(taken) <= 21
        assert [p.stamp_ns for p in ahead] == list(range(100))


def test_read_ahead_is_full_after_so_many_packets_however_small() -> None:
    endless = (packet(index) for index in iter(int, 1))
    with ReadAhead(endless, limit_bytes=10**9, limit_packets=30) as ahead:
        ahead.wait_until_filled()
        assert len(list(islice(ahead, 100))) == 100


def test_read_ahead_passes_errors_on_and_ends_its_thread() -> None:
    def source() -> Iterator[Packet]:
        yield packet(0)
        raise MsdepthError("broken bag")

    with ReadAhead(source(), limit_bytes=100) as ahead, pytest.raises(MsdepthError, match="broken bag"):
        ahead.wait_until_filled()
    endless = (packet(index, size=50) for index in iter(int, 1))
    with ReadAhead(endless, limit_bytes=100) as ahead:
        ahead.wait_until_filled()
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
