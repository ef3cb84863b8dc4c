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

from msdepth_ros.core.behaviour import Refused, depth_stamp_ns, look, publishable, select
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.core.settings import Settings
from msdepth_ros.core.sync.synchronizer import FrameSet
from msdepth_ros.ros.node.calibration import Calibration
from msdepth_ros.ros.node.inference_thread import NewestItemWorker
from msdepth_ros.ros.node.inputs import CameraInput, Frame
from msdepth_ros.ros.node.publishers import Outputs
from msdepth_ros.ros.node.statistics import Statistics
from msdepth_ros.ros.node.sync_policy import make_matcher, reconfigure

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

    Attributes:
        enabled: whether sets are computed.
        equipment: what is worked with; the model may be exchanged.
        matcher: builds the sets.
        inputs: the cameras.
    """

    def __init__(self, node: LifecycleNode, equipment: Equipment, settings: Callable[[], Settings]) -> None:
        self._node, self.equipment, self._settings = node, equipment, settings
        self._logged_s: dict[str, float] = {}
        self._closed: set[str] = set()
        self.enabled = True
        fixed = settings()
        equipment.statistics.set_limits(fixed.health)
        equipment.statistics.restart_health()
        self.matcher = make_matcher(fixed)
        self._worker = NewestItemWorker[FrameSet](self._process, on_drop=self._dropped, on_error=self._failed)
        # Deadlines are about how long people wait, whatever the simulation's clock does.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0, self.guard(self._on_deadline), clock=steady)
        self._timer.cancel()
        ask = self.guard(self._look_for_latched_info)
        self._latched_timer = node.create_timer(_LATCHED_EVERY_S, ask, clock=steady)
        self.inputs: list[CameraInput] = []
        try:
            self._subscribe(fixed)
        except Exception:  # a QoS override that makes no sense
            self.close()
            raise

    def _subscribe(self, settings: Settings) -> None:
        for spectrum in settings.spectra:
            camera = CameraInput(
                self._node, spectrum, image_transport=settings.image_transports[spectrum], settings=settings,
                calibration=self.equipment.calibration, sink=self,
            )  # fmt: skip
            self.inputs.append(camera)
            shared = [one.spectrum for one in self.inputs if one.image_topic == camera.image_topic]
            if len(shared) > 1:
                raise MsdepthError(f"{camera.image_topic} is that of {' and '.join(shared)}; one topic is one camera's")

    def reconfigure(self, settings: Settings) -> None:
        """Takes changed live settings where they are kept; the others are read when they are needed."""
        self.matcher = reconfigure(self.matcher, settings)
        self.equipment.statistics.set_limits(settings.health)
        self._on_deadline()  # a shorter deadline may have passed, or come before the timer

    @property
    def settings(self) -> Settings:
        """The present settings."""
        return self._settings()

    @property
    def busy_s(self) -> float:
        """For how long the network has worked on one set, seconds."""
        return self._worker.busy_s

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

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        """See `FrameSink`. An exception that left a callback would end the executor, and the node with it."""

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

    def accept(self, spectrum: str, frame: Frame) -> None:
        """See `FrameSink`."""
        seen = look(spectrum, frame.image, frame.stamp_ns, self._settings(), frame.encoding)
        frame = frame._replace(faults=self.equipment.statistics.accepted(spectrum, seen))
        self._tell_shutter(spectrum, Fault.SHUTTER in frame.faults)
        self._submit(self.matcher.add(spectrum, seen.stamp_ns, frame, time.monotonic_ns()))

    def _tell_shutter(self, spectrum: str, closed: bool) -> None:
        """Logs the beginning of a shutter calibration, which is nothing to worry about."""
        if closed and spectrum not in self._closed:
            self._node.get_logger().info(f"shutter calibration of the {spectrum} camera: its images are left out")
        (self._closed.add if closed else self._closed.discard)(spectrum)

    def _on_deadline(self) -> None:
        self._submit(self.matcher.poll(time.monotonic_ns()))

    def _submit(self, ready: Sequence[FrameSet]) -> None:
        """Hands sets to the inference thread, and sets the timer to the next deadline."""
        for frame_set in ready:
            self.equipment.statistics.note("formed")
            self._worker.submit(frame_set)
        deadline_ns = self.matcher.next_deadline_ns()
        if deadline_ns is None:
            self._timer.cancel()
            return
        self._timer.timer_period_ns = max(_SOONEST_NS, deadline_ns - time.monotonic_ns())
        self._timer.reset()

    def _dropped(self, _: FrameSet, idle: bool) -> None:
        """Counts a set that a newer one replaced; that there was time for it is worth knowing."""
        self.equipment.statistics.note("dropped")
        if idle:
            self.equipment.statistics.note("dropped_while_idle")

    def _process(self, frame_set: FrameSet) -> None:
        """Computes and publishes one set, in the inference thread."""
        equipment, settings = self.equipment, self._settings()
        statistics = equipment.statistics
        if not self.enabled or not equipment.outputs.subscribers():
            statistics.note("skipped")
            return
        frames = self._usable(frame_set, settings)
        if not frames:
            return
        info = equipment.engine.info
        views, uncalibrated = equipment.calibration.views(frames, info.width, info.height)
        for spectrum, reason in uncalibrated.items():
            self.reject(spectrum, f"{spectrum}/image", Refused(reason, Fault.CALIBRATION))
        frames = {spectrum: frame for spectrum, frame in frames.items() if spectrum in views.maps}
        if not frames:
            raise MsdepthError(f"no camera of the set {frame_set.spectra} is calibrated")
        images = {spectrum: frame.image.pixels for spectrum, frame in frames.items()}
        result = equipment.engine.estimate(images, views, bits=settings.bits)
        if self._worker.stopping:
            return
        stamps_ns = {spectrum: item.item.stamp_ns for spectrum, item in frame_set.items.items()}
        stamp_ns = depth_stamp_ns(frame_set.stamp_ns, stamps_ns, settings.reference)
        frame_id = equipment.calibration.output_frame
        equipment.outputs.publish(
            publishable(result, stamp_ns=stamp_ns, frame_id=frame_id, settings=settings, model_max_m=info.max_m)
        )
        newest_ns = max(frame.stamp_ns for frame in frames.values())
        statistics.published(frames, inference_ms=result.inference_ms, latency_ms=self._since_ms(newest_ns))

    def _usable(self, frame_set: FrameSet, settings: Settings) -> dict[str, Frame]:
        """The images of a set that show something; if there are none, that is counted and said."""
        frames: dict[str, Frame] = {spectrum: item.item for spectrum, item in frame_set.items.items()}
        selection = select({spectrum: frame.faults for spectrum, frame in frames.items()}, settings)
        self.equipment.statistics.left_out(selection.left_out)
        if selection.failure:
            self.equipment.statistics.unusable(selection.failure)
        return {spectrum: frames[spectrum] for spectrum in selection.used}

    def _since_ms(self, stamp_ns: int) -> float | None:
        """How long ago a stamp was; None while simulated time has not begun."""
        now_ns = self._node.get_clock().now().nanoseconds
        return (now_ns - stamp_ns) * 1e-6 if now_ns else None

    def reject(self, spectrum: str, topic: str, refused: Refused) -> None:
        """See `FrameSink`. Counts a message that is dropped; the log tells of each topic only now and then."""
        text = f"{topic}: {refused.reason}"
        self.equipment.statistics.rejected(spectrum, text, refused.fault)
        now_s = time.monotonic()
        if now_s - self._logged_s.get(topic, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_s[topic] = now_s
            self._node.get_logger().warning(f"dropped a message on {text}")

    def _failed(self, error: Exception) -> None:
        """Reports what a callback or the inference raised; publishing into a closed context is no error."""
        if not self._node.context.ok():
            return
        if isinstance(error, MsdepthError):
            self.equipment.statistics.failed(str(error))
            self._node.get_logger().warning(str(error), throttle_duration_sec=_LOG_EVERY_S)
            return
        self.equipment.statistics.failed(f"{type(error).__name__}: {error}")
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._node.get_logger().error(trace, throttle_duration_sec=_LOG_EVERY_S)
