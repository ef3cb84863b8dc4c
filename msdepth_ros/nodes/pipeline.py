"""From camera messages to published depth, while the node is active: inputs, matching, inference thread, outputs."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from msdepth_ros.core.engine import DepthEngine
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.output import published_depth_m
from msdepth_ros.core.settings import Settings
from msdepth_ros.core.synchronizer import FrameSet
from msdepth_ros.nodes.calibration import Calibration
from msdepth_ros.nodes.filters import make_matcher
from msdepth_ros.nodes.inputs import CameraInput, Frame
from msdepth_ros.nodes.messages import header_at
from msdepth_ros.nodes.publishers import Outputs
from msdepth_ros.nodes.statistics import Statistics
from msdepth_ros.nodes.worker import NewestItemWorker

_SOONEST_NS = 100_000
_LATCHED_EVERY_S = 0.3
_LOG_EVERY_S = 5.0


@dataclass(frozen=True)
class Equipment:
    """What configuring made and activating uses."""

    engine: DepthEngine
    calibration: Calibration
    outputs: Outputs
    statistics: Statistics


class Pipeline:
    """Everything that runs between activate and deactivate. Callbacks run in the executor, inference in a thread.

    Args:
        node: to subscribe with.
        equipment: made by configure.
        settings: called for the present settings, some of which change while the node runs.
    """

    def __init__(self, node: LifecycleNode, equipment: Equipment, settings: Callable[[], Settings]) -> None:
        self._node, self._equipment, self._settings = node, equipment, settings
        self._logged_s: dict[str, float] = {}
        equipment.statistics.restart_health()
        fixed = settings()
        self.matcher = make_matcher(fixed)
        self._worker = NewestItemWorker[FrameSet](
            self._process, on_drop=lambda _: equipment.statistics.dropped(), on_error=self._failed
        )
        # Deadlines are about how long people wait, whatever the simulation's clock does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0, self._guard(self._on_deadline), clock=steady)
        self._timer.cancel()
        look = self._guard(self._look_for_latched_info)
        self._latched_timer = node.create_timer(_LATCHED_EVERY_S, look, clock=steady)
        self.inputs: list[CameraInput] = []
        try:
            self._subscribe(fixed)
        except Exception:  # a QoS override that makes no sense
            self.close()
            raise

    def _subscribe(self, settings: Settings) -> None:
        for spectrum in settings.spectra:
            camera = CameraInput(
                self._node, spectrum, image_transport=settings.image_transport,
                calibration=self._equipment.calibration, deliver=self._on_frame,
                reject=functools.partial(self._reject, spectrum), guard=self._guard,
            )  # fmt: skip
            self.inputs.append(camera)

    def close(self) -> bool:
        """Stops everything.

        Returns:
            Whether the inference thread ended.
        """
        for camera in self.inputs:
            camera.destroy()
        for timer in (self._timer, self._latched_timer):
            self._node.destroy_timer(timer)
        return self._worker.stop()

    def _guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        """An exception that left a callback would end the executor, and the node with it."""

        @functools.wraps(callback)
        def guarded(*args: Any) -> None:  # noqa: ANN401
            try:
                callback(*args)
            except Exception as error:  # noqa: BLE001
                self._failed(error)

        return guarded

    def _look_for_latched_info(self) -> None:
        done = [camera.look_for_latched_info() for camera in self.inputs]
        if all(done):
            self._latched_timer.cancel()

    def _on_frame(self, spectrum: str, frame: Frame) -> None:
        self._equipment.statistics.accepted(spectrum)
        self._submit(self.matcher.add(spectrum, frame.stamp_ns, frame, time.monotonic_ns()))

    def _on_deadline(self) -> None:
        self._submit(self.matcher.poll(time.monotonic_ns()))

    def _submit(self, ready: Sequence[FrameSet]) -> None:
        """Hands sets to the inference thread, and sets the timer to the next deadline."""
        for frame_set in ready:
            self._worker.submit(frame_set)
        deadline_ns = self.matcher.next_deadline_ns()
        if deadline_ns is None:
            self._timer.cancel()
            return
        self._timer.timer_period_ns = max(_SOONEST_NS, deadline_ns - time.monotonic_ns())
        self._timer.reset()

    def _process(self, frame_set: FrameSet) -> None:
        """Computes and publishes one set, in the inference thread."""
        engine, calibration = self._equipment.engine, self._equipment.calibration
        outputs, statistics = self._equipment.outputs, self._equipment.statistics
        if not outputs.subscribers():
            statistics.skipped()
            return
        settings = self._settings()
        views, uncalibrated = calibration.views(frame_set.spectra)
        for spectrum, reason in uncalibrated.items():
            self._reject(spectrum, f"{spectrum}/image", reason)
        frames: dict[str, Frame] = {
            spectrum: frame_set.items[spectrum].item for spectrum in frame_set.spectra if spectrum in views.maps
        }
        if not frames:
            raise MsdepthError(f"no camera of the set {frame_set.spectra} is calibrated")
        images = {spectrum: frame.image for spectrum, frame in frames.items()}
        result = engine.estimate(images, views, bits={"nir": settings.nir_bits})
        if self._worker.stopping:
            return
        reference = frame_set.items.get(settings.reference)
        stamp_ns = reference.item.stamp_ns if reference else frame_set.stamp_ns
        # the network's depth ends at its own range: there, too, is beyond
        limits = {"min_m": settings.depth_min_m, "max_m": min(settings.depth_max_m, engine.info.max_m)}
        depth_m = published_depth_m(result, min_confidence=settings.output_min_confidence, **limits)
        outputs.publish(header_at(stamp_ns, calibration.output_frame), result, depth_m, **limits)
        newest_ns = max(frame.stamp_ns for frame in frames.values())
        latency_ms = (self._node.get_clock().now().nanoseconds - newest_ns) * 1e-6
        statistics.published(frames, inference_ms=result.inference_ms, latency_ms=latency_ms)

    def _reject(self, spectrum: str, topic: str, reason: str) -> None:
        """Counts a message that is dropped; the log tells of each topic only now and then."""
        text = f"{topic}: {reason}"
        self._equipment.statistics.rejected(spectrum, text)
        now_s = time.monotonic()
        if now_s - self._logged_s.get(topic, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_s[topic] = now_s
            self._node.get_logger().warning(f"dropped a message on {text}")

    def _failed(self, error: Exception) -> None:
        """Reports what a callback or the inference raised; publishing into a closed context is no error."""
        if not self._node.context.ok():
            return
        if isinstance(error, MsdepthError):
            self._equipment.statistics.failed(str(error))
            self._node.get_logger().warning(str(error), throttle_duration_sec=_LOG_EVERY_S)
            return
        self._equipment.statistics.failed(f"{type(error).__name__}: {error}")
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._node.get_logger().error(trace, throttle_duration_sec=_LOG_EVERY_S)
