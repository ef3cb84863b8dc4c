"""Grouping images into instants and counting those that were answered."""

from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.results.instants import DEFAULT_PERIOD_NS, Instant, camera_period_ns, count_answered, group_instants

MS = 1_000_000


def test_images_of_one_tick_are_one_instant_named_after_the_first() -> None:
    stamps = [(100 * MS, "rgb"), (93 * MS, "thermal"), (101 * MS, "nir"), (200 * MS, "rgb"), (205 * MS, "thermal")]
    assert group_instants(stamps, 100 * MS) == [
        Instant(93 * MS, ("nir", "rgb", "thermal")), Instant(200 * MS, ("rgb", "thermal")),
    ]  # fmt: skip


def test_a_tick_with_one_camera_is_an_instant() -> None:
    assert group_instants([(0, "rgb"), (100 * MS, "nir")], 100 * MS) == [
        Instant(0, ("rgb",)),
        Instant(100 * MS, ("nir",)),
    ]


def test_the_period_comes_from_the_fullest_camera_and_ignores_a_gap() -> None:
    stamps = [(tick * 50 * MS, "rgb") for tick in range(10)] + [(2_000 * MS, "rgb"), (0, "nir"), (300 * MS, "nir")]
    assert camera_period_ns(stamps) == 50 * MS
    assert camera_period_ns([(5, "rgb")]) == camera_period_ns([]) == DEFAULT_PERIOD_NS


def test_answers_count_once_and_only_within_half_a_period() -> None:
    instants = [Instant(tick * 100 * MS, ("rgb",)) for tick in range(4)]
    depths = [0, 10 * MS, 149 * MS, 350 * MS + 1]
    assert count_answered(instants, depths, 100 * MS) == 2
    assert count_answered([], depths, 100 * MS) == 0
    assert count_answered(instants, [], 100 * MS) == 0


@given(
    st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=40),
    st.lists(st.tuples(st.sampled_from(["rgb", "nir", "thermal"]), st.integers(0, 20)), min_size=1, max_size=3),
)
def test_every_tick_becomes_exactly_one_instant_whatever_the_skew(
    ticks: list[int], cameras: list[tuple[str, int]]
) -> None:
    stamps = [(tick * 100 * MS + skew * MS, name) for tick in ticks for name, skew in cameras]
    instants = group_instants(reversed(stamps), 100 * MS)
    assert len(instants) == len(ticks)
    assert count_answered(instants, [stamp for stamp, _ in stamps], 100 * MS) == len(ticks)
