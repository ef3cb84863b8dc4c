"""MCAP files as other recorders, other distributions and crashes leave them."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from bags import COMPRESSED, START_NS, TYPES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap_files import IMAGES, channel, chunk, image_message, mcap, message, record, schema, write

from msdepth_ros.bags.bag import COMPRESSED_IMAGE, Bag
from msdepth_ros.bags.mcap_records import Fields
from msdepth_ros.core.errors import MsdepthError

TOPIC = "/rgb/image/compressed"
STEP_NS = 100_000_000
TIMES = [START_NS + STEP_NS * number for number in range(6)]
MESSAGES = [image_message(log_ns, number) for number, log_ns in enumerate(TIMES)]


def read(path: Path) -> list[int]:
    with Bag(path) as bag:
        return [payload.log_ns for payload in bag.payloads([TOPIC])]


@pytest.mark.parametrize("compression", ["", "zstd", "lz4"])
@pytest.mark.parametrize("indexed", [True, False])
def test_chunks_of_every_compression_with_and_without_index(tmp_path: Path, compression: str, indexed: bool) -> None:
    parts = [chunk([*IMAGES, *MESSAGES[:3]], compression, indexed=indexed), chunk(MESSAGES[3:], compression)]
    path = write(tmp_path / "a.mcap", mcap(parts))
    assert read(path) == TIMES
    with Bag(path) as bag:
        assert bag.topics == {TOPIC: (COMPRESSED_IMAGE, 6)}
        images = [message.message for message in bag.messages([TOPIC])]
    assert [image.header.frame_id for image in images] == ["rgb_optical_frame"] * 6


def test_messages_outside_of_chunks_in_any_order(tmp_path: Path) -> None:
    shuffled = [MESSAGES[place] for place in (3, 0, 5, 1, 4, 2)]
    assert read(write(tmp_path / "a.mcap", mcap([*IMAGES, *shuffled]))) == TIMES


def test_chunks_that_overlap_in_time_are_merged(tmp_path: Path) -> None:
    parts = [chunk([*IMAGES, *MESSAGES[::2]]), chunk(MESSAGES[1::2])]
    assert read(write(tmp_path / "a.mcap", mcap(parts))) == TIMES


def test_a_channel_described_only_in_the_summary(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.mcap", mcap([chunk(MESSAGES)], summary=b"".join(IMAGES)))) == TIMES


def test_a_schema_may_come_in_an_earlier_chunk_than_its_channel(tmp_path: Path) -> None:
    parts = [chunk(IMAGES[:1]), chunk([IMAGES[1], *MESSAGES])]
    assert read(write(tmp_path / "a.mcap", mcap(parts))) == TIMES


@pytest.mark.parametrize("loss", [1, 30, 60])
def test_a_file_whose_recorder_was_killed_gives_what_came_before(tmp_path: Path, loss: int) -> None:
    whole = mcap([chunk([*IMAGES, *MESSAGES[:4]]), chunk(MESSAGES[4:])])
    last_chunk = whole.rindex(b"\x06" + whole[whole.index(chunk(MESSAGES[4:])) + 1 :][:8])
    path = write(tmp_path / "a.mcap", whole[: last_chunk + loss])
    assert read(path) == TIMES[:4]
    with Bag(path) as bag:
        assert any("a.mcap was cut off" in remark for remark in bag.remarks)


def test_a_file_that_ends_within_the_index_of_a_chunk_loses_none_of_it(tmp_path: Path) -> None:
    two = [*IMAGES, channel(2, 1, "/other"), *MESSAGES, image_message(START_NS, channel_id=2)]
    whole = mcap([chunk(two)])
    cut = whole.rindex(b"\x07")  # the index of the second channel
    path = write(tmp_path / "a.mcap", whole[: cut + 4])
    with Bag(path) as bag:
        assert {name: summary.message_count for name, summary in bag.topics.items()} == {TOPIC: 6, "/other": 1}


def test_zeros_that_a_crash_leaves_at_the_end_are_no_records(tmp_path: Path) -> None:
    whole = mcap([chunk([*IMAGES, *MESSAGES])])
    assert read(write(tmp_path / "a.mcap", whole[:-40] + bytes(5000))) == TIMES


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 1.0), chunked=st.booleans())
def test_wherever_a_file_is_cut_the_first_messages_are_read(tmp_path: Path, share: float, chunked: bool) -> None:
    parts = [chunk([*IMAGES, *MESSAGES[:3]]), chunk(MESSAGES[3:])] if chunked else [*IMAGES, *MESSAGES]
    whole = mcap(parts)
    path = write(tmp_path / "a.mcap", whole[: int(share * len(whole))])
    try:
        with Bag(path) as bag:
            found = [payload.log_ns for payload in bag.payloads([TOPIC])] if TOPIC in bag.topics else []
            assert bag.remarks or found == TIMES
        assert found == TIMES[: len(found)]
    except MsdepthError as error:
        assert str(path) in str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 0.9999), value=st.binary(min_size=1, max_size=9), chunked=st.booleans())
def test_damage_anywhere_gives_an_error_that_names_the_file_or_right_times(
    tmp_path: Path, place: float, value: bytes, chunked: bool
) -> None:
    parts = [chunk([*IMAGES, *MESSAGES[:3]]), chunk(MESSAGES[3:])] if chunked else [*IMAGES, *MESSAGES]
    data = bytearray(mcap(parts))
    at = int(place * len(data))
    data[at : at + len(value)] = value
    path = write(tmp_path / "a.mcap", bytes(data))
    try:
        times = read(path)
        assert times == sorted(times)
        with Bag(path) as bag:
            assert not chunked or len(times) == 6 or bag.remarks
    except MsdepthError as error:
        assert str(path) in str(error)


def test_a_damaged_chunk_names_file_and_topic(tmp_path: Path) -> None:
    data = bytearray(mcap([chunk([*IMAGES, *MESSAGES], "")], summary=b"".join(IMAGES)))
    data[data.index(b"rgb_optical_frame")] ^= 0xFF
    path = write(tmp_path / "a.mcap", bytes(data))
    with pytest.raises(MsdepthError, match=f"a.mcap: a message on {TOPIC} at .* checksum is wrong; .*mcap recover"):
        read(path)


def test_statistics_that_disagree_with_the_index_are_told(tmp_path: Path) -> None:
    counts = struct.pack("<I", 10) + struct.pack("<HQ", 1, 7)
    statistics = record(11, struct.pack("<QHIIIIQQ", 7, 1, 1, 0, 0, 1, 0, 0) + counts)
    path = write(tmp_path / "a.mcap", mcap([chunk([*IMAGES, *MESSAGES])], summary=statistics))
    with pytest.raises(MsdepthError, match=f"{TOPIC} should have 7 messages, its index has 6"):
        read(path)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("claim", [100, 2**29 + 1, 2**62])
def test_a_decompression_bomb_is_refused_before_it_unpacks(tmp_path: Path, compression: str, claim: int) -> None:
    packed = chunk([*IMAGES, message(1, START_NS, bytes(64 << 20))], compression, claim=claim)
    assert len(packed) < 1 << 20
    path = write(tmp_path / "a.mcap", mcap([packed], summary=b"".join(IMAGES)))
    tracemalloc.start()
    try:
        with pytest.raises(MsdepthError, match="a.mcap.*(more than any message has|holds more than it says)"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_other_encodings_are_listed_and_refused_only_where_they_are_wanted(tmp_path: Path) -> None:
    others = [schema(2, "foxglove.Image", encoding="protobuf"), channel(2, 2, "/web", "protobuf"), message(2, 5, b"x")]
    path = write(tmp_path / "a.mcap", mcap([chunk([*IMAGES, *others, *MESSAGES])], profile=""))
    assert read(path) == TIMES
    with Bag(path) as bag, pytest.raises(MsdepthError, match=r"/web is a foxglove.Image \(protobuf\), expected"):
        bag.require({"/web": (COMPRESSED_IMAGE,)})


def test_a_file_of_ros1_messages_is_told_to_be_converted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", mcap([chunk([*IMAGES, *MESSAGES])], profile="ros1"))
    with pytest.raises(MsdepthError, match="rosbags-convert"):
        read(path)


def test_a_time_that_no_clock_shows_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", mcap([chunk([*IMAGES, message(1, 2**63, b"")])]))
    with pytest.raises(MsdepthError, match="index of messages is damaged"):
        read(path)


def test_messages_are_the_recorded_bytes_whatever_the_layout(tmp_path: Path) -> None:
    def pixels(path: Path) -> list[np.ndarray]:
        with Bag(path) as bag:
            return [TYPES.deserialize_cdr(payload.data, COMPRESSED).data for payload in bag.payloads([TOPIC])]

    loose = pixels(write(tmp_path / "a.mcap", mcap([*IMAGES, *MESSAGES])))
    chunked = pixels(write(tmp_path / "b.mcap", mcap([chunk([*IMAGES, *MESSAGES], "lz4")])))
    for one, other in zip(loose, chunked, strict=True):
        np.testing.assert_array_equal(one, other)


@given(data=st.binary(max_size=60))
def test_fields_never_read_beyond_their_record(data: bytes) -> None:
    fields = Fields(data)
    try:
        while True:
            fields.text()
    except MsdepthError:
        assert fields.at <= len(data)
