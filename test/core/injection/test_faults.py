"""Faults are written one way, change what they say and nothing else, and are the same in every run."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.injection.faults import KINDS, PICTURE_KINDS, FaultSpan, apply_fault, mutated, parse_span, tour
from msdepth_ros.core.spectra import SPECTRA

GENERATOR = np.random.default_rng(5)
PICTURES = {
    "rgb": GENERATOR.integers(0, 256, (24, 60, 3), np.uint8),
    "grey": GENERATOR.integers(0, 256, (24, 60), np.uint8),
    "one channel": GENERATOR.integers(0, 256, (24, 60, 1), np.uint8),
    "counts": GENERATOR.integers(21_000, 23_000, (24, 60), np.uint16),
}


def test_spans_are_read() -> None:
    assert parse_span("black:rgb@3-5s") == FaultSpan("black", "rgb", 3.0, 5.0, 0.0)
    assert parse_span("drop=0.3:nir@1.5-") == FaultSpan("drop", "nir", 1.5, math.inf, 0.3)
    assert parse_span("freeze:thermal") == FaultSpan("freeze", "thermal", 0.0, math.inf, 0.0)
    assert parse_span("stamp_jump=-2:rgb").amount == -2.0


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(SPECTRA), st.integers(0, 99), st.integers(1, 99), st.booleans())
def test_spans_are_written_as_they_are_read(kind: str, spectrum: str, start: int, length: int, endless: bool) -> None:
    span = FaultSpan(kind, spectrum, start, math.inf if endless else start + length, KINDS[kind].amount)
    assert parse_span(str(span)) == span


@pytest.mark.parametrize(
    "text",
    ["", "black", "black:uv", "gone:rgb", "black:rgb@5-3s", "black:rgb@3-3s", "black:rgb@1.2.3-5s", "drop=2:rgb"]
    + ["black=0.5:rgb", "delay=-1:rgb", "delay=1000:rgb", "black:rgb@-1-3s", "drop=nan:rgb"],
)
def test_what_makes_no_sense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(MsdepthError, match="black:rgb@3-5s"):
        parse_span(text)


def test_only_the_kinds_asked_for_are_read() -> None:
    assert parse_span("black:rgb", PICTURE_KINDS).kind == "black"
    with pytest.raises(MsdepthError, match="KIND is one of black, white, noise, blur, wiper, SPECTRUM"):
        parse_span("delay:rgb", PICTURE_KINDS)


def test_spans_begin_with_their_start_and_end_before_their_end() -> None:
    span = parse_span("black:rgb@3-5s")
    assert [span.covers(seconds) for seconds in (2.9, 3.0, 4.9, 5.0)] == [False, True, True, False]


def test_a_tour_is_one_fault_at_a_time() -> None:
    spans = tour(KINDS, SPECTRA, hold_s=2.0, pause_s=1.0)
    assert {(span.kind, span.spectrum) for span in spans} == {(kind, name) for kind in KINDS for name in SPECTRA}
    assert spans[0].start_s == 1.0
    assert all(later.start_s - earlier.end_s == pytest.approx(1.0) for earlier, later in pairwise(spans))


@pytest.mark.parametrize("kind", PICTURE_KINDS)
@pytest.mark.parametrize("name", PICTURES)
def test_a_fault_keeps_shape_type_and_the_original(kind: str, name: str) -> None:
    picture = PICTURES[name]
    before = picture.copy()
    faulty = apply_fault(kind, picture, 4)
    assert (faulty.shape, faulty.dtype) == (picture.shape, picture.dtype)
    assert not np.array_equal(faulty, picture)
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(faulty, apply_fault(kind, picture, 4))


@pytest.mark.parametrize("name", PICTURES)
def test_what_each_fault_does(name: str) -> None:
    picture = PICTURES[name].astype(np.float64)
    made = {kind: apply_fault(kind, PICTURES[name], 4).astype(np.float64) for kind in PICTURE_KINDS}
    assert made["black"].max() == 0
    assert made["white"].min() == np.iinfo(PICTURES[name].dtype).max
    assert np.abs(np.diff(made["blur"], axis=1)).mean() < 0.2 * np.abs(np.diff(picture, axis=1)).mean()
    assert made["noise"].std() > 1.1 * picture.std() or made["noise"].max() == 255  # clipped at full scale
    assert np.abs(made["noise"] - picture).mean() < np.ptp(picture)  # thermal counts stay near theirs


def test_noise_differs_from_image_to_image_and_the_wiper_moves() -> None:
    for kind in ("noise", "wiper"):
        assert not np.array_equal(*(apply_fault(kind, PICTURES["grey"], seed) for seed in (1, 2)))


def test_the_wiper_covers_its_share_and_leaves_the_rest() -> None:
    faulty = apply_fault("wiper", PICTURES["counts"], 6, 0.25)
    covered = np.all(faulty == PICTURES["counts"].min(), axis=0)
    assert covered.mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(faulty[:, ~covered], PICTURES["counts"][:, ~covered])


def test_a_stronger_fault_is_stronger() -> None:
    picture = PICTURES["grey"].astype(np.float64)
    weak, strong = (np.abs(apply_fault("noise", PICTURES["grey"], 1, share) - picture).mean() for share in (0.02, 0.4))
    assert strong > 3 * weak


@given(st.binary(max_size=300), st.integers(), st.floats(0, 1))
def test_mutated_bytes_keep_their_number_and_repeat(data: bytes, seed: int, share: float) -> None:
    assert len(mutated(data, seed, share)) == len(data)
    assert mutated(data, seed, share) == mutated(data, seed, share)
