"""msdepth evaluate on recordings that nobody here made: right sets and numbers, or one error with file and topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drives
import numpy as np
import pytest
from bags import COMPRESSED, IMAGE, INFO, PERIOD_NS, START_NS, TYPES, camera_info, raw_image
from rosbags.rosbag2 import StoragePlugin

pytest.importorskip("pyarrow", reason="evaluate needs the extra [report]")

import models
from msdepth_ros import cli
from msdepth_ros.playback.camera_messages import put_stamp

INSTANTS = 8
ALL, NO_THERMAL, NO_NIR = "rgb+nir+thermal", "rgb+nir", "rgb+thermal"
Message = tuple[int, str, str, bytes]


def evaluate(folder: Path, bag: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, metrics of everything, and what was printed."""
    drives.rig().save(folder / "rig.yaml")
    model = models.toy_model(folder / "toy.onnx", added_m=5.0)
    out = folder / "out"
    code = cli.main(["evaluate", str(bag), "--model", str(model), "--rig", str(folder / "rig.yaml"), "--out", str(out),
                     *arguments])  # fmt: skip
    captured = capsys.readouterr()
    metrics = json.loads((out / "metrics.json").read_text()) if code == 0 else None
    return code, metrics, captured.out + captured.err


def sets(metrics: Any) -> dict[str, int]:
    """Sets by the cameras in them."""
    return {key: result["sets"] for key, result in metrics["results"][ALL]["by_spectra"].items()}


def shifted(message: Message, by_ns: int) -> Message:
    """A message with its stamp and its time of recording moved."""
    log_ns, topic, kind, data = message
    changed = bytearray(data)
    seconds, nanoseconds = int.from_bytes(data[4:8], "little"), int.from_bytes(data[8:12], "little")
    put_stamp(changed, seconds * 10**9 + nanoseconds + by_ns)
    return log_ns + by_ns, topic, kind, bytes(changed)


def images(message: Message, camera: str) -> bool:
    """Whether a message is an image of a camera."""
    return message[1].startswith(f"/{camera}/image")


def without(camera: str, keep: range) -> Callable[[list[Message]], list[Message]]:
    """Takes a camera's images away outside of some instants."""
    first, last = START_NS + keep.start * PERIOD_NS, START_NS + keep.stop * PERIOD_NS

    def change(messages: list[Message]) -> list[Message]:
        return [message for message in messages if not images(message, camera) or first <= message[0] < last]

    return change


def doubled(messages: list[Message]) -> list[Message]:
    """Every message twice, as two recorders leave it."""
    return [one for message in messages for one in (message, (message[0] + 2000, *message[1:]))]


def swapped(messages: list[Message]) -> list[Message]:
    """Each pair of rgb images is recorded in the wrong order."""
    rgb = [message for message in messages if images(message, "rgb")]
    others = [message for message in messages if not images(message, "rgb")]
    for first, second in zip(rgb[2::2], rgb[3::2], strict=False):
        others += [(second[0], *first[1:]), (second[0] - 1, *second[1:])]
    return others + rgb[:2]


def jumped(by_ns: int) -> Callable[[list[Message]], list[Message]]:
    """The clock of everything jumps in the middle."""
    middle = START_NS + INSTANTS // 2 * PERIOD_NS - 1_000_000
    return lambda messages: [m if m[0] < middle else shifted(m, by_ns) for m in messages]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize(("change", "expected"), [
    (lambda messages: messages, {ALL: 7, "rgb": 1}),
    (without("thermal", range(4, 8)), {ALL: 3, NO_THERMAL: 4, "rgb": 1}),  # nobody waits for what never came
    (without("nir", range(0, 4)), {ALL: 3, NO_NIR: 4, "rgb": 1}),
    (doubled, {ALL: 7, "rgb": 1}),
    (jumped(10 * 10**9), {ALL: 6, "rgb": 2}),  # by then all cameras were silent for long
])  # fmt: skip
def test_every_image_gets_into_the_set_of_its_instant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], storage: StoragePlugin,
    change: Callable[[list[Message]], list[Message]], expected: dict[str, int],
) -> None:  # fmt: skip
    drive = drives.Drive().add_cameras(INSTANTS).add_truth(INSTANTS)
    drive.messages = change(drive.messages)
    code, metrics, text = evaluate(tmp_path, drive.write(tmp_path / "drive", storage), capsys)
    assert code == 0, text
    assert sets(metrics) == expected
    assert metrics["results"][ALL]["all"]["sets_with_truth"] == sum(expected.values())


def test_a_clock_that_jumps_back_loses_no_more_than_a_moment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = drives.Drive().add_cameras(INSTANTS)
    middle = START_NS + INSTANTS // 2 * PERIOD_NS - 1_000_000
    # The recorder's clock goes on; the stamps of the cameras jump back by ten seconds.
    drive.messages = [m if m[0] < middle else (m[0], *shifted(m, -10 * 10**9)[1:]) for m in drive.messages]
    code, metrics, text = evaluate(tmp_path, drive.write(tmp_path / "drive"), capsys)
    assert code == 0, text
    assert sum(sets(metrics).values()) >= INSTANTS - 1
    assert sets(metrics)[ALL] >= INSTANTS - 3


def test_images_recorded_in_the_wrong_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = drives.Drive().add_cameras(INSTANTS)
    drive.messages = swapped(drive.messages)
    code, metrics, text = evaluate(tmp_path, drive.write(tmp_path / "drive"), capsys)
    assert code == 0, text
    assert sum(sets(metrics).values()) >= INSTANTS - 3


def test_all_recorded_at_one_time_is_no_endless_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = drives.Drive().add_cameras(INSTANTS)
    drive.messages = [(START_NS, *message[1:]) for message in drive.messages]
    code, metrics, text = evaluate(tmp_path, drive.write(tmp_path / "drive"), capsys)
    assert code in (0, 2), text
    assert code == 2 or sum(sets(metrics).values()) > 0


@pytest.mark.parametrize(("change", "reason"), [
    ({"step": 1}, "step 1 is too small"),
    ({"data": np.zeros(3, np.uint8)}, "truncated or wrongly sized"),
    ({"encoding": "rainbow"}, "'rainbow' is not supported"),
    ({"height": 0, "data": np.zeros(0, np.uint8)}, "it has no pixels"),
])  # fmt: skip
def test_a_broken_image_costs_one_camera_of_one_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], reason: str
) -> None:
    drive = drives.Drive().add_cameras(INSTANTS, raw=True)
    place = [index for index, message in enumerate(drive.messages) if images(message, "nir")][5]
    log_ns, topic, kind, data = drive.messages[place]
    image = TYPES.deserialize_cdr(data, IMAGE)
    for name, value in change.items():
        setattr(image, name, value)
    drive.messages[place] = (log_ns, topic, kind, bytes(TYPES.serialize_cdr(image, IMAGE)))
    code, metrics, text = evaluate(tmp_path, drive.write(tmp_path / "drive"), capsys)
    assert code == 0, text
    assert sets(metrics) == {ALL: 6, NO_NIR: 1, "rgb": 1}
    assert "/nir/image" in text
    assert reason in text


def test_images_that_change_their_size_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = drives.Drive().add_cameras(INSTANTS, ("rgb", "thermal"), raw=True)
    for index in range(INSTANTS):
        stamp_ns = START_NS + index * PERIOD_NS
        drive.add("/nir/camera_info", INFO, camera_info(stamp_ns, "nir_optical_frame", (48, 24)), stamp_ns)
        pixels = drives.noise("nir", index) if index < 4 else np.zeros((30, 48), np.uint8)
        drive.add("/nir/image", IMAGE, raw_image(stamp_ns, "nir_optical_frame", pixels, "mono8"), stamp_ns + 1000)
    code, metrics, text = evaluate(tmp_path, drive.write(tmp_path / "drive"), capsys)
    assert code == 0, text
    assert sum(count for key, count in sets(metrics).items() if "nir" in key) <= 4
    assert "/nir/image" in text
    assert "48 x 30" in text


def test_a_recorder_that_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drives.Drive().add_cameras(300).write(tmp_path / "drive")
    file = next(folder.glob("*.mcap"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 3 // 4])
    code, _, text = evaluate(tmp_path, folder, capsys)
    assert code == 2
    assert "metadata.yaml promises" in text
    assert str(folder) in text
    (folder / "metadata.yaml").unlink()
    code, metrics, text = evaluate(tmp_path, folder, capsys)
    assert code == 0, text
    assert "was cut off" in text
    assert 0 < sum(sets(metrics).values()) < 300


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "empty"), (b"#ROSBAG V2.0\n", "rosbags-convert"), (b"no recording at all", "neither MCAP nor"),
    (b"\x89MCAP0\r\n", "cut off"),
])  # fmt: skip
def test_what_is_no_recording_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    path = tmp_path / "drive.bin"
    path.write_bytes(content)
    code, _, text = evaluate(tmp_path, path, capsys)
    errors = [line for line in text.splitlines() if line.startswith("msdepth: error:")]
    assert (code, len(errors)) == (2, 1)
    assert reason in errors[0]
    assert "drive.bin" in errors[0]


def test_compressed_topics_are_still_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = drives.Drive().add_cameras(2)
    assert any(kind == COMPRESSED for _, _, kind, _ in drive.messages)
    assert evaluate(tmp_path, drive.write(tmp_path / "drive"), capsys)[0] == 0
