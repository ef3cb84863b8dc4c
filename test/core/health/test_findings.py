"""Levels, hysteresis and how findings are summed up."""

from __future__ import annotations

import pytest

from msdepth_ros.core.health.findings import Fault, Finding, Latch, Level, Thresholds, verdict_of
from msdepth_ros.core.settings import PARAMETERS, Settings


def switch(bad: str, *, confirm: int, clear: int) -> str:
    """Feeds a latch with images, x bad and . good; returns when it was on."""
    latch = Latch()
    return "".join("x" if latch.update(one == "x", confirm=confirm, clear=clear) else "." for one in bad)


@pytest.mark.parametrize(
    ("images", "confirm", "clear", "on"),
    [
        ("..x..", 2, 2, "....."),
        ("..xx..", 2, 2, "...xx."),
        ("xx.x.x..", 2, 2, ".xxxxxx."),
        ("x.x.", 1, 1, "x.x."),
        ("xxxx....", 3, 4, "..xxxxx."),
    ],
)
def test_a_fault_takes_some_images_to_begin_and_to_end(images: str, confirm: int, clear: int, on: str) -> None:
    assert switch(images, confirm=confirm, clear=clear) == on


def test_the_worst_comes_first_and_stale_counts_less_than_an_error() -> None:
    stale = Finding(Fault.SILENT, Level.STALE, "no image yet")
    wrong = Finding(Fault.QOS, Level.ERROR, "incompatible QoS")
    assert verdict_of([stale, wrong], "") == (Level.ERROR, "incompatible QoS; no image yet")
    assert verdict_of([stale], "") == (Level.STALE, "no image yet")
    assert verdict_of([], "10.0 Hz") == (Level.OK, "10.0 Hz")


def test_thresholds_are_the_parameters_with_their_defaults() -> None:
    rows = {spec.name.split(".")[1]: spec for spec in PARAMETERS if spec.name.startswith("health.")}
    assert Thresholds(**{name: spec.default for name, spec in rows.items()}) == Thresholds()
    assert all(spec.live for spec in rows.values())
    changed = {spec.name: spec.default for spec in PARAMETERS} | {"health.skew_s": 1.0}
    assert Settings.from_values(changed).health == Thresholds(skew_s=1.0)
