"""How the active node is doing, task by task, and if no depth comes, why."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from rclpy.node import Node

from msdepth_ros.core.health.cameras import blame_unmatched, judge_matching
from msdepth_ros.core.health.findings import Fault, Finding, Level, S, Verdict, verdict_of
from msdepth_ros.core.health.timing import clock_hint, nearest_skews_s
from msdepth_ros.core.health.watchdog import Cause, Chain, sentence, why_no_depth
from msdepth_ros.core.sync.stream import SpectrumCounts
from msdepth_ros.core.sync.synchronizer import SpectralSynchronizer
from msdepth_ros.ros.node.calibration import Road
from msdepth_ros.ros.node.inputs import CameraInput
from msdepth_ros.ros.node.pipeline import Pipeline

_DAY_S = 86_400
_EARLIEST_NS = 631_152_000 * S  # 1990
_LOOKS = 6  # five a second: counts are compared with those of one second ago
_RECENT_S = 1.0


class Task(NamedTuple):
    """One status.

    Attributes:
        level: how bad it is.
        message: a sentence for people.
        values: numbers for scripts, made only if somebody reads them.
        faults: words for scripts; when they change, people want to know at once.
    """

    level: Level
    message: str
    values: Callable[[], Mapping[str, Any]] = dict
    faults: str = ""


class Assessment:
    """Judges the pipeline while the node is active.

    Args:
        node: whose clock and parameters are looked at.
        pipeline: what is judged.
        silence_s: called for the time without depth that is too long, seconds.
    """

    def __init__(self, node: Node, pipeline: Pipeline, silence_s: Callable[[], float]) -> None:
        self._node, self._pipeline, self._silence_s = node, pipeline, silence_s
        self._begun_s = time.monotonic()
        self._past: deque[dict[str, SpectrumCounts]] = deque(maxlen=_LOOKS)
        self._findings: dict[str, list[Finding]] = {}
        self._seen = pipeline.equipment.statistics.snapshot()

    def tasks(self) -> dict[str, Task]:
        """Returns every task now; call it five times a second. The other methods tell of the same moment."""
        self._seen = self._pipeline.equipment.statistics.snapshot()
        matching = self._matching()
        findings = {camera.spectrum: self._judge(camera) for camera in self._pipeline.inputs}
        self._findings = blame_unmatched(findings, matching)
        tasks = {f"camera {camera.spectrum}": self._camera(camera) for camera in self._pipeline.inputs}
        tasks["synchronizer"] = self._synchronizer(matching)
        tasks["inference"] = self._inference()
        tasks["output"] = self._output()
        return tasks

    def wanted(self) -> bool:
        """Whether depth should come."""
        return self._pipeline.enabled and self._pipeline.equipment.outputs.subscribers() > 0

    def published_ns(self) -> int | None:
        """When depth last came, steady time."""
        return self._seen.published_ns

    def causes(self) -> list[Cause]:
        """Why there is no depth."""
        seen = self._seen
        chain = Chain(
            cameras=self._findings, alive=seen.alive, failure=seen.last_failure, busy_s=self._pipeline.busy_s,
            idle_s=min(seen.age_s("formed"), time.monotonic() - self._begun_s), matching=self._why_no_set(),
        )  # fmt: skip
        return why_no_depth(chain, self._silence_s())

    def _matching(self) -> dict[str, Verdict]:
        """What became of each camera's images within the last second."""
        matcher = self._pipeline.matcher
        if not isinstance(matcher, SpectralSynchronizer):
            return {}
        counts = {spectrum: replace(now) for spectrum, now in matcher.statistics.spectra.items()}
        self._past.append(counts)
        before = self._past[0] if len(self._past) > 1 else {}
        share = self._pipeline.settings.health.unmatched_share
        return {name: judge_matching(name, now, before.get(name), share=share) for name, now in counts.items()}

    def _judge(self, camera: CameraInput) -> list[Finding]:
        """All that is wrong with a camera: by itself, compared with others, and around it."""
        findings = list(self._seen.cameras[camera.spectrum].findings)
        if any(finding.fault in (Fault.SILENT, Fault.CALIBRATION) for finding in findings):
            obstacle = camera.obstacle()
            if obstacle is not None:
                findings = [finding for finding in findings if finding.fault is not Fault.SILENT]
                findings.append(obstacle)
        frame = self._pipeline.equipment.calibration.frame_doubt(camera.spectrum)
        doubts = [Finding(Fault.FRAME, Level.WARN, frame)] if frame else []
        return [*findings, *camera.doubts(), *doubts]

    def _camera(self, camera: CameraInput) -> Task:
        findings, seen = self._findings[camera.spectrum], self._seen.cameras[camera.spectrum]
        faults = ",".join(sorted({finding.fault.value for finding in findings}))

        def values() -> dict[str, Any]:
            return {
                "topic": camera.image_topic, "faults": faults, "received": seen.received, "rejected": seen.rejected,
                "last_rejection": seen.last_rejection, "left_out": seen.left_out, "shutter": seen.shutter,
                "rate_hz": seen.rate_hz, "age_s": seen.age_s, "stamp_skew_ms": 1e3 * seen.skew_s,
            }  # fmt: skip

        verdict = verdict_of(findings, f"{seen.rate_hz:.1f} Hz")
        return Task(verdict.level, verdict.message, values, faults)

    def _synchronizer(self, matching: Mapping[str, Verdict]) -> Task:
        values: dict[str, Any] = {f"sets_{spectra}": count for spectra, count in self._seen.sets_by_spectra.items()}
        matcher = self._pipeline.matcher
        if not isinstance(matcher, SpectralSynchronizer):
            return Task(Level.OK, "matching by message_filters: only sets of all cameras", lambda: values)
        statistics = matcher.statistics
        values.update(complete=statistics.complete, partial=statistics.partial, resets=statistics.resets)
        worst = Verdict(Level.OK, "matching")
        for spectrum, counts in statistics.spectra.items():
            values[f"images_dropped_{spectrum}"] = counts.dropped
            values[f"skew_ms_{spectrum}"] = counts.skew_ns * 1e-6
            verdict = matching[spectrum]
            blamed = any(finding.fault is Fault.UNMATCHED for finding in self._findings[spectrum])
            if blamed and verdict.level > worst.level:
                worst = Verdict(verdict.level, f"{spectrum}: {verdict.message}")
        return Task(worst.level, worst.message, lambda: values)

    def _inference(self) -> Task:
        engine, seen = self._pipeline.equipment.engine, self._seen
        road = self.road()

        def values() -> dict[str, Any]:
            return {
                "model": engine.info.name, "model_version": engine.info.version, "model_path": engine.info.path,
                "model_contract": engine.info.contract_version,
                "ground_plane": engine.info.use_of_ground(self._pipeline.equipment.calibration.road()),
                "providers": ",".join(engine.providers), "last_error": seen.last_error,
                **{name: seen.counts.get(name, 0) for name in ("dropped", "dropped_while_idle", "skipped", "errors")},
                **{f"inference_ms_{name}": value for name, value in seen.inference_ms.items()},
            }  # fmt: skip

        if self._pipeline.busy_s > self._silence_s():
            return Task(Level.ERROR, f"one set has been computed for {self._pipeline.busy_s:.1f} s", values)
        if seen.age_s("errors") <= _RECENT_S:
            return Task(Level.ERROR, seen.last_error, values)
        if seen.age_s("dropped") <= _RECENT_S:
            return Task(Level.WARN, "slower than the cameras: older sets are dropped", values)
        if road.problem:
            return Task(Level.WARN, f"the road is not known: {road.problem}", values)
        return Task(Level.OK, "running" if self._pipeline.enabled else "disabled by ~/enable", values)

    def _output(self) -> Task:
        equipment, seen = self._pipeline.equipment, self._seen
        subscribers = equipment.outputs.subscribers()

        def values() -> dict[str, Any]:
            return {
                "sets_published": sum(seen.sets_by_spectra.values()), "subscribers": subscribers,
                "unusable_sets": seen.counts.get("unusable", 0), "spectra": "+".join(seen.used),
                "frame_id": equipment.calibration.output_frame, "rate_hz": seen.rate_hz,
                **{f"latency_ms_{name}": value for name, value in seen.latency_ms.items()},
            }  # fmt: skip

        if not self._pipeline.enabled:
            return Task(Level.OK, "disabled by ~/enable", values)
        if not subscribers:
            return Task(Level.OK, "nobody subscribes: nothing is computed", values)
        verdict = seen.verdict
        if verdict.level is Level.ERROR:
            return Task(Level.ERROR, f"{verdict.message}: {sentence(self.causes())}", values)
        if hint := self._stamp_clock():
            return Task(Level.WARN, f"{verdict.message}; {hint}", values)
        if self.clock_fault():
            return Task(Level.WARN, f"{verdict.message}; {self.clock_fault()}", values)
        return Task(verdict.level, verdict.message, values)

    def road(self) -> Road:
        """What is known of the road; nothing where the model does not ask for it."""
        equipment = self._pipeline.equipment
        return equipment.calibration.road() if equipment.engine.info.takes_ground else Road(None)

    def clock_fault(self) -> str:
        """What to say where simulated time is asked for and nobody gives it."""
        if not self._node.get_parameter("use_sim_time").value or self._node.get_clock().now().nanoseconds:
            return ""
        return "use_sim_time is set but nothing comes on /clock: start the simulation or bag with --clock"

    def _stamp_clock(self) -> str:
        """What to say where the cameras' stamps are those of another kind of clock than this computer's."""
        newest = [max(camera.stamps_ns) for camera in self._seen.cameras.values() if camera.stamps_ns]
        now_ns = self._node.get_clock().now().nanoseconds
        if not newest or not now_ns:
            return ""
        offset_s = min((stamp_ns - now_ns for stamp_ns in newest), key=abs) / S
        hint = clock_hint(offset_s)
        # A recording that is played has old stamps, but none from before there were such cameras.
        if not hint or (abs(offset_s) > _DAY_S and max(newest) > _EARLIEST_NS):
            return ""
        return f"stamps are {offset_s:+.1f} s from this computer's clock: {hint}"

    def _why_no_set(self) -> str:
        """How sets are built, and how far apart the stamps are."""
        stamps = {name: camera.stamps_ns for name, camera in self._seen.cameras.items()}
        skews = nearest_skews_s(stamps, self._pipeline.settings.reference)
        seen = ", ".join(f"{spectrum} {1e3 * skew_s:+.0f} ms" for spectrum, skew_s in skews.items()) or "none"
        settings = self._pipeline.settings
        advice = f"nearest stamps differ by: {seen}"
        hints = [hint for skew_s in skews.values() if (hint := clock_hint(skew_s))]
        if hints:
            advice += f"; {hints[0]}"
        elif any(abs(skew_s) > settings.sync_tolerance_s for skew_s in skews.values()):
            advice += f"; synchronise the cameras, or raise sync.tolerance_s ({settings.sync_tolerance_s:g} s)"
        if settings.sync_policy != "spectral":
            advice += f"; sync.policy {settings.sync_policy} needs images of all cameras, spectral does not"
        return advice
