"""The recordings of an evaluation: each is opened, indexed and checked once, before anything is computed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.calibration import Calibration
from msdepth_ros.bags.topics import Sources, find_sources
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.results.compare import Extent

MOST_FILES = 200
"""Storage files that are open at a time; a process may have 1024 open files."""
_NEVER_NS = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording that can be evaluated.

    Attributes:
        bag: Open.
        sources: The topics that are read.
        calibration: Of the cameras, and the road where it is known.
        window_ns: First time of recording to read, and the first one not to read; None where there is no limit.
    """

    bag: Bag
    sources: Sources
    calibration: Calibration
    window_ns: tuple[int | None, int | None]


class Recordings:
    """Opens recordings for these options, each once as long as not too many files are open; use it as a context.

    Args:
        options: What is asked of them.
        most_files: Of more open storage files, the recordings that were used longest ago are closed.
    """

    def __init__(self, options: EvaluateOptions, most_files: int = MOST_FILES) -> None:
        """Nothing is opened yet."""
        self._options, self._most_files = options, most_files
        self._open: OrderedDict[Path, Recording] = OrderedDict()

    def __enter__(self) -> Recordings:
        """Use as a context, so that files are closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].bag.close()

    def get(self, path: Path) -> Recording:
        """A recording, open until others are asked for.

        Raises:
            MsdepthError: It cannot be read, something is missing, or there is no image in the time that is asked for.
        """
        found = self._open.get(path)
        if found is None:
            bag = Bag(path).__enter__()
            try:
                found = self._open[path] = self._prepared(bag)
            except BaseException:
                bag.close()
                raise
        self._open.move_to_end(path)
        while len(self._open) > 1 and sum(one.bag.file_count for one in self._open.values()) > self._most_files:
            self._open.popitem(last=False)[1].bag.close()
        return found

    def _prepared(self, bag: Bag) -> Recording:
        """Topics and calibration, so that what is missing shows before any image is looked at."""
        options = self._options
        sources = sources_of(bag, options)
        bag.require({topic: (bag.topics[topic].msgtype,) for topic in sources.topics})
        begin_ns, end_ns = window_ns = options.window_ns(bag.start_ns)
        times = np.concatenate([bag.times_ns(topics.image) for topics in sources.cameras.values()])
        if not ((times >= (begin_ns or 0)) & (times < (end_ns or _NEVER_NS))).any():
            raise MsdepthError(f"bag {bag.path}: its images form no set {why_no_set(options, [])}")
        return Recording(bag, sources, options.load_calibration(bag, sources), window_ns)


def sources_of(bag: Bag, options: EvaluateOptions) -> Sources:
    """The topics of a recording that an evaluation reads."""
    return find_sources(
        bag,
        options.spectra,
        images=options.images,
        infos=options.infos,
        ground_truth=options.ground_truth,
        transports=options.settings.image_transports,
    )


def why_no_set(options: EvaluateOptions, notes: list[str]) -> str:
    """What is known of a recording without any set."""
    reasons = "; ".join(notes) or "there is no image in that time"
    return f"within --start {options.start_s} and --duration {options.duration_s}; {reasons}"


class Checked(NamedTuple):
    """Recordings that were opened, but not looked at.

    Attributes:
        usable: Those that can be evaluated as far as is known, by name.
        failed: Why the others cannot, by name.
        extent: Of an evaluation of the usable ones.
    """

    usable: Mapping[str, Path]
    failed: Mapping[str, str]
    extent: Extent


def check_recordings(bags: Mapping[str, Path], recordings: Recordings, options: EvaluateOptions) -> Checked:
    """Opens recordings.

    Args:
        bags: By name.
        recordings: Opens them.
        options: What is asked of them.
    """
    usable: dict[str, Path] = {}
    failed: dict[str, str] = {}
    variants: dict[str, None] = {}
    truths = []
    for name, path in bags.items():
        try:
            sources = recordings.get(path).sources
        except MsdepthError as error:
            failed[name] = str(error)
            continue
        usable[name] = path
        variants |= dict.fromkeys(map(spectra_key, options.variants(sources.cameras)))
        truths.append(sources.truth is not None)
    return Checked(usable, failed, Extent(list(variants), truths))
