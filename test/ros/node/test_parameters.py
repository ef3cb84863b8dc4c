"""The settings as parameters of a real node, and what is refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, PARAMETERS, Settings
from msdepth_ros.ros.node.parameters import declare_parameters, descriptor, read_settings


def test_every_row_has_a_descriptor() -> None:
    for spec in PARAMETERS:
        assert descriptor(spec).read_only is not spec.live
        assert descriptor(spec).description == spec.description


class HumbleNode(Node):
    """A node of a distribution that cannot tell when a parameter has been set."""

    @property
    def add_post_set_parameters_callback(self) -> Any:  # noqa: ANN401
        raise AttributeError


def declare(kind: type[Node] = Node, **overrides: Any) -> tuple[Node, list[Settings]]:  # noqa: ANN401
    parameters = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    node = kind("fused_depth", parameter_overrides=parameters)
    changes: list[Settings] = []
    try:
        declare_parameters(node, changes.append, lambda settings: None)
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


changes_of_parameters = st.sampled_from(
    [
        ("depth.max_m", 50.0), ("depth.max_m", 70.0), ("depth.min_m", 60.0), ("depth.min_m", 1.0),
        ("depth.min_m", "far"), ("sync.deadline_s", 0.0), ("sync.deadline_s", 9.0), ("reference", "nir"),
        ("health.leave_out", False), ("unknown", 1.0), ("use_sim_time", False),
    ]
)  # fmt: skip
requests = st.lists(
    st.tuples(st.lists(changes_of_parameters, max_size=3, unique_by=lambda one: one[0]), st.booleans(), st.booleans()),
    max_size=5,
)


@pytest.mark.parametrize("kind", [Node, HumbleNode])
@pytest.mark.parametrize("asked", ["before us", "after us"])
def test_settings_are_always_those_that_rclpy_has_stored(ros: None, kind: type[Node], asked: str) -> None:
    node, told = declare(kind)
    vetoes: list[bool] = []

    def somebody(_: object) -> SetParametersResult:
        return SetParametersResult(successful=not vetoes[-1], reason="somebody else says no")

    if asked == "before us":  # the newest callback is asked first
        node.add_on_set_parameters_callback(somebody)
    else:
        node._on_set_parameters_callbacks.append(somebody)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    @settings(max_examples=40)
    @given(requests)
    def play(drawn: list[tuple[list[tuple[str, Any]], bool, bool]]) -> None:
        for changes, atomically, vetoed in drawn:
            vetoes.append(vetoed)
            before = read_settings(node)
            parameters = [Parameter(name, value=value) for name, value in changes]
            try:
                if atomically:
                    node.set_parameters_atomically(parameters)
                else:
                    node.set_parameters(parameters)
            except ParameterNotDeclaredException:
                pass
            for _ in range(5 if kind is HumbleNode else 0):  # one piece of work at a time
                executor.spin_once(timeout_sec=0.01)
            stored = read_settings(node)
            assert not vetoed or stored == before
            assert stored == (told[-1] if told else Settings.from_values(DEFAULTS))

    play()
    assert len(told) > 3
    executor.shutdown()
    node.destroy_node()
