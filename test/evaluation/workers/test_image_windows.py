"""Looks at parts of a recording: together, and as bytes, they are the looks at the whole."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import bags
import drives
import pytest
import replays

from msdepth_ros.core.health.image import ImageFacts
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Look, Window
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.workers.image_windows import (
    MOST_WINDOWS,
    look_at_window,
    pack_looks,
    unpack_looks,
    windows_of,
)


def options(**changes: Any) -> EvaluateOptions:
    return EvaluateOptions(Settings.from_values(DEFAULTS), **changes)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cameras fail; one image in the middle is none, and there is a truth."""
    drive = drives.Drive().add_cameras(drives.TROUBLED_INSTANTS, see=drives.troubled)
    drive.add_truth(drives.TROUBLED_INSTANTS)
    later = bags.START_NS + 10**9
    place = next(n for n, m in enumerate(drive.messages) if m[1].startswith("/nir/image") and m[0] > later)
    drive.messages[place] = (*drive.messages[place][:3], drive.messages[place][3][:70])
    path = drive.write(tmp_path_factory.mktemp("looks") / "troubled")
    drives.rig().save(path / "rig.yaml")
    return path


def windows(path: Path, asked: EvaluateOptions, images: int) -> list[Window]:
    return replays.opened(path, asked, lambda recording: windows_of(recording, images))


@pytest.mark.parametrize("images", [1, 7, 40, 1000])
@pytest.mark.parametrize("changes", [
    {"sweep": True}, {"start_s": 0.85, "duration_s": 1.5},
    {"faults": (parse_fault("freeze:rgb@0.55-1.5s"), parse_fault("noise:thermal@1-s"), parse_fault("drop=0.5:nir"))},
])  # fmt: skip
def test_any_cut_gives_the_same_plan(troubled: Path, changes: dict[str, Any], images: int) -> None:
    asked = options(**changes)
    cut = windows(troubled, asked, images)
    assert (len(cut) == 1) is (images == 1000)
    parts = [replays.opened(troubled, asked, lambda r, w=window: look_at_window(r, asked, w)) for window in cut]
    again = replays.plan(troubled, "drive", asked, looks=itertools.chain.from_iterable(map(unpack_looks, parts)))
    whole = replays.plan(troubled, "drive", asked)
    assert (again.notes, [list(one) for one in again.plans]) == (whole.notes, [list(one) for one in whole.plans])


def test_windows_follow_each_other_and_have_the_images_of_the_options(troubled: Path) -> None:
    count = 3 * drives.TROUBLED_INSTANTS
    cut = windows(troubled, options(), 30)
    assert len(cut) == 4
    assert (cut[0][0], cut[-1][1]) == (None, None)
    assert [end for _, end in cut[:-1]] == [begin for begin, _ in cut[1:]]
    assert len(windows(troubled, options(), 1)) <= MOST_WINDOWS < count
    (only,) = windows(troubled, options(start_s=1.0, duration_s=0.5), 30)
    assert only == options(start_s=1.0, duration_s=0.5).window_ns(bags.START_NS)
    assert len(windows(troubled, options(drop=("rgb", "nir")), 30)) == 2


def test_looks_come_back_to_the_last_bit() -> None:
    facts = ImageFacts(1 / 3, 1e300, 255.0, 0.1 + 0.2, 5e-324, 7.0, 2**32 - 1)
    looks = [
        Look("/rgb/image", 2**62 + 1, -5, facts), Look("/nir/image", 3, 4, None, "not an image: ü"),
        Look("/truth", 1, 2), Look("/rgb/image", 5, 6, facts._replace(digest=0)),
    ]  # fmt: skip
    assert list(unpack_looks(pack_looks(looks))) == looks
    assert list(unpack_looks(pack_looks([]))) == []
