"""Which images of a recording form a set: decided by their stamps and times of recording, before any is decoded.

The same synchronizer as in the node runs over the recording, with the time of recording as its clock. So the sets are
those that the node would have made on the vehicle, they are the same in every run, and any part of them can be
computed anywhere.
"""

from __future__ import annotations

import heapq
import zlib
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health import Level, judge_matching
from msdepth_ros.core.settings import S
from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.core.synchronizer import FrameSet, SpectralSynchronizer
from msdepth_ros.replay.bag import Bag, Payload
from msdepth_ros.replay.calibration import RIG_BESIDE_BAG, load_calibration
from msdepth_ros.replay.options import EvaluateOptions
from msdepth_ros.replay.recorder import payload_stamp_ns
from msdepth_ros.replay.results import MessageRef, Plan, SetPlan
from msdepth_ros.replay.topics import Sources, find_sources

CONSISTENCY_EVERY = 10
"""Without ground truth, every so many sets the spectra are also asked one by one."""
_AFTER_STAMP = 12  # header stamp ends here: 4 bytes of encapsulation, 8 of time
_TRUTH = "truth"


class BagPlan(NamedTuple):
    """All that is to be done for one recording.

    Attributes:
        name: Unique in this evaluation.
        path: Where it is.
        plans: One for each variant, that with all cameras first.
        notes: What is worth telling, such as images that get into no set.
    """

    name: str
    path: Path
    plans: list[Plan]
    notes: list[str]


class _Track:
    """Times of one topic's messages, eight bytes each."""

    def __init__(self, name: str, topic: str) -> None:
        self.name, self.topic = name, topic
        self.log_ns, self.stamp_ns = array("q"), array("q")
        self.repeat, self.same = array("i"), array("b")
        self.source = array("q")  # index of the message whose content is used
        self._last_crc: int | None = None

    def add(self, payload: Payload) -> None:
        """Notes one message."""
        count = len(self.log_ns)
        crc = zlib.crc32(memoryview(payload.data)[_AFTER_STAMP:])
        again = count and self.log_ns[-1] == payload.log_ns
        self.log_ns.append(payload.log_ns)
        self.stamp_ns.append(payload_stamp_ns(payload.data))
        self.repeat.append(self.repeat[-1] + 1 if again else 0)
        self.same.append(crc == self._last_crc)
        self.source.append(count)
        self._last_crc = crc

    def ref(self, index: int) -> MessageRef:
        """The message at an index, with the content that a fault may have replaced."""
        content = self.source[index]
        return MessageRef(self.topic, self.log_ns[content], self.repeat[content], self.stamp_ns[index])


def plan_bag(path: Path, name: str, options: EvaluateOptions) -> BagPlan:
    """Plans the sets of one recording.

    Args:
        path: The recording.
        name: Unique in this evaluation.
        options: What to do.

    Raises:
        MsdepthError: The recording or what is asked of it is not usable, or not one set can be made.
    """
    with Bag(path) as bag:
        sources = sources_of(bag, options)
        tracks, changes = _scan(bag, sources, options)
        start_ns, remarks = bag.start_ns, bag.remarks
        # Now, so that what is missing shows before anything is computed.
        calibration = load_calibration(bag, sources, options.settings.reference, options.rig_file())
    notes = [f"{name}: {remark}" for remark in remarks]
    if calibration.beside:
        notes.append(f"{name}: calibration from {RIG_BESIDE_BAG} beside the recording, which has no /tf_static")
    notes += [f"{name}: camera_info on {topic} changes while it records; the first one is used" for topic in changes]
    missing = [spectrum for spectrum in options.spectra if spectrum not in sources.cameras]
    notes += [f"{name}: no images of {spectrum}" for spectrum in missing]
    _apply_stream_faults(tracks, options, start_ns)
    topics = {track.name: track.topic for track in tracks.values()}
    plans: list[Plan] = []
    for spectra in options.variants(sources.cameras):
        synchronizer = SpectralSynchronizer(options.settings.synchronizer(spectra))
        sets = _sets(name, spectra, tracks, options, synchronizer)
        plan = Plan.pack(name, spectra_key(spectra), topics, sets)[:: options.every]
        plans.append(plan)
        notes += _matching_notes(f"{name}, {plan.variant}", synchronizer)
    if not any(len(plan) for plan in plans):
        raise MsdepthError(
            f"bag {path}: its images form no set within --start {options.start_s} and --duration "
            f"{options.duration_s}; {'; '.join(notes) or 'there is no image in that time'}"
        )
    return BagPlan(name, path, plans, notes)


def sources_of(bag: Bag, options: EvaluateOptions) -> Sources:
    """The topics of a recording that an evaluation reads."""
    return find_sources(
        bag,
        options.spectra,
        images=options.images,
        infos=options.infos,
        ground_truth=options.ground_truth,
        compressed=options.settings.image_transport == "compressed",
    )


def simulate(
    arrivals: Iterator[tuple[int, str, int, int]], synchronizer: SpectralSynchronizer
) -> Iterator[tuple[FrameSet, int]]:
    """Lets a synchronizer live through a recording.

    Args:
        arrivals: Time of recording, spectrum, stamp and item, in order of recording.
        synchronizer: A new one.

    Yields:
        Each set, and the time at which it left.
    """
    for now_ns, spectrum, stamp_ns, item in arrivals:
        deadline_ns = synchronizer.next_deadline_ns()
        while deadline_ns is not None and deadline_ns <= now_ns:
            yield from ((ready, deadline_ns) for ready in synchronizer.poll(deadline_ns))
            deadline_ns = synchronizer.next_deadline_ns()
        yield from ((ready, now_ns) for ready in synchronizer.add(spectrum, stamp_ns, item, now_ns))
    while (deadline_ns := synchronizer.next_deadline_ns()) is not None:
        yield from ((ready, deadline_ns) for ready in synchronizer.poll(deadline_ns))


def _scan(bag: Bag, sources: Sources, options: EvaluateOptions) -> tuple[dict[str, _Track], list[str]]:
    """Reads all times; also tells which camera_info topics change while the recording goes on."""
    tracks = {name: _Track(name, topics.image) for name, topics in sources.cameras.items()}
    if sources.truth is not None:
        tracks[_TRUTH] = _Track(_TRUTH, sources.truth.image)
    by_topic = {track.topic: track for track in tracks.values()}
    infos: dict[str, bytes] = {topics.info: b"" for topics in sources.cameras.values() if topics.info}
    changes: dict[str, None] = {}
    begin_ns, end_ns = options.window_ns(bag.start_ns)
    for payload in bag.payloads([*by_topic, *infos], start_ns=begin_ns, stop_ns=end_ns):
        if payload.topic in infos:
            content = bytes(payload.data[_AFTER_STAMP:])
            if infos[payload.topic] not in (b"", content):
                changes[payload.topic] = None
            infos[payload.topic] = infos[payload.topic] or content
        elif len(payload.data) < _AFTER_STAMP:
            raise MsdepthError(f"bag {bag.path}: a message on {payload.topic} has no header; the recording is damaged")
        else:
            by_topic[payload.topic].add(payload)
    return tracks, list(changes)


def _apply_stream_faults(tracks: Mapping[str, _Track], options: EvaluateOptions, start_ns: int) -> None:
    """Freezes cameras; those that drop are left out when sets are made."""
    for fault in options.faults:
        track = tracks.get(fault.spectrum)
        if track is None:
            raise MsdepthError(f"--inject {fault}: the recording has no images of {fault.spectrum}")
        if fault.kind == "freeze":
            for index in range(1, len(track.log_ns)):
                if fault.covers((track.log_ns[index] - start_ns) / S):
                    track.source[index] = track.source[index - 1]
                    track.same[index] = True
        elif fault.kind == "drop":
            for index in range(len(track.log_ns)):
                if fault.covers((track.log_ns[index] - start_ns) / S):
                    track.source[index] = -1


def _arrivals(tracks: Mapping[str, _Track], spectra: tuple[str, ...]) -> Iterator[tuple[int, str, int, int]]:
    """Images in order of recording: time, spectrum, stamp, index in its track."""

    def of(name: str) -> Iterator[tuple[int, str, int, int]]:
        track = tracks[name]
        for index, content in enumerate(track.source):
            if content >= 0:
                yield track.log_ns[index], name, track.stamp_ns[index], index

    return heapq.merge(*(of(name) for name in spectra), key=lambda arrival: arrival[0])


def _sets(
    bag: str,
    spectra: tuple[str, ...],
    tracks: Mapping[str, _Track],
    options: EvaluateOptions,
    synchronizer: SpectralSynchronizer,
) -> Iterator[SetPlan]:
    """The sets of one variant."""
    reference = tracks.get(options.settings.reference)
    truth = tracks.get(_TRUTH)
    find_truth = _NearestTruth(truth, round(options.truth_tolerance_s * S)) if truth else None
    for number, (ready, left_ns) in enumerate(simulate(_arrivals(tracks, spectra), synchronizer)):
        indices = {name: item.item for name, item in ready.items.items()}
        anchor = indices.get(options.settings.reference)
        # As the node stamps its depth: by the reference's own image, offsets not applied.
        stamp_ns = ready.stamp_ns if reference is None or anchor is None else reference.stamp_ns[anchor]
        yield SetPlan(
            bag, spectra_key(spectra), number, stamp_ns,
            {name: tracks[name].ref(index) for name, index in indices.items()},
            find_truth(stamp_ns) if find_truth else None,
            (left_ns - max(item.received_ns for item in ready.items.values())) * 1e-6,
            tuple(name for name, index in indices.items() if tracks[name].same[index]),
            consistency=truth is None and len(indices) > 1 and number % CONSISTENCY_EVERY == 0,
        )  # fmt: skip


def _matching_notes(where: str, synchronizer: SpectralSynchronizer) -> list[str]:
    """Why images of a camera are in no set. One may be lost at the start, while nobody knows what else will come."""
    counts = synchronizer.statistics.spectra
    verdicts = {name: judge_matching(name, count) for name, count in counts.items() if count.dropped > 1}
    bad = (Level.WARN, Level.ERROR)
    return [f"{where}: {name}: {verdict.message}" for name, verdict in verdicts.items() if verdict.level in bad]


class _NearestTruth:
    """Finds the ground truth of a stamp: the nearest one within the tolerance, the earlier of two."""

    def __init__(self, track: _Track, tolerance_ns: int) -> None:
        self._track, self._tolerance_ns = track, tolerance_ns
        stamps = np.array(track.stamp_ns, np.int64)
        self._order = np.argsort(stamps, kind="stable")
        self._stamps = stamps[self._order]

    def __call__(self, stamp_ns: int) -> MessageRef | None:
        right = int(np.searchsorted(self._stamps, stamp_ns))
        near = [index for index in (right - 1, right) if 0 <= index < len(self._stamps)]
        best = min(near, key=lambda index: abs(int(self._stamps[index]) - stamp_ns), default=None)
        if best is None or abs(int(self._stamps[best]) - stamp_ns) > self._tolerance_ns:
            return None
        return self._track.ref(int(self._order[best]))
