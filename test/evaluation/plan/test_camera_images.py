"""Images of a recording as the node gets them, and what a look at each tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bags
import drives
import numpy as np
import pytest
import replays

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.image import measure
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Look, look_at_all
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.recordings import Recording

INSTANTS = 6


def options(*faults: str, **values: Any) -> EvaluateOptions:
    return EvaluateOptions(Settings.from_values(DEFAULTS | values), faults=tuple(map(parse_fault, faults)))


def looks(
    path: Path, asked: EvaluateOptions, *, threads: int = 1, window: tuple[int | None, int | None] = (None, None)
) -> list[Look]:
    def look(recording: Recording) -> list[Look]:
        return list(look_at_all(recording, asked, window_ns=window, threads=threads))

    return replays.opened(path, asked, look)


def of(found: list[Look], topic: str) -> list[Look]:
    return [look for look in found if look.topic.startswith(topic)]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drives.write_drive(tmp_path_factory.mktemp("looks") / "drive", INSTANTS)


def test_every_image_is_measured_as_core_does_and_in_order_of_recording(drive: Path) -> None:
    found = looks(drive, options())
    assert [look.log_ns for look in found] == sorted(look.log_ns for look in found)
    nir = of(found, "/nir/image")
    assert [look.stamp_ns for look in nir] == [bags.stamps_of("nir", index) for index in range(INSTANTS)]
    assert [look.facts for look in nir] == [measure(drives.noise("nir", index)) for index in range(INSTANTS)]
    thermal = of(found, "/thermal/image")
    assert [look.facts for look in thermal] == [measure(drives.noise("thermal", index)) for index in range(INSTANTS)]
    assert [look.facts for look in of(found, "/ground_truth")] == [None] * INSTANTS
    assert looks(drive, options(), threads=3) == found


def test_parts_of_a_recording_together_are_the_whole(drive: Path) -> None:
    middle = bags.stamps_of("rgb", 3) + 500_000
    parts = [looks(drive, options(), window=window) for window in ((None, middle), (middle, None))]
    images = [look for part in parts for look in part if "image" in look.topic or "truth" in look.topic]
    assert images == [look for look in looks(drive, options()) if "camera_info" not in look.topic]


def test_faults_are_in_the_picture_before_it_is_looked_at(drive: Path) -> None:
    faults = ("black:rgb@0.2-0.4s", "noise=0.4:nir@0.1-s", "blur=0.2:thermal")
    found, sound = looks(drive, options(*faults)), looks(drive, options())
    assert [look.facts.bright == 0 for look in of(found, "/rgb/image") if look.facts] == [
        False, False, True, True, False, False
    ]  # fmt: skip
    changed = [a != b for a, b in zip(of(found, "/nir/image"), of(sound, "/nir/image"), strict=True)]
    assert changed == [False, True, True, True, True, True]
    assert all(
        a.facts and b.facts and a.facts.noise < b.facts.noise / 2
        for a, b in zip(of(found, "/thermal/image"), of(sound, "/thermal/image"), strict=True)
    )


def test_bits_of_nir_are_those_of_the_parameter(tmp_path: Path) -> None:
    def see(name: str, index: int) -> np.ndarray:
        return (drives.noise(name, index).astype(np.uint16) << 4) if name == "nir" else drives.noise(name, index)

    path = drives.Drive().add_cameras(1, see=see).write(tmp_path / "deep")
    drives.rig().save(path / "rig.yaml")
    for bits in (12, 16):
        (look,) = of(looks(path, options(**{"nir.bits": bits})), "/nir/image")
        assert look.facts is not None
        assert look.facts.full_scale == 2**bits - 1


def broken() -> Iterator[tuple[str, dict[str, Any], str]]:
    yield "/nir/image", {"data": np.zeros(3, np.uint8)}, "truncated"
    yield "/nir/image", {"width": 24, "step": 24, "data": np.zeros(24 * 24, np.uint8)}, "image is 24 x 24, its calib"
    yield "/rgb/image", {"encoding": "rainbow"}, "'rainbow' is not supported"


@pytest.mark.parametrize(("topic", "change", "reason"), list(broken()))
def test_what_is_no_image_is_told_with_its_topic(
    tmp_path: Path, topic: str, change: dict[str, Any], reason: str
) -> None:
    drive = drives.Drive().add_cameras(2, raw=True)
    place = next(index for index, message in enumerate(drive.messages) if message[1] == topic)
    log_ns, _, kind, data = drive.messages[place]
    image = dataclasses.replace(bags.TYPES.deserialize_cdr(data, bags.IMAGE), **change)
    drive.messages[place] = (log_ns, topic, kind, bytes(bags.TYPES.serialize_cdr(image, bags.IMAGE)))
    path = drive.write(tmp_path / "broken")
    drives.rig().save(path / "rig.yaml")
    first, second = of(looks(path, options()), topic)
    assert (first.facts, second.reason) == (None, "")
    assert first.reason.startswith(f"{topic}: ")
    assert reason in first.reason


def test_camera_info_is_told_only_where_it_changes(drive: Path, tmp_path: Path) -> None:
    assert len(of(looks(drive, options()), "/rgb/camera_info")) == 1
    changing = drives.Drive().add_cameras(3)
    info = bags.camera_info(bags.START_NS, "rgb_optical_frame", (64, 30))
    changing.add("/rgb/camera_info", bags.INFO, info, bags.stamps_of("rgb", 1) + 1)
    path = changing.write(tmp_path / "changing")
    drives.rig().save(path / "rig.yaml")
    first, second, third = of(looks(path, options()), "/rgb/camera_info")
    assert first.stamp_ns == third.stamp_ns != second.stamp_ns


def test_a_message_without_a_header_is_damage(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(2)
    drive.messages = [(*m[:3], m[3][:8]) if m[1].startswith("/nir/image") else m for m in drive.messages]
    path = drive.write(tmp_path / "cut")
    drives.rig().save(path / "rig.yaml")
    with pytest.raises(MsdepthError, match="a message on /nir/image/compressed has no header"):
        looks(path, options())
