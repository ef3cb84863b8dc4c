"""What the node does with images, sets and results: each rule once, pure.

The running node, `msdepth evaluate` and `--write-bag` all call these functions, in this order: `read_image` and `look`
for each message, `select` for each set that the synchronizer made, `publishable` for what the network gave. Time and
state come in as arguments; what a picture's faults are is judged by `core.health`, which sets there are by `core.sync`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.camera.images import FULL_BITS, CameraImage, camera_image, image_size
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.cameras import Seen, leave_out, nothing_usable
from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.health.image import measure
from msdepth_ros.core.settings import S, Settings
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.visualize import colourise

if TYPE_CHECKING:
    from msdepth_ros.core.model.engine import DepthResult

_SMALLEST_M = 1e-6
_NEAREST_COLOUR_M = 0.1
DEPTH, CONFIDENCE, COLOUR = "depth/image", "depth/confidence", "depth/image_color"
OUTPUT_IMAGES = (DEPTH, CONFIDENCE, COLOUR, *(f"confidence/{spectrum}" for spectrum in SPECTRA))
"""Topics below the node's name that carry images."""
OUTPUT_INFO = "depth/camera_info"


class Refused(NamedTuple):
    """A message that is not used.

    Attributes:
        reason: For people: what is wrong and what to do.
        fault: REJECTED where the message itself is wrong, CALIBRATION where it does not fit its calibration.
    """

    reason: str
    fault: Fault


def read_image(
    spectrum: str, message: Any, camera: CameraModel, *, settings: Settings, calibration: str, advice: str
) -> CameraImage | Refused:
    """Decodes a message, if it is an image of this camera.

    Args:
        spectrum: Of the camera.
        message: A sensor_msgs/Image or sensor_msgs/CompressedImage, of a ROS distribution or of a bag reader.
        camera: The calibration that the image must fit.
        settings: Of the node.
        calibration: Where that comes from, for the reason of a refusal.
        advice: What to do if it does not fit.

    Returns:
        The image as the network takes it.
    """
    size = (camera.width, camera.height)
    try:
        # A compressed image of a few kilobytes can claim to be huge: it is not decoded to find out.
        claimed = image_size(message)
        if claimed is None or claimed == size:
            image = camera_image(spectrum, message, bits=settings.bits.get(spectrum, FULL_BITS))
            claimed = (image.pixels.shape[1], image.pixels.shape[0])
    except MsdepthError as error:
        return Refused(str(error), Fault.REJECTED)
    if claimed != size:
        text = f"image is {claimed[0]} x {claimed[1]}, {calibration} is for {size[0]} x {size[1]}; {advice}"
        return Refused(text, Fault.CALIBRATION)
    return image


def aligned_ns(spectrum: str, stamp_ns: int, settings: Settings) -> int:
    """The stamp by which an image is matched: that of its header, `sync.offset_s.<spectrum>` added."""
    return stamp_ns + round(settings.sync_offset_s[spectrum] * S)


def look(spectrum: str, image: CameraImage, stamp_ns: int, settings: Settings, encoding: str = "") -> Seen:
    """Looks at an image that `read_image` gave.

    Args:
        spectrum: Of the camera.
        image: Of the camera.
        stamp_ns: Of its header.
        settings: Of the node.
        encoding: As the driver named it.
    """
    facts = measure(image.pixels, bits=settings.bits.get(spectrum))._replace(peak=image.peak)
    form = f"{image.pixels.shape[1]} x {image.pixels.shape[0]} {encoding}"
    return Seen(aligned_ns(spectrum, stamp_ns, settings), facts, form)


class Selection(NamedTuple):
    """Which images of a set go into the network.

    Attributes:
        used: The spectra.
        left_out: The fault of each image that is not used, by spectrum.
        failure: Why no image is used; empty if there is one.
    """

    used: tuple[str, ...]
    left_out: Mapping[str, str]
    failure: str


def select(faults: Mapping[str, frozenset[Fault]], settings: Settings) -> Selection:
    """Decides which images of a set are used.

    Args:
        faults: Of every image of the set, by spectrum; empty for a sound one.
        settings: Of the node.
    """
    left_out = leave_out(faults) if settings.health.leave_out else {}
    used = tuple(spectrum for spectrum in faults if spectrum not in left_out)
    return Selection(used, left_out, "" if used else nothing_usable(left_out))


def depth_stamp_ns(set_stamp_ns: int, stamps_ns: Mapping[str, int], reference: str) -> int:
    """The stamp of the depth of a set: that of the reference's own image, used or not; without one, the set's.

    Args:
        set_stamp_ns: Of the set, aligned.
        stamps_ns: Of the header of each image in it, by spectrum.
        reference: Spectrum of the output frame.
    """
    return stamps_ns.get(reference, set_stamp_ns)


def output_frame(frames: Mapping[str, str], reference: str) -> str:
    """Frame id of everything published: the reference camera's, or `<reference>_optical_frame` until it is known."""
    return frames.get(reference) or f"{reference}_optical_frame"


@dataclass(frozen=True, eq=False)
class Published:
    """What goes out for one set.

    Attributes:
        stamp_ns: Of every message.
        frame_id: Of every message.
        depth_m: float32 [H,W], metres along z, by the rules of `published_depth_m`.
        result: Of the network.
        min_m: Nearer is not measured, metres.
        max_m: From here on is beyond range, metres.
    """

    stamp_ns: int
    frame_id: str
    depth_m: NDArray[np.float32]
    result: DepthResult
    min_m: float
    max_m: float

    def image(self, topic: str) -> tuple[NDArray[Any], str]:
        """Pixels and encoding of one of OUTPUT_IMAGES: [H,W] float32, or [H,W,3] uint8 in colour."""
        if topic == DEPTH:
            return self.depth_m, "32FC1"
        if topic == COLOUR:
            return colourise(self.depth_m, max(self.min_m, _NEAREST_COLOUR_M), self.max_m), "rgb8"
        values = self.result.confidence
        if topic != CONFIDENCE:
            values = self.result.view_confidence.get(topic.rpartition("/")[2], np.zeros_like(self.depth_m))
        # What is not a number is no confidence.
        return np.fmin(np.fmax(values, np.float32(0.0)), np.float32(1.0)), "32FC1"


def publishable(
    result: DepthResult, *, stamp_ns: int, frame_id: str, settings: Settings, model_max_m: float
) -> Published:
    """What the node publishes of a result.

    Args:
        result: Of the network.
        stamp_ns: Of `depth_stamp_ns`.
        frame_id: Of `output_frame`.
        settings: Of the node.
        model_max_m: Where the network's depth ends, metres: there, too, is beyond range.
    """
    min_m, max_m = settings.depth_min_m, min(settings.depth_max_m, model_max_m)
    depth_m = published_depth_m(result, min_m=min_m, max_m=max_m, min_confidence=settings.output_min_confidence)
    return Published(stamp_ns, frame_id, depth_m, result, min_m, max_m)


def published_depth_m(result: DepthResult, *, min_m: float, max_m: float, min_confidence: float) -> NDArray[np.float32]:
    """Depth by the rules of REP 117 and REP 118.

    Args:
        result: Of the network.
        min_m: Nearer is not measured, metres.
        max_m: From here on is beyond range, metres.
        min_confidence: Lower is unknown, 0 to 1.

    Returns:
        float32 [H,W], metres along z: +Inf beyond range; NaN where unknown or nearer than `min_m`; never 0.
    """
    depth_m = np.where(result.depth_m >= max_m, np.float32(np.inf), result.depth_m)
    # Asked the other way round, so that NaN is unknown, too.
    np.putmask(depth_m, ~(depth_m >= max(min_m, _SMALLEST_M)), np.nan)
    if min_confidence > 0.0:
        np.putmask(depth_m, ~(result.confidence >= min_confidence), np.nan)
    return depth_m
