"""Why there is no depth, and how often the log says so."""

from __future__ import annotations

from msdepth_ros.core.health.findings import Fault, Finding, Level, S
from msdepth_ros.core.health.watchdog import Cause, Chain, Watchdog, sentence, why_no_depth

SILENT = Finding(Fault.SILENT, Level.ERROR, "no image for 3.0 s")
BLACK = Finding(Fault.BLACK, Level.ERROR, "the image is black")


def why(**links: object) -> str:
    chain = Chain(**({"cameras": {"rgb": [], "nir": []}} | links))  # type: ignore[arg-type]
    return sentence(why_no_depth(chain, 2.0))


def test_dead_cameras_are_named_with_their_faults() -> None:
    assert why(cameras={"rgb": [SILENT], "nir": [SILENT, BLACK]}) == (
        "rgb: no image for 3.0 s; nir: no image for 3.0 s; the image is black"
    )


def test_the_link_nearest_to_the_output_comes_first() -> None:
    alive = ("rgb",)
    cameras = {"rgb": [], "nir": [SILENT]}
    assert why(alive=alive, cameras=cameras, busy_s=5.0, failure="x").startswith("one set has been computed for 5.0 s")
    assert why(alive=alive, cameras=cameras, failure="no camera is calibrated") == (
        "no camera is calibrated; nir: no image for 3.0 s"
    )
    assert why(alive=alive, idle_s=9.0, matching="nearest stamps differ by nir +60 ms") == (
        "images of rgb come but make no set; nearest stamps differ by nir +60 ms"
    )
    assert why(alive=alive) == "images of rgb come, none is computed yet"


class Dog:
    """A watchdog with a silence of 2 s, asked ten times a second."""

    def __init__(self) -> None:
        self.dog, self.now_ns, self.last_ns = Watchdog(), 0, None
        self.causes = [Cause("rgb", "silent", "no image")]

    def wait(self, seconds: float, *, wanted: bool = True) -> list[str]:
        lines = []
        for _ in range(round(seconds * 10)):
            self.now_ns += S // 10
            lines.append(self.dog.check(self.now_ns, wanted=wanted, last_ns=self.last_ns, silence_s=2.0,
                                        why=lambda: self.causes))  # fmt: skip
        return [line for line in lines if line]


def test_it_barks_once_and_again_for_another_reason() -> None:
    dog = Dog()
    assert dog.wait(1.9) == []
    assert dog.wait(30) == ["no depth for 2.1 s: rgb: no image"]
    dog.causes = [Cause("rgb", "silent", "no image for 40 s")]
    assert dog.wait(10) == []
    dog.causes = [Cause("rgb", "qos", "incompatible QoS")]
    assert len(dog.wait(10)) == 1


def test_depth_makes_it_ready_to_bark_anew() -> None:
    dog = Dog()
    assert len(dog.wait(5)) == 1
    dog.last_ns = dog.now_ns
    assert dog.wait(2) == []
    assert len(dog.wait(5)) == 1


def test_it_is_quiet_while_nobody_wants_depth() -> None:
    dog = Dog()
    assert dog.wait(60, wanted=False) == []
    assert dog.wait(2.0) == []
    assert len(dog.wait(2.0)) == 1


def test_a_doubt_that_comes_and_goes_is_no_new_reason() -> None:
    dog = Dog()
    doubt = Finding(Fault.JUMPING, Level.WARN, "stamps jumped")
    lines = []
    for number in range(10):
        dog.causes = why_no_depth(Chain({"rgb": [SILENT, doubt] if number % 2 else [SILENT]}), 2.0)
        lines += dog.wait(3)
    assert len(lines) == 1


def test_reasons_that_differ_in_numbers_only_are_the_same_and_new_ones_wait_their_turn() -> None:
    dog = Dog()
    lines = []
    for number in range(100):
        chain = Chain({}, alive=("rgb",), failure=f"{number} values of depth_m are not finite")
        dog.causes = why_no_depth(chain, 2.0)
        lines += dog.wait(0.1)
    assert lines == ["no depth for 2.1 s: 21 values of depth_m are not finite"]
    for letter in "abcdefghij":
        dog.causes = [Cause("set", letter, letter)]
        lines += dog.wait(1.0)
    assert 4 <= len(lines) <= 6
