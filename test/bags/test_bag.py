"""Reading bags: what is there, what is missing, what is broken."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from bags import START_NS, stamps_of, write_bag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin

from msdepth_ros.bags.bag import COMPRESSED_IMAGE, Bag
from msdepth_ros.core.camera.camera_info import camera_model_from_info
from msdepth_ros.core.errors import MsdepthError

TOPIC = "/rgb/image/compressed"


@pytest.fixture(params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def bag_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_bag(tmp_path / "drive", storage=request.param)


def test_lists_topics_with_types_and_counts(bag_folder: Path) -> None:
    with Bag(bag_folder) as bag:
        assert bag.topics[TOPIC] == (COMPRESSED_IMAGE, 5)
        assert len(bag.topics) == 8


def test_reads_only_the_wanted_topics_with_header_stamps(bag_folder: Path) -> None:
    with Bag(bag_folder) as bag:
        messages = list(bag.messages([TOPIC, "/thermal/camera_info"]))
    assert [m.stamp_ns for m in messages if m.topic == TOPIC] == [stamps_of("rgb", i) for i in range(5)]
    assert [m.stamp_ns for m in messages if m.topic != TOPIC] == [stamps_of("thermal", i) for i in range(5)]


def test_duration_counts_from_the_start(bag_folder: Path) -> None:
    with Bag(bag_folder) as bag:
        stamps = [message.stamp_ns for message in bag.messages([TOPIC], duration_ns=250_000_000)]
    assert stamps == [START_NS, START_NS + 100_000_000, START_NS + 200_000_000]


def test_camera_model_has_the_intrinsics_of_camera_info(bag_folder: Path) -> None:
    with Bag(bag_folder) as bag:
        info = next(bag.messages(["/nir/camera_info"])).message
    camera = camera_model_from_info("nir", info)
    assert (camera.label, camera.width, camera.height) == ("nir", 48, 24)
    np.testing.assert_allclose(camera.k, [[48, 0, 23.5], [0, 48, 11.5], [0, 0, 1]])


def test_a_missing_topic_is_named_with_what_is_there(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", cameras=("rgb",))
    with Bag(folder) as bag, pytest.raises(MsdepthError) as caught:
        list(bag.messages(["/thermal/image"]))
    assert str(folder) in str(caught.value)
    assert "no messages on /thermal/image" in str(caught.value)
    assert "/rgb/image/compressed (5)" in str(caught.value)


def test_a_topic_of_another_type_is_refused(bag_folder: Path) -> None:
    with Bag(bag_folder) as bag, pytest.raises(MsdepthError, match="expected sensor_msgs/msg/Imu"):
        bag.require({TOPIC: ("sensor_msgs/msg/Imu",)})


def test_a_bag_that_does_not_exist_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="nowhere does not exist"), Bag(tmp_path / "nowhere"):
        pass


def test_an_empty_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="holds neither metadata.yaml nor"), Bag(tmp_path):
        pass


def test_a_ros1_bag_is_told_how_to_convert(tmp_path: Path) -> None:
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(MsdepthError, match="rosbags-convert"), Bag(tmp_path / "old.bag"):
        pass


def test_a_count_that_disagrees_with_the_metadata_fails_after_reading(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", storage=StoragePlugin.SQLITE3)
    with sqlite3.connect(next(folder.glob("*.db3"))) as database:
        database.execute("DELETE FROM messages WHERE id = (SELECT MAX(m.id) FROM messages m JOIN topics t "
                         "ON m.topic_id = t.id WHERE t.name = ?)", (TOPIC,))  # fmt: skip
    database.close()
    with Bag(folder) as bag, pytest.raises(MsdepthError, match=f"{TOPIC}: 4 of 5"):
        list(bag.messages([TOPIC]))


def test_a_qos_that_differs_between_metadata_and_storage_hides_nothing(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive")
    metadata = folder / "metadata.yaml"
    text = metadata.read_text()
    assert "offered_qos_profiles: []" in text
    profile = (
        "offered_qos_profiles:\n          - {history: keep_last, depth: 7, reliability: reliable, "
        "durability: volatile, deadline: {sec: 0, nsec: 0}, lifespan: {sec: 0, nsec: 0}, liveliness: automatic, "
        "liveliness_lease_duration: {sec: 0, nsec: 0}, avoid_ros_namespace_conventions: false}"
    )
    metadata.write_text(text.replace("offered_qos_profiles: []", profile))
    with AnyReader([folder]) as reader:
        assert list(reader.messages()) == [], "rosbags finds them now: this test shows nothing any more"
    with Bag(folder) as bag:
        assert len(list(bag.messages([TOPIC]))) == 5
        assert "depth: 7" in bag.offered_qos(TOPIC)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 0.999), storage=st.sampled_from([StoragePlugin.MCAP, StoragePlugin.SQLITE3]))
def test_a_truncated_bag_gives_one_error_and_never_less_data_in_silence(
    tmp_path_factory: pytest.TempPathFactory, share: float, storage: StoragePlugin
) -> None:
    folder = write_bag(tmp_path_factory.mktemp("cut") / "drive", instants=3, storage=storage)
    file = next(path for path in folder.iterdir() if path.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    try:
        with Bag(folder) as bag:
            assert len(list(bag.messages([TOPIC]))) == 3
    except MsdepthError as error:
        assert str(folder) in str(error)


@settings(max_examples=40, deadline=None)
@given(
    place=st.floats(0.0, 0.999),
    value=st.integers(0, 255),
    storage=st.sampled_from([StoragePlugin.MCAP, StoragePlugin.SQLITE3]),
    name=st.sampled_from(["metadata.yaml", "drive.*"]),
)
def test_a_flipped_byte_gives_one_error_or_all_messages(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int, storage: StoragePlugin, name: str
) -> None:
    folder = write_bag(tmp_path_factory.mktemp("flip") / "drive", instants=3, storage=storage)
    file = next(folder.glob(name))
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] = value
    file.write_bytes(data)
    try:
        with Bag(folder) as bag:
            assert len(list(bag.messages([TOPIC]))) == 3
    except MsdepthError as error:
        assert str(folder) in str(error)
