"""Faults as they are written on the command line, and what they do to an image."""

import math

import numpy as np
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.injection.faults import FaultSpan, apply_fault
from msdepth_ros.evaluation.plan.faults import is_dropped, parse_fault

NOISE = np.random.default_rng(0).integers(100, 150, (40, 60)).astype(np.uint8)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("black:rgb@3-5s", FaultSpan("black", "rgb", 3.0, 5.0)),
        ("freeze:thermal@0.5-1.25", FaultSpan("freeze", "thermal", 0.5, 1.25)),
        ("drop:nir@2-s", FaultSpan("drop", "nir", 2.0, math.inf, 1.0)),
        ("drop=0.3:nir@2-s", FaultSpan("drop", "nir", 2.0, math.inf, 0.3)),
        ("noise:nir", FaultSpan("noise", "nir", 0.0, math.inf, 0.25)),
        ("blur=0.1:nir", FaultSpan("blur", "nir", 0.0, math.inf, 0.1)),
    ],
)
def test_faults_are_read_and_written_alike(text: str, fault: FaultSpan) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    "text", ["", "black", "black:radar@1-2s", "melt:rgb@1-2s", "black:rgb@5-3s", "black:rgb@1.2.3-4s", "freeze=2:rgb",
             "delay:rgb", "truncate:rgb"]
)  # fmt: skip
def test_what_is_no_fault_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(MsdepthError, match="for example black:rgb@3-5s"):
        parse_fault(text)


def test_a_fault_covers_its_start_but_not_its_end() -> None:
    fault = parse_fault("black:rgb@3-5s")
    assert [fault.covers(seconds) for seconds in (2.999, 3.0, 4.999, 5.0)] == [False, True, True, False]


def test_faults_change_images_as_their_names_say_and_leave_the_original_alone() -> None:
    before = NOISE.copy()
    assert not apply_fault("black", NOISE, 1).any()
    assert (apply_fault("white", NOISE.astype(np.uint16), 1) == 65535).all()
    assert apply_fault("blur", NOISE, 1).std() < 0.5 * NOISE.std()
    noisy = apply_fault("noise", NOISE, 1)
    assert noisy.dtype == NOISE.dtype
    assert noisy.std() > 1.05 * NOISE.std()
    assert (noisy == apply_fault("noise", NOISE, 1)).all()
    assert (noisy != apply_fault("noise", NOISE, 2)).any()
    assert (before == NOISE).all()


def test_a_share_of_the_images_is_dropped_always_the_same_ones() -> None:
    times = range(10**18, 10**18 + 1000 * 10**8, 10**8)
    lost = [is_dropped(parse_fault("drop=0.3:rgb"), log_ns) for log_ns in times]
    assert 0.25 < np.mean(lost) < 0.35
    assert lost == [is_dropped(parse_fault("drop=0.3:rgb"), log_ns) for log_ns in times]
    assert all(is_dropped(parse_fault("drop:rgb"), log_ns) for log_ns in times)
