"""What is found in pictures: small made-up streets, with one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from msdepth_ros.core.health.findings import UNUSABLE, Fault, Level, S, Thresholds
from msdepth_ros.core.health.image import ImageHealth, Usual, measure

PERIOD_NS = S // 10
LIMITS = Thresholds()
Picture = NDArray[Any]


def street(spectrum: str, number: int, noise: float = 2.0) -> Picture:
    """A moving pattern of blocks with sensor noise, of the spectrum's usual type."""
    generator = np.random.default_rng(number)
    blocks = np.random.default_rng(0).uniform(20, 230, (8, 24))
    scene = np.roll(np.kron(blocks, np.ones((12, 12))), number, axis=1)
    scene = scene + generator.normal(0, noise, scene.shape)
    if spectrum == "thermal":
        return (3000 + 3 * scene).astype(np.uint16)
    grey = np.clip(scene, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2) if spectrum == "rgb" else grey


class Camera:
    """Shows pictures to the judge at 10 Hz."""

    def __init__(self, spectrum: str) -> None:
        self.spectrum, self.number = spectrum, 0
        self.health = ImageHealth(spectrum)

    def show(self, count: int, change: Callable[[Picture], Picture] | None = None, **scene: Any) -> list[set[Fault]]:
        """Shows so many pictures; returns what counts for each."""
        found = []
        for _ in range(count):
            self.number += 1
            picture = street(self.spectrum, self.number, **scene)
            facts = measure(change(picture) if change else picture)
            found.append(set(self.health.look(facts, self.number * PERIOD_NS, LIMITS)))
        return found


@pytest.fixture(params=["rgb", "nir", "thermal"])
def camera(request: pytest.FixtureRequest) -> Camera:
    made = Camera(request.param)
    assert made.show(40) == [set()] * 40
    return made


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_shutter_calibration_is_known_by_unusual_repeats(repeats: int) -> None:
    """A camera gives each picture so many times; then its shutter closes: at the second picture too many it is out."""
    health, now_ns = ImageHealth("thermal"), 0

    def show(number: int, times: int) -> list[frozenset[Fault]]:
        nonlocal now_ns
        found = []
        for _ in range(times):
            now_ns += PERIOD_NS // 3
            found.append(health.look(measure(street("thermal", number)), now_ns, LIMITS))
        return found

    for number in range(20):
        assert show(number, repeats) == [frozenset()] * repeats
    closed = show(99, repeats + 8)
    assert closed[: repeats + 1] == [frozenset()] * (repeats + 1)
    assert closed[repeats + 1 :] == [frozenset({Fault.SHUTTER})] * 7
    assert [finding.level for finding in health.findings()] == [Level.OK]
    assert show(100, repeats) == [frozenset()] * repeats  # the first fresh picture is used
    stuck = show(101, 60)
    assert Fault.FROZEN in stuck[-1]  # two seconds: no calibration lasts so long


def test_only_thermal_cameras_have_a_shutter_that_calibrates() -> None:
    camera = Camera("nir")
    camera.show(20)
    still = measure(street("nir", 0))
    faults = [camera.health.look(still, (camera.number + 1 + index) * PERIOD_NS, LIMITS) for index in range(4)]
    assert not any(Fault.SHUTTER in found for found in faults)


def black(picture: Picture) -> Picture:
    return np.zeros_like(picture)


def white(picture: Picture) -> Picture:
    return np.full_like(picture, np.iinfo(picture.dtype).max)


def flat(picture: Picture) -> Picture:
    return np.full_like(picture, np.mean(picture))


def blurred(picture: Picture) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), 6.0)


def noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(int(picture.sum()) % 1000).normal(0, 60, picture.shape)
    return np.clip(picture + noise, 0, np.iinfo(picture.dtype).max).astype(picture.dtype)


@pytest.mark.parametrize(("change", "fault"), [(black, Fault.BLACK), (white, Fault.OVEREXPOSED), (flat, Fault.FLAT)])
def test_what_shows_nothing_is_unusable_at_once_and_reported_when_confirmed(
    camera: Camera, change: Callable[[Picture], Picture], fault: Fault
) -> None:
    assert camera.show(1, change) == [{fault}]
    assert camera.health.findings() == []
    assert camera.show(9, change) == [{fault}] * 9
    assert [(found.fault, found.level) for found in camera.health.findings()] == [(fault, Level.ERROR)]
    assert camera.show(3) == [{fault}, set(), set()]
    assert camera.health.findings() == []


@pytest.mark.parametrize(("change", "fault"), [(noisy, Fault.NOISY), (blurred, Fault.BLURRED)])
def test_what_differs_from_the_usual_is_a_doubt(
    camera: Camera, change: Callable[[Picture], Picture], fault: Fault
) -> None:
    assert camera.show(5, change)[-1] == {fault}
    assert [found.level for found in camera.health.findings()] == [Level.WARN]
    assert fault not in UNUSABLE
    assert camera.show(4)[-1] == set()


def test_a_repeated_picture_is_frozen_after_a_while(camera: Camera) -> None:
    still = street(camera.spectrum, 0)
    found = camera.show(18, lambda _: still)
    calibrating = 10 if camera.spectrum == "thermal" else 0  # a second in which it may be its shutter
    begin = 5 + calibrating
    assert found[:2] == [set()] * 2
    assert found[2:begin] == ([{Fault.SHUTTER}] * 13 if calibrating else [set()] * 3)  # half a second
    assert found[begin:] == [{Fault.FROZEN}] * (18 - begin)
    assert camera.show(3) == [{Fault.FROZEN}, set(), set()]


def test_a_camera_that_delivers_each_picture_twice_is_fine() -> None:
    camera = Camera("thermal")
    for number in range(20):
        still = street("thermal", 1000 + number)
        assert camera.show(2, lambda _, still=still: still) == [set(), set()]


def test_the_usual_follows_what_changes_slowly_and_what_stays() -> None:
    camera = Camera("rgb")
    for noise in np.geomspace(2, 40, 100):
        assert camera.show(1, noise=noise) == [set()]
    quiet = Camera("rgb")
    quiet.show(40)
    assert quiet.show(5, noise=40.0)[-1] == {Fault.NOISY}
    assert quiet.show(900, noise=40.0)[-1] == set()


def test_black_by_itself_does_not_change_what_is_usual() -> None:
    camera = Camera("rgb")
    camera.show(40)
    camera.show(600, black)
    assert camera.show(3)[-1] == set()


def test_thermal_counts_have_no_brightness_and_small_ones_are_not_black() -> None:
    camera = Camera("thermal")
    assert camera.show(5, lambda picture: picture - 2900) == [set()] * 5
    assert camera.show(5, lambda picture: (picture // 100 + 20).astype(np.uint16))[-1] == {Fault.FLAT}


def test_bits_say_what_full_scale_is() -> None:
    dim = np.tile(np.arange(200, dtype=np.uint16), (48, 1))
    judge = ImageHealth("nir")
    assert judge.look(measure(dim), 0, LIMITS) == {Fault.BLACK}
    assert ImageHealth("nir").look(measure(dim, bits=10), 0, LIMITS) == frozenset()


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (500, 2), (7, 3, 3)])
def test_tiny_images_can_be_measured(shape: tuple[int, ...]) -> None:
    facts = measure(np.full(shape, 7, np.uint8))
    assert (facts.dark, facts.bright, facts.noise, facts.sharpness) == (7, 7, 0, 0)


def test_views_that_are_not_contiguous_are_measured_alike() -> None:
    picture = street("rgb", 1)
    assert measure(picture[:, ::-1]) == measure(np.ascontiguousarray(picture[:, ::-1]))


def test_facts_by_hand() -> None:
    steps = np.tile(np.array([0, 0, 100, 100, 200, 255], np.uint8), (2, 1))
    facts = measure(steps)
    assert (facts.dark, facts.bright, facts.full_scale) == (0, 255, 255)
    assert facts.saturated == pytest.approx(1 / 6)
    assert facts.noise == 100  # of 100, 100, 100, 45
    assert facts.sharpness == pytest.approx(100 / 255)


def test_usual_is_a_moving_geometric_mean() -> None:
    usual = Usual(learn_s=1.0)
    assert usual.ratio(5.0) == 1.0
    for number in range(100):
        usual.learn(2.0, number * PERIOD_NS, slowly=False)
    assert usual.ratio(6.0) == pytest.approx(3.0)
    for number in range(100, 110):
        usual.learn(8.0, number * PERIOD_NS, slowly=False)
    assert usual.ratio(8.0) == pytest.approx(4.0 ** np.exp(-1.0), rel=1e-3)  # one time constant later
