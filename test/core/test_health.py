"""Verdicts about cameras and the whole: what an operator reads."""

from __future__ import annotations

import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health import MAX_REASON_LENGTH, Health, Level, SpectrumHealth, judge_matching
from msdepth_ros.core.stream import SpectrumCounts

S = 1_000_000_000


def feed(one: SpectrumHealth, hz: int, until_s: float) -> int:
    """Images at a rate from 0 on; returns the time of the last one."""
    now = 0
    for index in range(int(until_s * hz) + 1):
        now = index * S // hz
        one.accept(now)
    return now


@pytest.mark.parametrize("hz", [1, 10, 30, 100])
def test_rate_is_that_of_the_arrivals(hz: int) -> None:
    one = SpectrumHealth()
    now = feed(one, hz, 20)
    assert one.rate_hz(now) == pytest.approx(hz, rel=1e-6)
    assert one.received == 20 * hz + 1
    assert one.age_s(now + S // 2) == pytest.approx(0.5)


def test_rate_falls_to_zero_in_silence() -> None:
    one = SpectrumHealth()
    assert one.rate_hz(0) == 0.0
    now = feed(one, 10, 3)
    assert one.rate_hz(now + 60 * S) == 0.0


def test_camera_goes_from_stale_to_ok_to_error() -> None:
    one = SpectrumHealth()
    assert one.judge(0).level is Level.STALE
    now = feed(one, 10, 2)
    assert one.judge(now) == (Level.OK, "10.0 Hz")
    level, message = one.judge(now + 3 * S)
    assert level is Level.ERROR and "no image for 3.0 s" in message


def test_rejections_are_a_warning_while_images_come_and_an_error_when_none_does() -> None:
    one = SpectrumHealth()
    one.reject("rgb/image: encoding 'rainbow'", 0)
    level, message = one.judge(1)
    assert level is Level.ERROR and "encoding 'rainbow'" in message
    one.accept(2)
    assert one.judge(3).level is Level.WARN
    one.accept(2 * S)
    assert one.judge(2 * S).level is Level.OK
    assert (one.received, one.rejected) == (2, 1)


def test_reason_is_bounded() -> None:
    one = SpectrumHealth()
    one.reject("x" * 100_000, 0)
    assert len(one.last_rejection) == MAX_REASON_LENGTH


def test_whole_is_ok_with_all_cameras_and_warns_with_some() -> None:
    health = Health(("thermal", "rgb"))
    for name in health.spectra:
        health.spectra[name].accept(0)
    health.publish(10)
    assert health.judge(20) == (Level.OK, "depth from rgb+thermal")
    health.spectra["rgb"].accept(3 * S)
    health.publish(3 * S)
    level, message = health.judge(3 * S)
    assert level is Level.WARN and message == "depth from rgb only; missing: thermal"


def test_no_output_names_the_first_cause() -> None:
    health = Health(("rgb", "nir"))
    health.spectra["nir"].reject("nir/camera_info: fx is 0", 0)
    level, message = health.judge(0)
    assert level is Level.ERROR
    assert "rgb: no image yet" in message and "nir/camera_info: fx is 0" in message
    health.spectra["rgb"].accept(0)
    assert "images of rgb come but no set" in health.judge(0).message
    health.fail("no camera of the set is calibrated")
    assert "no camera of the set is calibrated" in health.judge(0).message
    health.publish(1)
    assert health.judge(1).level is Level.WARN
    health.spectra["rgb"].accept(5 * S)
    assert health.judge(5 * S).level is Level.ERROR
    assert "calibrated" not in health.judge(5 * S).message


def test_unknown_spectrum_is_refused() -> None:
    with pytest.raises(MsdepthError, match="radar"):
        Health(("radar",))


@pytest.mark.parametrize(
    ("counts", "level", "advice"),
    [
        (SpectrumCounts(received=10, used=10), Level.OK, "10 of 10"),
        (SpectrumCounts(received=15, used=10, surplus=5), Level.OK, "10 of 15"),
        (SpectrumCounts(received=10, used=4, late=6), Level.WARN, "raise sync.deadline_s"),
        (SpectrumCounts(received=10, late=10), Level.ERROR, "raise sync.deadline_s"),
        (SpectrumCounts(received=10, ahead=9, late=1), Level.ERROR, "set sync.offset_s.nir"),
        (SpectrumCounts(received=10, used=1, duplicates=9), Level.WARN, "repeat a stamp"),
        (SpectrumCounts(received=10, used=1, overflow=9), Level.WARN, "overloaded"),
        (SpectrumCounts(), Level.STALE, "no image"),
    ],
)
def test_matching_tells_what_to_do(counts: SpectrumCounts, level: Level, advice: str) -> None:
    verdict = judge_matching("nir", counts)
    assert verdict.level is level and advice in verdict.message


def test_matching_judges_only_what_is_new() -> None:
    before = SpectrumCounts(received=100, used=50, late=50)
    now = SpectrumCounts(received=110, used=60, late=50)
    assert judge_matching("nir", now, before) == (Level.OK, "10 of 10 images in sets")
    assert judge_matching("nir", before, before).level is Level.STALE
