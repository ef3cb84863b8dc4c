"""What a worker of a fleet does, here in this process."""

from pathlib import Path

import drives
import pytest

import models
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.workers.piece_content import unpack_pictures, unpack_plan, unpack_records
from msdepth_ros.evaluation.workers.pieces import cut, program_digest
from msdepth_ros.evaluation.workers.tasks import (
    Task,
    find_windows,
    look_packed,
    plan_packed,
    providers_of,
    run_piece,
)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drives.Drive().add_cameras(6, ("rgb",)).write(tmp_path_factory.mktemp("drives") / "city")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = models.toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")
    options = EvaluateOptions(Settings.from_values({**DEFAULTS, "model.path": str(path)}))
    return Task(options, options.make_engine().info.sha256, program_digest())


def test_from_a_recording_to_records_and_pictures(drive: Path, task: Task) -> None:
    plan = unpack_plan(plan_packed(task, drive, "city"))
    pieces = cut(plan, "identity", sets=4)
    parts = [run_piece(task, drive, piece) for piece in pieces]
    records = [record for part in parts for record in unpack_records(part, "rgb")]
    assert [record.number for record in records] == [0, 1, 2, 3, 4, 5]
    assert all(record.confidence is not None for record in records)
    shown = [one for part in parts for one in unpack_pictures(part, "rgb")]
    assert [one.record for one in shown] == records
    assert all(one.tiles for one in shown)
    assert "CPUExecutionProvider" in providers_of(task)


def test_looks_at_parts_make_the_plan_of_the_whole(drive: Path, task: Task) -> None:
    windows = find_windows(task, drive, images=2)
    assert len(windows) == 3
    looks = [look_packed(task, drive, window) for window in windows]
    assert plan_packed(task, drive, "city", looks) == plan_packed(task, drive, "city")
    with pytest.raises(MsdepthError, match="another version of msdepth_ros"):
        look_packed(task._replace(program="another"), drive, windows[0])


def test_a_machine_with_another_model_is_named_and_not_used(drive: Path, task: Task) -> None:
    plan = unpack_plan(plan_packed(task, drive, "city"))
    (piece,) = cut(plan, "identity")
    with pytest.raises(MsdepthError, match=r"model .*toy\.onnx is not the one of the machine that asks"):
        run_piece(task._replace(model_sha256="another"), drive, piece)


def test_a_machine_with_another_program_is_not_used(drive: Path, task: Task) -> None:
    with pytest.raises(MsdepthError, match="another version of msdepth_ros"):
        plan_packed(task._replace(program="another"), drive, "city")
