"""Messages of a recording as they are played: order, stamps, loops, latched topics, decoded images."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import IMAGE, PERIOD_NS, START_NS, THERMAL_LATE_NS, TYPES, header, pixels_of, write_bag
from mcap_files import IMAGES, channel, chunk, image_message, mcap, message, schema, write

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.images import decode_image
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.playback.camera_messages import Packet, put_stamp
from msdepth_ros.playback.recorded_messages import RecordedConfig, find_tracks, read_recorded, transform_stamps

TOPIC = "/rgb/image/compressed"
TF = "tf2_msgs/msg/TFMessage"


def packets(path: Path, count: int | None = None, **options: Any) -> list[Packet]:
    config = RecordedConfig(path, **options)
    with Bag(path) as bag:
        tracks = find_tracks(bag, config)
    return list(islice(read_recorded(config, tracks), count))


def test_everything_in_order_of_recording(tmp_path: Path) -> None:
    found = packets(write_bag(tmp_path / "drive"))
    assert len(found) == 40
    assert len({packet.name for packet in found}) == 8
    assert [packet.stamp_ns for packet in found] == sorted(packet.stamp_ns for packet in found)
    assert {packet.messages[0].stamps for packet in found} == {((4, 0),)}


def test_a_choice_of_topics_and_of_time(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive")
    found = packets(folder, topics=(TOPIC,), start_ns=PERIOD_NS, duration_ns=2 * PERIOD_NS)
    assert [packet.stamp_ns for packet in found] == [START_NS + PERIOD_NS, START_NS + 2 * PERIOD_NS]
    with pytest.raises(MsdepthError, match="no messages on /sonar"):
        packets(folder, topics=("/sonar",))
    with pytest.raises(MsdepthError, match="has only 0.4 s; nothing is left after --start"):
        packets(folder, start_ns=10**9)


def test_raw_images_take_the_place_of_compressed_ones(tmp_path: Path) -> None:
    found = packets(write_bag(tmp_path / "drive"), topics=("/thermal/image/compressed",), raw=True)
    topic, data, stamps = found[3].messages[0]
    image = TYPES.deserialize_cdr(bytes(data), IMAGE)
    assert (topic, stamps) == ("/thermal/image", ((4, 0),))
    np.testing.assert_array_equal(decode_image(topic, image).pixels, pixels_of("thermal", 3))


def test_raw_beside_compressed_of_the_same_camera_is_refused(tmp_path: Path) -> None:
    parts = [*IMAGES, schema(2, IMAGE, encoding=""), channel(2, 2, "/rgb/image"), message(2, START_NS, b"")]
    path = write(tmp_path / "a.mcap", mcap([*parts, image_message(START_NS)]))
    with pytest.raises(MsdepthError, match="/rgb/image raw and compressed; choose one with --topics"):
        packets(path, raw=True)


def test_a_loop_counts_time_on_and_tells_what_it_added(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", instants=3, cameras=("rgb",))
    found = packets(folder, 14, topics=(TOPIC,), loop=True)
    assert np.diff([packet.stamp_ns for packet in found]).tolist() == [PERIOD_NS] * 13
    assert {packet.stamp_ns - packet.loop_ns for packet in found} == {START_NS + PERIOD_NS * n for n in range(3)}


def test_a_stamp_older_than_its_recording_keeps_that_distance(tmp_path: Path) -> None:
    data = bytearray(image_message(START_NS))
    body = bytearray(data[9 + 22 :])
    put_stamp(body, START_NS - THERMAL_LATE_NS)
    path = write(tmp_path / "a.mcap", mcap([*IMAGES, message(1, START_NS, bytes(body))]))
    assert packets(path)[0].messages[0].stamps == ((4, -THERMAL_LATE_NS),)


def transforms(*frames: str) -> bytes:
    types = TYPES.types
    vector = types["geometry_msgs/msg/Vector3"](x=1.0, y=2.0, z=3.0)
    rotation = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
    transform = types["geometry_msgs/msg/Transform"](translation=vector, rotation=rotation)
    stamped = types["geometry_msgs/msg/TransformStamped"]
    parts = [
        stamped(header=header(START_NS + number, "base"), child_frame_id=frame, transform=transform)
        for number, frame in enumerate(frames)
    ]
    return bytes(TYPES.serialize_cdr(types[TF](transforms=parts), TF))


@pytest.mark.parametrize("frames", [(), ("a",), ("a", "bc", "def", "ghij", "klmno", "p" * 33)])
def test_the_stamps_of_transforms_are_found(frames: tuple[str, ...]) -> None:
    data = bytearray(transforms(*frames))
    places = transform_stamps(bytes(data))
    assert len(places) == len(frames)
    for number, place in enumerate(places):
        put_stamp(data, 7 * 10**9 + number, place)
    found = TYPES.deserialize_cdr(bytes(data), TF).transforms
    assert [(t.header.stamp.sec, t.header.stamp.nanosec) for t in found] == [(7, n) for n in range(len(frames))]
    assert [t.child_frame_id for t in found] == list(frames)
    assert all(t.transform.translation.z == 3.0 for t in found)


def test_damaged_transforms_have_no_stamps_beyond_their_end() -> None:
    data = transforms("a", "b")
    for length in range(4, len(data)):
        assert all(place + 8 <= length for place in transform_stamps(data[:length]))


def test_what_was_latched_before_the_start_is_played_at_the_start(tmp_path: Path) -> None:
    parts = [*IMAGES, schema(2, TF, encoding=""), channel(2, 2, "/tf_static"), message(2, START_NS, transforms("rgb"))]
    images = [image_message(START_NS + number * PERIOD_NS) for number in range(4)]
    path = write(tmp_path / "a.mcap", mcap([chunk([*parts, *images])]))
    found = packets(path, start_ns=2 * PERIOD_NS)
    assert [packet.name for packet in found] == ["/tf_static", TOPIC, TOPIC]
    assert found[0].stamp_ns == START_NS + 2 * PERIOD_NS
    with Bag(path) as bag:
        tracks = {track.topic: track for track in find_tracks(bag, RecordedConfig(path))}
    assert tracks["/tf_static"].qos.latched
    assert not tracks[TOPIC].qos.latched


def test_an_empty_recording_has_nothing_to_play(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="nothing to play"):
        packets(write(tmp_path / "a.mcap", mcap(IMAGES)))
