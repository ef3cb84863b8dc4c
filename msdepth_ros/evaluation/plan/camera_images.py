"""Images of a recording as the node gets them: decoded, checked, injected faults included, and what a look tells."""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from numpy.typing import NDArray

from msdepth_ros.bags.bag import Payload
from msdepth_ros.bags.message_types import payload_stamp_ns
from msdepth_ros.core import behaviour
from msdepth_ros.core.behaviour import Refused, read_image
from msdepth_ros.core.camera.images import CameraImage
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.image import ImageFacts
from msdepth_ros.core.health.timing import stamp_problem
from msdepth_ros.core.injection.faults import apply_fault
from msdepth_ros.core.settings import S
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.faults import IMAGE_FAULTS
from msdepth_ros.evaluation.recordings import Recording

_AFTER_STAMP = 12  # header stamp ends here: 4 bytes of encapsulation, 8 of time
_AHEAD = 4  # images that wait for each thread: enough to keep it busy, few enough to hold


Window = tuple[int | None, int | None]
"""First time of recording, and the first one not to read; None where there is no limit."""


class Look(NamedTuple):
    """What a look at one message tells. It does not depend on the messages before.

    Attributes:
        topic: In the bag.
        log_ns: When it was recorded.
        stamp_ns: The header's stamp; of a camera_info a digest of its content.
        facts: Of the picture; None for anything that is not an image, or one that cannot be used.
        reason: Why an image cannot be used.
    """

    topic: str
    log_ns: int
    stamp_ns: int
    facts: ImageFacts | None = None
    reason: str = ""


class CameraImages:
    """Reads images of one recording.

    Args:
        recording: The recording.
        options: Whose faults are put in.
    """

    def __init__(self, recording: Recording, options: EvaluateOptions) -> None:
        """Nothing is read yet."""
        self._bag, self._rig, self._options = recording.bag, recording.calibration.rig, options

    def read(self, spectrum: str, payload: Payload) -> NDArray[Any]:
        """An image as the network takes it, faults included.

        Raises:
            MsdepthError: It cannot be decoded, has no stamp, or its calibration is not for its size.
        """
        return self._read(spectrum, payload).pixels

    def _read(self, spectrum: str, payload: Payload) -> CameraImage:
        """The same, with the highest value that was stored."""
        try:
            if problem := stamp_problem(payload_stamp_ns(payload.data)):
                raise MsdepthError(problem)
            message = self._bag.deserialise(payload)
        except MsdepthError as error:
            raise MsdepthError(f"{payload.topic}: {error}") from error
        advice = "record the camera_info that fits, or give --rig"
        image = read_image(
            spectrum, message, self._rig.camera(spectrum), settings=self._options.settings,
            calibration="its calibration", advice=advice,
        )  # fmt: skip
        if isinstance(image, Refused):
            raise MsdepthError(f"{payload.topic}: {image.reason}")
        seconds = (payload.log_ns - self._bag.start_ns) / S
        for fault in self._options.faults:
            if fault.kind in IMAGE_FAULTS and fault.spectrum == spectrum and fault.covers(seconds):
                pixels = apply_fault(fault.kind, image.pixels, payload_stamp_ns(payload.data), fault.amount)
                image = image._replace(pixels=pixels)
        return image

    def look(self, spectrum: str, payload: Payload) -> Look:
        """Looks at an image as the node does when it arrives."""
        place = payload.topic, payload.log_ns, payload_stamp_ns(payload.data)
        try:
            image = self._read(spectrum, payload)
        except MsdepthError as error:
            return Look(*place, reason=str(error))
        return Look(*place, behaviour.look(spectrum, image, place[2], self._options.settings).facts)


def look_at_all(
    recording: Recording, options: EvaluateOptions, *, window_ns: Window | None = None, threads: int = 1
) -> Iterator[Look]:
    """Looks at everything that a plan depends on: every image, every truth, and camera_info where it changes.

    Args:
        recording: The recording.
        options: What is asked of it.
        window_ns: A part of it; all that is asked for where not given.
        threads: How many decode at a time; looks come in order of recording all the same.

    Raises:
        MsdepthError: The recording is damaged.
    """
    bag, sources, images = recording.bag, recording.sources, CameraImages(recording, options)
    begin_ns, end_ns = window_ns or recording.window_ns
    spectra = {topics.image: spectrum for spectrum, topics in sources.cameras.items()}
    truth = [] if sources.truth is None else [sources.truth.image]
    infos = dict.fromkeys((topics.info for topics in sources.cameras.values() if topics.info), -1)
    waiting: deque[Look | Future[Look]] = deque()
    with ThreadPoolExecutor(threads, "look") as pool:
        for payload in bag.payloads([*spectra, *truth, *infos], start_ns=begin_ns, stop_ns=end_ns):
            if payload.topic in infos:
                digest = zlib.crc32(memoryview(payload.data)[_AFTER_STAMP:])
                if digest != infos[payload.topic]:
                    infos[payload.topic] = digest
                    waiting.append(Look(payload.topic, payload.log_ns, digest))
            elif len(payload.data) < _AFTER_STAMP:
                raise MsdepthError(
                    f"bag {bag.path}: a message on {payload.topic} has no header; the recording is damaged"
                )
            elif payload.topic in spectra:
                waiting.append(pool.submit(images.look, spectra[payload.topic], payload))
            else:
                waiting.append(Look(payload.topic, payload.log_ns, payload_stamp_ns(payload.data)))
            while len(waiting) > _AHEAD * threads:
                yield _finished(waiting.popleft())
        yield from map(_finished, waiting)


def _finished(look: Look | Future[Look]) -> Look:
    """A look, once it is there."""
    return look.result() if isinstance(look, Future) else look


def cpu_count() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))
