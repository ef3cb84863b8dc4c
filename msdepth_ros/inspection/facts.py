"""What a survey finds out about a recording: facts of topics, cameras and the stamps between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.topics import CameraTopics

_EDGE_PERIODS = 2.5
_GAP_PERIODS = 2.5


@dataclass(frozen=True)
class TopicFacts:
    """One topic.

    Attributes:
        topic: Its name.
        msgtype: Its type.
        count: Messages.
        rate_hz: Messages by the length of the recording; None for fewer than two messages.
        median_hz: By the median interval: of a camera without the images that are missing; None where that is 0.
        gaps: Intervals longer than 2.5 times the median.
        longest_s: The longest interval.
        content: Encoding and size of images, by the first one; empty for other types.
    """

    topic: str
    msgtype: str
    count: int
    rate_hz: float | None
    median_hz: float | None
    gaps: int
    longest_s: float
    content: str


@dataclass(frozen=True)
class CameraFacts:
    """One camera, or the ground truth.

    Attributes:
        name: The spectrum, or `ground_truth`.
        topic: Of the images.
        info: Of the camera_info; empty for none.
        late_start_s: From the start of the recording to the first image.
        early_end_s: From the last image to the end of the recording.
        duplicates: Stamps that repeat an earlier one.
        backwards: Stamps older than the one before.
        delay_ms: Median time from the stamp to the recording; None without images.
        period_s: Median interval; None for fewer than two images.
    """

    name: str
    topic: str
    info: str
    late_start_s: float
    early_end_s: float
    duplicates: int
    backwards: int
    delay_ms: float | None
    period_s: float | None

    @property
    def starts_late(self) -> bool:
        """Whether images are missing at the start."""
        return self.period_s is not None and self.late_start_s > _EDGE_PERIODS * self.period_s

    @property
    def ends_early(self) -> bool:
        """Whether images are missing at the end."""
        return self.period_s is not None and self.early_end_s > _EDGE_PERIODS * self.period_s


class Skew(NamedTuple):
    """How far apart two cameras' stamps are: from each image of the one to the nearest of the other.

    Attributes:
        first: A camera.
        second: Another.
        median_ms: Signed; positive where the second is later.
        p95_ms: Of the size.
        largest_ms: Of the size.
    """

    first: str
    second: str
    median_ms: float
    p95_ms: float
    largest_ms: float


@dataclass
class Survey:
    """Everything about one recording.

    Attributes:
        path: Where it is.
        start_ns: When the recording began.
        duration_ns: How long it is.
        topics: All of them.
        remarks: What reading it told.
        cameras: What `evaluate` would use.
        skews: Between the cameras.
        calibration: Where the poses come from; empty where it is not usable, None where no camera is known.
        intrinsics: The cameras that have camera_info.
        ground: Where the road is and whether the model uses that; empty where calibration or model is not usable.
        sets: How many sets of which cameras the synchronizer makes.
        problems: Why `evaluate` will not work; empty if it will.
        notes: What will work less well than it might.
    """

    path: Path
    start_ns: int
    duration_ns: int
    topics: list[TopicFacts]
    remarks: tuple[str, ...]
    cameras: list[CameraFacts] = field(default_factory=list)
    skews: list[Skew] = field(default_factory=list)
    calibration: str | None = None
    intrinsics: list[str] = field(default_factory=list)
    ground: str = ""
    sets: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def topic_facts(
    topic: str, msgtype: str, times_ns: NDArray[np.int64], duration_ns: int, content: str = ""
) -> TopicFacts:
    """Facts by the times.

    Args:
        topic: Its name.
        msgtype: Its type.
        times_ns: When its messages were recorded [N], rising.
        duration_ns: Length of the recording.
        content: Encoding and size of its images.
    """
    steps_s = np.diff(times_ns) * 1e-9
    median_s = float(np.median(steps_s)) if len(steps_s) else 0.0
    return TopicFacts(
        topic,
        msgtype,
        len(times_ns),
        len(times_ns) / (duration_ns * 1e-9) if len(steps_s) and duration_ns > 0 else None,
        1 / median_s if median_s > 0 else None,
        int((steps_s > _GAP_PERIODS * median_s).sum()) if median_s > 0 else 0,
        float(steps_s.max()) if len(steps_s) else 0.0,
        content,
    )


def camera_facts(bag: Bag, name: str, topics: CameraTopics, track: NDArray[np.int64]) -> CameraFacts:
    """Facts by the times.

    Args:
        bag: The recording.
        name: The spectrum, or `ground_truth`.
        topics: Where its messages are.
        track: Time of recording and stamp [N,2], ns.
    """
    log_ns, stamp_ns = track[:, 0], track[:, 1]
    return CameraFacts(
        name,
        topics.image,
        topics.info,
        float(log_ns[0] - bag.start_ns) * 1e-9,
        float(bag.end_ns - log_ns[-1]) * 1e-9,
        len(stamp_ns) - len(np.unique(stamp_ns)),
        int((np.diff(stamp_ns) < 0).sum()),
        float(np.median(log_ns - stamp_ns)) * 1e-6,
        float(np.median(np.diff(log_ns))) * 1e-9 if len(log_ns) > 1 else None,
    )


def skew_between(first: str, second: str, first_ns: NDArray[np.int64], second_ns: NDArray[np.int64]) -> Skew:
    """How far apart two cameras' stamps are.

    Args:
        first: Name of the one camera.
        second: Name of the other.
        first_ns: Its stamps [N], in any order.
        second_ns: Stamps [M] of the other.
    """
    others = np.sort(second_ns)
    right = np.searchsorted(others, first_ns).clip(0, len(others) - 1)
    left = (right - 1).clip(0)
    later, earlier = others[right] - first_ns, others[left] - first_ns
    nearest = np.where(np.abs(later) <= np.abs(earlier), later, earlier) * 1e-6
    size = np.abs(nearest)
    return Skew(first, second, float(np.median(nearest)), float(np.percentile(size, 95)), float(size.max()))
