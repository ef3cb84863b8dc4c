"""msdepth info: what it finds in a recording, and whether its verdict on evaluate is right."""

import json
from pathlib import Path

import numpy as np
import pytest
from bags import PERIOD_NS, START_NS, write_bag
from drives import Drive
from hypothesis import given
from hypothesis import strategies as st
from mcap_files import IMAGES, image_message, mcap, write

from msdepth_ros.cli import main
from msdepth_ros.inspection.facts import skew_between, topic_facts

RIG = """
cam0: {label: rgb, camera_model: pinhole, intrinsics: [64, 64, 31.5, 15.5], distortion_model: radtan,
       distortion_coeffs: [0, 0, 0, 0], resolution: [64, 32]}
cam1: {label: nir, camera_model: pinhole, intrinsics: [48, 48, 23.5, 11.5], distortion_model: radtan,
       distortion_coeffs: [0, 0, 0, 0], resolution: [48, 24],
       T_cn_cnm1: [[1, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}
cam2: {label: thermal, camera_model: pinhole, intrinsics: [40, 40, 19.5, 9.5], distortion_model: radtan,
       distortion_coeffs: [0, 0, 0, 0], resolution: [40, 20],
       T_cn_cnm1: [[1, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}
"""


@pytest.fixture
def rig(tmp_path: Path) -> str:
    return str(write(tmp_path / "rig.yaml", RIG.encode()))


def survey(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    code = main(["info", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_recording(tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = survey(capsys, str(write_bag(tmp_path / "drive", instants=8)), "--rig", rig)
    assert (code, found["usable"], found["problems"], found["notes"]) == (0, True, [], [])
    topics = {topic["topic"]: topic for topic in found["topics"]}
    assert topics["/rgb/image/compressed"]["content"] == "'uint8; png' 64x32"
    assert topics["/nir/camera_info"]["median_hz"] == pytest.approx(10)
    assert found["sets"] == {"rgb+nir+thermal": 7, "rgb": 1}  # the first image waits for nobody
    assert found["calibration"] == rig
    skews = {(skew["first"], skew["second"]): skew for skew in found["skews"]}
    assert skews["rgb", "thermal"]["median_ms"] == pytest.approx(7)
    assert skews["rgb", "nir"]["largest_ms"] == 0


def test_the_text_says_what_matters(tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bag(tmp_path / "drive", instants=20, missing={"nir": set(range(8)) | set(range(15, 20))})
    assert main(["info", str(folder), "--rig", rig]) == 0
    text = capsys.readouterr().out
    assert "0.80 s late" in text
    assert "0.51 s early" in text
    assert "sets: 12 of rgb+thermal, 7 of rgb+nir+thermal, 1 of rgb" in text
    assert text.strip().endswith("msdepth evaluate will work")


def test_a_gap_is_counted(tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bag(tmp_path / "drive", instants=12, missing={"nir": {4, 5, 6}})
    _, found = survey(capsys, str(folder), "--rig", rig)
    nir = next(topic for topic in found["topics"] if topic["topic"] == "/nir/image/compressed")
    assert (nir["gaps"], nir["longest_s"]) == (1, pytest.approx(0.4))


bursts = st.lists(st.tuples(st.integers(0, 10**10), st.integers(1, 20)), min_size=1, max_size=10)
"""Topics as logs are: nothing for a while, then several messages within a millisecond."""


@given(bursts, st.integers(0, 10**10), st.integers(0, 10**10))
def test_a_rate_counts_the_messages_of_the_whole_recording(
    drawn: list[tuple[int, int]], before_ns: int, after_ns: int
) -> None:
    times, now_ns = [], before_ns
    for pause_ns, count in drawn:
        now_ns += pause_ns
        times += [now_ns + 50_000 * number for number in range(count)]
        now_ns = times[-1]
    duration_ns = now_ns + after_ns
    facts = topic_facts("/rosout", "rcl_interfaces/msg/Log", np.array(times), duration_ns)
    if len(times) < 2 or not duration_ns:
        assert facts.rate_hz is None
        return
    assert facts.rate_hz is not None
    assert facts.rate_hz * duration_ns * 1e-9 == pytest.approx(len(times))
    assert facts.longest_s == pytest.approx(max(np.diff(times)) * 1e-9)


@pytest.mark.parametrize("lost", [set(), {3}, {4, 5, 6}, set(range(6, 12))])
def test_a_camera_has_both_rates(tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str], lost: set[int]) -> None:
    folder = str(write_bag(tmp_path / "drive", instants=12, missing={"nir": lost}))
    _, found = survey(capsys, folder, "--rig", rig)
    nir = next(topic for topic in found["topics"] if topic["topic"] == "/nir/image/compressed")
    assert nir["rate_hz"] == pytest.approx((12 - len(lost)) / (found["duration_ns"] * 1e-9))
    assert nir["median_hz"] == pytest.approx(10)
    assert main(["info", folder, "--rig", rig]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("nir "))
    assert f"  {nir['rate_hz']:.1f} Hz, median 10.0 Hz  " in row


def test_without_calibration_it_says_what_to_give(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = survey(capsys, str(write_bag(tmp_path / "drive")))
    assert (code, found["usable"]) == (1, False)
    assert any("give --rig FILE" in problem for problem in found["problems"])


def test_topics_with_other_names_have_to_be_named(tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [IMAGES[0], IMAGES[1].replace(b"/rgb/image/compressed", b"/cam/left/compressed_")]
    path = str(write(tmp_path / "a.mcap", mcap([*parts, image_message(START_NS)])))
    code, found = survey(capsys, path, "--rig", rig)
    assert code == 1
    assert "no image topic named after rgb, nir, thermal" in found["problems"][0]
    code, found = survey(capsys, path, "--rig", rig, "--topic", "rgb=/cam/left/compressed_")
    assert (code, found["sets"]) == (0, {"rgb": 1})
    assert found["notes"] == ["no ground truth: evaluate reports pictures, confidence and consistency, but no errors"]


def test_repeated_and_unordered_stamps_and_a_cut_are_told(
    tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(log: int, stamp: int) -> bytes:
        data = bytearray(image_message(START_NS + log * PERIOD_NS))
        seconds, nanoseconds = divmod(START_NS + stamp * PERIOD_NS, 10**9)
        at = 9 + 22 + 4
        data[at : at + 8] = seconds.to_bytes(4, "little") + nanoseconds.to_bytes(4, "little")
        return bytes(data)

    order = [(0, 0), (1, 1), (2, 1), (3, 3), (4, 2), (5, 5)]
    whole = mcap([*IMAGES, *(message(*pair) for pair in order)])
    path = str(write(tmp_path / "a.mcap", whole[:-20]))
    _, found = survey(capsys, path, "--rig", rig)
    camera = found["cameras"][0]
    assert (camera["duplicates"], camera["backwards"]) == (1, 1)
    assert "was cut off" in found["remarks"][0]
    assert main(["info", path, "--rig", rig]) == 0
    text = capsys.readouterr().out
    assert "1 repeated, 1 go back" in text
    assert "note: a.mcap was cut off" in text


def test_a_recording_that_holds_less_than_promised_is_told_once_with_what_is_there(
    tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Drive().add_cameras(300).write(tmp_path / "drive")
    file = next(folder.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 5])
    assert main(["info", str(folder), "--rig", rig]) == 1
    text = capsys.readouterr().out
    for once in ("was cut off", "the files hold other numbers", "does not hold what its", "ros2 bag reindex"):
        assert text.count(once) == 1, once
    assert text.count("msdepth evaluate will not work") == 1
    assert f"calibration: {rig}, intrinsics from camera_info of rgb, nir, thermal" in text
    assert "'uint8; png' 64x32" in text
    assert "stamps between" in text and "sets: " in text
    assert main(["evaluate", str(folder), "--rig", rig, "--out", str(tmp_path / "out")]) == 2


def test_calibration_is_told_as_far_as_it_is_there(
    tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(*arguments: str) -> str:
        main(["info", *arguments])
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("calibration: "))

    whole = str(write_bag(tmp_path / "drive"))
    assert line(whole) == "calibration: incomplete, see below; there is camera_info of rgb, nir, thermal"
    assert line(whole, "--drop", "nir,thermal") == "calibration: one camera, intrinsics from camera_info of rgb"
    (tmp_path / "alone").mkdir()  # not beside rig.yaml
    alone = str(write(tmp_path / "alone" / "a.mcap", mcap([*IMAGES, image_message(START_NS)])))
    assert line(alone) == "calibration: none that can be used, see below"
    assert line(alone, "--rig", rig) == f"calibration: {rig}"
    assert line(whole, "--topic", "rgb=/nowhere") == "calibration: not looked for, since the cameras are not known"


def test_a_first_image_that_is_broken_is_named(tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = image_message(START_NS)
    broken = data[:60] + bytes(len(data) - 60)
    code, found = survey(capsys, str(write(tmp_path / "a.mcap", mcap([*IMAGES, broken]))), "--rig", rig)
    assert code == 1
    assert found["problems"]


def test_one_bad_recording_does_not_hide_the_others(
    tmp_path: Path, rig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_bag(tmp_path / "drive")
    (tmp_path / "bad.mcap").write_bytes(b"no recording at all")
    assert main(["info", str(tmp_path / "bad.mcap"), str(good), "--rig", rig]) == 1
    captured = capsys.readouterr()
    assert "msdepth evaluate will work" in captured.out
    assert "bad.mcap" in captured.err
    assert main(["info", str(tmp_path / "bad.mcap")]) == 2


def test_an_empty_recording_says_that_nothing_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = survey(capsys, str(write(tmp_path / "a.mcap", mcap(IMAGES))))
    assert (code, found["duration_ns"]) == (1, 0)
    assert "/rgb/image/compressed" in found["problems"][0]


def test_skew_is_signed_to_the_nearest_stamp() -> None:
    first, second = np.array([0, 100, 200]) * 10**6, np.array([190, 5, 95]) * 10**6
    assert skew_between("a", "b", first, second) == ("a", "b", -5.0, pytest.approx(9.5), 10.0)
