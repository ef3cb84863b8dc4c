"""The node as its users start it: a process that ends cleanly, and quickly, and says what it refuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

COMMAND = [sys.executable, "-m", "msdepth_ros.ros.node.fused_depth", "--ros-args"]


@pytest.fixture
def started(domain: None) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to end, whatever happened."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], *arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
    started.append(process)
    return process


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the node ended without saying {text!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(started: list[subprocess.Popen[str]], rig_file: Path, number: signal.Signals) -> None:
    process = start(started, "-p", "calibration.source:=file", "-p", f"calibration.file:={rig_file}")
    wait_for_line(process, "active")
    process.send_signal(number)
    begin = time.monotonic()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert time.monotonic() - begin < 2.0 * patience()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_s", [0.7, 1.2, 2.0])
def test_signals_end_it_cleanly_while_it_is_starting(
    started: list[subprocess.Popen[str]], rig_file: Path, number: signal.Signals, after_s: float
) -> None:
    process = start(started, "-p", "calibration.source:=file", "-p", f"calibration.file:={rig_file}")
    time.sleep(after_s * patience())  # while it imports, or loads the model; Python itself must have started
    process.send_signal(number)
    begin = time.monotonic()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert time.monotonic() - begin < 2.0 * patience()


def test_a_step_that_takes_for_ever_does_not_keep_it_from_ending(started: list[subprocess.Popen[str]]) -> None:
    code = (
        "import ctypes\n"
        "from msdepth_ros.ros.node.fused_depth import Ending\n"
        "ending = Ending()\n"
        "ending.begin(lambda: None)\n"
        "print('stuck', flush=True)\n"
        "ctypes.CDLL(None).sleep(60)  # as a provider that builds an engine: Python's own handlers do not run\n"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    started.append(process)
    wait_for_line(process, "stuck")
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - begin < 2.0 * patience()


def patience() -> float:
    """How much slower than an idle machine this one may be at the moment."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_unknown_parameter_ends_it_with_one_line(started: list[subprocess.Popen[str]]) -> None:
    output, _ = (process := start(started, "-p", "sync.tolerence_s:=0.1")).communicate(timeout=30)
    assert process.returncode == 2
    assert "fused_depth: error: unknown parameter sync.tolerence_s; did you mean sync.tolerance_s?" in output
    assert "Traceback" not in output


def test_missing_model_is_reported_and_can_be_put_right(started: list[subprocess.Popen[str]], rig_file: Path) -> None:
    process = start(started, "-p", "model.path:=/nowhere/x.onnx", "-p", "calibration.source:=file",
                    "-p", f"calibration.file:={rig_file}")  # fmt: skip
    wait_for_line(process, "cannot configure: ")
    assert process.poll() is None  # a lifecycle manager may configure it again
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
