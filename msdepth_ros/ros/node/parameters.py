"""The table of settings as the node's ROS parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, PARAMETERS, ParameterSpec, Settings, check_override


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """Returns a row as ROS describes parameters, shown by ``ros2 param describe``."""
    described = ParameterDescriptor(name=spec.name, description=spec.description, read_only=not spec.live)
    if spec.choices:
        described.additional_constraints = spec.expected
    if spec.limits and isinstance(spec.default, float):
        described.floating_point_range = [FloatingPointRange(from_value=spec.limits[0], to_value=spec.limits[1])]
    elif spec.limits:
        described.integer_range = [IntegerRange(from_value=int(spec.limits[0]), to_value=int(spec.limits[1]))]
    return described


def declare_parameters(
    node: Node, on_change: Callable[[Settings], None], check: Callable[[Settings], None]
) -> Settings:
    """Declares the table on a node, refuses what the user set wrongly, and keeps refusing it while the node runs.

    Args:
        node: to declare on.
        on_change: called with the new settings after rclpy has accepted and stored a change of a live parameter.
        check: called with settings that are asked for, before; refuses with MsdepthError what cannot be.

    Raises:
        MsdepthError: an unknown parameter, or a value of the wrong type or out of range.
    """
    _refuse_bad_overrides(node)
    for spec in PARAMETERS:
        node.declare_parameter(spec.name, spec.default, descriptor(spec))
    settings = read_settings(node)
    _watch(node, lambda: on_change(read_settings(node)), check)
    return settings


def _watch(node: Node, apply: Callable[[], None], check: Callable[[Settings], None]) -> None:
    """Refuses what does not hold together, and calls `apply` when a change has been stored.

    Accepting is not storing: whoever is asked after us may still refuse. Where rclpy has no callback for what happens
    after that (Humble), the executor calls `apply` as soon as it has done with the request, whatever became of it.
    """
    after_set = getattr(node, "add_post_set_parameters_callback", None)
    if after_set is not None:
        after_set(lambda changes: apply() if _ours(changes) else None)
        node.add_on_set_parameters_callback(lambda changes: _judge(node, changes, check))
        return
    soon = node.create_guard_condition(apply)

    def judge(changes: Sequence[Parameter]) -> SetParametersResult:
        soon.trigger()
        return _judge(node, changes, check)

    node.add_on_set_parameters_callback(judge)


def read_settings(node: Node) -> Settings:
    """Reads the declared parameters.

    Raises:
        MsdepthError: they contradict each other.
    """
    return Settings.from_values({spec.name: node.get_parameter(spec.name).value for spec in PARAMETERS})


def _refuse_bad_overrides(node: Node) -> None:
    """Checks what the command line and parameter files set; rclpy ignores overrides that nobody declares."""
    for name, override in node._parameter_overrides.items():  # noqa: SLF001  there is no public list of them
        check_override(name, override.value)


def _ours(changes: Sequence[Parameter]) -> dict[str, Any]:
    """Those of the table, by name."""
    return {change.name: change.value for change in changes if change.name in DEFAULTS}


def _judge(node: Node, changes: Sequence[Parameter], check: Callable[[Settings], None]) -> SetParametersResult:
    """Accepts changes after which all settings still hold together."""
    values = {spec.name: node.get_parameter(spec.name).value for spec in PARAMETERS}
    try:
        check(Settings.from_values(values | _ours(changes)))
    except MsdepthError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)
