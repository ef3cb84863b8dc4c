"""The images of each camera in order of recording: when they came, whether they are usable, what is wrong with them.

A picture is judged by the same code as in the node, with the time of recording as its clock. That depends on the
pictures before it, so it is done here, one image after the other, while the looks at them may come from anywhere.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from msdepth_ros.bags.topics import Sources
from msdepth_ros.core.behaviour import aligned_ns
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.health.image import ImageFacts, ImageHealth
from msdepth_ros.core.injection.faults import FaultSpan
from msdepth_ros.core.settings import S
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Look
from msdepth_ros.evaluation.plan.faults import is_dropped
from msdepth_ros.evaluation.plan.planned_sets import MessageRef

_NEAR_NS = S  # a rejected image recorded further from its instant is not told of: sets would wait for it in memory


class Track:
    """Times of one topic's messages: a few dozen bytes each.

    Attributes:
        topic: In the bag.
        log_ns: When each message was recorded.
        stamp_ns: Stamp of each.
        repeat: Which of those with the same time of recording.
    """

    def __init__(self, topic: str) -> None:
        """Nothing has come yet."""
        self.topic = topic
        self.log_ns, self.stamp_ns, self.repeat = array("q"), array("q"), array("i")

    def add(self, look: Look) -> None:
        """Takes the next message."""
        again = len(self.log_ns) and self.log_ns[-1] == look.log_ns
        self.repeat.append(self.repeat[-1] + 1 if again else 0)
        self.log_ns.append(look.log_ns)
        self.stamp_ns.append(look.stamp_ns)

    def ref(self, index: int) -> MessageRef:
        """The message at an index."""
        return MessageRef(self.topic, self.log_ns[index], self.repeat[index], self.stamp_ns[index])


class CameraTrack(Track):
    """A camera's images.

    Args:
        spectrum: The camera.
        topic: In the bag.
        options: Faults to put in, and thresholds.
        start_ns: Start of the recording, from which the times of faults count.

    Attributes:
        aligned_ns: Stamps by which images are matched.
        source: Index of the image whose picture is shown; -1 for one that never comes, or cannot be used.
        faults: What is wrong with each picture.
        reason: Why the first image that cannot be used cannot; empty if there is none.
    """

    def __init__(self, spectrum: str, topic: str, options: EvaluateOptions, start_ns: int) -> None:
        """Nothing has come yet."""
        super().__init__(topic)
        self.aligned_ns, self.source = array("q"), array("q")
        self.faults: list[frozenset[Fault]] = []
        self._alike: dict[frozenset[Fault], frozenset[Fault]] = {}  # so that an hour needs few of them
        self.reason = ""
        self._spectrum, self._settings = spectrum, options.settings
        self._health = ImageHealth(spectrum)
        self._injected = [fault for fault in options.faults if fault.spectrum == spectrum]
        self._start_ns = start_ns
        self._shown: tuple[int, ImageFacts] | None = None
        self._rejected = array("q")

    def add(self, look: Look) -> None:
        """Takes the next image, and judges it."""
        index = len(self.log_ns)
        super().add(look)
        self.aligned_ns.append(aligned_ns(self._spectrum, look.stamp_ns, self._settings))
        frozen = self._shown is not None and self._has("freeze", look.log_ns)
        if look.facts is not None and not frozen:
            self._shown = (index, look.facts)
        usable = self._shown if frozen or look.facts is not None else None
        dropped = self._has("drop", look.log_ns)
        if usable is None and not dropped:
            self._rejected.append(index)
            self.reason = self.reason or look.reason
        if usable is None or dropped:
            self.source.append(-1)
            self.faults.append(frozenset())
            return
        source, facts = usable
        self.source.append(source)
        faults = self._health.look(facts, look.log_ns, self._settings.health)
        self.faults.append(self._alike.setdefault(faults, faults))

    def content(self, index: int) -> MessageRef:
        """The message at an index, with the picture that a fault may have put in its place."""
        return self.ref(self.source[index])._replace(stamp_ns=self.stamp_ns[index])

    def rejected_near(self, tolerance_ns: int) -> NearestMessage:
        """Finds images that cannot be used, by their aligned stamp."""
        return NearestMessage(self, tolerance_ns, self.aligned_ns, self._rejected)

    def rejections(self) -> str:
        """How many images cannot be used, and why the first one cannot; empty if all can."""
        count = len(self._rejected)
        return f"{count} of {len(self.log_ns)} images cannot be used: {self.reason}" if count else ""

    def remarks(self) -> list[str]:
        """What is to be said of all images together."""
        return [f"{self.topic}: {text}" for text in self._health.remarks()]

    def clock_offset_s(self) -> float | None:
        """How far the stamps are ahead of the times of recording, the median; None without a stamp."""
        offsets = [stamp - log for stamp, log in zip(self.stamp_ns, self.log_ns, strict=True) if stamp]
        return float(np.median(np.array(offsets, np.float64))) * 1e-9 if offsets else None

    def _has(self, kind: str, log_ns: int) -> bool:
        """Whether an injected fault hits an image."""
        seconds = (log_ns - self._start_ns) / S
        hits: Iterator[FaultSpan] = (one for one in self._injected if one.kind == kind and one.covers(seconds))
        return any(kind != "drop" or is_dropped(fault, log_ns) for fault in hits)


class Arrival(NamedTuple):
    """An image as the synchronizer gets it: when, of which camera, its aligned stamp, and its place in the track."""

    log_ns: int
    spectrum: str
    stamp_ns: int
    place: int


class Tracks:
    """Everything of one recording that a plan is made of.

    Args:
        sources: Its topics.
        options: What to do.
        start_ns: Start of the recording.

    Attributes:
        cameras: By spectrum.
        truth: None without ground truth.
        changed_infos: Topics of camera_info whose content changes.

    Raises:
        MsdepthError: A fault is to be put into a camera that is not there.
    """

    def __init__(self, sources: Sources, options: EvaluateOptions, start_ns: int) -> None:
        """Nothing has come yet."""
        for fault in options.faults:
            if fault.spectrum not in sources.cameras:
                raise MsdepthError(f"--inject {fault}: the recording has no images of {fault.spectrum}")
        self.cameras = {
            name: CameraTrack(name, topics.image, options, start_ns) for name, topics in sources.cameras.items()
        }
        self.truth = None if sources.truth is None else Track(sources.truth.image)
        self.changed_infos: dict[str, None] = {}
        self._first_info: dict[str, int] = {}
        self._by_topic: dict[str, Track] = {track.topic: track for track in self.cameras.values()}
        if self.truth is not None:
            self._by_topic[self.truth.topic] = self.truth

    @property
    def topics(self) -> dict[str, str]:
        """Topic of each spectrum, and of `truth`."""
        truth = {} if self.truth is None else {"truth": self.truth.topic}
        return {name: track.topic for name, track in self.cameras.items()} | truth

    def add(self, look: Look) -> None:
        """Takes the next look, in order of recording."""
        track = self._by_topic.get(look.topic)
        if track is not None:
            track.add(look)
        elif look.stamp_ns != self._first_info.setdefault(look.topic, look.stamp_ns):
            self.changed_infos[look.topic] = None

    def arrivals(self, spectra: tuple[str, ...]) -> Iterator[Arrival]:
        """Usable images of some cameras in order of recording."""

        def of(name: str) -> Iterator[Arrival]:
            track = self.cameras[name]
            for index, source in enumerate(track.source):
                if source >= 0:
                    yield Arrival(track.log_ns[index], name, track.aligned_ns[index], index)

        return heapq.merge(*(of(name) for name in spectra), key=lambda arrival: arrival.log_ns)


class NearestMessage:
    """Finds the message of a stamp: the nearest one within a tolerance, the earlier of two.

    Args:
        track: Where to look.
        tolerance_ns: Largest distance of the stamps.
        stamps_ns: One for each message.
        indices: Of the messages that count; all of them where not given.
    """

    def __init__(
        self, track: Track, tolerance_ns: int, stamps_ns: array[int], indices: array[int] | None = None
    ) -> None:
        """Order the stamps."""
        self._track, self._tolerance_ns = track, tolerance_ns
        stamps = np.array(stamps_ns, np.int64)
        among = np.arange(len(stamps)) if indices is None else np.array(indices, np.int64)
        self._order = among[np.argsort(stamps[among], kind="stable")]
        self._stamps = stamps[self._order]

    def __call__(self, stamp_ns: int, log_ns: int | None = None) -> MessageRef | None:
        """Looks for a stamp.

        Args:
            stamp_ns: The stamp.
            log_ns: If given, the message was also recorded near this time.
        """
        right = int(np.searchsorted(self._stamps, stamp_ns))
        near = [index for index in (right - 1, right) if 0 <= index < len(self._stamps)]
        best = min(near, key=lambda index: abs(int(self._stamps[index]) - stamp_ns), default=None)
        if best is None or abs(int(self._stamps[best]) - stamp_ns) > self._tolerance_ns:
            return None
        found = self._track.ref(int(self._order[best]))
        return None if log_ns is not None and abs(found.log_ns - log_ns) > _NEAR_NS else found
