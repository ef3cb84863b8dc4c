"""How often an evaluation opens a recording, and decodes each of its images: counted at the storage and the decoder."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import drives
import pytest

pytest.importorskip("pyarrow", reason="evaluate needs the extra [report]")

import models
from msdepth_ros import cli
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation import options
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.recordings import Recordings

INSTANTS = 12
_opened: list[str] = []
_hooked: list[bool] = []


@pytest.fixture
def opened() -> list[str]:
    """Every file that is opened, as Python's own audit tells it; such a hook stays for good."""
    if not _hooked:
        sys.addaudithook(lambda event, args: _opened.append(os.fspath(args[0])) if _is_file(event, args) else None)
        _hooked.append(True)
    _opened.clear()
    return _opened


def _is_file(event: str, args: tuple[Any, ...]) -> bool:
    return event == "open" and isinstance(args[0], str | os.PathLike)


@pytest.mark.parametrize("extra", [(), ("--sweep", "--inject", "black:rgb@0.4-0.7s"), ("--write-bag",)])
def test_a_recording_is_opened_once_and_an_image_decoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str], extra: tuple[str, ...]
) -> None:
    model = models.toy_model(tmp_path / "toy.onnx", added_m=5.0)
    bag = drives.write_drive(tmp_path / "drive", INSTANTS)
    decoded: Counter[int] = Counter()
    decode, load, loaded = cv2.imdecode, options.load_calibration, []
    monkeypatch.setattr(cv2, "imdecode", lambda data, *more: decoded.update([hash(bytes(data))]) or decode(data, *more))
    monkeypatch.setattr(options, "load_calibration", lambda *args: loaded.append(args) or load(*args))
    opened.clear()
    assert cli.main(["evaluate", str(bag), "--model", str(model), "--out", str(tmp_path / "out"), *extra]) == 0
    # The first look tells MCAP from SQLite, the second one stays open.
    assert [name for name in opened if name.startswith(f"{bag}/drive")] == [str(bag / "drive.mcap")] * 2
    assert len(loaded) == 1
    truth, images = decoded.pop(next(key for key, n in decoded.items() if n == max(decoded.values()))), decoded
    assert truth == INSTANTS  # the same plane at every instant, each message decoded once
    assert len(images) == 3 * INSTANTS
    once = sum(n == 1 for n in images.values())
    assert once == (0 if "--sweep" in extra else 2)  # two at the start are in no set but those of one camera
    assert sum(n == 2 for n in images.values()) == 3 * INSTANTS - once
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("data:image/webp") > INSTANTS


def test_recordings_are_closed_when_too_many_files_are_open_and_opened_again_when_needed(
    tmp_path: Path, opened: list[str]
) -> None:
    paths = [drives.write_drive(tmp_path / name, 2) for name in "abc"]
    with Recordings(EvaluateOptions(Settings.from_values(DEFAULTS)), most_files=2) as some:
        first = some.get(paths[0])
        assert some.get(paths[1]) is not first
        assert some.get(paths[0]) is first
        some.get(paths[2])
        assert some.get(paths[0]) is first
        opened.clear()
        assert len(list(some.get(paths[1]).bag.payloads(["/rgb/camera_info"]))) == 2
        assert opened == [str(paths[1] / name) for name in ("metadata.yaml", "b.mcap", "b.mcap", "rig.yaml")]
