"""What the player prepares: order, decoding, stamps, bounded memory."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from bags import IMAGE, INFO, PERIOD_NS, THERMAL_LATE_NS, TYPES, header, pixels_of, stamps_of, write_bag
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.bags.images import decode_image
from msdepth_ros.bags.message_types import payload_stamp_ns
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.playback.camera_messages import (
    HEADER_STAMP,
    TRUTH,
    Outgoing,
    Packet,
    PlaybackConfig,
    in_order,
    parse_spectra,
    put_stamp,
    read_packets,
)


def packet(stamp_ns: int, size: int = 1) -> Packet:
    return Packet(stamp_ns, "rgb", (Outgoing("/t", bytearray(size), HEADER_STAMP),))


def test_packets_are_raw_images_with_the_info_of_their_camera(tmp_path: Path) -> None:
    packets = list(read_packets(PlaybackConfig(write_bag(tmp_path / "drive", instants=2))))
    assert sorted(p.name for p in packets) == sorted(["rgb", "nir", "thermal", TRUTH] * 2)
    for p in packets:
        image = decode_image("t", TYPES.deserialize_cdr(bytes(p.messages[1].data), IMAGE))
        index = round((p.stamp_ns - stamps_of(p.name, 0)) / PERIOD_NS)
        np.testing.assert_array_equal(image.pixels, pixels_of(p.name, index))
        info = TYPES.deserialize_cdr(bytes(p.messages[0].data), INFO)
        assert (info.height, info.width) == image.pixels.shape[:2]


def test_packets_come_in_order_of_capture(tmp_path: Path) -> None:
    stamps = [p.stamp_ns for p in read_packets(PlaybackConfig(write_bag(tmp_path / "drive")))]
    assert stamps == sorted(stamps)


def test_a_loop_continues_the_clock_by_one_period(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", instants=3, cameras=("rgb", "thermal"))
    config = PlaybackConfig(folder, spectra=("rgb", "thermal"), loop=True)
    packets = list(islice(read_packets(config), 16))
    for camera in config.spectra:
        stamps = [p.stamp_ns for p in packets if p.name == camera]
        assert np.diff(stamps).tolist() == [PERIOD_NS] * 7


def test_a_loop_over_a_part_continues_the_clock_by_one_period(tmp_path: Path) -> None:
    config = PlaybackConfig(write_bag(tmp_path / "drive", instants=5), duration_ns=300_000_000, loop=True)
    packets = list(islice(read_packets(config), 36))
    for camera in config.spectra:
        stamps = [p.stamp_ns for p in packets if p.name == camera]
        assert np.diff(stamps).tolist() == [PERIOD_NS] * 8


def test_duration_and_prefix(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive")
    for duration_ns, instants in ((200_000_000, 2), (310_000_000, 3), (1, 1), (10**10, 5)):
        assert len(list(read_packets(PlaybackConfig(folder, duration_ns=duration_ns)))) == 4 * instants
    with pytest.raises(MsdepthError, match="no messages on /car/rgb/image/compressed"):
        list(read_packets(PlaybackConfig(folder, prefix="/car")))


def test_a_missing_camera_is_an_error_unless_it_is_not_wanted(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", cameras=("rgb", "nir"))
    with pytest.raises(MsdepthError, match="no messages on /thermal/image/compressed, /thermal/camera_info"):
        list(read_packets(PlaybackConfig(folder)))
    assert len(list(read_packets(PlaybackConfig(folder, spectra=("rgb", "nir"))))) == 10


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1))
def test_a_new_stamp_is_read_back(seconds: int, nanoseconds: int) -> None:
    before = bytearray(TYPES.serialize_cdr(header(12, "camera"), "std_msgs/msg/Header"))
    stamp_ns = seconds * 10**9 + nanoseconds
    put_stamp(before, stamp_ns)
    assert payload_stamp_ns(bytes(before)) == stamp_ns
    after = TYPES.deserialize_cdr(bytes(before), "std_msgs/msg/Header")
    assert (after.stamp.sec, after.stamp.nanosec, after.frame_id) == (seconds, nanoseconds, "camera")


@given(st.lists(st.integers(0, 20)))
def test_order_is_restored_within_the_window(jitter: list[int]) -> None:
    packets = [packet(10 * index + shift) for index, shift in enumerate(jitter)]
    stamps = [p.stamp_ns for p in in_order(packets, window_ns=30)]
    assert stamps == sorted(p.stamp_ns for p in packets)


def test_spectra_are_checked() -> None:
    assert parse_spectra("thermal, rgb") == ("thermal", "rgb")
    for text in ("", "rgb,lidar"):
        with pytest.raises(MsdepthError, match="choice of rgb, nir, thermal"):
            parse_spectra(text)


def test_thermal_keeps_its_delay(tmp_path: Path) -> None:
    packets = list(read_packets(PlaybackConfig(write_bag(tmp_path / "drive", instants=1))))
    by_name = {p.name: p.stamp_ns for p in packets}
    assert by_name["thermal"] - by_name["rgb"] == THERMAL_LATE_NS
