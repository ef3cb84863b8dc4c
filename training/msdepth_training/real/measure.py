"""Score a network and the baselines on every real frame in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.errors import TrainingError
from msdepth_training.real.baselines import ElevationPrior, flat_road_m
from msdepth_training.real.frames import RealFrame, load_lidar_frame
from msdepth_training.real.pairs import load_pairs
from msdepth_training.real.predict import Network, predict
from msdepth_training.real.score import Score, mean_of_sets, mean_score, score

FUSED = "fused"
"""All cameras together."""


class ScoredFrame(NamedTuple):
    """RGB alone."""

    set_name: str
    camera: str
    name: str
    score: Score


def load_frames(folder: Path) -> list[RealFrame]:
    """Every real frame below a folder: those with gt.png, and those of stereo pairs (left/, right/, rig.yaml).

    Raises:
        TrainingError: there is none, or a file is missing or not what it should be.
    """
    lidar = [load_lidar_frame(path.parent) for path in sorted(folder.rglob("gt.png"))]
    pairs = [frame for path in sorted(folder.rglob("right")) for frame in load_pairs(path.parent)]
    if not lidar and not pairs:
        raise TrainingError(f"{folder} has no real frames: folders with gt.png, or with left/, right/ and rig.yaml")
    return [*lidar, *pairs]


def score_rgb(frames: Sequence[RealFrame], network: Network, *, ground: bool) -> list[ScoredFrame]:
    """RGB alone in every frame.

    Args:
        frames: to score.
        network: under test.
        ground: give it the plane of the road.
    """
    return [_named(frame, _score_prediction(frame, network, ("rgb",), "rgb", ground=ground)) for frame in frames]


def _score_prediction(
    frame: RealFrame, network: Network, spectra: Sequence[str], reference: str, *, ground: bool
) -> Score:
    plane, images = frame.ground_in(reference), {spectrum: frame.images[spectrum] for spectrum in spectra}
    found = predict(network, images, frame.rig, reference, plane if ground else None)
    known = frame.reference(reference)
    return score(known.at(found.depth_m), known, plane, known.at(found.confidence))


def _named(frame: RealFrame, found: Score) -> ScoredFrame:
    return ScoredFrame(frame.set_name, frame.camera, frame.name, found)


def score_flat_road(frames: Sequence[RealFrame]) -> list[ScoredFrame]:
    """The true flat road, in frames that tell where it is."""
    return [
        _named(frame, score(flat_road_m(known, frame.ground), known, frame.ground))
        for frame in frames
        if frame.ground is not None and (known := frame.reference("rgb"))
    ]


def score_elevation_prior(frames: Sequence[RealFrame]) -> list[ScoredFrame]:
    """The usual depth of each ray elevation in the frames of the other sets; empty where there is one set only."""
    scored = []
    for name in dict.fromkeys(frame.set_name for frame in frames):
        others = [frame.reference("rgb") for frame in frames if frame.set_name != name]
        if others:
            prior = ElevationPrior(others)
            for frame in (frame for frame in frames if frame.set_name == name):
                known = frame.reference("rgb")
                scored.append(_named(frame, score(prior.depth_m(known.rays), known, frame.ground)))
    return scored


def tree(scored: Sequence[ScoredFrame]) -> dict[str, Any]:
    """Numbers of all sets, and of each set, camera and frame.

    Returns:
        `mean`, `obstacles` and `confidence` over sets, and `sets`: the same of each, over its frames, with `cameras`
        and `frames` in it.
    """
    groups = {name: [s for s in scored if s.set_name == name] for name in dict.fromkeys(s.set_name for s in scored)}
    sets = {name: mean_score([s.score for s in group]) for name, group in groups.items()}
    branches = {
        name: {
            **sets[name].values,
            "count": sets[name].frames,
            "cameras": {
                camera: mean_score([s.score for s in group if s.camera == camera]).values
                for camera in dict.fromkeys(s.camera for s in group)
            },
            "frames": {s.name: s.score.values for s in group},
        }
        for name, group in groups.items()
    }
    return {**mean_of_sets(list(sets.values())).values, "sets": branches}


def score_cameras(frames: Sequence[RealFrame], network: Network, *, ground: bool) -> dict[str, Any] | None:
    """Each camera alone and all together, in every camera's frame; None where no frame has all cameras.

    Returns:
        `frames`: reference to what was given (a spectrum or `fused`) to numbers; and of the RGB camera's frame `fused`,
        `best_alone` (with `spectrum`, which one that is) and `ratio` of their AbsRel.
    """
    whole = [frame for frame in frames if set(frame.images) == set(SPECTRA)]
    if not whole:
        return None
    given = {**{spectrum: (spectrum,) for spectrum in SPECTRA}, FUSED: SPECTRA}

    def numbers(spectra: Sequence[str], reference: str) -> dict[str, float]:
        found = [_score_prediction(frame, network, spectra, reference, ground=ground) for frame in whole]
        return mean_score(found).values["mean"]

    table = {r: {name: numbers(spectra, r) for name, spectra in given.items()} for r in SPECTRA}
    rgb = table["rgb"]
    best = min(SPECTRA, key=lambda spectrum: rgb[spectrum]["abs_rel"])
    return {
        FUSED: rgb[FUSED],
        "best_alone": {"spectrum": best, **rgb[best]},
        "ratio": rgb[FUSED]["abs_rel"] / rgb[best]["abs_rel"],
        "frames": table,
    }


def measure(frames: Sequence[RealFrame], network: Network, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything that real.json holds.

    Args:
        frames: from `load_frames`.
        network: under test.
        report: is told what is left out, and why.
    """
    result: dict[str, Any] = {"model": network.title, "height": network.height, "width": network.width}
    result |= tree(score_rgb(frames, network, ground=False))
    result["ms2"] = score_cameras(frames, network, ground=False)
    result["with_ground_plane"] = None
    if network.takes_ground:
        known = [frame for frame in frames if frame.ground is not None]
        result["with_ground_plane"] = {
            **tree(score_rgb(known, network, ground=True)), "ms2": score_cameras(known, network, ground=True)
        }  # fmt: skip
    else:
        report(f"{network.title} cannot be told the road: it is scored without the road's plane only")
    result["baselines"] = {
        "flat_road": tree(score_flat_road(frames)), "ray_elevation": tree(score_elevation_prior(frames))
    }  # fmt: skip
    return result


def finite(value: Any) -> Any:
    """The same without NaN, which JSON does not have: null."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
