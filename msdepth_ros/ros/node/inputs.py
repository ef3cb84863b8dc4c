"""One camera's subscriptions: images and camera_info in, checked frames out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from msdepth_ros.core.behaviour import Refused, read_image
from msdepth_ros.core.camera.camera_info import InfoChoice
from msdepth_ros.core.camera.frames import camera_frame
from msdepth_ros.core.camera.images import CameraImage, image_size
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.cameras import SILENT_AFTER_NS
from msdepth_ros.core.health.findings import Fault, Finding, Level
from msdepth_ros.core.health.timing import stamp_problem
from msdepth_ros.core.settings import Settings
from msdepth_ros.ros.messages import stamp_to_ns
from msdepth_ros.ros.node.calibration import Calibration

_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def _sensor_data() -> QoSProfile:
    """What rclpy calls sensor data, made anew: QoS overrides write into the profile that they apply to."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class Frame(NamedTuple):
    """A checked image.

    Attributes:
        image: as the engine takes it for its spectrum, and its highest value.
        stamp_ns: as the driver stamped it, offsets not applied.
        encoding: as the driver named it.
        faults: what is wrong with the picture, once that is known.
    """

    image: CameraImage
    stamp_ns: int
    encoding: str = ""
    faults: frozenset[Fault] = frozenset()


class FrameSink(Protocol):
    """Takes what a camera gives; called in the executor."""

    def accept(self, spectrum: str, frame: Frame) -> None:
        """Takes a usable frame."""

    def reject(self, spectrum: str, topic: str, refused: Refused) -> None:
        """Is told of a message that is dropped, and whether the message itself or the calibration is at fault."""

    def guard(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wraps a callback so that no exception leaves it."""


class CameraInput:
    """Subscribes to one camera and hands on what is usable.

    An image that comes before the first camera_info waits for it; only the newest.

    Args:
        node: to subscribe with.
        spectrum: of the camera.
        image_transport: raw or compressed.
        settings: of the node.
        calibration: told of every new camera_info and frame id.
        sink: gets every frame, and hears of every message that is dropped.
    """

    def __init__(
        self,
        node: Node,
        spectrum: str,
        *,
        image_transport: str,
        settings: Settings,
        calibration: Calibration,
        sink: FrameSink,
    ) -> None:
        self._node, self.spectrum, self._settings = node, spectrum, settings
        self._calibration, self._sink = calibration, sink
        self._waiting: Image | CompressedImage | None = None
        self._infos = InfoChoice(spectrum)
        self._last_info: tuple[Any, ...] = ()
        self._changed_ns: int | None = None
        self._change = ""
        self._image_frame, self._info_frame = "", ""
        # As image_transport does: the compressed topic follows a remapping of the base topic.
        base = node.resolve_topic_name(f"{spectrum}/image")
        self._other = ("compressed", f"{base}/compressed") if image_transport == "raw" else ("raw", base)
        kind, self.image_topic = (Image, base) if image_transport == "raw" else (CompressedImage, f"{base}/compressed")
        self.info_topic = node.resolve_topic_name(f"{spectrum}/camera_info")
        on_image, self._on_info = sink.guard(self._on_image), sink.guard(self._on_camera_info)
        overrides = QoSOverridingOptions.with_default_policies()
        self._subscriptions = [
            node.create_subscription(kind, self.image_topic, on_image, _sensor_data(),
                                     qos_overriding_options=overrides),
            node.create_subscription(CameraInfo, self.info_topic, self._on_info, _sensor_data(),
                                     qos_overriding_options=overrides),
        ]  # fmt: skip

    def look_for_latched_info(self) -> bool:
        """Subscribes to a latched camera_info if there is one and none has arrived yet.

        It takes a subscription that is transient local, which publishers of streams do not match: asked for at once,
        every camera driver would warn of incompatible QoS.

        Returns:
            Whether there is nothing more to look for.
        """
        if self._last_info or len(self._subscriptions) > 2:
            return True
        publishers = self._node.get_publishers_info_by_topic(self.info_topic)
        if any(publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for publisher in publishers):
            latched = self._node.create_subscription(CameraInfo, self.info_topic, self._on_info, _LATCHED)
            self._subscriptions.append(latched)
        return False

    def destroy(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions, self._waiting = [], None

    def obstacle(self) -> Finding | None:
        """Why nothing can come, judged by who publishes: nobody, or nobody that offers what we ask for."""
        topics = [(self.image_topic, self._subscriptions[0])]
        if self._calibration.camera(self.spectrum) is None:
            topics.append((self.info_topic, self._subscriptions[1]))
        for topic, subscription in topics:
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                text = f"{topic} has no publisher; {self._advice(topic)}"
                return Finding(Fault.NO_PUBLISHER, Level.ERROR, text)
            checked = [qos_check_compatible(one.qos_profile, subscription.qos_profile) for one in publishers]
            if all(compatible == QoSCompatibility.ERROR for compatible, _ in checked):
                reason = checked[0][1].removeprefix("ERROR: ").rstrip("; ")
                text = f"{topic} has an incompatible QoS: {reason}; change the driver's, or set qos_overrides.{topic}"
                return Finding(Fault.QOS, Level.ERROR, text)
        return None

    def _advice(self, topic: str) -> str:
        """What to do about a topic that nobody publishes, by what is published in its place."""
        transport, other = self._other
        if topic == self.image_topic and self._node.get_publishers_info_by_topic(other):
            return f"{other} has one: set image_transport.{self.spectrum} to {transport}"
        return "start the driver, or remap the topic"

    def doubts(self) -> list[Finding]:
        """What is odd about this camera's calibration and frame, though its images are used."""
        found = []
        frame = camera_frame(self._image_frame, self._info_frame)
        if frame.doubt:
            found.append(Finding(Fault.FRAME, Level.WARN, frame.doubt))
        if self._changed_ns is not None and time.monotonic_ns() - self._changed_ns <= SILENT_AFTER_NS:
            publishers = self._node.get_publishers_info_by_topic(self.info_topic)
            names = ", ".join(sorted(f"{one.node_namespace.rstrip('/')}/{one.node_name}" for one in publishers))
            text = f"camera_info changes ({self._change}); {self.info_topic} is published by {names or 'nobody'}"
            found.append(Finding(Fault.CALIBRATION, Level.WARN, f"{text}: one calibration is right, stop the others"))
        return found

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._info_frame = message.header.frame_id or self._info_frame
        self._tell_frame()
        fields = _calibration_fields(message)
        if fields == self._last_info:
            return
        try:
            camera = self._infos.offer(message)
            self._calibration.set_camera(self.spectrum, camera)
        except MsdepthError as error:
            self._sink.reject(self.spectrum, self.info_topic, Refused(str(error), Fault.CALIBRATION))
            return
        self._note_change(fields)
        self._last_info = fields
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._on_image(waiting)

    def _note_change(self, fields: tuple[Any, ...]) -> None:
        """Remembers that the calibration is another one than before, and what is different."""
        if self._last_info:
            pairs = zip(_FIELD_NAMES, self._last_info, fields, strict=True)
            self._change = ", ".join(dict.fromkeys(name for name, before, now in pairs if before != now))
            self._changed_ns = time.monotonic_ns()

    def _tell_frame(self) -> None:
        """The frame that the images name counts, that of camera_info until one has come."""
        self._calibration.set_frame(self.spectrum, camera_frame(self._image_frame, self._info_frame).frame_id)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._image_frame = message.header.frame_id or self._image_frame
        self._tell_frame()
        if problem := stamp_problem(stamp_to_ns(message.header.stamp)):
            self._sink.reject(self.spectrum, self.image_topic, Refused(problem, Fault.UNSTAMPED))
            return
        # A compressed image of a few kilobytes can claim to be huge: it is not decoded to find out.
        claimed = image_size(message)
        camera = self._camera_for(claimed)
        if camera is None:
            if self._waiting is not None:
                text = f"no usable camera_info on {self.info_topic} yet; publish it"
                self._sink.reject(self.spectrum, self.image_topic, Refused(text, Fault.CALIBRATION))
            self._waiting = message
            return
        where = f"its camera_info on {self.info_topic}"
        image = read_image(
            self.spectrum, message, camera, settings=self._settings, calibration=where,
            advice="publish the one that fits",
        )  # fmt: skip
        if isinstance(image, Refused):
            self._sink.reject(self.spectrum, self.image_topic, image)
            return
        encoding = message.encoding if isinstance(message, Image) else message.format
        self._sink.accept(self.spectrum, Frame(image, stamp_to_ns(message.header.stamp), encoding))

    def _camera_for(self, size: tuple[int, int] | None) -> CameraModel | None:
        """The calibration for images of a size: the one in force, or the newest camera_info that fits better."""
        camera = self._calibration.camera(self.spectrum)
        fitting = None if size is None else self._infos.fitting(size)
        if camera is None or fitting is None or (camera.width, camera.height) == size:
            return camera
        try:
            self._calibration.set_camera(self.spectrum, fitting)
        except MsdepthError:  # the rig file is for another size, which the caller will say
            return camera
        return fitting


_FIELD_NAMES = ("width", "height", "distortion_model", "D", "K", "binning_x", "binning_y", *["roi"] * 4)
"""Names of what `_calibration_fields` returns."""


def _calibration_fields(message: CameraInfo) -> tuple[Any, ...]:
    """What of a camera_info tells the geometry; not-a-number compares equal to itself here."""
    roi = message.roi
    return (
        message.width, message.height, message.distortion_model, np.asarray(message.d, np.float64).tobytes(),
        np.asarray(message.k, np.float64).tobytes(), message.binning_x, message.binning_y,
        roi.x_offset, roi.y_offset, roi.width, roi.height,
    )  # fmt: skip
