"""One image against its truth: the same for a replay and a training, whatever the pixels are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from msdepth_ros.core.image_score import AUSE_SAMPLES, MAX_TRUTH_M, MIN_TRUTH_M, is_scored, score_image
from msdepth_ros.core.metrics import ause

SHAPE = (4, 6)
metres = arrays(np.float32, SHAPE, elements=st.floats(-1, 200, width=32) | st.sampled_from([np.nan, np.inf, 0.0]))
confidences = arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32) | st.just(np.nan))


@given(metres, confidences, metres)
def test_what_is_scored_is_what_has_truth_and_depth(
    depth_m: NDArray[np.float32], confidence: NDArray[np.float32], truth_m: NDArray[np.float32]
) -> None:
    found = score_image(depth_m, confidence, truth_m)
    scored = is_scored(truth_m) & ~np.isnan(depth_m)
    if found is None:
        assert not scored.any()
        return
    assert found.plain.valid_count == found.truth_m.size == scored.sum()
    assert ((found.truth_m > MIN_TRUTH_M) & (found.truth_m < MAX_TRUTH_M)).all()
    assert found.plain.abs_rel == pytest.approx(found.relative.mean())
    assert found.plain.delta_1 == pytest.approx(found.correct.mean())
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert found.ause == pytest.approx(ause(found.relative, 1 - found.confidence))


@pytest.mark.parametrize("pixels", [AUSE_SAMPLES - 1, AUSE_SAMPLES, AUSE_SAMPLES + 1, 5 * AUSE_SAMPLES + 3])
def test_of_many_pixels_every_so_manyth_counts_for_ause(pixels: int) -> None:
    draws = np.random.default_rng(0)
    truth_m = draws.uniform(1, 70, (1, pixels)).astype(np.float32)
    depth_m = (truth_m * draws.uniform(0.5, 1.5, truth_m.shape)).astype(np.float32)
    confidence = draws.uniform(0, 1, truth_m.shape).astype(np.float32)
    found = score_image(depth_m, confidence, truth_m)
    assert found is not None
    step = -(-pixels // AUSE_SAMPLES)
    assert found.ause == ause(found.relative[::step], 1.0 - found.confidence[::step])
