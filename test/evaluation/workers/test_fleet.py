"""An evaluation spread over worker processes of a real Ray cluster on this machine."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import replays
from drives import Drive, rig, stamps_of, troubled

import models
from msdepth_ros.bags.bag_list import bag_names
from msdepth_ros.cli import main
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.workers.fleet import PIECES_FOLDER, Fleet
from msdepth_ros.evaluation.workers.ray_cluster import RayWorkers
from msdepth_ros.results.frame import FrameRecord, record_key

# Not importorskip: Ray reads its environment when it is imported.
if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed; pip install 'msdepth_ros[fleet]'", allow_module_level=True)

Make = Callable[..., Fleet]
INSTANTS = {"hill": 30, "city": 24}
SETS_PER_PIECE = 20
IMAGES_PER_WINDOW = 25  # parts that begin while cameras fail


def write_drive(folder: Path, instants: int) -> Path:
    """A small recording with its rig beside it: cameras fail, and one is not there for a while."""
    drive = Drive().add_cameras(instants, see=troubled).add_truth(instants)
    hole = range(stamps_of("thermal", 3), stamps_of("thermal", 6))
    drive.messages = [one for one in drive.messages if not (one[1].startswith("/thermal/image") and one[0] in hole)]
    drive.write(folder)
    rig().save(folder / "rig.yaml")
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
        results += replays.compute(path, replays.plan(path, name, options).plans, options, engine)
    return without_timings(sorted(results, key=record_key))


@pytest.fixture
def make(drives: dict[str, Path], options: EvaluateOptions, workers: RayWorkers, tmp_path: Path) -> Make:
    """Makes fleets that share a folder."""

    def make_one(**changes: Any) -> Fleet:
        arguments = {"bags": drives, "options": options, "folder": tmp_path, "workers": workers}
        arguments |= {"sets_per_piece": SETS_PER_PIECE, "images_per_window": IMAGES_PER_WINDOW} | changes
        return Fleet(**arguments)

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


def test_pictures_are_taken_on_the_way_and_do_not_depend_on_the_cut(make: Make, tmp_path: Path) -> None:
    found = []
    for sets in (SETS_PER_PIECE, 1000):
        fleet = make(folder=tmp_path / str(sets), sets_per_piece=sets)
        fleet.run()
        found.append(sorted((record_key(one.record), one.tiles) for one in fleet.pictures()))
    assert len(found[0]) > 20
    assert found[0] == found[1]


# The command, in a process of its own, as people use it.


@pytest.fixture(scope="module")
def long_drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a list file: two recordings by a pattern, and one that is not there."""
    folder = tmp_path_factory.mktemp("long")
    for name in ("lake", "wood"):
        write_drive(folder / "drives" / name, 60)
    (folder / "bags.txt").write_text("drives/*\ndrives/../lost\n")
    return folder


def command(folder: Path, options: EvaluateOptions, out: Path, *more: str) -> list[str]:
    model = ["--model", options.settings.model_path, "--sweep", "--out", str(out)]
    return ["evaluate", str(folder / "bags.txt"), *model, *more]


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "msdepth_ros.cli", *arguments],
        stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def metrics(out: Path) -> str:
    """What must be the same in every run."""
    document = json.loads((out / "metrics.json").read_text())
    assert document.pop("timings")["workers"] in (1, 2)
    return json.dumps(document)


@pytest.fixture(scope="module")
def plain(long_drives: Path, options: EvaluateOptions, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Metrics of the same command without a cluster."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; pip install 'msdepth_ros[report]'")
    out = tmp_path_factory.mktemp("plain")
    assert main(command(long_drives, options, out)) == 1
    return metrics(out)


def test_the_command_is_interrupted_and_goes_on_and_gives_the_metrics_of_one_process(
    long_drives: Path, options: EvaluateOptions, plain: str, tmp_path: Path, short_folder: Path
) -> None:
    arguments = command(long_drives, options, tmp_path, "--cluster", "local", "--workers", "2")
    process = start(arguments, TMPDIR=str(short_folder))
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob(f"{PIECES_FOLDER}/*.piece"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not (tmp_path / "metrics.json").exists()
    assert list(short_folder.glob("msdepth-*")) == [], "Ray's files are still there"
    finished = set(tmp_path.glob(f"{PIECES_FOLDER}/*.piece"))
    assert len(finished) >= 4

    process = start(arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "error: lost: bag" in errors
    assert "does not exist" in errors
    assert metrics(tmp_path) == plain
    assert json.loads((tmp_path / "metrics.json").read_text())["timings"]["reused_sets"] > 0
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert finished <= set(tmp_path.glob(f"{PIECES_FOLDER}/*.piece")), "kept, since a recording failed"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Pytest's own folders are too long for the name of a Unix socket."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, dict[str, str]]]:
    """A cluster that runs already: its address, and what one must know to join it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield from running_cluster(Path(folder))


def running_cluster(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    ports = free_ports(2)
    environment = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback only
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    program = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
    options = {
        "node-ip-address": "127.0.0.1", "port": ports[0], "ray-client-server-port": ports[1], "num-cpus": 2,
        "include-dashboard": "false", "object-store-memory": 100_000_000, "temp-dir": folder,
    }  # fmt: skip
    process = subprocess.Popen(
        [*program, "start", "--head", "--block", "--disable-usage-stats"]
        + [f"--{name}={value}" for name, value in options.items()],
        env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await_listener(ports[1])
        yield f"ray://127.0.0.1:{ports[1]}", environment
    finally:
        process.terminate()
        process.wait(30)


def await_listener(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on port {port}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_a_cluster_that_runs_already(
    head: tuple[str, dict[str, str]], long_drives: Path, options: EvaluateOptions, plain: str, tmp_path: Path
) -> None:
    address, environment = head
    process = start(command(long_drives, options, tmp_path, "--cluster", address), **environment)
    _, errors = process.communicate(timeout=150)
    assert process.returncode == 1, errors
    assert metrics(tmp_path) == plain


STOPPED = """
import os, sys, time
from pathlib import Path
from msdepth_ros.evaluation.workers.ray_cluster import RayWorkers

def work_for_hours(mark):
    mark.with_suffix(".new").write_text(str(os.getpid()))
    mark.with_suffix(".new").rename(mark)
    time.sleep(3600)

mark = Path(sys.argv[2])
with RayWorkers(sys.argv[1]) as workers:
    workers.submit("work", work_for_hours, mark)
    while not mark.exists():
        time.sleep(0.02)
    workers.forget()
"""


def test_work_in_a_cluster_ends_with_whoever_wanted_it(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    address, environment = head
    mark = tmp_path / "mark"
    client = subprocess.run(
        [sys.executable, "-c", STOPPED, address, str(mark)],
        env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert client.returncode == 0, client.stderr
    worker = Path("/proc", mark.read_text())
    deadline = time.monotonic() + 60
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker.exists(), "it works on for nobody"
