"""Cameras in order of recording: injected faults of the stream, and what is judged of what they leave."""

from pathlib import Path

import bags
import pytest

from msdepth_ros.bags.topics import CameraTopics, Sources
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.health.image import ImageFacts
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Look
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.plan.tracks import CameraTrack, NearestMessage, Track, Tracks

TOPIC = "/rgb/image"
FRESH = ImageFacts(dark=20, bright=200, full_scale=255, saturated=0.0, noise=3.0, sharpness=0.2, digest=0)


def time_ns(index: int) -> int:
    return bags.START_NS + index * bags.PERIOD_NS


def look(index: int, *, good: bool = True) -> Look:
    facts = FRESH._replace(digest=index) if good else None
    return Look(TOPIC, time_ns(index), time_ns(index) - 5, facts, "" if good else f"broken {index}")


def track(count: int, *faults: str, bad: tuple[int, ...] = ()) -> CameraTrack:
    options = EvaluateOptions(Settings.from_values(DEFAULTS), faults=tuple(map(parse_fault, faults)))
    made = CameraTrack("rgb", TOPIC, options, bags.START_NS)
    for index in range(count):
        made.add(look(index, good=index not in bad))
    return made


def test_a_freeze_shows_the_last_good_picture_under_new_stamps_and_is_found_out() -> None:
    made = track(12, "freeze:rgb@0.3-1s", bad=(2, 5))
    assert made.source.tolist() == [0, 1, -1, 1, 1, 1, 1, 1, 1, 1, 10, 11]
    assert made.content(6) == (TOPIC, time_ns(1), 0, time_ns(6) - 5)
    frozen = [Fault.FROZEN in some for some in made.faults]
    assert frozen == [index in range(6, 11) for index in range(12)]  # half a second later; one good image ends it not
    assert made.rejections() == "1 of 12 images cannot be used: broken 2"


def test_a_dropped_image_is_neither_judged_nor_missed() -> None:
    made = track(10, "drop:rgb@0.2-0.4s", bad=(3,))
    assert made.source.tolist() == [0, 1, -1, -1, *range(4, 10)]
    assert made.rejections() == ""
    some = track(400, "drop=0.25:rgb").source.tolist()
    assert 60 < some.count(-1) < 140
    assert some == track(400, "drop=0.25:rgb").source.tolist()


def test_the_nearest_message_within_the_tolerance_and_near_in_time() -> None:
    made = Track(TOPIC)
    for log_ns, stamp_ns in ((0, 300), (1, 100), (1, 200), (9 * 10**9, 500)):
        made.add(Look(TOPIC, log_ns, stamp_ns))
    find = NearestMessage(made, 50, made.stamp_ns)
    assert [getattr(find(stamp), "stamp_ns", None) for stamp in (49, 50, 150, 151, 249, 351)] == [
        None, 100, 100, 200, 200, None
    ]  # fmt: skip
    assert find(200) == (TOPIC, 1, 1, 200)
    assert find(500, 9 * 10**9) is not None
    assert find(500, 0) is None
    assert NearestMessage(made, 50, made.stamp_ns, made.repeat[:1])(100) is None  # only the first message counts
    empty = Track(TOPIC)
    assert NearestMessage(empty, 50, empty.stamp_ns)(0) is None


def test_a_fault_of_a_camera_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    options = EvaluateOptions(Settings.from_values(DEFAULTS), faults=(parse_fault("noise:nir"),))
    with pytest.raises(MsdepthError, match="--inject noise:nir@0-s: the recording has no images of nir"):
        Tracks(Sources({"rgb": CameraTopics(TOPIC, "")}, None), options, 0)
