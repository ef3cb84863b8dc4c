"""Camera models from sensor_msgs/CameraInfo, read by attribute: messages of ROS 2 and of a bag reader serve alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from msdepth_ros.core.camera.model import CameraModel


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
