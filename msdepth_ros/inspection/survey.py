"""What is in a recording, how regular it is, and whether it can be evaluated: the facts of `msdepth info`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import ACCEPT_LOSS, BROKEN_PROMISE, COMPRESSED_IMAGE, IMAGE, Bag
from msdepth_ros.bags.calibration import Calibration
from msdepth_ros.bags.message_types import payload_stamp_ns
from msdepth_ros.bags.topics import Sources
from msdepth_ros.core.behaviour import aligned_ns
from msdepth_ros.core.camera.images import FULL_BITS, camera_image, compressed_size
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.timing import clock_notes, stamp_problem
from msdepth_ros.core.model.info import read_model
from msdepth_ros.core.settings import Settings
from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.core.sync.synchronizer import SpectralSynchronizer
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.planner import simulate
from msdepth_ros.evaluation.recordings import sources_of
from msdepth_ros.inspection.facts import Survey, TopicFacts, camera_facts, skew_between, topic_facts
from msdepth_ros.scoring.ground_truth import TruthReader

_STAMP_END = 12  # encapsulation and stamp


def survey_bag(path: Path, options: EvaluateOptions) -> Survey:
    """Looks at a recording as `evaluate` would.

    Args:
        path: The recording.
        options: What `evaluate` would be asked to do.

    Raises:
        MsdepthError: It cannot be opened.
    """
    with Bag(path, partial=True) as bag:
        topics = [_topic(bag, name) for name in bag.topics]
        found = Survey(path, bag.start_ns, bag.duration_ns, topics, bag.remarks)
        sources = _attempt(found.problems, lambda: sources_of(bag, options))
        if sources is None:
            return found
        if bag.lost(sources.topics):
            found.problems.append(f"bag {path} {BROKEN_PROMISE}, see the notes above; {ACCEPT_LOSS}")
        calibration = _attempt(found.problems, lambda: options.load_calibration(bag, sources))
        found.calibration = calibration.origin if calibration is not None else ""
        found.notes += calibration.notes if calibration is not None else ()
        found.intrinsics = [name for name, topics in sources.cameras.items() if topics.info]
        _check_content(bag, sources, calibration, options, found)
        tracks = _attempt(found.problems, lambda: _tracks(bag, sources))
        if tracks is not None:
            _take_times(bag, sources, tracks, options, found)
    return found


def _attempt(problems: list[str], action: Callable[[], Any]) -> Any:
    """The result of an action, or None and one problem more."""
    try:
        return action()
    except MsdepthError as error:
        problems.append(str(error))
        return None


def _topic(bag: Bag, name: str) -> TopicFacts:
    """Facts by the index, and the first image."""
    msgtype, count = bag.topics[name]
    content = ""
    if count and msgtype in (IMAGE, COMPRESSED_IMAGE):
        try:
            content = _describe(next(bag.messages([name])).message)
        except MsdepthError as error:
            content = f"unreadable: {error}"
    return topic_facts(name, msgtype, bag.times_ns(name), bag.duration_ns, content)


def _describe(message: Any) -> str:
    """Encoding and size of an image."""
    if hasattr(message, "step"):
        return f"{message.encoding} {message.width}x{message.height}"
    size = compressed_size(message.data)
    return f"{message.format!r}" + (f" {size[0]}x{size[1]}" if size else "")


def _check_content(
    bag: Bag, sources: Sources, calibration: Calibration | None, options: EvaluateOptions, found: Survey
) -> None:
    """Decodes the first image of each camera, and the first ground truth, as `evaluate` would."""
    usable = 0
    for spectrum, topics in sources.cameras.items():
        try:
            first = next(bag.messages([topics.image])).message
            image = camera_image(spectrum, first, bits=options.settings.bits.get(spectrum, FULL_BITS)).pixels
            camera = calibration.rig.cameras[spectrum] if calibration else None
            if camera and image.shape[:2] != (camera.height, camera.width):
                raise MsdepthError(
                    f"images are {image.shape[1]} x {image.shape[0]}, the calibration is for {camera.width} x "
                    f"{camera.height}"
                )
            usable += 1
        except MsdepthError as error:
            found.notes.append(f"{topics.image}: the first image cannot be used: {error}")
    if not usable:
        found.problems.append("no camera's first image can be used")
    model = _attempt(found.problems, lambda: read_model(options.model_path())[1])
    if calibration is not None and model is not None:
        found.ground = model.use_of_ground(calibration.rig.ground or "unknown")
    if sources.truth is None:
        found.notes.append("no ground truth: evaluate reports pictures, confidence and consistency, but no errors")
    elif calibration is not None and model is not None:
        try:
            views = calibration.rig.views(model.width, model.height, options.settings.reference)
            truth = next(bag.messages([sources.truth.image])).message
            TruthReader(bag, sources.truth, calibration, views).read(truth)
        except MsdepthError as error:
            found.notes.append(f"the ground truth cannot be used: {error}")


def _tracks(bag: Bag, sources: Sources) -> dict[str, NDArray[np.int64]]:
    """Time of recording and stamp [N,2] of each camera's images and of the ground truth."""
    names = {topics.image: spectrum for spectrum, topics in sources.cameras.items()}
    if sources.truth is not None:
        names[sources.truth.image] = "ground_truth"
    stamps: dict[str, list[int]] = {name: [] for name in names.values()}
    for payload in bag.payloads(list(names)):
        if len(payload.data) < _STAMP_END:
            raise MsdepthError(f"bag {bag.path}: a message on {payload.topic} at {payload.log_ns} ns has no header")
        stamps[names[payload.topic]].append(payload_stamp_ns(payload.data))
    return {
        name: np.column_stack([bag.times_ns(topic), np.array(stamps[name], np.int64)]) for topic, name in names.items()
    }


def _take_times(
    bag: Bag, sources: Sources, tracks: dict[str, NDArray[np.int64]], options: EvaluateOptions, found: Survey
) -> None:
    """How regular the stamps are, how far apart, and which sets they make."""
    everything = {**sources.cameras, **({"ground_truth": sources.truth} if sources.truth else {})}
    found.cameras = [camera_facts(bag, name, topics, tracks[name]) for name, topics in everything.items()]
    aligned = {name: _aligned(name, tracks[name], options.settings) for name in sources.cameras}
    for first, second in itertools.combinations(sources.cameras, 2):
        found.skews.append(skew_between(first, second, aligned[first][:, 1], aligned[second][:, 1]))
    stamped = {name: track[track[:, 1] != 0] for name, track in tracks.items()}
    for name, topics in everything.items():
        if unstamped := len(tracks[name]) - len(stamped[name]):
            found.notes.append(f"{topics.image}: {unstamped} of {len(tracks[name])} messages: {stamp_problem(0)}")
    offsets_s = {name: float(np.median(stamped[name][:, 1] - stamped[name][:, 0])) * 1e-9
                 for name in sources.cameras if len(stamped[name])}  # fmt: skip
    clocks = clock_notes(offsets_s, options.settings.reference, options.settings.health.skew_s)
    found.notes += [f"{name}: {text}" if name else text for name, text in clocks.items()]
    synchronizer: Any = SpectralSynchronizer(options.settings.synchronizer(tuple(sources.cameras)))
    counts: Counter[str] = Counter()
    usable = {name: _aligned(name, stamped[name], options.settings) for name in sources.cameras}
    for ready, _ in simulate(_arrivals(usable), synchronizer):
        counts[spectra_key(ready.items)] += 1
    found.sets = dict(counts.most_common())
    if not found.sets:
        lacking = ", ".join(name for name in sources.cameras if not len(stamped[name]))
        why = (
            f"{lacking}: {stamp_problem(0)}" if lacking else "see the stamps above, sync.tolerance_s and sync.offset_s"
        )
        found.problems.append(f"the images form no set: {why}")


def _aligned(spectrum: str, track: NDArray[np.int64], settings: Settings) -> NDArray[np.int64]:
    """Times of recording and aligned stamps [N,2] of a camera, from those of its headers."""
    stamps = [aligned_ns(spectrum, stamp_ns, settings) for stamp_ns in track[:, 1].tolist()]
    return np.column_stack([track[:, 0], np.array(stamps, np.int64)])


def _arrivals(tracks: dict[str, NDArray[np.int64]]) -> Iterator[tuple[int, str, int, int]]:
    """What the synchronizer gets, in order of recording."""
    rows = [
        (int(log_ns), name, int(stamp_ns), index)
        for name, track in tracks.items()
        for index, (log_ns, stamp_ns) in enumerate(track)
    ]
    return iter(sorted(rows, key=lambda row: row[0]))
