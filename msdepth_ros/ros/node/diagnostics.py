"""What an operator sees on /diagnostics: one status for each camera, the synchronizer, the inference and the output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from msdepth_ros.core.health.findings import Level
from msdepth_ros.core.health.watchdog import Cause, Watchdog
from msdepth_ros.ros.node.assessment import Assessment, Task
from msdepth_ros.ros.node.calibration import Road
from msdepth_ros.ros.node.pipeline import Equipment, Pipeline

_PERIOD_S = 1.0
_LOOK_EVERY_S = 0.2


class _State(NamedTuple):
    """Whether the node is working, and if not, why."""

    idle_reason: str
    refused: bool = False


class Diagnostics:
    """Looks five times a second, in every state of the node; publishes once a second, and at once what is new.

    Args:
        node: to publish with.
        spectra: the configured cameras.
        silence_s: called for the time without depth after which the log says why, seconds.
    """

    def __init__(self, node: Node, spectra: Iterable[str], silence_s: Callable[[], float]) -> None:
        self._node = node
        self._spectra = tuple(spectra)
        self._silence_s = silence_s
        self._equipment: Equipment | None = None
        self._assessment: Assessment | None = None
        self._state = _State("not configured")
        self._watchdog = Watchdog()
        self._told: dict[str, tuple[Level, str]] = {}
        self._published_s = self._activated_s = 0.0
        self._clock_told = self._road_missed = False
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(_LOOK_EVERY_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def configured(self, equipment: Equipment) -> None:
        """The node has a model, or another one."""
        self._equipment, self._state = equipment, _State("inactive")

    def activated(self, pipeline: Pipeline) -> None:
        """The node subscribes."""
        self._assessment = Assessment(self._node, pipeline, self._silence_s)
        self._activated_s, self._clock_told = time.monotonic(), False
        self._state = _State("inactive")

    def deactivated(self) -> None:
        """The node does not subscribe any more."""
        self._assessment = None

    def cleaned_up(self) -> None:
        """The node has no model any more."""
        self._equipment, self._state = None, _State("not configured")

    def refused(self, reason: str) -> None:
        """A transition failed."""
        self._state = _State(reason, refused=True)

    def _look(self) -> None:
        """Publishes if it is time to, and lets the watchdog look; an error here must not end the node."""
        if not self._node.context.ok():
            return
        try:
            tasks = self.tasks()
            told = {name: (task.level, task.faults) for name, task in tasks.items()}
            if told != self._told or time.monotonic() - self._published_s >= _PERIOD_S - _LOOK_EVERY_S / 2:
                self._told, self._published_s = told, time.monotonic()
                array = DiagnosticArray(status=self._statuses(tasks))
                array.header.stamp = self._node.get_clock().now().to_msg()
                self._publisher.publish(array)
            self._watch()
        except Exception as error:  # noqa: BLE001
            self._node.get_logger().error(f"diagnostics failed: {type(error).__name__}: {error}")

    def _watch(self) -> None:
        """Logs one line when there is no depth."""
        assessment = self._assessment
        line = self._watchdog.check(
            time.monotonic_ns(),
            wanted=self._state.refused if assessment is None else assessment.wanted(),
            last_ns=None if assessment is None else assessment.published_ns(),
            silence_s=self._silence_s(),
            why=(lambda: assessment.causes()) if assessment else self._why_not_working,
        )
        if line:
            self._node.get_logger().warning(line)
        fault = assessment.clock_fault() if assessment else ""
        if fault and time.monotonic() - self._activated_s > self._silence_s() and not self._clock_told:
            self._clock_told = True
            self._node.get_logger().warning(fault)
        if assessment and time.monotonic() - self._activated_s > self._silence_s():
            self._tell_of_road(assessment.road())

    def _tell_of_road(self, road: Road) -> None:
        """Logs one line when the road is not where a parameter says, and one when it is."""
        if road.problem and not self._road_missed:
            self._node.get_logger().warning(f"depth comes without the road: {road.problem}")
        elif self._road_missed and not road.problem:
            self._node.get_logger().info(f"the road is known again: {road}")
        self._road_missed = bool(road.problem)

    def _why_not_working(self) -> list[Cause]:
        text = f"the node is not active, {self._state.idle_reason}; put it right and configure the node again"
        return [Cause("node", self._state.idle_reason, text)]

    def tasks(self) -> dict[str, Task]:
        """Returns every task now."""
        if self._assessment is not None:
            return self._assessment.tasks()
        idle = Task(Level.STALE, self._state.idle_reason)
        tasks = dict.fromkeys([*(f"camera {spectrum}" for spectrum in self._spectra), "synchronizer", "inference",
                               "output"], idle)  # fmt: skip
        if self._state.refused:
            tasks["inference"] = Task(Level.ERROR, self._state.idle_reason)
        elif self._equipment is not None:
            tasks["inference"] = Task(Level.OK, self._state.idle_reason)
        return tasks

    def statuses(self) -> list[DiagnosticStatus]:
        """Returns every task's status now."""
        return self._statuses(self.tasks())

    def _statuses(self, tasks: Mapping[str, Task]) -> list[DiagnosticStatus]:
        # Two rigs on one vehicle have the same tasks: only the full name tells whose they are.
        node = self._node.get_fully_qualified_name().lstrip("/")
        return [
            DiagnosticStatus(
                level=bytes([task.level]), name=f"{node}: {name}", message=task.message,
                hardware_id=node,
                values=[KeyValue(key=key, value=_text(value)) for key, value in task.values().items()],
            )
            for name, task in tasks.items()
        ]  # fmt: skip


def _text(value: Any) -> str:  # noqa: ANN401
    """Values as people and scripts read them."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
