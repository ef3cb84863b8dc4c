"""Worker processes of a real Ray cluster on this machine."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drives
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.evaluation.workers.ray_cluster import Done, RayWorkers

LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


@pytest.fixture(scope="module")
def workers() -> Iterator[RayWorkers]:
    # Not importorskip: Ray reads its environment when it is imported.
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed; pip install 'msdepth_ros[fleet]'")
    with RayWorkers("local", 2) as cluster:
        yield cluster


def outcome(workers: RayWorkers, function: Callable[..., Any], *arguments: Any) -> Done:
    workers.submit("work", function, *arguments)
    assert len(workers) == 1
    done = workers.next_done()
    assert (done.key, len(workers)) == ("work", 0)
    return done


def descendants() -> set[int]:
    """This process and everything it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "stat").exists():
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return ours


def listening_addresses(pids: set[int]) -> set[str]:
    """Addresses, in the kernel's hexadecimal, on which these processes accept TCP connections."""
    sockets = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            if entry.is_symlink() and (target := os.readlink(entry)).startswith("socket:["):
                sockets.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in sockets:
                found.add(fields[1].split(":")[0])
    return found


def test_work_is_done_in_other_processes_with_one_thread_each(workers: RayWorkers) -> None:
    assert workers.window == 4
    assert outcome(workers, os.getpid).value not in (None, os.getpid())
    assert outcome(workers, os.getenv, "OMP_NUM_THREADS").value == "1"


def test_nothing_but_loopback_is_listened_on(workers: RayWorkers) -> None:
    outcome(workers, os.getpid)
    addresses = listening_addresses(descendants())
    assert addresses
    assert addresses <= LOOPBACK


def test_strangers_are_kept_out_and_nothing_is_reported(workers: RayWorkers) -> None:
    assert outcome(workers, os.getenv, "RAY_AUTH_MODE").value == "token"
    assert outcome(workers, os.getenv, "RAY_USAGE_STATS_ENABLED").value == "0"


def test_an_error_of_ours_comes_back_as_its_text(workers: RayWorkers) -> None:
    def fail(text: str) -> None:
        raise MsdepthError(text)

    assert outcome(workers, fail, "bag x: broken") == Done("work", None, "bag x: broken")


def test_any_other_error_comes_back_with_its_kind(workers: RayWorkers) -> None:
    def fail() -> None:
        raise KeyError("left\nout")

    assert "unexpected KeyError: 'left\\nout'" in outcome(workers, fail).error


def test_work_of_a_killed_worker_is_done_by_another(workers: RayWorkers, tmp_path: Path) -> None:
    def die_once(flag: Path) -> str:
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    assert outcome(workers, die_once, tmp_path / "flag") == Done("work", "done", "")


def test_work_that_kills_every_worker_is_given_up(workers: RayWorkers) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert "its worker was lost 4 times" in outcome(workers, die).error
    assert outcome(workers, os.getpid).error == ""


def test_work_that_nobody_waits_for_any_more(workers: RayWorkers) -> None:
    workers.submit("slow", os.getppid)
    workers.forget()
    assert len(workers) == 0
    assert outcome(workers, os.getpid).key == "work"


@pytest.mark.parametrize("address", ["", "locally", "127.0.0.1:10001", "http://head:10001"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(MsdepthError, match="neither local nor ray://HOST:PORT"):
        RayWorkers(address)


def test_a_machine_without_ray_is_told_what_to_install(tmp_path: Path) -> None:
    drive = drives.write_drive(tmp_path / "drive", 1)
    arguments = ["evaluate", str(drive), "--out", str(tmp_path / "out"), "--cluster", "local"]
    code = f"import sys; sys.modules['ray'] = None\nfrom msdepth_ros.cli import main\nsys.exit(main({arguments}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "--cluster needs Ray: pip install 'msdepth_ros[fleet]'" in result.stderr


def test_no_workers_at_all() -> None:
    with pytest.raises(MsdepthError, match="at least one"):
        RayWorkers("local", 0)
