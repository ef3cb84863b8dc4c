"""Faults as they are written on the command line, and what they do to an image."""

import math

import numpy as np
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.faults import apply_fault
from msdepth_ros.replay.faults import Fault, parse_fault

NOISE = np.random.default_rng(0).integers(100, 150, (40, 60)).astype(np.uint8)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("black:rgb@3-5s", Fault("black", "rgb", 3.0, 5.0)),
        ("freeze:thermal@0.5-1.25", Fault("freeze", "thermal", 0.5, 1.25)),
        ("drop:nir@2-s", Fault("drop", "nir", 2.0, math.inf)),
        ("noise:nir", Fault("noise", "nir", 0.0, math.inf)),
    ],
)
def test_faults_are_read_and_written_alike(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    "text", ["", "black", "black:radar@1-2s", "melt:rgb@1-2s", "black:rgb@5-3s", "black:rgb@1.2.3-4s"]
)
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
