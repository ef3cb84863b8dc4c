"""Recordings that nobody here made: every version, layout and damage gives a right result or one clear error."""

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backports import zstd
from bags import COMPRESSED, PERIOD_NS, START_NS, TYPES, compressed_image, header, pixels_of, raw_image, write_bag
from hypothesis import given
from hypothesis import strategies as st
from mcap_files import IMAGES, MESSAGE_TEXT, channel, chunk, image_message, mcap, message, schema, write
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from msdepth_ros.bags.bag import COMPRESSED_IMAGE, SEVERAL_TYPES, Bag
from msdepth_ros.bags.images import decode_image
from msdepth_ros.bags.metadata import read_metadata
from msdepth_ros.core.errors import MsdepthError

TOPIC = "/rgb/image/compressed"
BOTH = pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])


def stamps(path: Path, topic: str = TOPIC) -> list[int]:
    with Bag(path) as bag:
        return [found.stamp_ns for found in bag.messages([topic])]


def expected(count: int = 5) -> list[int]:
    return [START_NS + PERIOD_NS * number for number in range(count)]


def as_version(folder: Path, version: int) -> None:
    """Rewrites metadata.yaml as rosbag2 wrote that version."""
    path = folder / "metadata.yaml"
    text = re.sub(r"version: \d+", f"version: {version}", path.read_text(), count=1)
    if version < 9:
        text = text.replace("offered_qos_profiles: []", 'offered_qos_profiles: ""')
    removed = {8: "ros_distro", 7: "type_description_hash", 6: "custom_data"}
    for since, key in removed.items():
        if version < since:
            text = re.sub(rf"^ *{key}:.*\n", "", text, flags=re.MULTILINE)
    if version < 5:
        text = re.sub(r"^  files:\n(    .*\n|  - .*\n)*", "", text, flags=re.MULTILINE)
    if version < 4:
        text = re.sub(r"^ *offered_qos_profiles:.*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"- (drive\.\w+)", r"- drive/\1", text)
    if version < 3:
        text = re.sub(r"^ *compression_(format|mode):.*\n", "", text, flags=re.MULTILINE)
    path.write_text(text)


@BOTH
@pytest.mark.parametrize("version", range(1, 10))
def test_every_version_of_metadata(tmp_path: Path, version: int, storage: StoragePlugin) -> None:
    folder = write_bag(tmp_path / "drive", storage=storage)
    as_version(folder, version)
    assert read_metadata(folder / "metadata.yaml").counts[TOPIC] == 5
    assert stamps(folder) == expected()


def old_database(path: Path, columns: str) -> None:
    """Rewrites a database as Foxy (no QoS) or Humble (with QoS) made it."""
    with sqlite3.connect(path) as database:
        for table in ("schema", "metadata", "message_definitions"):
            database.execute(f"DROP TABLE {table}")
        database.execute(f"CREATE TABLE kept AS SELECT {columns} FROM topics")
        database.execute("DROP TABLE topics")
        database.execute("ALTER TABLE kept RENAME TO topics")
    database.close()


@pytest.mark.parametrize("columns", [
    "id, name, type, serialization_format", "id, name, type, serialization_format, offered_qos_profiles",
])  # fmt: skip
@pytest.mark.parametrize("with_index", [True, False])
def test_databases_of_old_distributions(tmp_path: Path, columns: str, with_index: bool) -> None:
    folder = write_bag(tmp_path / "drive", storage=StoragePlugin.SQLITE3)
    old_database(folder / "drive.db3", columns)
    if not with_index:
        with sqlite3.connect(folder / "drive.db3") as database:
            database.execute("DROP INDEX timestamp_idx")
        database.close()
    assert stamps(folder) == expected()


@BOTH
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("with_metadata", [True, False])
def test_zstd_of_files_and_of_messages(
    tmp_path: Path, mode: CompressionMode, storage: StoragePlugin, with_metadata: bool
) -> None:
    writer = Writer(tmp_path / "drive", version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(TOPIC, COMPRESSED, typestore=TYPES)
        for stamp_ns in expected():
            image = compressed_image(stamp_ns, "rgb", pixels_of("rgb", 0), "png")
            writer.write(connection, stamp_ns, TYPES.serialize_cdr(image, COMPRESSED))
    assert mode != CompressionMode.FILE or list((tmp_path / "drive").glob("*.zstd"))
    if not with_metadata:
        (tmp_path / "drive" / "metadata.yaml").unlink()
    assert stamps(tmp_path / "drive") == expected()


def test_nothing_of_an_unpacked_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = write(tmp_path / "a.mcap.zstd", zstd.compress(mcap([chunk([*IMAGES, image_message(START_NS)])])))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert stamps(packed) == expected(1)
    assert not list((tmp_path / "tmp").iterdir())


def test_a_packed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    data = zstd.compress(mcap([chunk([*IMAGES, image_message(START_NS)])]))
    path = write(tmp_path / "a.mcap.zstd", data[:-20])
    with pytest.raises(MsdepthError, match="a.mcap.zstd cannot be unpacked"):
        stamps(path)


def write_split(folder: Path, parts: list[list[int]]) -> list[Path]:
    folder.mkdir()
    return [
        write(folder / f"drive_{number}.mcap", mcap([chunk([*IMAGES, *map(image_message, times)])]))
        for number, times in enumerate(parts)
    ]


def test_split_files_without_metadata_in_their_order(tmp_path: Path) -> None:
    times = expected(12)
    write_split(tmp_path / "drive", [[time] for time in times])
    assert stamps(tmp_path / "drive") == times
    assert stamps(tmp_path / "drive" / "drive_11.mcap") == times[11:]


@pytest.mark.parametrize("left", [0, 5, 40, -100])
def test_a_last_file_that_was_cut_off_gives_what_it_has(tmp_path: Path, left: int) -> None:
    files = write_split(tmp_path / "drive", [expected(6)[:4], expected(6)[4:]])
    files[1].write_bytes(files[1].read_bytes()[:left])
    with Bag(tmp_path / "drive") as bag:
        found = [payload.log_ns for payload in bag.payloads([TOPIC])]
        assert any("drive_1.mcap was cut off" in remark for remark in bag.remarks)
    assert found[:4] == expected(4)


def test_a_first_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    files = write_split(tmp_path / "drive", [expected(6)[:4], expected(6)[4:]])
    files[0].write_bytes(files[0].read_bytes()[:-100])
    with pytest.raises(MsdepthError, match="drive: drive_0.mcap was cut off.*not the last"):
        stamps(tmp_path / "drive")


def test_a_file_that_metadata_lists_and_nobody_copied(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive")
    (folder / "drive.mcap").unlink()
    with pytest.raises(MsdepthError, match="drive lacks the file drive.mcap that its metadata.yaml lists"):
        stamps(folder)


def test_several_recordings_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        write(tmp_path / f"{name}_0.mcap", mcap([chunk([*IMAGES, image_message(START_NS)])]))
    with pytest.raises(MsdepthError, match=r"several recordings and no metadata.yaml \(monday, tuesday\)"):
        stamps(tmp_path)
    assert stamps(tmp_path / "monday_0.mcap") == expected(1)


@BOTH
def test_missing_metadata(tmp_path: Path, storage: StoragePlugin) -> None:
    folder = write_bag(tmp_path / "drive", storage=storage)
    (folder / "metadata.yaml").unlink()
    assert stamps(folder) == expected()


def test_a_promise_of_fewer_messages_is_corrected_and_told(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive")
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(text.replace("message_count: 5", "message_count: 2"))
    assert stamps(folder) == expected()
    with Bag(folder) as bag:
        (remark,) = bag.remarks
    assert remark.startswith("the files hold other numbers of messages than metadata.yaml promises: ")
    assert f"{TOPIC}: 5 instead of 2" in remark


def test_lost_messages_stop_those_who_want_them_and_nobody_else(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive")
    text = (folder / "metadata.yaml").read_text()
    before, after = text.split(f"name: {TOPIC}")
    count = "message_count: "
    start, _, end = before.rpartition(f"{count}5")
    changed = f"{start}{count}9{end}name: {TOPIC}{after}" if end else text.replace(f"{count}5", f"{count}9", 1)
    (folder / "metadata.yaml").write_text(changed)
    with Bag(folder) as bag:
        worse = next(name for name, summary in bag.topics.items() if any(name in text for text in bag.remarks))
        with pytest.raises(MsdepthError, match=f"{worse}: 5 of 9.*ros2 bag reindex"):
            next(bag.payloads([worse]))
        other = next(name for name in bag.topics if name != worse)
        assert len(list(bag.payloads([other]))) == 5


CUSTOM = "uint32 count\nmsdepth_test/msg/Part[] parts\n" + "=" * 80 + "\nMSG: msdepth_test/msg/Part\nfloat64 value\n"


def test_custom_messages_beside_known_ones(tmp_path: Path) -> None:
    parts = [schema(7, "msdepth_test/msg/Whole", CUSTOM), channel(7, 7, "/custom")]
    body = b"\0\1\0\0" + (3).to_bytes(4, "little") + (1).to_bytes(4, "little") + np.float64(2.5).tobytes()
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, *parts, image_message(START_NS), message(7, START_NS, body)]))
    assert stamps(path) == expected(1)
    with Bag(path) as bag:
        custom = next(bag.messages(["/custom"])).message
    assert (custom.count, custom.parts[0].value) == (3, 2.5)


MODULE = "module msdepth_test { module msg { struct Whole { uint32 count; }; }; };\n"
IDL = "=" * 80 + "\nIDL: msdepth_test/msg/Whole\n" + MODULE


@pytest.mark.parametrize(("text", "encoding"), [
    ("std_msgs/Header header\nuint32 count\n", "ros2msg"), (IDL, "ros2idl"), (MODULE, "ros2idl"),
])  # fmt: skip
def test_descriptions_by_idl_and_such_that_leave_out_common_types(tmp_path: Path, text: str, encoding: str) -> None:
    parts = [schema(7, "msdepth_test/msg/Whole", text, encoding), channel(7, 7, "/custom")]
    begin = bytes(TYPES.serialize_cdr(header(START_NS, "abc"), "std_msgs/msg/Header"))
    start = begin if "Header" in text else b"\0\1\0\0"
    path = write(tmp_path / "a.mcap", mcap([*parts, message(7, START_NS, start + (3).to_bytes(4, "little"))]))
    with Bag(path) as bag:
        assert next(bag.messages(["/custom"])).message.count == 3


@pytest.mark.parametrize(("text", "reason"), [
    ("", "type msdepth_test/msg/Whole is not one of ROS 2 and the recording does not describe it"),
    ("this is no definition ][", "description of type msdepth_test/msg/Whole cannot be read"),
])  # fmt: skip
def test_a_custom_type_that_cannot_be_read_spoils_only_its_topic(tmp_path: Path, text: str, reason: str) -> None:
    parts = [schema(7, "msdepth_test/msg/Whole", text), channel(7, 7, "/custom"), message(7, START_NS, b"\0\1\0\0")]
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, image_message(START_NS), *parts]))
    assert stamps(path) == expected(1)
    with Bag(path) as bag, pytest.raises(MsdepthError, match=f"a.mcap: topic /custom: .*{reason}"):
        next(bag.messages(["/custom"]))


def test_several_recordings_of_one_topic_are_one(tmp_path: Path) -> None:
    again = [channel(2, 1, TOPIC), *(image_message(time + 1000, 0, channel_id=2) for time in expected(3))]
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, *map(image_message, expected(3)), *again]))
    with Bag(path) as bag:
        assert bag.topics == {TOPIC: (COMPRESSED_IMAGE, 6)}
    assert stamps(path) == sorted([*expected(3), *(time + 1000 for time in expected(3))])


def test_one_topic_of_two_types_is_refused_by_name(tmp_path: Path) -> None:
    other = [schema(2, "std_msgs/msg/String", MESSAGE_TEXT), channel(2, 2, TOPIC), message(2, START_NS, b"")]
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, image_message(START_NS), *other]))
    with Bag(path) as bag, pytest.raises(MsdepthError, match=f"{TOPIC} is a {SEVERAL_TYPES}"):
        bag.require({TOPIC: (COMPRESSED_IMAGE,)})


@BOTH
def test_an_empty_bag_opens_and_says_so(tmp_path: Path, storage: StoragePlugin) -> None:
    with Writer(tmp_path / "drive", version=9, storage_plugin=storage) as writer:
        writer.add_connection(TOPIC, COMPRESSED, typestore=TYPES)
    with Bag(tmp_path / "drive") as bag:
        assert (bag.topics, bag.duration_ns) == ({TOPIC: (COMPRESSED_IMAGE, 0)}, 0)
        with pytest.raises(MsdepthError, match=rf"no messages on {TOPIC}; it holds {TOPIC} \(0\)"):
            next(bag.payloads([TOPIC]))


READ = """
import re, sys
from pathlib import Path
from msdepth_ros.bags.bag import Bag
with Bag(Path(sys.argv[1])) as bag:
    count = sum(1 for _ in bag.payloads(list(bag.topics)))
print(count, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def peak_kib(minutes: int) -> int:
        rate, packed = 60, image_message(START_NS)[9 + 22 :]  # three cameras and their camera_info at 10 Hz
        path = tmp_path / f"{minutes}.mcap"
        with path.open("wb") as file:
            begin, end = mcap(IMAGES)[:-50], mcap([])[-50:]  # data end, footer, magic
            file.write(begin)
            for second in range(60 * minutes):
                times = [START_NS + (second * rate + number) * 10**9 // rate for number in range(rate)]
                file.write(chunk([message(1, log_ns, packed) for log_ns in times], ""))
            file.write(end)
        result = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
        count, kib = map(int, result.stdout.split())
        assert count == 60 * minutes * rate
        return kib

    assert peak_kib(60) - peak_kib(1) < 40 * 1024, "about 80 bytes a message while opening, and a few chunks"


def test_a_clock_that_jumps_back_while_recording_gives_messages_by_time(tmp_path: Path) -> None:
    times = [*expected(3), *(time - 50_000_000 for time in expected(3))]
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, *map(image_message, times)]))
    assert stamps(path) == sorted(times)


def test_equal_times_stay_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    parts = [image_message(START_NS, number) for number in range(20)]
    first = write(tmp_path / "a.mcap", mcap([*IMAGES, chunk(parts[:10]), chunk(parts[10:])]))
    with Bag(first) as bag:
        found = [decode_image(TOPIC, image.message).pixels[0, 0, 0] for image in bag.messages([TOPIC])]
    assert found == [10 + number for number in range(20)]


@pytest.mark.parametrize("name", ["old.bag", "renamed.mcap"])
def test_a_bag_of_ros1_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(MsdepthError, match=f"{name} is a bag of ROS 1; convert it: .*rosbags-convert --src"):
        stamps(path)


def test_a_folder_of_ros1_bags(tmp_path: Path) -> None:
    write(tmp_path / "old.bag", b"#ROSBAG V2.0\n")
    with pytest.raises(MsdepthError, match="holds bags of ROS 1; convert it"):
        stamps(tmp_path)


@pytest.mark.parametrize(("change", "reason"), [
    ({"step": 1}, "step 1 is too small"), ({"height": 2**31, "width": 2**30, "step": 2**32 - 1}, "wrongly sized"),
    ({"data": np.zeros(3, np.uint8)}, "wrongly sized"), ({"encoding": "rainbow"}, "not supported"),
])  # fmt: skip
def test_an_image_that_contradicts_itself_names_its_topic(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    image = raw_image(START_NS, "rgb", pixels_of("rgb", 0), "rgb8")
    for name, value in change.items():
        setattr(image, name, value)
    kind = "sensor_msgs/msg/Image"
    parts = [schema(1, kind, encoding=""), channel(1, 1, "/rgb/image")]
    body = message(1, START_NS, bytes(TYPES.serialize_cdr(image, kind)))
    with Bag(write(tmp_path / "a.mcap", mcap([*parts, body]))) as bag:
        found = next(bag.messages(["/rgb/image"])).message
    with pytest.raises(MsdepthError, match=f"/rgb/image: .*{reason}"):
        decode_image("/rgb/image", found)


def test_a_message_that_claims_a_huge_array_is_refused_without_memory(tmp_path: Path) -> None:
    whole = bytes(TYPES.serialize_cdr(header(START_NS, "rgb"), "std_msgs/msg/Header"))
    body = whole + bytes(-len(whole) % 4) + (4).to_bytes(4, "little") + b"png\0" + (2**32 - 1).to_bytes(4, "little")
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, message(1, START_NS, body)]))
    with pytest.raises(MsdepthError, match=f"a message on {TOPIC} at {START_NS} ns is damaged"):
        stamps(path)


def test_a_write_ahead_log_beside_the_database_is_read(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", storage=StoragePlugin.SQLITE3)
    database = sqlite3.connect(folder / "drive.db3")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    number = database.execute("SELECT id FROM topics WHERE name = ?", (TOPIC,)).fetchone()[0]
    image = compressed_image(expected(6)[5], "rgb", pixels_of("rgb", 5), "png")
    row = (number, expected(6)[5], bytes(TYPES.serialize_cdr(image, COMPRESSED)))
    database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    database.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("drive.db3", "drive.db3-wal"):  # as they are while the recorder runs
        write(killed / name, (folder / name).read_bytes())
    database.close()
    assert stamps(killed) == expected(6)


def test_a_database_without_write_permission_can_be_read(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", storage=StoragePlugin.SQLITE3).rename(tmp_path / "drive 100% #1?")
    os.chmod(next(folder.glob("*.db3")), 0o444)
    os.chmod(folder, 0o555)
    try:
        assert stamps(folder) == expected()
    finally:
        os.chmod(folder, 0o755)


def test_a_database_that_is_no_recording(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db3") as database:
        database.execute("CREATE TABLE things (id INTEGER)")
    database.close()
    with pytest.raises(MsdepthError, match="a.db3 is a database, but no recording"):
        stamps(tmp_path / "a.db3")


def test_a_table_of_topics_without_a_column_is_named(tmp_path: Path) -> None:
    for column in ("id", "name", "type", "serialization_format"):
        path = damaged_database(tmp_path / f"{column}.db3", dropped={("topics", column)})
        with pytest.raises(MsdepthError, match=rf"{column}.db3 is damaged: its table topics has no {column}; copy it"):
            stamps(path)


TABLES = {
    "topics": {"id": 1, "name": TOPIC, "type": COMPRESSED_IMAGE, "serialization_format": "cdr",
               "offered_qos_profiles": ""},
    "messages": {"id": 1, "topic_id": 1, "timestamp": START_NS, "data": b"\0\1\0\0"},
    "message_definitions": {"id": 1, "topic_type": COMPRESSED_IMAGE, "encoding": "ros2msg",
                            "encoded_message_definition": "uint8 data"},
}  # fmt: skip
"""One row of each table of the storage."""
places = st.sampled_from([(table, column) for table, columns in TABLES.items() for column in columns])
cells = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()


def damaged_database(
    path: Path, dropped: set[tuple[str, str]], changed: dict[tuple[str, str], Any] | None = None
) -> Path:
    """Writes a database of one message without some columns, and without a table that has none left."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    for table, row in TABLES.items():
        kept = {name: (changed or {}).get((table, name), row[name]) for name in row if (table, name) not in dropped}
        if kept:
            database.execute(f"CREATE TABLE {table} ({', '.join(kept)})")
            database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(kept))})", list(kept.values()))
    database.commit()
    database.close()
    return path


def open_files(path: Path) -> int:
    """How often this process has a file open."""
    links = (link for link in Path("/proc/self/fd").iterdir() if link.exists())
    return sum(os.path.samefile(link, path) for link in links)


@given(st.sets(places, max_size=3), st.dictionaries(places, cells, max_size=3))
def test_any_damage_to_the_tables_gives_one_error_and_leaves_nothing_open(
    tmp_path_factory: pytest.TempPathFactory, dropped: set[tuple[str, str]], changed: dict[tuple[str, str], Any]
) -> None:
    path = damaged_database(tmp_path_factory.getbasetemp() / "tables.db3", dropped, changed)
    try:
        stamps(path)
    except MsdepthError as error:  # its traceback keeps whatever was not closed
        assert "tables.db3" in str(error)
        assert not open_files(path)
    assert not open_files(path)


@pytest.mark.parametrize(("old", "new", "reason"), [
    ("version: 9", "version: 10", "version 10, known are 1 to 9; update msdepth"),
    ("version: 9", "version: x", "version 'x', known are"),
    ("relative_file_paths:", "other:", "no 'relative_file_paths'"),
    ("rosbag2_bagfile_information:", "- ", "cannot be read"),
    ("message_count: 5", "message_count: many", "cannot be read"),
    ("message_count: 5", "message_count: .inf", "cannot be read"),
    ("message_count: 5", "message_count: !!int", "not valid YAML"),
])  # fmt: skip
def test_damaged_metadata_is_named_with_the_way_around_it(tmp_path: Path, old: str, new: str, reason: str) -> None:
    folder = write_bag(tmp_path / "drive")
    path = folder / "metadata.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MsdepthError, match=f"metadata.yaml.*{reason}.*move metadata.yaml away"):
        stamps(folder)


@given(data=st.one_of(st.binary(max_size=300), st.text("rosbag2_:[]{}&*!- \n0123", max_size=200).map(str.encode)))
def test_any_text_as_metadata_gives_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp() / "metadata.yaml", data)
    with pytest.raises(MsdepthError, match="metadata.yaml"):
        read_metadata(path)
