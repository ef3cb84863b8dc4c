"""Which images of a recording form a set, and which of them are used: decided before anything is computed.

The node's own synchronizer and its judgement of pictures run over the recording, with the time of recording as their
clock. So the sets are those that the node would have made on the vehicle, of the images that it would have used; they
are the same in every run, and any part of them can be computed anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from msdepth_ros.core.behaviour import depth_stamp_ns, select
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.cameras import Level, judge_matching
from msdepth_ros.core.health.timing import clock_notes, stamp_problem
from msdepth_ros.core.settings import S
from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.core.sync.synchronizer import FrameSet, SpectralSynchronizer
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.camera_images import Look, look_at_all
from msdepth_ros.evaluation.plan.planned_sets import Plan, SetPlan
from msdepth_ros.evaluation.plan.tracks import NearestMessage, Tracks
from msdepth_ros.evaluation.recordings import Recording, why_no_set
from msdepth_ros.report.frame_pictures import PictureRange, apart, choose_ahead

CONSISTENCY_EVERY = 10
"""Without ground truth, every so many sets the spectra are also asked one by one."""


class BagPlan(NamedTuple):
    """All that is to be done for one recording.

    Attributes:
        name: Unique in this evaluation.
        plans: One for each variant, that with all cameras first.
        notes: What is worth telling, such as images that get into no set.
        pictures: Whose pictures are taken.
    """

    name: str
    plans: list[Plan]
    notes: list[str]
    pictures: PictureRange


class LookProgress(Protocol):
    """Is told how far the look at a recording is."""

    def __call__(self, share: float, /) -> None:
        """Share of the recording that has been looked at, 0 to 1."""


def plan_bag(
    recording: Recording,
    name: str,
    options: EvaluateOptions,
    *,
    threads: int = 1,
    looks: Iterable[Look] | None = None,
    progress: LookProgress | None = None,
) -> BagPlan:
    """Plans the sets of one recording.

    Args:
        recording: The recording.
        name: Unique in this evaluation.
        options: What to do.
        threads: How many images to decode at a time.
        looks: At all of it, in order of recording, if others have looked already.
        progress: Told while images are looked at.

    Raises:
        MsdepthError: The recording or what is asked of it is not usable, or not one set can be made.
    """
    bag = recording.bag
    tracks = Tracks(recording.sources, options, bag.start_ns)
    for look in looks or look_at_all(recording, options, threads=threads):
        tracks.add(look)
        if progress:
            progress((look.log_ns - bag.start_ns) / max(1, bag.duration_ns))
    road = recording.calibration.rig.ground
    notes = [*bag.remarks, *recording.calibration.notes, *_image_notes(tracks, options)]
    notes += [f"the road is {road}"] if road else []
    planned = [_plan(name, spectra, tracks, options) for spectra in options.variants(recording.sources.cameras)]
    plans = [plan for plan, _ in planned]
    notes = [f"{name}: {note}" for note in notes] + [note for _, some in planned for note in some]
    if not any(len(plan) for plan in plans):
        raise MsdepthError(f"bag {bag.path}: its images form no set {why_no_set(options, notes)}")
    return BagPlan(name, plans, notes, _plan_pictures(plans[0]))


def _plan_pictures(plan: Plan) -> PictureRange:
    """Marks the sets whose pictures are shown, and says how the worst and the best are found."""
    states = [(tuple(planned.used), planned.health) for planned in plan]
    plan.rows["pictures"] = choose_ahead(states)
    stamps = plan.rows["stamp_ns"]
    first_ns, last_ns = (int(stamps.min()), int(stamps.max())) if len(plan) else (0, 0)
    return PictureRange(plan.variant, first_ns, apart(last_ns - first_ns))


def _plan(name: str, spectra: tuple[str, ...], tracks: Tracks, options: EvaluateOptions) -> tuple[Plan, list[str]]:
    """The plan of one variant, and what is worth telling of it."""
    synchronizer = SpectralSynchronizer(options.settings.synchronizer(spectra))
    sets = _sets(name, spectra, tracks, options, synchronizer)
    plan = Plan.pack(name, spectra_key(spectra), tracks.topics, sets)[:: options.every]
    return plan, _matching_notes(f"{name}, {plan.variant}", synchronizer)


def _image_notes(tracks: Tracks, options: EvaluateOptions) -> list[str]:
    """What is worth telling of images."""
    told = "changes while it records; one is used for all images"
    notes = [f"camera_info on {topic} {told}" for topic in tracks.changed_infos]
    notes += [f"no images of {spectrum}" for spectrum in options.spectra if spectrum not in tracks.cameras]
    for track in tracks.cameras.values():
        notes += [*([track.rejections()] if track.rejections() else []), *track.remarks()]
    if tracks.truth is not None and not any(tracks.truth.stamp_ns):
        notes.append(f"{tracks.truth.topic}: {stamp_problem(0)}; nothing is scored")
    offsets = {name: track.clock_offset_s() for name, track in tracks.cameras.items()}
    known = {name: offset_s for name, offset_s in offsets.items() if offset_s is not None}
    clocks = clock_notes(known, options.settings.reference, options.settings.health.skew_s)
    return notes + [f"{name}: {text}" if name else text for name, text in clocks.items()]


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


def _sets(
    bag: str, spectra: tuple[str, ...], tracks: Tracks, options: EvaluateOptions, synchronizer: SpectralSynchronizer
) -> Iterator[SetPlan]:
    """The sets of one variant."""
    truth, variant = tracks.truth, spectra_key(spectra)
    find_truth = NearestMessage(truth, round(options.truth_tolerance_s * S), truth.stamp_ns) if truth else None
    tolerance_ns = round(options.settings.sync_tolerance_s * S)
    cameras = {name: tracks.cameras[name] for name in spectra}
    find_rejected = {name: track.rejected_near(tolerance_ns) for name, track in cameras.items() if track.reason}
    for number, (ready, left_ns) in enumerate(simulate(tracks.arrivals(spectra), synchronizer)):
        indices = {name: item.item for name, item in ready.items.items()}
        stamps_ns = {name: cameras[name].stamp_ns[index] for name, index in indices.items()}
        stamp_ns = depth_stamp_ns(ready.stamp_ns, stamps_ns, options.settings.reference)
        faults = {name: cameras[name].faults[index] for name, index in indices.items()}
        used, left_out, _ = select(faults, options.settings)
        absent = {name: find(ready.stamp_ns, left_ns) for name, find in find_rejected.items() if name not in indices}
        yield SetPlan(
            bag, variant, number, stamp_ns,
            {name: cameras[name].content(index) for name, index in indices.items()},
            find_truth(stamp_ns) if find_truth else None,
            (left_ns - max(ready.items[name].received_ns for name in used or indices)) * 1e-6,
            {name: found for name, found in faults.items() if found},
            tuple(left_out),
            {name: ref for name, ref in absent.items() if ref is not None},
            consistency=truth is None and len(used) > 1 and number % CONSISTENCY_EVERY == 0,
        )  # fmt: skip


def _matching_notes(where: str, synchronizer: SpectralSynchronizer) -> list[str]:
    """Why images of a camera are in no set. One may be lost at the start, while nobody knows what else will come."""
    counts = synchronizer.statistics.spectra
    verdicts = {name: judge_matching(name, count) for name, count in counts.items() if count.dropped > 1}
    bad = (Level.WARN, Level.ERROR)
    return [f"{where}: {name}: {verdict.message}" for name, verdict in verdicts.items() if verdict.level in bad]
