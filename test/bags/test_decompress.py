"""Unpacking stops where it should: at the size that is claimed, at the limit, at the end of the disk."""

import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import lz4.frame
import pytest
from backports import zstd
from bags import START_NS
from hypothesis import given
from hypothesis import strategies as st
from mcap_files import IMAGES, mcap, message, write

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.decompress import MAX_BLOCK_BYTES, unpack, unpack_file
from msdepth_ros.core.errors import MsdepthError

PACK = {"zstd": zstd.compress, "lz4": lz4.frame.compress, "": bytes}


@given(data=st.binary(max_size=5000), compression=st.sampled_from(["zstd", "lz4", ""]), claimed=st.booleans())
def test_what_was_packed_comes_back(data: bytes, compression: str, claimed: bool) -> None:
    assert unpack(PACK[compression](data), compression, len(data) if claimed else None) == data


@given(data=st.binary(min_size=1, max_size=500), compression=st.sampled_from(["zstd", "lz4"]), size=st.integers(0, 600))
def test_another_size_than_claimed_is_refused(data: bytes, compression: str, size: int) -> None:
    if size != len(data):
        with pytest.raises(MsdepthError, match="instead of|holds more than it says"):
            unpack(PACK[compression](data), compression, size)


@given(data=st.binary(max_size=200), compression=st.sampled_from(["zstd", "lz4"]))
def test_any_bytes_give_bytes_or_one_error(data: bytes, compression: str) -> None:
    try:
        assert isinstance(unpack(data, compression), bytes)
    except MsdepthError as error:
        assert "damaged" in str(error) or "no zstd frame" in str(error)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_frame_that_is_cut_off_or_followed_by_something_is_refused(compression: str) -> None:
    packed = PACK[compression](bytes(range(256)) * 40)
    for wrong in (packed[:-3], packed + b"rest"):
        with pytest.raises(MsdepthError, match="damaged"):
            unpack(wrong, compression)


def test_an_unknown_compression_is_named() -> None:
    with pytest.raises(MsdepthError, match="compression 'bz2' is not known"):
        unpack(b"", "bz2")


def bomb_with_size() -> bytes:
    """A zstd frame whose head claims more than the limit."""
    head = bytearray(zstd.compress(bytes(1 << 20)))
    assert head[4] == 0xA0, "single segment, size in four bytes"
    head[5:9] = (MAX_BLOCK_BYTES + 1).to_bytes(4, "little")
    return bytes(head)


def test_a_message_that_is_a_bomb_is_refused_by_its_head(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, message(1, START_NS, bomb_with_size())]))
    tracemalloc.start()
    try:
        with Bag(path) as bag, pytest.raises(MsdepthError, match="a message on /rgb.*more than any message has"):
            next(bag.payloads(["/rgb/image/compressed"]))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_without_a_size_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msdepth_ros.bags.decompress.MAX_BLOCK_BYTES", 1 << 16)
    compressor = zstd.ZstdCompressor()
    packed = compressor.compress(bytes(1 << 20)) + compressor.flush()
    assert zstd.get_frame_info(packed).decompressed_size is None
    with pytest.raises(MsdepthError, match="holds more than it says"):
        unpack(packed, "zstd")


def test_a_file_that_does_not_fit_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = write(tmp_path / "drive.mcap.zstd", zstd.compress(bytes(1 << 20)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 30))
    with pytest.raises(MsdepthError, match=r"drive.mcap.zstd unpacks to more than the disk of .* set TMPDIR"):
        unpack_file(packed, tmp_path)
