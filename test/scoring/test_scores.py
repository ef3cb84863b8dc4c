"""Numbers of one set against a reference that is written out pixel by pixel."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from msdepth_ros.core.image_score import AUSE_SAMPLES
from msdepth_ros.results.frame import BAND_EDGES_M, BIN_COUNT, SCORES
from msdepth_ros.scoring.scores import agreement, score


def scene(seed: int, size: tuple[int, int] = (24, 40)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth with holes and infinities, confidence, and truth with gaps."""
    generator = np.random.default_rng(seed)
    truth = np.exp(generator.uniform(np.log(1.0), np.log(120.0), size)).astype(np.float32)
    depth = (truth * np.exp(generator.normal(0.1, 0.3, size))).astype(np.float32)
    truth[generator.random(size) < 0.2] = np.nan
    depth[generator.random(size) < 0.1] = np.nan
    depth[depth > 80] = np.inf
    return depth, generator.random(size).astype(np.float32), truth


def reference(depth: np.ndarray, confidence: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The metrics, one pixel after the other in plain Python."""
    pairs = []
    valid = 0
    for d, c, t in zip(depth.ravel().tolist(), confidence.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if not (t == t and 0.001 < t < 80.0):
            continue
        valid += 1
        if d == d:
            pairs.append((d, c, t))

    def of(scale: float) -> dict[str, float]:
        rows = [(min(max(d * scale, 0.001), 80.0), t) for d, _, t in pairs]
        n = len(rows)
        logs = [math.log(d) - math.log(t) for d, t in rows]
        mean_log = math.fsum(logs) / n
        factors = [max(d / t, t / d) for d, t in rows]
        return {
            "abs_rel": math.fsum(abs(d - t) / t for d, t in rows) / n,
            "sq_rel": math.fsum((d - t) ** 2 / t for d, t in rows) / n,
            "rmse": math.sqrt(math.fsum((d - t) ** 2 for d, t in rows) / n),
            "rmse_log": math.sqrt(math.fsum(x * x for x in logs) / n),
            "delta_1": sum(f < 1.25 for f in factors) / n,
            "delta_2": sum(f < 1.25**2 for f in factors) / n,
            "delta_3": sum(f < 1.25**3 for f in factors) / n,
            "silog": 100 * math.sqrt(math.fsum((x - mean_log) ** 2 for x in logs) / n),
        }

    ordered_d, ordered_t = sorted(d for d, _, _ in pairs), sorted(t for _, _, t in pairs)
    n = len(pairs)
    median = [(values[(n - 1) // 2] + values[n // 2]) / 2 for values in (ordered_d, ordered_t)]
    scale = median[1] / median[0] if math.isfinite(median[0]) else 1.0
    result = {**of(1.0), **{f"{name}_median_scaled": value for name, value in of(scale).items()}}
    result["coverage"] = n / valid
    relative = [abs(min(max(d, 0.001), 80.0) - t) / t for d, _, t in pairs]
    result["ause"] = sparsification_area(relative, [1 - c for _, c, _ in pairs])
    return result


def sparsification_area(errors: list[float], doubts: list[float]) -> float:
    """Area between the curves of what is left when the most doubted, or the worst, are removed; 20 steps."""
    n = len(errors)

    def curve(order: list[float]) -> list[float]:
        ranked = [error for _, error in sorted(zip(order, errors, strict=True), key=lambda pair: pair[0])]
        values = []
        for step in range(20):
            keep = max(math.ceil((1 - step / 20) * n - 1e-9), 1)
            values.append(math.fsum(ranked[:keep]) / keep / (math.fsum(errors) / n))
        return values

    gap = [a - b for a, b in zip(curve(doubts), curve(errors), strict=True)]
    return math.fsum((a + b) / 2 for a, b in zip(gap, gap[1:], strict=False)) / 20


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_equals_the_reference(seed: int) -> None:
    depth, confidence, truth = scene(seed)
    expected = reference(depth, confidence, truth)
    values = score(depth, confidence, truth)
    assert list(values["scores"]) == list(SCORES)
    for name in SCORES:
        assert values["scores"][name] == pytest.approx(expected[name], rel=1e-6, abs=1e-9), name


def test_ause_of_a_large_image_is_that_of_every_so_manyth_pixel() -> None:
    generator = np.random.default_rng(5)
    truth = generator.uniform(2, 70, (150, 120)).astype(np.float32)
    depth = (truth * generator.uniform(0.7, 1.4, truth.shape)).astype(np.float32)
    confidence = generator.random(truth.shape).astype(np.float32)
    step = -(-truth.size // AUSE_SAMPLES)
    errors = np.abs(np.clip(depth, 0.001, 80).astype(np.float64) - truth) / truth
    doubts = 1.0 - confidence.astype(np.float64)
    expected = sparsification_area(errors.ravel()[::step].tolist(), doubts.ravel()[::step].tolist())
    assert step == 3
    assert score(depth, confidence, truth)["scores"]["ause"] == pytest.approx(expected, rel=1e-6)


def test_bands_and_bins_hold_every_scored_pixel_where_it_belongs() -> None:
    depth, confidence, truth = scene(11)
    values = score(depth, confidence, truth)
    counts, sums = [0] * (len(BAND_EDGES_M) - 1), [0.0] * (len(BAND_EDGES_M) - 1)
    bins = [[0, 0.0, 0] for _ in range(BIN_COUNT)]
    for d, c, t in zip(depth.ravel().tolist(), confidence.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if t == t and 0.001 < t < 80.0 and d == d:
            d = min(max(d, 0.001), 80.0)
            band = max(index for index, edge in enumerate(BAND_EDGES_M) if edge <= t)
            counts[band] += 1
            sums[band] += abs(d - t) / t
            entry = bins[min(int(c * BIN_COUNT), BIN_COUNT - 1)]
            entry[0] += 1
            entry[1] += c
            entry[2] += max(d / t, t / d) < 1.25
    assert list(values["band_counts"]) == counts
    assert values["band_abs_rel_sums"] == pytest.approx(sums, rel=1e-9)
    assert list(values["bin_counts"]) == [entry[0] for entry in bins]
    assert values["bin_confidence_sums"] == pytest.approx([entry[1] for entry in bins], rel=1e-9)
    assert list(values["bin_correct_counts"]) == [entry[2] for entry in bins]
    assert values["truth_pixels"] == sum(counts)


def test_perfect_depth_has_no_error_and_nothing_to_score_gives_nothing() -> None:
    truth = np.linspace(1, 70, 50, dtype=np.float32).reshape(5, 10)
    sure = np.ones_like(truth)
    scores = score(truth, sure, truth)["scores"]
    assert scores["abs_rel"] == scores["rmse"] == scores["ause"] == 0.0
    assert scores["delta_1"] == scores["coverage"] == 1.0
    assert score(truth, sure, np.full_like(truth, np.nan)) == {}
    assert score(np.full_like(truth, np.nan), sure, truth) == {}


def test_agreement_counts_only_what_the_spectrum_sees() -> None:
    depth = np.full((2, 4), 10.0, np.float32)
    fused = SimpleNamespace(depth_m=depth, view_confidence={"nir": np.array([[1, 1, 1, 1], [0, 0, 0, 0]], np.float32)})
    own = np.array([[10, 12, 13, 7.9], [50, 50, 50, 50]], np.float32)
    single = SimpleNamespace(depth_m=own, spectra=("nir",))
    assert agreement(fused, single) == 0.5
    fused.view_confidence["nir"][:] = 0
    assert agreement(fused, single) is None
