"""Records and pictures of evaluations that never happened, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from msdepth_ros.core.camera.images import DecodedImage
from msdepth_ros.core.spectra import SPECTRA, spectra_key
from msdepth_ros.report.frame_pictures import FramePictures, encode
from msdepth_ros.results.frame import BAND_EDGES_M, BIN_COUNT, METRICS, FrameRecord, Timings
from msdepth_ros.results.moments import Moment
from msdepth_ros.results.summary import About, Summary, summarise

START_NS = 1_700_000_000_000_000_000
TICK_NS = 100_000_000
ABOUT = About({"name": "tiny", "version": "0.1", "sha256": "ab" * 32}, {"reference": "rgb", "every": 1}, wall_s=2.0,
              providers=("CPUExecutionProvider",))  # fmt: skip


def record(
    number: int,
    *,
    bag: str = "drive",
    variant: tuple[str, ...] = SPECTRA,
    spectra: tuple[str, ...] | None = None,
    abs_rel: float | None = 0.1,
    confidence: float | None = 0.7,
    health: tuple[str, ...] = (),
    latency_ms: float = 42.0,
    stamp_ns: int | None = None,
) -> FrameRecord:
    """One set; without `abs_rel` there is no truth, without `confidence` no depth."""
    used = variant if spectra is None else spectra
    identity = (bag, spectra_key(variant), number, START_NS + number * TICK_NS if stamp_ns is None else stamp_ns)
    if confidence is None:
        return FrameRecord(*identity, spectra=(), health=health, error="no image of the set can be used")
    common = {
        "spectra": used,
        "confidence": confidence,
        "view_confidence": dict.fromkeys(used, confidence - 0.1),
        "health": health,
        "timings": Timings(latency_ms - 12.0, latency_ms - 10.0, latency_ms),
    }
    if abs_rel is None:
        return FrameRecord(*identity, consistency=dict.fromkeys(used, 0.9), **common)
    bands, bins = len(BAND_EDGES_M) - 1, np.arange(BIN_COUNT)
    scores = {name: 0.9 if name.startswith("delta") else 0.2 for name in METRICS} | {"abs_rel": abs_rel}
    scores |= {f"{name}_median_scaled": 0.9 * value for name, value in scores.items()}
    return FrameRecord(
        *identity,
        scores={**scores, "coverage": 1.0, "ause": 0.05},
        truth_stamp_ns=identity[3],
        truth_pixels=100 * bands,
        band_counts=(100,) * bands,
        band_abs_rel_sums=tuple(100 * abs_rel * (1 + index / bands) for index in range(bands)),
        bin_counts=(100,) * BIN_COUNT,
        bin_confidence_sums=tuple((100 * (bins + 0.5) / BIN_COUNT).tolist()),
        bin_correct_counts=tuple((5 * bins).tolist()),
        **common,
    )


def moment(one: FrameRecord, size: tuple[int, int] = (32, 80)) -> Moment[FrameRecord]:
    """Pictures that go with a record: noise, which compresses worst of all."""
    noise = np.random.default_rng(one.number)
    depth_m = noise.uniform(2, 60, size).astype(np.float32)
    inputs = {}
    for name in one.spectra:
        shape = (*size, 3) if name == "rgb" else size
        kind, top = ("mono16", 16000) if name == "thermal" else ("rgb8" if name == "rgb" else "mono8", 250)
        inputs[name] = DecodedImage(noise.integers(0, top, shape).astype(np.uint16 if top > 255 else np.uint8), kind)
    names = ("confidence", *one.spectra)
    scored = "abs_rel" in one.scores
    return Moment(
        record=one,
        inputs=inputs,
        depth_m=depth_m,
        confidences={name: noise.integers(0, 255, size).astype(np.uint8) for name in names},
        truth_m=depth_m * np.float32(1.2) if scored else None,
        depth_at_truth_m=depth_m if scored else None,
    )


def pictures(one: FrameRecord, size: tuple[int, int] = (32, 80)) -> FramePictures:
    """The same for the page."""
    return encode(moment(one, size))


def summary(records: Iterable[FrameRecord]) -> Summary:
    """Everything that records say together."""
    return summarise(records, ABOUT)
