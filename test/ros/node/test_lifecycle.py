"""Every transition in every order: what is not allowed is refused, what is allowed works, and nothing stays behind."""

from __future__ import annotations

import gc
import random
import shutil
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn

from models import toy_model

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
STAMP_NS = 1_700_000_000_000_000_000
ALLOWED = {
    ("unconfigured", "configure"): "inactive",
    ("inactive", "activate"): "active",
    ("active", "deactivate"): "inactive",
    ("inactive", "cleanup"): "unconfigured",
    ("unconfigured", "shutdown"): "finalized",
    ("inactive", "shutdown"): "finalized",
    ("active", "shutdown"): "finalized",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A model that loads in a moment."""
    return toy_model(tmp_path / "toy.onnx")


def check(node: Any, state: str, threads: int) -> None:
    """What must be there in a state, and nothing else."""
    assert node._state_machine.current_state[1] == state  # noqa: SLF001  the service of the same name says it, too
    assert (node.count_subscribers("/rgb/image") > 0) == (state == "active")
    assert (node.count_publishers("/fused_depth/depth/image") > 0) == (state in ("inactive", "active"))
    assert (node._equipment is not None) == (state in ("inactive", "active"))  # noqa: SLF001
    assert threading.active_count() == threads + (state == "active")


@pytest.mark.parametrize("seed", range(3))
def test_transitions_in_any_order(bench: Any, toy: Path, seed: int) -> None:
    node = bench.start(begin=False, model__path=str(toy))
    node.trigger_configure()
    node.trigger_cleanup()  # ONNX Runtime keeps a thread or two of its own from now on
    threads, state = threading.active_count(), "unconfigured"
    generator = random.Random(seed)
    for _ in range(40):
        transition = generator.choice(["configure", "activate", "deactivate", "cleanup"])
        goal = ALLOWED.get((state, transition))
        result = getattr(node, f"trigger_{transition}")()
        assert (result == SUCCESS) == (goal is not None), (state, transition)
        state = goal or state
        bench.spin(0.02)
        bench.until(lambda: node.count_subscribers("/rgb/image") == (1 if state == "active" else 0))  # noqa: B023
        check(node, state, threads)
    assert node.trigger_shutdown() == SUCCESS
    assert node.trigger_configure() != SUCCESS
    assert bench.status("output").message == "not configured"


def test_cleanup_frees_the_model(bench: Any) -> None:
    node = bench.start()
    bench.listen("depth/image")
    bench.connect("rgb")
    bench.send("rgb", STAMP_NS)
    bench.until(lambda: bench.received["depth/image"])
    session = weakref.ref(node._equipment.engine._session)  # noqa: SLF001  its memory, on a GPU too, goes with it
    pipeline = weakref.ref(node._pipeline)  # noqa: SLF001
    node.trigger_deactivate()
    node.trigger_cleanup()
    bench.spin(0.2)
    gc.collect()
    assert session() is None
    assert pipeline() is None


def break_card(model: Path, rig: Path) -> None:
    model.with_suffix(".json").write_text('{"file": "toy.onnx", "sha256": "0"}')


def remove_model(model: Path, rig: Path) -> None:
    model.unlink()


def break_model(model: Path, rig: Path) -> None:
    model.write_bytes(b"nothing of the kind")


def break_rig(model: Path, rig: Path) -> None:
    rig.write_text("cam0: {intrinsics: [0, 0, 0, 0]}")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(remove_model, "toy.onnx"), (break_model, "toy.onnx"), (break_card, "SHA-256"), (break_rig, "rig.yaml")],
)
def test_a_failing_configure_says_why_and_works_once_it_is_put_right(
    bench: Any, tmp_path: Path, toy: Path, spoil: Any, reason: str
) -> None:
    rig = tmp_path / "rig.yaml"
    shutil.copy(bench.rig_file, rig)
    kept = {path: path.read_bytes() for path in (toy, toy.with_suffix(".json"), rig)}
    spoil(toy, rig)
    node = bench.start(begin=False, model__path=str(toy), calibration__file=str(rig), watchdog__silence_s=0.3)
    for _ in range(2):
        assert node.trigger_configure() == FAILURE
        assert node._state_machine.current_state[1] == "unconfigured"  # noqa: SLF001
        assert reason in bench.status("inference").message
    bench.until(lambda: node._diagnostics._watchdog.since_ns is not None)  # noqa: SLF001  depth is missed
    for path, content in kept.items():
        path.write_bytes(content)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS


def test_a_lifecycle_manager_can_do_it_over_services(bench: Any, toy: Path) -> None:
    bench.start(begin=False, autostart=False, model__path=str(toy))
    change = bench.peer.create_client(ChangeState, "/fused_depth/change_state")
    get = bench.peer.create_client(GetState, "/fused_depth/get_state")
    bench.until(lambda: change.service_is_ready() and get.service_is_ready())
    for label, success, state in [
        ("activate", False, "unconfigured"),
        ("configure", True, "inactive"),
        ("activate", True, "active"),
        ("configure", False, "active"),
        ("deactivate", True, "inactive"),
        ("fly", False, "inactive"),
        ("cleanup", True, "unconfigured"),
    ]:
        request = ChangeState.Request()
        request.transition.label = label
        future = change.call_async(request)
        bench.until(future.done, timeout_s=30)
        assert future.result().success == success, label
        asked = get.call_async(GetState.Request())
        bench.until(asked.done)
        assert asked.result().current_state.label == state


def test_an_exception_in_a_callback_is_told_and_the_node_goes_on(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bench.start()
    bench.listen("depth/image")
    bench.connect("rgb")
    with monkeypatch.context() as patch:  # no message is known that does this
        patch.setattr("msdepth_ros.ros.node.pipeline.look", lambda *_, **__: 1 / 0)
        bench.send("rgb", STAMP_NS)
        bench.until(lambda: bench.status("inference").values["errors"] == "1")
    assert bench.status("inference").message == "ZeroDivisionError: division by zero"
    bench.send("rgb", STAMP_NS + 100_000_000)
    bench.until(lambda: bench.received["depth/image"])
    assert node.context.ok()


def test_an_inference_that_hangs_is_told(bench: Any) -> None:
    node = bench.start(watchdog__silence_s=0.3)
    bench.listen("depth/image")
    bench.connect("rgb")
    release = threading.Event()
    engine = node._equipment.engine  # noqa: SLF001  nothing else makes the network hang
    engine.estimate = lambda *_, **__: release.wait(20)
    bench.send("rgb", STAMP_NS)
    bench.until(lambda: "one set has been computed for" in bench.status("inference").message)
    assert bench.status("inference").level == b"\x02"
    release.set()
