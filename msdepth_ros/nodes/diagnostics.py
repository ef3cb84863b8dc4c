"""What an operator sees on /diagnostics: one status for each camera, the synchronizer, the inference and the output."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from msdepth_ros.core.synchronizer import SpectralSynchronizer
from msdepth_ros.nodes.pipeline import Equipment, Pipeline
from msdepth_ros.nodes.statistics import CameraCounters

_PERIOD_S = 1.0
_LOG_EVERY_S = 5.0
_SILENT_AFTER_S = 1.0

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


class Diagnostics:
    """Collects what went on and publishes it once a second, in every state of the node.

    Args:
        node: to publish with.
        spectra: the configured cameras.
    """

    def __init__(self, node: Node, spectra: Iterable[str]) -> None:
        self._node = node
        self._cameras = {spectrum: CameraCounters() for spectrum in spectra}
        self._equipment: Equipment | None = None
        self._pipeline: Pipeline | None = None
        self._idle_reason = "not configured"
        self._seen: dict[str, int] = {}
        self._logged: dict[str, float] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(_PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def configured(self, equipment: Equipment) -> None:
        """The node has a model."""
        self._equipment, self._idle_reason = equipment, "inactive"

    def activated(self, pipeline: Pipeline) -> None:
        """The node subscribes."""
        self._pipeline = pipeline
        self._cameras = {spectrum: CameraCounters() for spectrum in self._cameras}
        self._seen.clear()

    def deactivated(self) -> None:
        """The node does not subscribe any more."""
        self._pipeline = None

    def cleaned_up(self) -> None:
        """The node has no model any more."""
        self._equipment, self._idle_reason = None, "not configured"

    def refused(self, reason: str) -> None:
        """A transition failed."""
        self._idle_reason = reason

    def accepted(self, spectrum: str) -> None:
        """A usable image arrived."""
        self._cameras[spectrum].accept(time.monotonic())

    def rejected(self, spectrum: str, topic: str, reason: str) -> None:
        """A message was dropped; the log repeats the same reason only now and then."""
        text = f"{topic}: {reason}"
        self._cameras[spectrum].reject(text)
        now = time.monotonic()
        if now - self._logged.get(topic, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged[topic] = now
            self._node.get_logger().warning(f"dropped a message on {text}")

    def _publish(self) -> None:
        """Publishes all tasks; an error here must not end the node."""
        if not self._node.context.ok():
            return
        try:
            array = DiagnosticArray(status=self.statuses())
            array.header.stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(array)
        except Exception as error:  # noqa: BLE001
            self._node.get_logger().error(f"diagnostics failed: {type(error).__name__}: {error}")

    def statuses(self) -> list[DiagnosticStatus]:
        """Returns every task's status now."""
        tasks = {f"camera {spectrum}": self._camera(spectrum) for spectrum in self._cameras}
        tasks["synchronizer"] = self._synchronizer()
        tasks["inference"] = self._inference()
        tasks["output"] = self._output()
        hardware = self._equipment.engine.info.name if self._equipment else ""
        return [
            DiagnosticStatus(
                level=level, name=f"{self._node.get_name()}: {task}", message=message, hardware_id=hardware,
                values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
            )
            for task, (level, message, values) in tasks.items()
        ]  # fmt: skip

    def _more(self, name: str, count: int) -> int:
        """By how much a counter grew since this was last asked."""
        before, self._seen[name] = self._seen.get(name, 0), count
        return max(0, count - before)

    def _camera(self, spectrum: str) -> tuple[bytes, str, Mapping[str, Any]]:
        counters, pipeline = self._cameras[spectrum], self._pipeline
        if pipeline is None:
            return STALE, self._idle_reason, {}
        camera = next(camera for camera in pipeline.inputs if camera.spectrum == spectrum)
        now = time.monotonic()
        values = {
            "topic": camera.image_topic, "received": counters.received, "rejected": counters.rejected,
            "last_rejection": counters.last_rejection, "rate_hz": counters.rate_hz(now), "age_s": counters.age_s(now),
        }  # fmt: skip
        if self._more(f"rejected {spectrum}", counters.rejected):
            return WARN, counters.last_rejection, values
        if counters.age_s(now) > _SILENT_AFTER_S:
            publishers = camera.publisher_count()
            why = f"{publishers} publishers: check the driver and its QoS" if publishers else "no publisher"
            return ERROR, f"no image on {camera.image_topic} for {_SILENT_AFTER_S:g} s; {why}", values
        return OK, "receiving", values

    def _synchronizer(self) -> tuple[bytes, str, Mapping[str, Any]]:
        if self._pipeline is None or self._equipment is None:
            return STALE, self._idle_reason, {}
        values: dict[str, Any] = {
            f"sets_{key}": count for key, count in self._equipment.statistics.sets_by_spectra().items()
        }
        matcher = self._pipeline.matcher
        if isinstance(matcher, SpectralSynchronizer):
            statistics = matcher.statistics
            values.update(complete=statistics.complete, partial=statistics.partial, resets=statistics.resets)
            for spectrum, counts in statistics.spectra.items():
                values[f"images_dropped_{spectrum}"] = counts.dropped
                values[f"skew_ms_{spectrum}"] = counts.skew_ns * 1e-6
        return OK, "matching", values

    def _inference(self) -> tuple[bytes, str, Mapping[str, Any]]:
        if self._equipment is None:
            return ERROR, self._idle_reason, {}
        engine, statistics = self._equipment.engine, self._equipment.statistics
        dropped, errors = statistics.count("dropped"), statistics.count("errors")
        values = {
            "model": engine.info.name, "model_version": engine.info.version, "model_path": engine.info.path,
            "providers": ",".join(engine.providers), "dropped": dropped, "skipped": statistics.count("skipped"),
            "errors": errors, "last_error": statistics.last_error,
            **{f"inference_ms_{name}": value for name, value in statistics.inference_ms().items()},
        }  # fmt: skip
        if self._more("errors", errors):
            return ERROR, statistics.last_error, values
        if self._more("dropped", dropped):
            return WARN, "slower than the cameras: older sets are dropped", values
        return OK, "running" if self._pipeline else self._idle_reason, values

    def _output(self) -> tuple[bytes, str, Mapping[str, Any]]:
        if self._pipeline is None or self._equipment is None:
            return STALE, self._idle_reason, {}
        statistics, subscribers = self._equipment.statistics, self._equipment.outputs.subscribers()
        published = sum(statistics.sets_by_spectra().values())
        values = {
            "sets_published": published, "subscribers": subscribers,
            "frame_id": self._equipment.calibration.output_frame,
            **{f"latency_ms_{name}": value for name, value in statistics.latency_ms().items()},
        }  # fmt: skip
        fresh = self._more("published", published)
        values["rate_hz"] = fresh / _PERIOD_S
        if not subscribers:
            return OK, "nobody subscribes: nothing is computed", values
        return (OK, "publishing", values) if fresh else (WARN, "no depth in the last second", values)


def _text(value: Any) -> str:  # noqa: ANN401
    """Values as people and scripts read them."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
