"""An evaluation spread over worker processes of a real Ray cluster on this machine."""

import dataclasses
import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bags
import numpy as np
import pytest

import models
from msdepth_ros.core.camera import CameraModel, Rig
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.replay.bag_list import bag_names
from msdepth_ros.replay.cluster import RayWorkers
from msdepth_ros.replay.fleet import PIECES_FOLDER, Fleet
from msdepth_ros.replay.options import EvaluateOptions
from msdepth_ros.replay.planning import plan_bag
from msdepth_ros.replay.results import FrameRecord, record_key
from msdepth_ros.replay.runner import run

# Not importorskip: Ray reads its environment when it is imported.
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed; pip install 'msdepth_ros[fleet]'", allow_module_level=True)

Make = Callable[..., Fleet]
INSTANTS = {"hill": 30, "city": 24}
SETS_PER_PIECE = 20


def write_drive(folder: Path, instants: int) -> Path:
    """A small recording with its rig beside it."""
    bags.write_bag(folder, instants=instants, missing={"thermal": {3, 4, 5}})
    cameras, poses = {}, {}
    for index, name in enumerate(("rgb", "nir", "thermal")):
        width, height = bags.SIZES[name]
        k = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]])
        cameras[name] = CameraModel(name, width, height, k)
        poses[name] = np.eye(4)
        poses[name][0, 3] = 0.1 * index
    Rig(cameras, poses).save(folder / "rig.yaml")
    return folder


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("drives")
    paths = [write_drive(folder / name, instants) for name, instants in INSTANTS.items()]
    return dict(zip(bag_names(paths), paths, strict=True))


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> EvaluateOptions:
    model = models.toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")
    return EvaluateOptions(Settings.from_values({**DEFAULTS, "model.path": str(model)}), sweep=True)


@pytest.fixture(scope="module")
def workers() -> Iterator[RayWorkers]:
    with RayWorkers("local", 2) as cluster:
        yield cluster


def without_timings(records: Any) -> list[FrameRecord]:
    return [dataclasses.replace(record, timings=None) for record in records]


@pytest.fixture(scope="module")
def expected(drives: dict[str, Path], options: EvaluateOptions) -> list[FrameRecord]:
    """What this process alone computes, without any cutting."""
    engine = options.make_engine()
    results: list[FrameRecord] = []
    for name, path in drives.items():
        results += [result.record for result in run(path, plan_bag(path, name, options).plans, options, engine)]
    return without_timings(sorted(results, key=record_key))


@pytest.fixture
def make(drives: dict[str, Path], options: EvaluateOptions, workers: RayWorkers, tmp_path: Path) -> Make:
    """Makes fleets that share a folder."""

    def make_one(**changes: Any) -> Fleet:
        arguments = {"bags": drives, "options": options, "folder": tmp_path, "workers": workers} | changes
        return Fleet(**arguments, sets_per_piece=SETS_PER_PIECE)

    return make_one


def workers_at_work() -> list[int]:
    """Process ids of this process's Ray workers that are doing something."""
    parents, busy = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if (entry / "cmdline").read_bytes().startswith(b"ray::_guarded"):
                    busy.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    return [pid for pid in busy if is_ours(pid)]


def test_two_workers_and_one_give_what_this_process_gives_to_the_last_bit(
    make: Make, expected: list[FrameRecord], workers: RayWorkers, tmp_path: Path, monkeypatch: Any
) -> None:
    two = make()
    two.run()
    assert two.failed == {}
    assert len(list((tmp_path / PIECES_FOLDER).iterdir())) > 10
    assert without_timings(two.records()) == expected
    monkeypatch.setattr(workers, "window", 1)
    one = make(folder=tmp_path / "one")
    one.run()
    assert without_timings(one.records()) == expected
    assert one.reused_sets == 0


def test_a_killed_worker_costs_nothing_but_time(make: Make, expected: list[FrameRecord]) -> None:
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        deadline = time.monotonic() + 10
        while done and not killed and time.monotonic() < deadline:
            for pid in workers_at_work()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    fleet = make(progress=kill_one)
    fleet.run()
    assert len(killed) == 1
    assert fleet.failed == {}
    assert without_timings(fleet.records()) == expected


def test_broken_recordings_are_named_and_the_others_are_not_lost(
    make: Make, drives: dict[str, Path], expected: list[FrameRecord], tmp_path: Path
) -> None:
    cut_off = write_drive(tmp_path / "cut off", 10)
    (storage,) = cut_off.glob("*.mcap")
    storage.write_bytes(storage.read_bytes()[:100])
    fleet = make(bags={"cut off": cut_off, "nowhere": tmp_path / "nowhere", **drives})
    fleet.run()
    assert set(fleet.failed) == {"cut off", "nowhere"}
    assert str(cut_off) in fleet.failed["cut off"]
    assert "does not exist" in fleet.failed["nowhere"]
    assert without_timings(fleet.records()) == expected
    fleet.close()
    assert (tmp_path / PIECES_FOLDER).exists(), "the next run needs the good ones again"


def test_an_interrupted_run_goes_on_where_it_stopped(make: Make, expected: list[FrameRecord], tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= 3 * SETS_PER_PIECE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(progress=interrupt).run()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / PIECES_FOLDER).iterdir()}
    fleet = make()
    fleet.run()
    assert 3 * SETS_PER_PIECE <= fleet.reused_sets < len(expected)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert without_timings(fleet.records()) == expected
    fleet.close()
    assert not (tmp_path / PIECES_FOLDER).exists()


def test_pieces_of_other_options_or_of_a_changed_recording_are_not_used(
    make: Make, drives: dict[str, Path], options: EvaluateOptions
) -> None:
    make().run()
    dropped = make(options=dataclasses.replace(options, drop=("nir",)))
    dropped.run()
    assert dropped.reused_sets == 0
    os.utime(drives["city"] / "rig.yaml", ns=(1, 1))
    changed = make()
    changed.run()
    assert {record.bag for record in changed.records()} == {"city", "hill"}
    assert 0 < changed.reused_sets < sum(1 for _ in changed.records())


def test_pictures_of_chosen_sets(make: Make, expected: list[FrameRecord]) -> None:
    fleet = make()
    fleet.run()
    chosen = {record_key(record): record for record in (expected[0], expected[7], expected[-1])}
    pictures = {record_key(frame.record): frame for frame in fleet.pictures(set(chosen))}
    assert without_timings(frame.record for frame in pictures.values()) == without_timings(
        chosen[key] for key in pictures
    )
    assert set(pictures) == set(chosen)
    assert all(frame.tiles for frame in pictures.values())
