"""What people's cameras and recordings do: each input gives what the unchanged one gives, or says what is wrong."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import drives
import numpy as np
import pytest
import reported
from bags import INFO, PERIOD_NS, START_NS
from reported import Change, Row

from msdepth_ros import cli
from msdepth_ros.core.errors import MsdepthError

ALL = "rgb+nir+thermal"
WHOLE = Counter({ALL: reported.INSTANTS - 1, "rgb": 1})


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> float:
    folder = tmp_path_factory.mktemp("unchanged")
    found = reported.evaluate(folder, reported.write(folder / "drive", reported.rows()))
    assert found.sets == WHOLE
    return found.abs_rel


def with_tf(*messages: Row) -> Change:
    return lambda made: [*made, *messages]


def first_info_zero(message: Any, number: int) -> None:
    if number == 0:
        message.k = np.zeros(9)


def first_info_of_another_size(message: Any, number: int) -> None:
    if number == 0:
        message.width, message.height = 2 * message.width, 2 * message.height


def lens(model: str, *coefficients: float) -> Change:
    def change(message: Any, _: int) -> None:
        message.distortion_model, message.d = model, np.array(coefficients)

    return reported.infos("rgb", change)


def padded(number: int) -> bytes:
    return reported.encoded(".png", reported.picture("nir", number)) + bytes(4096)


def info_frame(made: list[Row]) -> list[Row]:
    for row in made:
        if row.kind == INFO and "ground_truth" not in row.topic:
            row.message.header.frame_id = row.message.header.frame_id.replace("_optical_frame", "_link")
    return made


def namespaced(made: list[Row]) -> list[Row]:
    made = [row._replace(topic=f"/car1{row.topic}") for row in made]
    wrong = [reported.transform("rgb_optical_frame", f"{name}_optical_frame", (9, 0, 0)) for name in ("nir", "thermal")]
    return [*made, reported.tf(reported.rig_tf(), "/car1/tf_static"), reported.tf(wrong, "/car2/tf_static")]


def moved_to_another_parent(made: list[Row]) -> list[Row]:
    old = [reported.transform("rgb_optical_frame", "thermal_optical_frame", (5, 0, 0))]
    return [*made, reported.tf(old), reported.tf(reported.rig_tf("rig"), log_ns=START_NS + 1000)]


def null_turn(made: list[Row]) -> list[Row]:
    broken = reported.transform("base_link", "gps_link", (0, 0, 1), (0, 0, 0, 0))
    return [*made, reported.tf(reported.rig_tf()), reported.tf([broken], log_ns=START_NS + 1)]


def not_static(made: list[Row]) -> list[Row]:
    times = range(START_NS, START_NS + reported.INSTANTS * PERIOD_NS, PERIOD_NS)
    return [*made, *(reported.tf(reported.rig_tf(), "/tf", log_ns) for log_ns in times)]


def one_crop(made: list[Row]) -> list[Row]:
    """Images are the middle of the sensor; camera_info has the sensor's K, and gives the crop as the sensor's size."""

    def change(message: Any, _: int) -> None:
        message.k[2] += 100
        message.roi.x_offset, message.roi.width, message.roi.height = 100, message.width, message.height

    return reported.infos("nir", change)(made)


# Each changes one thing; whether the recording has its rig.yaml beside it.
SAME: dict[str, tuple[Change, bool]] = {
    "a transform without a rotation": (null_turn, False),
    "a transform without a rotation, rig.yaml": (null_turn, True),
    "the first camera_info is all zeros": (reported.infos("rgb", first_info_zero), True),
    "the first camera_info is of another size": (reported.infos("nir", first_info_of_another_size), True),
    "transforms on /tf only": (not_static, False),
    "transforms in a namespace, and those of another vehicle": (namespaced, False),
    "a frame gets a new parent": (moved_to_another_parent, False),
    "tf without the cameras": (with_tf(reported.tf([reported.transform("base_link", "lidar", (0, 0, 2))])), True),
    "equal frame ids, rig.yaml": (reported.framed(lambda _: "camera"), True),
    "camera_info names another frame": (lambda made: [*info_frame(made), reported.tf(reported.rig_tf())], False),
    "plumb_bob with eight zeros": (lens("plumb_bob", *[0.0] * 8), True),
    "a crop whose size is given as the sensor's": (one_crop, True),
    "padding behind a PNG": (reported.repacked("nir", "mono8; png compressed ", padded), True),
    "TIFF": (reported.repacked("thermal", "16UC1; tiff compressed 16UC1",
                               lambda i: reported.encoded(".tiff", reported.picture("thermal", i))), True),
    "nir in colour that is grey": (
        reported.raw("nir", "rgb8", lambda i: np.dstack([reported.grey("nir", i)] * 3)), True),
    "thermal in colour that is grey": (
        reported.raw("thermal", "bgr8", lambda i: np.dstack([reported.grey("thermal", i)] * 3)), True),
    "thermal in kelvin": (
        reported.raw("thermal", "32FC1", lambda i: 250 + reported.grey("thermal", i).astype(np.float32) / 10), True),
}  # fmt: skip


CAMERAS = {name: next((one for one in drives.SPECTRA if one in name), "") for name in SAME}
PAIRS = [
    (first, second) for first, second in itertools.combinations(SAME, 2) if len({CAMERAS[first], CAMERAS[second]}) > 1
]


@pytest.mark.parametrize("seed", range(24))
def test_two_conditions_together_do_as_little_harm_as_one(tmp_path: Path, unchanged: float, seed: int) -> None:
    """Any two of them that concern different cameras, or none; `MSDEPTH_SEEDS` in the name of a loop tries more."""
    names = PAIRS[seed * 7 % len(PAIRS)]
    made, rig = reported.rows(), True
    for name in names:
        change, with_rig = SAME[name]
        made, rig = change(made), rig and with_rig
    made = made if rig else [*made, reported.tf(reported.rig_tf(), namespace_of(made), START_NS + 5000)]
    found = reported.evaluate(tmp_path, reported.write(tmp_path / "drive", made, rig=True))
    assert (found.sets, found.errors) == (WHOLE, set()), names
    assert found.abs_rel == pytest.approx(unchanged, rel=0.01), names


def namespace_of(made: list[Row]) -> str:
    """Where the cameras' tf is."""
    return "/car1/tf_static" if made[0].topic.startswith("/car1") else "/tf_static"


@pytest.mark.parametrize("name", SAME)
def test_the_depth_is_that_of_the_unchanged_input(tmp_path: Path, unchanged: float, name: str) -> None:
    change, rig = SAME[name]
    found = reported.evaluate(tmp_path, reported.write(tmp_path / "drive", change(reported.rows()), rig=rig))
    assert (found.sets, found.errors) == (WHOLE, set())
    assert found.abs_rel == pytest.approx(unchanged, rel=0.002)


def test_a_row_step_of_zero_costs_no_truth(tmp_path: Path) -> None:
    results = []
    for name, row_step in (("right", None), ("zero", 0)):
        made = list(reported.points(reported.rows()))
        for row in made:
            if row.kind == reported.POINTS and row_step is not None:
                row.message.row_step = row_step
        results.append(reported.evaluate(tmp_path, reported.write(tmp_path / name, made)))
    assert results[1].abs_rel == results[0].abs_rel
    assert results[1].errors == set()


@pytest.mark.parametrize(("model", "coefficients", "same_as"), [
    ("plumb_bob", (-0.05, 0.01, 0.001, -0.001, 0.0, 0.0, 0.0, 0.0), ("plumb_bob", (-0.05, 0.01, 0.001, -0.001, 0.0))),
    ("plumb_bob", (-0.05, 0.01, 0.0, 0.0, 0.0, 0.02, 0.0, 0.0),
     ("rational_polynomial", (-0.05, 0.01, 0.0, 0.0, 0.0, 0.02, 0.0, 0.0))),
    ("equidistant", (0.01, -0.02, 0.003, 0.0, 0.0), ("equidistant", (0.01, -0.02, 0.003, 0.0))),
])  # fmt: skip
def test_zeros_at_the_end_of_a_lens_are_nothing(
    tmp_path: Path, model: str, coefficients: tuple[float, ...], same_as: tuple[str, tuple[float, ...]]
) -> None:
    found = [
        reported.evaluate(tmp_path, reported.write(tmp_path / f"drive{index}", lens(*one)(reported.rows())))
        for index, one in enumerate(((model, *coefficients), (same_as[0], *same_as[1])))
    ]
    assert found[0].abs_rel == found[1].abs_rel


def test_skew_is_used_and_said(tmp_path: Path) -> None:
    def change(message: Any, _: int) -> None:
        message.distortion_model, message.d = "equidistant", np.array([0.01, -0.02, 0.003, 0.0])
        message.k[1] = 0.4

    bag = reported.write(tmp_path / "drive", reported.infos("nir", change)(reported.rows()))
    found = reported.evaluate(tmp_path, bag)
    assert found.sets == WHOLE
    assert any("/nir/camera_info: K has a skew of 0.4 px" in note for note in found.notes)


@pytest.mark.parametrize("mark", [b"\0" * 5000, b"\xff" * 70, b"left over of a larger image " * 9])
def test_what_follows_the_end_of_a_jpeg_does_not_matter(tmp_path: Path, mark: bytes) -> None:
    def jpeg(number: int) -> bytes:
        return reported.encoded(".jpg", reported.picture("rgb", number))

    results = []
    for name, data in (("bare", jpeg), ("padded", lambda number: jpeg(number) + mark)):
        made = reported.repacked("rgb", "jpeg", data)(reported.rows())
        results.append(reported.evaluate(tmp_path, reported.write(tmp_path / name, made)))
    assert results[1].abs_rel == results[0].abs_rel
    assert results[1].sets == WHOLE


def test_a_mosaic_in_a_compressed_image_is_colour(tmp_path: Path) -> None:
    packed = reported.repacked(
        "rgb", "bayer_rggb8; png compressed ", lambda i: reported.encoded(".png", reported.mosaic(i))
    )
    made = reported.raw("rgb", "bayer_rggb8", reported.mosaic)
    results = [
        reported.evaluate(tmp_path, reported.write(tmp_path / f"drive{index}", change(reported.rows())))
        for index, change in enumerate((packed, made))
    ]
    assert results[0].sets == WHOLE
    assert results[0].abs_rel == results[1].abs_rel


@pytest.mark.parametrize(("camera", "encoding"), [("rgb", "bayer_rggb16"), ("rgb", "rgb16"), ("nir", "mono16")])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_significant_bits(tmp_path: Path, unchanged: float, camera: str, encoding: str, bits: int) -> None:
    def deep(number: int) -> Any:
        pixels = reported.picture(camera, number)
        pixels = (
            reported.mosaic(number)
            if encoding.startswith("bayer")
            else pixels[:, :, ::-1]
            if camera == "rgb"
            else pixels
        )
        return pixels.astype(np.uint16) << (bits - 8)

    bag = reported.write(tmp_path / "drive", reported.raw(camera, encoding, deep)(reported.rows()))
    silent = reported.evaluate(tmp_path, bag)
    said = [note for note in silent.notes if f"never use more than {bits} bits" in note]
    assert len(said) == 1
    assert f"/{camera}/image: " in said[0]
    assert f"set {camera}.bits" in said[0]
    stated = reported.evaluate(tmp_path, bag, **{f"{camera}__bits": bits})
    assert stated.abs_rel == pytest.approx(unchanged, rel=0.01)
    assert abs(silent.abs_rel - unchanged) > 5 * abs(stated.abs_rel - unchanged)
    assert not any("bits" in note for note in stated.notes)


def test_16_bits_that_are_used_are_fine(tmp_path: Path) -> None:
    deep = reported.raw("nir", "mono16", lambda number: reported.grey("nir", number).astype(np.uint16) * 257)
    found = reported.evaluate(tmp_path, reported.write(tmp_path / "drive", deep(reported.rows())))
    assert not any("bits" in note for note in found.notes)


def test_equal_frame_ids_are_no_pose(tmp_path: Path) -> None:
    bag = reported.write(tmp_path / "drive", reported.framed(lambda _: "camera")(reported.rows()), rig=False)
    with pytest.raises(
        MsdepthError, match=r"rgb, nir and thermal have one frame_id, 'camera'.*--rig.*calibration\.file"
    ):
        reported.evaluate(tmp_path, bag)


@pytest.mark.parametrize(("rename", "transforms", "reason"), [
    ("_link", reported.rig_tf("rgb_link", "_link"), "is no optical frame by its name"),
    ("_body", reported.rig_tf("base_link", "_body"), "its z axis points up in base_link"),
    ("_camera", [*reported.rig_tf("rgb_camera", "_camera"),
                 reported.transform("nir_camera", "nir_camera_optical", (0, 0, 0), (-0.5, 0.5, -0.5, 0.5))],
     "the optical one is 'nir_camera_optical'"),
    ("_cam", [reported.transform("rgb_cam", f"{name}_cam", (0, 0, 0.2)) for name in ("nir", "thermal")],
     "along its line of sight"),
])  # fmt: skip
def test_frames_that_cannot_be_optical_are_told(
    tmp_path: Path, rename: str, transforms: list[Any], reason: str
) -> None:
    made = reported.framed(lambda frame: frame.replace("_optical_frame", rename))(reported.rows())
    bag = reported.write(tmp_path / "drive", [*made, reported.tf(transforms)], rig=False)
    notes = reported.evaluate(tmp_path, bag).notes
    assert any(reason in note and "of the nir camera" in note for note in notes), notes


def test_optical_frames_are_not_doubted(tmp_path: Path) -> None:
    bag = reported.write(tmp_path / "drive", [*reported.rows(), reported.tf(reported.rig_tf("base_link"))], rig=False)
    assert reported.evaluate(tmp_path, bag).notes == []


def test_the_frame_of_the_images_wins_and_is_told(tmp_path: Path) -> None:
    bag = reported.write(tmp_path / "drive", [*info_frame(reported.rows()), reported.tf(reported.rig_tf())], rig=False)
    notes = reported.evaluate(tmp_path, bag).notes
    assert any("images name frame 'nir_optical_frame', their camera_info 'nir_link'" in note for note in notes)


def unstamped(made: list[Row]) -> list[Row]:
    for row in made:
        row.message.header.stamp.sec = row.message.header.stamp.nanosec = 0
    return made


def test_a_stamp_of_zero_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = reported.write(tmp_path / "drive", unstamped(reported.rows()))
    with pytest.raises(MsdepthError, match=r"form no set.*/rgb/image/compressed: header\.stamp is 0"):
        reported.evaluate(tmp_path, bag)
    assert cli.main(["info", str(bag)]) == 1
    assert "will not work: the images form no set: rgb, nir, thermal: header.stamp is 0" in capsys.readouterr().out


def test_one_camera_without_stamps_costs_only_itself(tmp_path: Path) -> None:
    made = reported.rows()
    unstamped([row for row in made if row.topic == "/nir/image/compressed"])
    found = reported.evaluate(tmp_path, reported.write(tmp_path / "drive", made))
    assert found.sets["rgb+thermal"] == reported.INSTANTS - 1
    assert any("header.stamp is 0" in note for note in found.notes)


@pytest.mark.parametrize("early_ns", [0, 25 * 10**9])
def test_what_was_recorded_before_the_time_was_known_does_not_start_the_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], early_ns: int
) -> None:
    made = [row._replace(log_ns=early_ns) if row.log_ns < START_NS + PERIOD_NS else row for row in reported.rows()]
    bag = reported.write(tmp_path / "drive", made)
    found = reported.evaluate(tmp_path, bag)
    assert sum(found.sets.values()) == reported.INSTANTS
    assert any("recorder did not know the time" in note for note in found.notes)
    cli.main(["info", str(bag)])
    text = capsys.readouterr().out
    assert "drive: 0.4 s from 2023-11-14" in text
    assert "recorder did not know the time" in text


@pytest.mark.parametrize(("shift_s", "sentence"), [
    (37, "difference between TAI (PTP) and UTC"), (-18, "difference between GPS time and UTC"),
    (-(START_NS // 10**9) + 4000, "from the start of a computer"),
])  # fmt: skip
@pytest.mark.parametrize("cameras", [("thermal",), drives.SPECTRA])
def test_clocks_that_differ_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shift_s: int, sentence: str, cameras: tuple[str, ...]
) -> None:
    made = reported.rows()
    for row in made:
        if row.topic.split("/")[1] in cameras:
            row.message.header.stamp.sec += shift_s
    bag = reported.write(tmp_path / "drive", made)
    notes = reported.evaluate(tmp_path, bag).notes if len(cameras) == 1 else []
    cli.main(["info", str(bag)])
    assert sentence in capsys.readouterr().out
    assert len(cameras) > 1 or any(sentence in note for note in notes)


def test_equal_problems_are_counted_once_by_kind(tmp_path: Path) -> None:
    cut = reported.repacked(
        "rgb", "jpeg", lambda i: reported.encoded(".jpg", reported.picture("rgb", i))[: 400 + 10 * i]
    )
    bag = reported.write(tmp_path / "drive", cut(reported.rows()))
    model = reported.models.toy_model(tmp_path / "toy.onnx", added_m=5.0)
    assert cli.main(["evaluate", str(bag), "--model", str(model), "--out", str(tmp_path / "out")]) == 0
    problems = json.loads((tmp_path / "out" / "metrics.json").read_text())["problems"]
    assert [(text.split(":")[0], count) for text, count in problems.items()] == [
        ("/rgb/image/compressed", reported.INSTANTS)
    ]


@pytest.mark.parametrize(("stated", "data", "name"), [
    ("rgb8; webp compressed", b"RIFF0000WEBPVP8 ", "WebP"), ("h264", b"\0\0\0\x01\x67\x42", "H.264"),
    ("jxl", b"\xff\x0a" + bytes(40), "JPEG XL"), ("theora", b"\x80theora", "theora"), ("bmp", b"BM" + bytes(60), "BMP"),
])  # fmt: skip
def test_other_formats_are_named(tmp_path: Path, stated: str, data: bytes, name: str) -> None:
    bag = reported.write(tmp_path / "drive", reported.repacked("rgb", stated, lambda _: data)(reported.rows()))
    (note,) = (note for note in reported.evaluate(tmp_path, bag).notes if "cannot be used" in note)
    assert f"{name}" in note
    assert "is not supported; publish JPEG, PNG or TIFF" in note


def two_sensors(made: list[Row]) -> list[Row]:
    made = [row for row in made if "/nir/" not in row.topic]
    made = [row._replace(topic=row.topic.replace("/rgb/", "/rgb_nir/stream0/")) for row in made]
    return [*made, reported.tf(reported.rig_tf())]


def test_no_topic_is_that_of_two_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = reported.write(tmp_path / "drive", two_sensors(reported.rows()), rig=False)
    topic = "/rgb_nir/stream0/image/compressed"
    with pytest.raises(MsdepthError, match=f"topic {topic} names rgb and nir.*--topic rgb={topic}"):
        reported.evaluate(tmp_path, bag)
    assert cli.main(["info", str(bag)]) == 1
    assert "names rgb and nir" in capsys.readouterr().out
    found = reported.evaluate(tmp_path, bag, images={"rgb": topic})
    assert found.sets["rgb+thermal"] == reported.INSTANTS - 1
    assert not any("nir" in cameras for cameras in found.sets)
    with pytest.raises(MsdepthError, match="is given to rgb and to nir; one topic is one camera's"):
        reported.evaluate(tmp_path, bag, images={"rgb": topic, "nir": topic})


def test_a_whole_segment_goes_before_a_part_of_one(tmp_path: Path, unchanged: float) -> None:
    made = [row._replace(topic=row.topic.replace("/rgb/", "/nir_and_rgb_rig/rgb/")) for row in reported.rows()]
    found = reported.evaluate(tmp_path, reported.write(tmp_path / "drive", made))
    assert found.abs_rel == unchanged


def test_a_camera_info_alone_in_the_bag_is_tried_until_one_fits(tmp_path: Path) -> None:
    made = reported.infos("rgb", lambda message, _: setattr(message, "k", np.zeros(9)))(reported.rows())
    bag = reported.write(tmp_path / "bad", made, rig=False)
    with pytest.raises(MsdepthError, match="/rgb/camera_info.*K of zeros"):
        reported.evaluate(tmp_path, reported.write(tmp_path / "tf", [*made, reported.tf(reported.rig_tf())], rig=False))
    drives.rig().save(bag / "rig.yaml")
    assert reported.evaluate(tmp_path, bag).sets == WHOLE  # the rig file's intrinsics serve, as in the node


def test_the_frame_of_a_truth_is_found_on_tf_beside_a_rig_file(tmp_path: Path) -> None:
    made = list(reported.points(reported.rows()))
    for row in made:
        if row.kind == reported.POINTS:
            row.message.header.frame_id = "lidar"
    made.append(reported.tf([reported.transform("rgb_optical_frame", "lidar", (0, 0, 0))]))
    found = reported.evaluate(tmp_path, reported.write(tmp_path / "drive", made))
    assert found.errors == set()
