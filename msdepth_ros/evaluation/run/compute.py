"""From planned sets to records: read, decode, compute and score, three threads that work on different sets.

The network runs in the caller's thread. Before it, one thread reads and decodes ahead; behind it, another scores.
What comes out does not depend on which of them is faster.
"""

from __future__ import annotations

import functools
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import Payload
from msdepth_ros.bags.read_ahead import ReadAhead
from msdepth_ros.core.behaviour import Published, output_frame, publishable, select
from msdepth_ros.core.camera.images import DecodedImage
from msdepth_ros.core.camera.rig import RigViews
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthEngine, DepthResult, NetworkInput
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import CameraImages
from msdepth_ros.evaluation.plan.planned_sets import Plan, SetPlan
from msdepth_ros.evaluation.recordings import Recording
from msdepth_ros.evaluation.run.collector import Collector, Gathered, Key, key_of
from msdepth_ros.report.frame_pictures import PictureKeeper
from msdepth_ros.results.frame import FrameRecord, Timings
from msdepth_ros.results.moments import Moment
from msdepth_ros.scoring.ground_truth import Truth, TruthReader
from msdepth_ros.scoring.scores import agreement, mean_confidences, score_against

_AHEAD_BYTES = 256 * 1024 * 1024
_AHEAD_SETS = 6
_BEHIND_SETS = 4
_DECODED_KEPT = 4
_PICTURE_WIDTH_PX = 640
"""Pictures of inputs are reduced to this width."""


class Computed(NamedTuple):
    """What the node would publish for one set.

    Attributes:
        planned: The set.
        published: What goes out for it.
    """

    planned: SetPlan
    published: Published


class ComputedSink(Protocol):
    """Takes everything that the node would publish, set after set."""

    def take(self, computed: Computed) -> None:
        """Takes what goes out for a set; called in the caller's thread of `run`."""


@dataclass(frozen=True)
class Job:
    """One set, decoded.

    Attributes:
        planned: As planned.
        images: By spectrum; also what is left out, for its picture.
        prepared: The same as network input, and that of each spectrum alone where it is wanted.
        prepare_ms: How long that took, for one of them.
        truth: None where there is none, or it cannot be used.
        problems: Why images or the truth could not be used.
    """

    planned: SetPlan
    images: Mapping[str, NDArray[Any]]
    prepared: tuple[NetworkInput, ...]
    prepare_ms: float
    truth: Truth | None
    problems: tuple[str, ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """Memory that the images and the truth take."""
        truth = 0 if self.truth is None else self.truth.depth_m.nbytes
        batches = sum(one.images.nbytes for one in self.prepared)
        return truth + batches + sum(image.nbytes for image in self.images.values())


class Scene:
    """Everything about one recording that all its sets share.

    Args:
        recording: The recording.
        options: What to do.
        engine: The network.
        variants: How many variants share the images.

    Raises:
        MsdepthError: A camera cannot be mapped to the network's image.
    """

    def __init__(self, recording: Recording, options: EvaluateOptions, engine: DepthEngine, variants: int = 1) -> None:
        """Prepare the geometry."""
        self.bag, self.options, self.engine = recording.bag, options, engine
        reference, calibration = options.settings.reference, recording.calibration
        self.views: RigViews = calibration.rig.views(engine.info.width, engine.info.height, reference)
        self.frame_id = output_frame(calibration.frames, reference)
        self._images = CameraImages(recording, options)
        self._truth = None
        if recording.sources.truth is not None:
            self._truth = TruthReader(recording.bag, recording.sources.truth, calibration, self.views)
        self._keep = _DECODED_KEPT * min(variants, 3)
        self._decoded: OrderedDict[Key, Any] = OrderedDict()

    def decode(self, gathered: Gathered) -> Job:
        """Decodes a set; what cannot be used is left out, as the node does, and noted."""
        planned, payloads = gathered
        images, problems = {}, []
        for spectrum, ref in {**planned.inputs, **planned.rejected}.items():
            image, why = self._once(key_of(ref), payloads, functools.partial(self._images.read, spectrum))
            if image is None:
                problems.append(why)
            else:
                images[spectrum] = image
        truth = None
        if planned.truth is not None:
            truth, why = self._once(key_of(planned.truth), payloads, self._read_truth)
            problems += [why] if why else []
        started = time.perf_counter()
        prepared = self._prepare(planned, {name: images[name] for name in planned.used if name in images})
        prepare_ms = 1e3 * (time.perf_counter() - started) / max(1, len(prepared))
        return Job(planned, images, prepared, prepare_ms, truth, tuple(problems))

    def _prepare(self, planned: SetPlan, images: Mapping[str, NDArray[Any]]) -> tuple[NetworkInput, ...]:
        """Network input of a set, and of its spectra one by one where their consistency is wanted."""
        groups: list[Mapping[str, NDArray[Any]]] = [images] if images else []
        if planned.consistency and len(images) > 1:
            groups += [{name: image} for name, image in images.items()]
        bits = self.options.settings.bits
        return tuple(self.engine.prepare(group, self.views, bits=bits) for group in groups)

    def publish(self, planned: SetPlan, result: DepthResult) -> Published:
        """What the node publishes for a set."""
        return publishable(
            result, stamp_ns=planned.stamp_ns, frame_id=self.frame_id, settings=self.options.settings,
            model_max_m=self.engine.info.max_m,
        )  # fmt: skip

    def _once(self, key: Key, payloads: Mapping[Key, Payload], read: Callable[[Payload], Any]) -> tuple[Any, str]:
        """Decodes a message once for all variants: the result, or None and why not."""
        if key not in self._decoded:
            try:
                if key not in payloads:
                    raise MsdepthError(f"{key[0]}: the message recorded at {key[1]} ns cannot be read again")
                self._decoded[key] = read(payloads[key]), ""
            except MsdepthError as error:
                self._decoded[key] = (None, str(error))
            while len(self._decoded) > self._keep:
                self._decoded.popitem(last=False)
        found: tuple[Any, str] = self._decoded[key]
        return found

    def _read_truth(self, payload: Payload) -> Truth:
        """The truth of a message."""
        assert self._truth is not None  # a plan names a truth only where the recording has one
        return self._truth.read(self.bag.deserialise(payload))


def run(
    recording: Recording,
    plans: Sequence[Plan],
    options: EvaluateOptions,
    engine: DepthEngine,
    *,
    pictures: PictureKeeper | None = None,
    sink: ComputedSink | None = None,
) -> Iterator[FrameRecord]:
    """Computes planned sets of one recording.

    Args:
        recording: The recording.
        plans: Its sets, any variants, whole or slices.
        options: As they were planned with.
        engine: Made by `options.make_engine`, and warmed up.
        pictures: Takes the pictures that are worth showing.
        sink: Gets everything the node would publish.

    Yields:
        A record for each set, each variant in its order.

    Raises:
        MsdepthError: The recording cannot be read, or lacks something.
    """
    with ThreadPoolExecutor(1, "score") as scorer:
        scene = Scene(recording, options, engine, len(plans))
        behind: deque[Future[FrameRecord]] = deque()
        with ReadAhead(_jobs(scene, Collector(plans)), _AHEAD_BYTES, _AHEAD_SETS) as jobs:
            for job in jobs:
                behind.append(scorer.submit(_score, job, *_compute(scene, job, sink), pictures))
                while len(behind) > _BEHIND_SETS or (behind and behind[0].done()):
                    yield behind.popleft().result()
        while behind:
            yield behind.popleft().result()


def _jobs(scene: Scene, collector: Collector) -> Iterator[Job]:
    """Reads and decodes."""
    for start_ns, stop_ns in collector.windows_ns():
        for payload in scene.bag.payloads(collector.topics, start_ns=start_ns, stop_ns=stop_ns):
            for gathered in collector.offer(payload):
                yield scene.decode(gathered)
    for gathered in collector.rest():
        yield scene.decode(gathered)


def _compute(
    scene: Scene, job: Job, sink: ComputedSink | None
) -> tuple[Published | None, list[DepthResult], float, str]:
    """Runs the network on a set: the output, that of each spectrum alone where it is wanted, time, and what failed."""
    planned = job.planned
    if not job.prepared:
        faults = {name: planned.faults.get(name, frozenset()) for name in planned.inputs}
        return None, [], 0.0, select(faults, scene.options.settings).failure or "no image of the set can be used"
    started = time.perf_counter()
    try:
        result = scene.engine.compute(job.prepared[0])
        compute_ms = job.prepare_ms + 1e3 * (time.perf_counter() - started)
        singles = [scene.engine.compute(alone) for alone in job.prepared[1:]]
    except MsdepthError as error:
        return None, [], 0.0, str(error)
    published = scene.publish(planned, result)
    if sink is not None:
        sink.take(Computed(planned, published))
    return published, singles, compute_ms, ""


def _score(
    job: Job,
    published: Published | None,
    singles: list[DepthResult],
    compute_ms: float,
    failure: str,
    pictures: PictureKeeper | None,
) -> FrameRecord:
    """Makes the record of a set."""
    planned = job.planned
    stamps = [ref.stamp_ns for ref in planned.inputs.values()]
    values: dict[str, Any] = {
        "skew_ms": (max(stamps) - min(stamps)) * 1e-6,
        "truth_stamp_ns": None if planned.truth is None else planned.truth.stamp_ns,
        "health": planned.health,
        "error": "; ".join(filter(None, (failure, *job.problems))),
        "spectra": () if published is None else published.result.spectra,
    }
    identity = (planned.bag, planned.variant, planned.number, planned.stamp_ns)
    if published is None:
        return FrameRecord(*identity, **values)
    result, depth_m = published.result, published.depth_m
    if job.truth is not None:
        values |= score_against(job.truth, depth_m, result.confidence)
    values["confidence"], values["view_confidence"] = mean_confidences(result)
    shares = {single.spectra[0]: agreement(result, single) for single in singles}
    values["consistency"] = {name: share for name, share in shares.items() if share is not None}
    values["timings"] = Timings(result.inference_ms, compute_ms, planned.wait_ms + compute_ms)
    record = FrameRecord(*identity, **values)
    if pictures is not None:
        pictures.take(record, planned.pictures, functools.partial(_moment, record, job, published))
    return record


def _moment(record: FrameRecord, job: Job, published: Published) -> Moment[FrameRecord]:
    """The pictures of a set."""
    result, truth = published.result, job.truth
    confidences = {"confidence": result.confidence, **result.view_confidence}
    return Moment(
        record=record,
        inputs={name: _reduced(image) for name, image in job.images.items()},
        depth_m=published.depth_m,
        confidences={name: np.round(255 * np.clip(c, 0, 1)).astype(np.uint8) for name, c in confidences.items()},
        truth_m=None if truth is None else truth.depth_m,
        depth_at_truth_m=None if truth is None else truth.sample(published.depth_m),
        fx_over_fy=float(result.intrinsics[0, 0] / result.intrinsics[1, 1]),
    )


def _reduced(image: NDArray[Any]) -> DecodedImage:
    """An image as the network gets it, smaller where it is large."""
    encoding = "rgb8" if image.ndim == 3 else "mono8" if image.dtype == np.uint8 else "mono16"
    height, width = image.shape[:2]
    if width > _PICTURE_WIDTH_PX:
        size = _PICTURE_WIDTH_PX, max(1, round(height * _PICTURE_WIDTH_PX / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return DecodedImage(image, encoding)
