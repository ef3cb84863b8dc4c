"""Camera models from sensor_msgs/CameraInfo, read by attribute: messages of ROS 2 and of a bag reader serve alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.errors import MsdepthError


def camera_model_from_info(label: str, message: Any) -> CameraModel:
    """Builds a camera model from a CameraInfo of raw images, binning and region of interest included.

    Args:
        label: Name of the camera, usually its spectrum.
        message: A sensor_msgs/CameraInfo.

    Raises:
        MsdepthError: Intrinsics that are zero or not finite, an unknown distortion model, an empty size.
    """
    roi = message.roi
    window = (int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height))
    return CameraModel.from_camera_info_fields(
        label,
        int(message.width),
        int(message.height),
        np.asarray(message.k, np.float64).reshape(3, 3),
        tuple(message.d),
        message.distortion_model,
        binning_x=int(message.binning_x),
        binning_y=int(message.binning_y),
        roi=window if window[2] and window[3] else None,
    )


class InfoChoice:
    """Which camera_info counts: the first that is usable and fits the images; the node takes newer ones in its place.

    One that cannot be used, such as the K of zeros that drivers send before they are ready, condemns nothing but
    itself.

    Args:
        label: Of the camera.

    Attributes:
        first: By the first usable one; None before it.
        problem: Why the first one that is not usable is not; empty if all are.
    """

    def __init__(self, label: str) -> None:
        """Nothing has come yet."""
        self._label = label
        self.first: CameraModel | None = None
        self.problem = ""
        self._by_size: dict[tuple[int, int], CameraModel] = {}

    def offer(self, message: Any) -> CameraModel:
        """Takes a sensor_msgs/CameraInfo.

        Raises:
            MsdepthError: It cannot be used.
        """
        try:
            camera = camera_model_from_info(self._label, message)
        except MsdepthError as error:
            self.problem = self.problem or str(error)
            raise
        self.first = self.first or camera
        self._by_size[camera.width, camera.height] = camera
        return camera

    def fitting(self, size: tuple[int, int] | None) -> CameraModel | None:
        """The newest usable one for images of a size [px]; the first usable one where no size is known."""
        return self.first if size is None else self._by_size.get(size)

    def notes(self, size: tuple[int, int] | None) -> Iterator[str]:
        """What is worth telling of the camera_info of images of a size."""
        camera = self.fitting(size)
        if self.problem and camera is not None:
            yield f"a camera_info cannot be used, the first that can is taken: {self.problem}"
        if camera is not None and self.first is not camera:
            other = next(iter(self._by_size))
            yield f"the camera_info for {other[0]} x {other[1]} does not fit the images, one that fits is taken"
        if camera is not None and camera.skew_px:
            yield f"K has a skew of {camera.skew_px:g} px, which is used"
