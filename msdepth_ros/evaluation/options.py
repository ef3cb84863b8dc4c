"""What `msdepth evaluate` is asked to do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.calibration import Calibration, load_calibration
from msdepth_ros.bags.topics import Sources
from msdepth_ros.core.arguments import LONGEST_S
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.injection.faults import FaultSpan
from msdepth_ros.core.model.engine import DepthEngine, default_model_path
from msdepth_ros.core.settings import S, Settings
from msdepth_ros.core.spectra import in_canonical_order

_JUDGED_BY = (
    "leave_out", "confirm_images", "clear_images", "frozen_after_s", "black_level", "overexposed_share",
    "flat_contrast", "flat_thermal_counts", "noise_ratio", "blur_ratio",
)  # fmt: skip


@dataclass(frozen=True)
class EvaluateOptions:
    """Everything that decides the results. It can be sent to another process.

    Attributes:
        settings: Of the node.
        rig: Rig file; None takes the recording's own calibration.
        images: Image topics by spectrum, where names do not tell.
        infos: camera_info topics by spectrum, where they are not beside the images.
        ground_truth: Its topic; None takes one with our name, empty takes none.
        truth_tolerance_s: Largest distance in time between a set and its ground truth.
        drop: Cameras to do without.
        sweep: Evaluate every subset of the cameras.
        faults: To put in.
        start_s: Leave out what was recorded earlier, seconds from the start of the recording.
        duration_s: Length to evaluate, seconds; None is all of it.
        every: Evaluate every so many sets.
    """

    settings: Settings
    rig: Path | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    infos: Mapping[str, str] = field(default_factory=dict)
    ground_truth: str | None = None
    truth_tolerance_s: float = 0.04
    drop: tuple[str, ...] = ()
    sweep: bool = False
    faults: tuple[FaultSpan, ...] = ()
    start_s: float = 0.0
    duration_s: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.every < 1:
            raise MsdepthError(f"--every {self.every}: it must be at least 1, which is every set")
        times_s = {"start": self.start_s, "duration": self.duration_s or 0.0, "truth-tolerance": self.truth_tolerance_s}
        for name, time_s in times_s.items():
            if not 0.0 <= time_s <= LONGEST_S:
                raise MsdepthError(f"--{name} {time_s}: it must be from 0 to {LONGEST_S:g} seconds")
        if self.duration_s is not None and not self.duration_s > 0:
            raise MsdepthError(f"--duration {self.duration_s}: it must be above 0 seconds")
        if self.settings.sync_policy != "spectral":
            raise MsdepthError(
                f"parameter sync.policy is {self.settings.sync_policy!r}, which message_filters decides while the node "
                "runs; a replay needs spectral"
            )

        if not self.spectra:
            raise MsdepthError(f"--drop {','.join(self.drop)}: no camera is left of {', '.join(self.settings.spectra)}")

    @property
    def spectra(self) -> tuple[str, ...]:
        """The cameras that may be used."""
        out = in_canonical_order(self.drop)
        return tuple(name for name in self.settings.spectra if name not in out)

    def variants(self, spectra: Iterable[str]) -> list[tuple[str, ...]]:
        """The camera subsets to evaluate of those that a recording has: all of them first."""
        there = in_canonical_order(spectra)
        if not self.sweep:
            return [there]
        sizes = range(len(there), 0, -1)
        return [subset for size in sizes for subset in itertools.combinations(there, size)]

    def window_ns(self, start_ns: int) -> tuple[int | None, int | None]:
        """First time of recording to read, and the first one not to read; None where there is no limit."""
        begin = start_ns + round(self.start_s * S) if self.start_s else None
        end = None if self.duration_s is None else (begin or start_ns) + round(self.duration_s * S)
        return begin, end

    def model_path(self) -> Path:
        """The model file."""
        return Path(self.settings.model_path) if self.settings.model_path else default_model_path()

    def make_engine(self, threads: int = 2) -> DepthEngine:
        """Loads the model as the node does."""
        settings = self.settings
        cache = settings.model_cache_dir or None
        return DepthEngine(self.model_path(), providers=settings.providers, cache_dir=cache, threads=threads)

    def load_calibration(self, bag: Bag, sources: Sources) -> Calibration:
        """The calibration of a recording, as the node would have it.

        Raises:
            MsdepthError: See `bags.calibration.load_calibration`.
        """
        settings = self.settings
        return load_calibration(bag, sources, settings.reference, self.rig_file(), settings.ground)

    def rig_file(self) -> Path | None:
        """The rig file, of the command line or of the node's parameters."""
        if self.rig is None and self.settings.calibration_source == "file":
            return Path(self.settings.calibration_file)
        return self.rig

    def describe(self) -> dict[str, Any]:
        """What decides the results, as plain values for metrics.json."""
        settings = self.settings
        return {
            "reference": settings.reference,
            "spectra": list(self.spectra),
            "depth_min_m": settings.depth_min_m,
            "depth_max_m": settings.depth_max_m,
            "min_confidence": settings.output_min_confidence,
            "bits": dict(settings.bits),
            "ground": {name: value for name, value in settings.ground._asdict().items() if name != "name"},
            "sync_tolerance_s": settings.sync_tolerance_s,
            "sync_deadline_s": settings.sync_deadline_s,
            "sync_stale_after_s": settings.sync_stale_after_s,
            "sync_offset_s": dict(settings.sync_offset_s),
            "health": {name: getattr(settings.health, name) for name in _JUDGED_BY},
            "ground_truth": self.ground_truth,
            "truth_tolerance_s": self.truth_tolerance_s,
            "faults": [str(fault) for fault in self.faults],
            "start_s": self.start_s,
            "duration_s": self.duration_s,
            "every": self.every,
        }
