"""The SROS 2 policy allows what the running node does, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

import models

POLICY = Path(__file__).resolve().parents[3] / "config" / "sros2_policy.xml"
KINDS = {"topics": ("publish", "subscribe"), "services": ("reply", "request"), "actions": ("call", "execute")}
SOMETIMES = {"/clock", "/tf", "/tf_static"}
"""Subscribed with other parameters: use_sim_time, calibration.source tf. Published where tf2_msgs is installed."""


def profile() -> ET.Element:
    found = ET.parse(POLICY).getroot().findall("./enclaves/enclave/profiles/profile")
    assert len(found) == 1
    return found[0]


def allowed(group: str, right: str, namespace: str) -> set[str]:
    """Full names that a right is given for, as sros2 makes them, for a node in a namespace."""
    element = profile()
    names = [
        entry.text or "" for entries in element.findall(group) if entries.get(right) == "ALLOW" for entry in entries
    ]
    base = f"{namespace}/{element.get('node')}"
    assert len(names) == len(set(names)), "a name is given twice"
    return {name if name[0] == "/" else base + name[1:] if name[0] == "~" else f"{namespace}/{name}" for name in names}


def used(bench: Any, what: str, namespace: str) -> set[str]:
    """Full names that the node uses, as the ROS graph has them."""
    find = getattr(bench.peer, f"get_{what}_names_and_types_by_node")
    return {name for name, _ in find("fused_depth", namespace)}


@pytest.fixture
def running(bench: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    model = str(models.toy_model(tmp_path / "toy.onnx"))
    namespace = f"/{request.param}"  # of its own: the graph may still have the node of another test
    bench.start("-r", f"__ns:={namespace}", model__path=model, image_transport=request.param)
    bench.until(lambda: f"{namespace}/fused_depth/get_type_description" in used(bench, "service", namespace))
    bench.until(lambda: f"{namespace}/fused_depth/depth/image" in used(bench, "publisher", namespace))
    return bench


def of_transport(names: set[str], transport: str) -> set[str]:
    """Without the camera topics of the other transport."""
    compressed = {name for name in names if name.endswith("/image/compressed")}
    raw = {name.removesuffix("/compressed") for name in compressed}
    return names - (compressed if transport == "raw" else raw)


@pytest.mark.parametrize("running", ["raw", "compressed"], indirect=True)
def test_the_policy_is_what_the_node_does(running: Any) -> None:
    transport, namespace = running.node.get_parameter("image_transport").value, running.node.get_namespace()
    published = allowed("topics", "publish", namespace)
    assert used(running, "publisher", namespace) - SOMETIMES == published - SOMETIMES
    subscribed = of_transport(allowed("topics", "subscribe", namespace), transport) - SOMETIMES
    assert used(running, "subscriber", namespace) | {"/parameter_events"} == subscribed
    assert used(running, "service", namespace) == allowed("services", "reply", namespace)
    assert used(running, "client", namespace) == allowed("services", "request", namespace) == set()


def test_the_policy_is_written_as_sros2_reads_it() -> None:
    """The rules of sros2's policy.xsd, version 0.2.0."""
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    assert (profile().get("ns"), profile().get("node")) == ("/", "fused_depth")
    assert [element.get("path") for element in root.findall("./enclaves/enclave")] == ["/fused_depth"]
    for group in profile():
        rights = dict(group.attrib.items())
        assert rights and set(rights) <= set(KINDS[group.tag])
        assert set(rights.values()) <= {"ALLOW", "DENY"}
        assert {entry.tag for entry in group} == {group.tag[:-1]}
        assert all(entry.text and entry.text == entry.text.strip() for entry in group)
