"""An MCAP recording of inputs and results together, on the original clock, for RViz or Foxglove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError

from msdepth_ros.bags.bag import CAMERA_INFO, IMAGE, Payload, ros2_typestore
from msdepth_ros.bags.calibration import TF_STATIC
from msdepth_ros.core.behaviour import OUTPUT_IMAGES, OUTPUT_INFO, output_frame
from msdepth_ros.core.camera.transforms import quaternion
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.evaluation.recordings import Recording
from msdepth_ros.evaluation.run.compute import Computed
from msdepth_ros.evaluation.run.local import SinkOpener

NODE = "/fused_depth"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
OUTPUTS = {f"{NODE}/{topic}": IMAGE for topic in OUTPUT_IMAGES} | {f"{NODE}/{OUTPUT_INFO}": CAMERA_INFO}
"""Topics of the results: named as the node names them."""
_NEVER = QosTime(0x7FFFFFFF, 0x7FFFFFFF)
_LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, _NEVER, _NEVER,
    QosLiveliness.AUTOMATIC, _NEVER, avoid_ros_namespace_conventions=False,
)  # fmt: skip


def bag_sink(folder: Path, options: EvaluateOptions) -> SinkOpener:
    """What opens a recording for each that is evaluated: `folder`/NAME.

    Args:
        folder: Must not hold recordings of these names yet.
        options: What is evaluated.
    """

    def open_one(recording: Recording, plan: BagPlan, stack: ExitStack) -> ResultBag:
        variant = plan.plans[0].variant
        return stack.enter_context(ResultBag(_place(folder, plan.name), recording, variant, options))

    return open_one


def require_room(folder: Path, names: Iterable[str]) -> None:
    """Says before anything is computed that recordings would be overwritten.

    Args:
        folder: As for `bag_sink`.
        names: Of the recordings that are evaluated.

    Raises:
        MsdepthError: There is something of such a name already.
    """
    for path in (_place(folder, name) for name in names):
        if path.exists():
            raise MsdepthError(f"--write-bag: {path} exists already; remove it, or name another --out")


def _place(folder: Path, name: str) -> Path:
    """Where the results of a recording go."""
    return folder / name.replace("/", "_")


class ResultBag:
    """Writes one recording; use it as a context.

    Args:
        path: Its folder.
        recording: That is evaluated.
        variant: Whose results are written.
        options: What is evaluated.

    Raises:
        MsdepthError: There is something in the folder already, or it cannot be written.
    """

    def __init__(self, path: Path, recording: Recording, variant: str, options: EvaluateOptions) -> None:
        """Nothing is opened yet."""
        self._path, self._recording, self._variant, self._options = path, recording, variant, options
        self._stack = ExitStack()
        self._types = ros2_typestore()
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> ResultBag:
        """Open the file."""
        require_room(self._path.parent, [self._path.name])
        with ExitStack() as stack:
            self._writer = Writer(self._path, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            try:
                stack.enter_context(self._writer)
            except (OSError, WriterError) as error:
                raise MsdepthError(f"--write-bag: {self._path} cannot be written: {error}") from error
            self._inputs = self._open_inputs()
            self._next = next(self._inputs, None)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *of_error: object) -> None:
        """Copy the rest of the inputs and close."""
        with self._stack:
            if of_error[0] is None:
                self._copy_until(None)

    def take(self, computed: Computed) -> None:
        """Writes what the node would have published for a set; sets of other variants are left out."""
        planned = computed.planned
        if planned.variant != self._variant:
            return
        log_ns = max(ref.log_ns for ref in planned.used.values()) + round(planned.wait_ms * 1e6)
        self._copy_until(log_ns)
        published = computed.published
        header = self._header(published.stamp_ns, published.frame_id)
        for topic in OUTPUT_IMAGES:
            self._write(f"{NODE}/{topic}", log_ns, self._image(header, *published.image(topic)))
        info = self._camera_info(header, published.depth_m.shape, published.result.intrinsics)
        self._write(f"{NODE}/{OUTPUT_INFO}", log_ns, info)

    def _open_inputs(self) -> Iterator[Payload]:
        """Declares all topics; returns the messages to copy."""
        bag, sources = self._recording.bag, self._recording.sources
        used = [topic for camera in sources.cameras.values() for topic in camera if topic]
        used += [topic for topic in sources.truth or () if topic]
        used += [TF_STATIC] if TF_STATIC in bag.topics else []
        kinds = {topic: bag.topics[topic].msgtype for topic in used} | OUTPUTS | {TF_STATIC: TF_MESSAGE}
        for topic, kind in kinds.items():
            qos = (_LATCHED,) if topic == TF_STATIC else ()
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._types, offered_qos_profiles=qos
            )
        if TF_STATIC not in used:
            self._write_transforms()
        begin_ns, end_ns = self._recording.window_ns
        return bag.payloads(used, start_ns=begin_ns, stop_ns=end_ns)

    def _write_transforms(self) -> None:
        """Publishes the poses of a rig file, which the recording lacks."""
        start_ns, calibration = self._recording.bag.start_ns, self._recording.calibration
        reference = self._options.settings.reference
        parent = output_frame(calibration.frames, reference)
        transforms = []
        for label, frame in calibration.frames.items():
            if label == reference or not frame:
                continue
            pose = calibration.rig.view_from_reference(reference, label)
            transforms.append(self._transform(self._header(start_ns, parent), frame, pose))
        self._write(TF_STATIC, start_ns, self._types.types[TF_MESSAGE](transforms=transforms))

    def _copy_until(self, log_ns: int | None) -> None:
        """Copies the inputs that were recorded up to a time, so that the file is in order."""
        while self._next is not None and (log_ns is None or self._next.log_ns <= log_ns):
            self._writer.write(self._connections[self._next.topic], self._next.log_ns, self._next.data)
            self._next = next(self._inputs, None)

    def _write(self, topic: str, log_ns: int, message: Any) -> None:
        """Writes one message."""
        kind = self._connections[topic].msgtype
        self._writer.write(self._connections[topic], log_ns, self._types.serialize_cdr(message, kind))

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        """A std_msgs/Header."""
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        time = self._types.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types.types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)

    def _image(self, header: Any, pixels: NDArray[Any], encoding: str) -> Any:
        """A sensor_msgs/Image."""
        pixels = np.ascontiguousarray(pixels)
        return self._types.types[IMAGE](
            header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0,
            step=pixels.strides[0], data=pixels.view(np.uint8).reshape(-1),
        )  # fmt: skip

    def _camera_info(self, header: Any, shape: tuple[int, ...], k: NDArray[Any]) -> Any:
        """The sensor_msgs/CameraInfo of an ideal camera."""
        region = self._types.types["sensor_msgs/msg/RegionOfInterest"]
        k = k.astype(np.float64)
        return self._types.types[CAMERA_INFO](
            header=header, height=shape[0], width=shape[1], distortion_model="plumb_bob", d=np.zeros(5), k=k.ravel(),
            r=np.eye(3).ravel(), p=np.insert(k, 3, 0, axis=1).ravel(), binning_x=0, binning_y=0,
            roi=region(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
        )  # fmt: skip

    def _transform(self, header: Any, child: str, pose: NDArray[np.float64]) -> Any:
        """A geometry_msgs/TransformStamped."""
        types = self._types.types
        x, y, z, w = quaternion(pose[:3, :3])
        transform = types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](*pose[:3, 3].tolist()),
            rotation=types["geometry_msgs/msg/Quaternion"](x, y, z, w),
        )
        return types["geometry_msgs/msg/TransformStamped"](header=header, child_frame_id=child, transform=transform)
