"""Verdicts about cameras and the whole: what an operator reads."""

from __future__ import annotations

import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.cameras import (
    MAX_REASON_LENGTH,
    Health,
    Seen,
    SpectrumHealth,
    blame_unmatched,
    judge_matching,
    leave_out,
)
from msdepth_ros.core.health.findings import Fault, Finding, Level, S, Thresholds, Verdict
from msdepth_ros.core.health.image import ImageFacts
from msdepth_ros.core.sync.stream import SpectrumCounts

LIMITS = Thresholds()
FINE = ImageFacts(dark=10.0, bright=240.0, full_scale=255.0, saturated=0.0, noise=3.0, sharpness=0.3, digest=0)


def seen(number: int, *, stamp_ns: int | None = None, form: str = "640 x 256 mono8", **facts: float) -> Seen:
    """An image of a 10 Hz camera; a new picture each time."""
    stamp_ns = number * S // 10 if stamp_ns is None else stamp_ns
    return Seen(stamp_ns, FINE._replace(**({"digest": number} | facts)), form)


def feed(one: SpectrumHealth, first: int, count: int, **facts: float) -> int:
    """Images at 10 Hz; returns the time of the last one."""
    for number in range(first, first + count):
        one.accept(seen(number, **facts), number * S // 10, LIMITS)
    return (first + count - 1) * S // 10


def faults(one: SpectrumHealth, now_ns: int) -> dict[Fault, Level]:
    return {found.fault: found.level for found in one.findings(now_ns, LIMITS)}


def test_camera_goes_from_stale_to_fine_to_silent() -> None:
    one = SpectrumHealth("nir")
    assert faults(one, 0) == {Fault.SILENT: Level.STALE}
    now_ns = feed(one, 0, 20)
    assert faults(one, now_ns) == {}
    assert faults(one, now_ns + 3 * S) == {Fault.SILENT: Level.ERROR}
    assert "no image for 3.0 s" in one.findings(now_ns + 3 * S, LIMITS)[0].message


def test_rejections_are_a_warning_while_images_come_and_an_error_when_none_does() -> None:
    one = SpectrumHealth("rgb")
    one.reject("rgb/image: encoding 'rainbow'", 0)
    assert faults(one, 1) == {Fault.REJECTED: Level.ERROR}
    assert "encoding 'rainbow'" in one.findings(1, LIMITS)[0].message
    feed(one, 0, 1)
    assert faults(one, 3) == {Fault.REJECTED: Level.WARN}
    now_ns = feed(one, 1, 20)
    assert faults(one, now_ns) == {}
    assert (one.received, one.rejected) == (21, 1)
    one.reject("rgb/camera_info: fx is 0", now_ns, fault=Fault.CALIBRATION)
    assert faults(one, now_ns) == {Fault.CALIBRATION: Level.WARN}


def test_reason_is_bounded() -> None:
    one = SpectrumHealth("rgb")
    one.reject("x" * 100_000, 0)
    assert len(one.last_rejection) == MAX_REASON_LENGTH


def test_a_change_of_size_or_encoding_is_told_for_a_second() -> None:
    one = SpectrumHealth("nir")
    feed(one, 0, 10)
    one.accept(seen(10, form="320 x 128 mono8"), S, LIMITS)
    assert faults(one, S) == {Fault.CHANGED: Level.WARN}
    assert one.findings(S, LIMITS)[0].message == "images changed from 640 x 256 mono8 to 320 x 128 mono8"
    for number in range(11, 25):
        one.accept(seen(number, form="320 x 128 mono8"), number * S // 10, LIMITS)
    assert faults(one, 24 * S // 10) == {}


def test_a_silent_camera_is_not_said_to_be_black_as_well() -> None:
    one = SpectrumHealth("nir")
    now_ns = feed(one, 0, 10, bright=0.0, dark=0.0)
    assert faults(one, now_ns) == {Fault.BLACK: Level.ERROR}
    assert faults(one, now_ns + 5 * S) == {Fault.SILENT: Level.ERROR}


def run(health: Health, count: int, **frozen_or_ahead: float) -> int:
    """All cameras at 10 Hz; one repeats its picture with ``rgb=True``, or is some seconds ahead with ``rgb=0.5``."""
    for number in range(count):
        for name, one in health.spectra.items():
            odd = frozen_or_ahead.get(name, 0.0)
            image = seen(number, digest=-1) if odd is True else seen(number, stamp_ns=round((number / 10 + odd) * S))
            one.accept(image, number * S // 10, health.limits)
    return (count - 1) * S // 10


def test_a_frozen_camera_is_an_error_only_where_another_shows_that_things_move() -> None:
    health = Health(("rgb", "nir", "thermal"))
    now_ns = run(health, 20, thermal=True)
    assert [(found.fault, found.level) for found in health.findings("thermal", now_ns)] == [(Fault.FROZEN, Level.ERROR)]
    assert health.findings("rgb", now_ns) == []
    health = Health(("rgb", "nir"))
    now_ns = run(health, 20, rgb=True, nir=True)
    for name in health.spectra:
        assert [(found.fault, found.level) for found in health.findings(name, now_ns)] == [(Fault.FROZEN, Level.WARN)]


@pytest.mark.parametrize("name", ["rgb", "nir", "thermal"])
def test_a_camera_with_a_wrong_clock_is_named(name: str) -> None:
    health = Health(("rgb", "nir", "thermal"))
    now_ns = run(health, 20, **{name: -0.4})
    named = {one: [found.fault for found in health.findings(one, now_ns)] for one in health.spectra}
    assert named == {one: [Fault.SKEWED] if one == name else [] for one in health.spectra}
    message = health.findings(name, now_ns)[0].message
    assert "-0.40 s" in message and f"sync.offset_s.{name}" in message


def test_a_skew_is_over_only_well_below_its_threshold() -> None:
    health = Health(("rgb", "nir", "thermal"))

    def skewed(first: int, ahead_s: float) -> bool:
        for number in range(first, first + 10):
            for name, one in health.spectra.items():
                stamp_ns = round((number / 10 + (ahead_s if name == "nir" else 0.0)) * S)
                one.accept(seen(number, stamp_ns=stamp_ns), number * S // 10, health.limits)
        return any(found.fault is Fault.SKEWED for found in health.findings("nir", (first + 9) * S // 10))

    assert [skewed(10 * turn, ahead_s) for turn, ahead_s in enumerate((0.24, 0.26, 0.24, 0.19, 0.24))] == [
        False, True, True, False, False,
    ]  # fmt: skip


def test_cameras_that_find_no_partner_because_of_another_are_not_blamed() -> None:
    late = Verdict(Level.WARN, "5 of 5 images arrive late")
    jumping = Finding(Fault.JUMPING, Level.WARN, "stamps jumped")
    black = Finding(Fault.BLACK, Level.ERROR, "black")
    matching = {"rgb": late, "nir": late, "thermal": Verdict(Level.STALE, "no image")}

    def blamed(**findings: Finding) -> dict[str, list[Fault]]:
        each = {name: [findings[name]] if name in findings else [] for name in matching}
        return {name: [found.fault for found in all_] for name, all_ in blame_unmatched(each, matching).items()}

    assert blamed(rgb=jumping) == {"rgb": [Fault.JUMPING, Fault.UNMATCHED], "nir": [], "thermal": []}
    assert blamed() == {"rgb": [Fault.UNMATCHED], "nir": [Fault.UNMATCHED], "thermal": []}
    assert blamed(thermal=black)["nir"] == [Fault.UNMATCHED]


def test_limits_can_be_changed() -> None:
    health = Health(("rgb", "nir", "thermal"))
    now_ns = run(health, 20, nir=0.4)
    health.limits = Thresholds(skew_s=0.5)
    assert health.findings("nir", now_ns) == []


def test_whole_is_ok_with_all_cameras_and_warns_with_some() -> None:
    health = Health(("thermal", "rgb"))
    assert health.judge(0) == (Level.ERROR, "no depth")
    health.publish(("rgb", "thermal"), 10)
    assert health.judge(20) == (Level.OK, "depth from rgb+thermal")
    for number in range(30):
        health.publish(("rgb",), number * S // 10)
    level, message = health.judge(3 * S)
    assert level is Level.WARN and message == "depth from rgb only; missing: thermal"
    assert health.rate_hz(29 * S // 10) == pytest.approx(10, abs=1)
    assert health.judge(9 * S) == (Level.ERROR, "no depth")


def test_which_cameras_are_alive() -> None:
    health = Health(("rgb", "nir"))
    now_ns = feed(health.spectra["nir"], 0, 3)
    assert health.alive(now_ns) == ("nir",)
    assert health.alive(now_ns + S) == ()


def test_unknown_spectrum_is_refused() -> None:
    with pytest.raises(MsdepthError, match="radar"):
        Health(("radar",))


NOTHING, BLACK, FROZEN, NOISY = (frozenset(one) for one in ((), {Fault.BLACK}, {Fault.FROZEN}, {Fault.NOISY}))


@pytest.mark.parametrize(
    ("found", "left_out"),
    [
        ({"rgb": NOTHING, "nir": NOISY}, {}),
        ({"rgb": BLACK, "nir": NOTHING}, {"rgb": "black"}),
        ({"rgb": BLACK}, {"rgb": "black"}),
        ({"rgb": FROZEN, "nir": NOISY}, {"rgb": "frozen"}),
        ({"rgb": FROZEN}, {}),
        ({"rgb": FROZEN, "nir": BLACK}, {"nir": "black"}),
        ({"rgb": FROZEN, "nir": FROZEN, "thermal": NOTHING}, {"rgb": "frozen", "nir": "frozen"}),
    ],
)
def test_unusable_images_are_left_out_and_doubtful_ones_stay(
    found: dict[str, frozenset[Fault]], left_out: dict[str, str]
) -> None:
    assert leave_out(found) == left_out


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


def test_some_images_may_fail_to_match() -> None:
    assert judge_matching("nir", SpectrumCounts(received=10, used=7, late=3), share=0.3).level is Level.OK
    assert judge_matching("nir", SpectrumCounts(received=10, used=6, late=4), share=0.3).level is Level.WARN
    assert judge_matching("nir", SpectrumCounts(received=1, late=1), share=0.3).level is Level.OK
    assert judge_matching("nir", SpectrumCounts(received=2, late=2), share=0.3).level is Level.ERROR
