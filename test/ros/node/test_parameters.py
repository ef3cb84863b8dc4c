"""The settings as parameters of a real node, and what is refused."""

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.node import Node
from rclpy.parameter import Parameter

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import PARAMETERS, Settings
from msdepth_ros.ros.node.parameters import declare_parameters, descriptor


def test_every_row_has_a_descriptor() -> None:
    for spec in PARAMETERS:
        assert descriptor(spec).read_only is not spec.live
        assert descriptor(spec).description == spec.description


def declare(**overrides: Any) -> tuple[Node, list[Settings]]:  # noqa: ANN401
    parameters = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    node = Node("fused_depth", parameter_overrides=parameters)
    changes: list[Settings] = []
    try:
        declare_parameters(node, changes.append)
    except MsdepthError:
        node.destroy_node()
        raise
    return node, changes


def test_unknown_parameters_are_refused_with_a_suggestion(ros: None) -> None:
    with pytest.raises(MsdepthError, match=r"unknown parameter sync\.tolerence_s; did you mean sync\.tolerance_s\?"):
        declare(sync__tolerence_s=0.1)
    with pytest.raises(MsdepthError, match=r"unknown parameter zzz; see config/fused_depth\.yaml"):
        declare(zzz=0.1)


def test_bad_overrides_are_refused(ros: None) -> None:
    with pytest.raises(MsdepthError, match=r"parameter sync\.deadline_s is 9\.0"):
        declare(sync__deadline_s=9.0)


def test_parameters_of_ros_itself_are_let_through(ros: None) -> None:
    node, _ = declare(use_sim_time=False, **{"qos_overrides./rgb/image.subscription.depth": 2})
    node.destroy_node()


def test_live_parameters_change_and_the_rest_is_read_only(ros: None) -> None:
    node, changes = declare()
    results = node.set_parameters(
        [
            Parameter("depth.max_m", value=50.0),
            Parameter("depth.min_m", value=60.0),
            Parameter("output.min_confidence", value=2.0),
            Parameter("reference", value="nir"),
        ]
    )
    assert [result.successful for result in results] == [True, False, False, False]
    assert "must be below depth.max_m" in results[1].reason
    assert "read-only" in results[3].reason
    assert [settings.depth_max_m for settings in changes] == [50.0]
    node.destroy_node()
