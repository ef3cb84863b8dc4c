"""What an operator sees on /diagnostics: one status for each camera, the synchronizer, the inference and the output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from msdepth_ros.core.health import Level, SpectrumHealth, Verdict, judge_matching
from msdepth_ros.core.stream import SpectrumCounts
from msdepth_ros.core.synchronizer import SpectralSynchronizer
from msdepth_ros.nodes.pipeline import Equipment, Pipeline

_PERIOD_S = 1.0

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


class Task(NamedTuple):
    """One status: its level, a sentence for people, and numbers for scripts."""

    level: bytes
    message: str
    values: Mapping[str, Any] = {}


class Diagnostics:
    """Collects what went on and publishes it once a second, in every state of the node.

    Args:
        node: to publish with.
        spectra: the configured cameras.
    """

    def __init__(self, node: Node, spectra: Iterable[str]) -> None:
        self._node = node
        self._spectra = tuple(spectra)
        self._equipment: Equipment | None = None
        self._pipeline: Pipeline | None = None
        self._idle_reason, self._refused = "not configured", False
        self._seen: dict[str, int] = {}
        self._matched: dict[str, SpectrumCounts] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(_PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def configured(self, equipment: Equipment) -> None:
        """The node has a model."""
        self._equipment, self._idle_reason, self._refused = equipment, "inactive", False

    def activated(self, pipeline: Pipeline) -> None:
        """The node subscribes."""
        self._pipeline, self._idle_reason = pipeline, "inactive"
        self._seen.clear()
        self._matched.clear()

    def deactivated(self) -> None:
        """The node does not subscribe any more."""
        self._pipeline = None

    def cleaned_up(self) -> None:
        """The node has no model any more."""
        self._equipment, self._idle_reason, self._refused = None, "not configured", False

    def refused(self, reason: str) -> None:
        """A transition failed."""
        self._idle_reason, self._refused = reason, True

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
        tasks = {f"camera {spectrum}": self._camera(spectrum) for spectrum in self._spectra}
        tasks["synchronizer"] = self._synchronizer()
        tasks["inference"] = self._inference()
        tasks["output"] = self._output()
        hardware = self._equipment.engine.info.name if self._equipment else ""
        return [
            DiagnosticStatus(
                level=task.level, name=f"{self._node.get_name()}: {name}", message=task.message, hardware_id=hardware,
                values=[KeyValue(key=key, value=_text(value)) for key, value in task.values.items()],
            )
            for name, task in tasks.items()
        ]  # fmt: skip

    def _more(self, name: str, count: int) -> int:
        """By how much a counter grew since this was last asked."""
        before, self._seen[name] = self._seen.get(name, 0), count
        return max(0, count - before)

    def _camera(self, spectrum: str) -> Task:
        if self._pipeline is None or self._equipment is None:
            return Task(STALE, self._idle_reason)
        camera = next(camera for camera in self._pipeline.inputs if camera.spectrum == spectrum)
        verdict, values = self._equipment.statistics.look(lambda health, now: _describe(health.spectra[spectrum], now))
        message = verdict.message
        if verdict.level in (Level.STALE, Level.ERROR) and not camera.publisher_count():
            message = f"{camera.image_topic} has no publisher; start the driver, or remap the topic"
        return Task(_level(verdict.level), message, {"topic": camera.image_topic, **values})

    def _synchronizer(self) -> Task:
        if self._pipeline is None or self._equipment is None:
            return Task(STALE, self._idle_reason)
        sets = self._equipment.statistics.sets_by_spectra()
        values: dict[str, Any] = {f"sets_{spectra}": count for spectra, count in sets.items()}
        matcher = self._pipeline.matcher
        if not isinstance(matcher, SpectralSynchronizer):
            return Task(OK, "matching by message_filters: only sets of all cameras", values)
        statistics = matcher.statistics
        values.update(complete=statistics.complete, partial=statistics.partial, resets=statistics.resets)
        worst = Verdict(Level.OK, "matching")
        for spectrum, counts in statistics.spectra.items():
            values[f"images_dropped_{spectrum}"] = counts.dropped
            values[f"skew_ms_{spectrum}"] = counts.skew_ns * 1e-6
            verdict = judge_matching(spectrum, counts, self._matched.get(spectrum))
            self._matched[spectrum] = replace(counts)
            if Level.STALE != verdict.level > worst.level:  # a silent camera is the camera's matter
                worst = Verdict(verdict.level, f"{spectrum}: {verdict.message}")
        return Task(_level(worst.level), worst.message, values)

    def _inference(self) -> Task:
        if self._equipment is None:
            return Task(ERROR if self._refused else STALE, self._idle_reason)
        engine, statistics = self._equipment.engine, self._equipment.statistics
        dropped, errors = statistics.count("dropped"), statistics.count("errors")
        values = {
            "model": engine.info.name, "model_version": engine.info.version, "model_path": engine.info.path,
            "providers": ",".join(engine.providers), "dropped": dropped, "skipped": statistics.count("skipped"),
            "errors": errors, "last_error": statistics.last_error,
            **{f"inference_ms_{name}": value for name, value in statistics.inference_ms().items()},
        }  # fmt: skip
        if self._more("errors", errors):
            return Task(ERROR, statistics.last_error, values)
        if self._more("dropped", dropped):
            return Task(WARN, "slower than the cameras: older sets are dropped", values)
        return Task(OK, "running" if self._pipeline else self._idle_reason, values)

    def _output(self) -> Task:
        if self._pipeline is None or self._equipment is None:
            return Task(STALE, self._idle_reason)
        statistics, subscribers = self._equipment.statistics, self._equipment.outputs.subscribers()
        published = sum(statistics.sets_by_spectra().values())
        values = {
            "sets_published": published, "subscribers": subscribers,
            "frame_id": self._equipment.calibration.output_frame,
            **{f"latency_ms_{name}": value for name, value in statistics.latency_ms().items()},
        }  # fmt: skip
        values["rate_hz"] = self._more("published", published) / _PERIOD_S
        if not subscribers:
            return Task(OK, "nobody subscribes: nothing is computed", values)
        verdict = statistics.look(lambda health, now: health.judge(now))
        return Task(_level(verdict.level), verdict.message, values)


def _describe(camera: SpectrumHealth, now_ns: int) -> tuple[Verdict, dict[str, Any]]:
    """How a camera does, and its numbers."""
    values = {
        "received": camera.received, "rejected": camera.rejected, "last_rejection": camera.last_rejection,
        "rate_hz": camera.rate_hz(now_ns), "age_s": camera.age_s(now_ns),
    }  # fmt: skip
    return camera.judge(now_ns), values


def _level(level: Level) -> bytes:
    """The level as the message has it."""
    return bytes([level])


def _text(value: Any) -> str:  # noqa: ANN401
    """Values as people and scripts read them."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
