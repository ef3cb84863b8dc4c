"""The demo command: what it refuses, how it ends, and a short real run of the three processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pytest
from bags import write_bag

import models
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import default_model_path
from msdepth_ros.demo import main
from msdepth_ros.demo.command import judge
from msdepth_ros.demo.processes import Child, Children

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE = PROJECT / "samples" / "city_drive"
KEYS = {
    "instants_published", "instants_answered", "rate_hz", "latency_ms", "model_ms", "abs_rel", "abs_rel_by_spectra",
    "sets_by_spectra", "dropped", "model", "providers",
}  # fmt: skip


def running(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def child(tmp_path: Path, code: str, **options: Any) -> Child:
    (tmp_path / "program.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    return Child("helper", "program", [], environment, tmp_path / "helper.log", **options)


def wait_for(condition: Any, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_a_child_that_fails_tells_why(tmp_path: Path) -> None:
    failing = child(tmp_path, "import sys; print('the disk is full', file=sys.stderr); sys.exit(3)")
    failing.process.wait(10)
    with pytest.raises(MsdepthError, match=r"the helper ended early \(exit code 3\): the disk is full"):
        failing.check(may_end=True)


def test_a_child_that_ends_well_but_too_early_is_a_failure_unless_allowed(tmp_path: Path) -> None:
    done = child(tmp_path, "")
    done.process.wait(10)
    done.check(may_end=True)
    with pytest.raises(MsdepthError, match="exit code 0"):
        done.check()


def test_a_killed_child_names_its_signal(tmp_path: Path) -> None:
    killed = child(tmp_path, "import time; time.sleep(60)")
    killed.process.kill()
    killed.process.wait(10)
    with pytest.raises(MsdepthError, match="signal SIGKILL"):
        killed.check()


def test_a_child_is_asked_first_and_its_last_line_is_read(tmp_path: Path) -> None:
    lines: list[str] = []
    polite = child(
        tmp_path,
        "import time\nprint('ready', flush=True)\ntry:\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  print('bye')",
        on_line=lines.append,
    )
    wait_for(lambda: lines)
    polite.end()
    assert lines == ["ready", "bye"]
    assert polite.process.returncode == 0


def test_a_child_that_ignores_every_request_is_killed(tmp_path: Path) -> None:
    lines: list[str] = []
    stubborn = child(
        tmp_path,
        "import signal, time\nfor s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(60)",
        on_line=lines.append,
    )
    wait_for(lambda: lines)
    stubborn.end(patience_s=0.2)
    assert stubborn.process.returncode == -signal.SIGKILL


def test_leaving_the_context_ends_every_child_also_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    started: list[Child] = []
    with pytest.raises(RuntimeError), Children({**os.environ, "PYTHONPATH": str(tmp_path)}, tmp_path) as children:
        started += [children.start(name, "sleeper", []) for name in ("one", "two")]
        raise RuntimeError
    assert not [c for c in started if c.running]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    code = (
        "import os, time; from pathlib import Path; from msdepth_ros.demo.processes import Children\n"
        f"child = Children({{**os.environ, 'PYTHONPATH': {str(tmp_path)!r}}}, Path({str(tmp_path)!r}))"
        ".start('one', 'sleeper', [])\nprint(child.process.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert parent.stdout
    grandchild = int(parent.stdout.readline())
    assert running(grandchild)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not running(grandchild))


@pytest.mark.parametrize(("published", "answered", "code"), [(100, 99, 0), (100, 98, 1), (1000, 989, 1), (0, 0, 1)])
def test_the_verdict_needs_99_percent(published: int, answered: int, code: int, capsys: Any) -> None:
    assert judge({"instants_published": published, "instants_answered": answered}) == code
    errors = capsys.readouterr().err
    assert (f"{answered} of {published}" in errors) == bool(code)


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--bag", "{tmp}/nowhere"], "does not exist"),
    (["--bag", "{tmp}/blind"], "no messages on /thermal/image/compressed"),
    (["--bag", "{tmp}/drive"], "no calibration at"),
    (["--bag", "{tmp}/drive", "--rig", "{tmp}/bad.yaml"], "bad.yaml"),
    (["--bag", "{tmp}/drive", "--domain-id", "500"], "--domain-id: '500' must be"),
    (["--bag", "{tmp}/drive", "--rate", "-1"], "--rate: '-1' must be"),
    (["--duration", "0"], "--duration: '0' must be"),
    (["--model", "{tmp}/nowhere.onnx"], "nowhere.onnx: cannot be read"),
    (["--model", "{tmp}/cut.onnx"], "cut.onnx: not an ONNX model, or damaged"),
    (["--model", "{tmp}/lone.onnx"], "its card lone.json is missing"),
])  # fmt: skip
def test_bad_input_is_refused_before_anything_starts(
    tmp_path: Path, capsys: Any, arguments: list[str], reason: str
) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")
    write_bag(tmp_path / "drive", instants=2)
    write_bag(tmp_path / "blind", instants=2, cameras=("rgb", "nir"))
    (tmp_path / "bad.yaml").write_text("cam0: 7\n")
    model = default_model_path().read_bytes()
    (tmp_path / "lone.onnx").write_bytes(model)
    (tmp_path / "cut.onnx").write_bytes(model[: len(model) // 2])
    out = tmp_path / "out"
    assert main(["--out", str(out), *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    errors = capsys.readouterr().err
    assert reason in errors
    assert len(errors.strip().splitlines()) == 1
    assert not out.exists()


def test_a_folder_for_results_that_cannot_be_made_is_one_line(sample: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("no folder")
    assert main(["--out", str(tmp_path / "file" / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "file/out: cannot be made (Not a directory)" in line


def demo(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "msdepth_ros.demo", "--out", str(out), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
    )  # fmt: skip


@pytest.fixture
def sample() -> Path:
    pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")
    assert SAMPLE.is_dir(), "the sample drive belongs into samples/city_drive"
    return SAMPLE


def test_two_seconds_of_the_sample_drive_are_answered_and_reported(sample: Path, tmp_path: Path) -> None:
    started = demo(tmp_path / "out", "--duration", "2")
    output, errors = started.communicate(timeout=120)
    assert "Traceback" not in errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(summary) == KEYS
    assert set(summary["latency_ms"]) == {"p50", "p90", "p99"}
    assert summary["instants_published"] == 20
    # How many are answered depends on what else the machine does; `make demo` on a quiet one shows that all are.
    assert summary["instants_answered"] >= 3
    assert started.returncode == (0 if summary["instants_answered"] == 20 else 1)
    assert summary["model_ms"]["p50"] > 0
    assert 0 < summary["abs_rel"] < 5
    assert sum(summary["sets_by_spectra"].values()) >= summary["instants_answered"]
    assert "rgb+nir+thermal" in summary["sets_by_spectra"]
    assert summary["providers"]
    assert summary["model"].startswith("tiny")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<article class="moment"' in page
    assert str(tmp_path / "out" / "report.html") in output
    assert "AbsRel" in output


def children_of(process_id: int) -> list[int]:
    return [int(line) for line in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for left-over processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_behind(sample: Path, tmp_path: Path, number: signal.Signals) -> None:
    started = demo(tmp_path / "out")
    wait_for(lambda: len(children_of(started.pid)) == 3, timeout_s=60)
    children = children_of(started.pid)
    time.sleep(1.0)
    started.send_signal(number)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "interrupted" in errors
    assert not [process_id for process_id in children if running(process_id)]


def test_a_node_that_cannot_start_is_the_reason_given(sample: Path, tmp_path: Path) -> None:
    def spoil(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type = "Nonsense"  # only ONNX Runtime notices

    started = demo(tmp_path / "out", "--model", str(models.changed_copy(tmp_path, spoil)))
    _, errors = started.communicate(timeout=120)
    assert started.returncode == 1
    assert "changed.onnx: ONNX Runtime cannot load it" in errors
