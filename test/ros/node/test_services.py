"""Pausing the computing, and loading the model anew while depth goes on."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.lifecycle import TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from models import toy_model
from msdepth_ros.core.model.engine import default_model_path

STAMP_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000


def call(bench: Any, kind: type, name: str, **request: Any) -> Any:
    """Calls a service of the node and waits for the answer."""
    client = bench.peer.create_client(kind, f"/fused_depth/{name}")
    bench.until(client.service_is_ready)
    future = client.call_async(kind.Request(**request))
    bench.until(future.done, timeout_s=60)
    bench.peer.destroy_client(client)
    return future.result()


def depth_comes(bench: Any, number: int) -> Any:
    before = len(bench.received["depth/image"])
    bench.send("rgb", STAMP_NS + number * PERIOD_NS)
    bench.until(lambda: len(bench.received["depth/image"]) > before)
    return bench.received["depth/image"][-1]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the model that ships, with its card."""
    for suffix in (".onnx", ".json"):
        shutil.copy(default_model_path().with_suffix(suffix), tmp_path)
    return tmp_path / default_model_path().name


@pytest.fixture
def running(bench: Any, model: Path) -> Any:
    """The active node, answering one camera."""
    bench.start(model__path=str(model))
    bench.listen("depth/image")
    bench.connect("rgb")
    depth_comes(bench, 0)
    return bench


def test_enable_pauses_and_resumes(running: Any) -> None:
    answer = call(running, SetBool, "enable", data=False)
    assert answer.success and "nothing is computed" in answer.message
    skipped = int(running.status("inference").values["skipped"])
    before = len(running.received["depth/image"])
    running.send("rgb", STAMP_NS + PERIOD_NS)
    running.until(lambda: int(running.status("inference").values["skipped"]) == skipped + 1)
    assert len(running.received["depth/image"]) == before
    assert running.status("camera rgb").values["received"] == "2"
    assert running.status("output").message == "disabled by ~/enable"
    assert call(running, SetBool, "enable", data=True).success
    depth_comes(running, 2)


def test_enable_holds_over_deactivation(running: Any) -> None:
    running.node.trigger_deactivate()
    assert "kept for when the node is active" in call(running, SetBool, "enable", data=False).message
    running.node.trigger_activate()
    assert running.status("output").message == "disabled by ~/enable"


def test_reload_takes_another_model_of_another_size(running: Any, model: Path) -> None:
    assert depth_comes(running, 1).width == 640
    old = weakref.ref(running.node._equipment.engine._session)  # noqa: SLF001  its memory is most of the node's
    toy_model(model)
    answer = call(running, Trigger, "reload_model")
    assert answer.success, answer.message
    assert answer.message == "model toy 1.2 (contract 1) on CPUExecutionProvider"
    assert depth_comes(running, 2).width == 64
    assert running.status("inference").values["model"] == "toy"
    assert running.status("inference").values["errors"] == "0"
    running.spin(0.2)
    gc.collect()
    assert old() is None


def test_reload_keeps_the_old_model_if_the_new_one_fails(running: Any, model: Path) -> None:
    engine = running.node._equipment.engine  # noqa: SLF001
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    answer = call(running, Trigger, "reload_model")
    assert not answer.success
    assert "the old model stays: " in answer.message and "SHA-256" in answer.message
    assert running.node._equipment.engine is engine  # noqa: SLF001
    depth_comes(running, 1)


def test_reload_before_configuring_and_after_cleaning_up_is_refused(running: Any) -> None:
    running.node.trigger_deactivate()
    assert call(running, Trigger, "reload_model").success
    running.node.trigger_cleanup()
    answer = call(running, Trigger, "reload_model")
    assert not answer.success and "the node has no model yet; configure it" in answer.message
    assert running.node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_depth_goes_on_while_a_model_is_loaded(running: Any) -> None:
    client = running.peer.create_client(Trigger, "/fused_depth/reload_model")
    running.until(client.service_is_ready)
    future, second = client.call_async(Trigger.Request()), client.call_async(Trigger.Request())
    running.until(second.done)
    assert not second.result().success and "already" in second.result().message
    count, number = 0, 1
    while not future.done():
        depth_comes(running, number)
        count, number = count + 1, number + 1
    assert future.result().success
    assert count >= 1
