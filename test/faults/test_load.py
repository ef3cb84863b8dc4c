"""The verdicts about load, bad messages and their tables on made-up sightings, and a short soak of the real node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from fault_bench.expectations import Bars
from fault_bench.fuzzing import rows_of
from fault_bench.judge_load import Load, Sample, judge_overload, judge_soak, slope, unaccounted
from fault_bench.load import put_under_load, rows_to_keep
from fault_bench.tables import markdown

MS = 1_000_000
COUNTS = {
    "received": 36_000, "formed": 12_000, "partial": 0, "published": 11_000, "dropped": 1_000, "dropped_while_idle": 0,
    "skipped": 0, "unusable": 0, "errors": 0,
}  # fmt: skip


def load(*, leak_mb_per_minute: float = 0.0, growth: float = 0.0, **counts: int) -> Load:
    """Ten minutes at 20 Hz; the first of them is the warm-up, in which memory does grow."""
    samples = [
        Sample(second, round(3e8 + 1e6 * (min(second, 50) + leak_mb_per_minute * second / 60))) for second in range(601)
    ]
    latencies = [(number * 50 * MS, round(40 * MS * (1 + growth * number / 12_000))) for number in range(12_000)]
    return Load(samples, latencies, COUNTS | counts, instants=12_000, images=36_000)


def verdicts(seen: Load, bars: Bars | None = None) -> dict[str, Any]:
    return {row["fault"].removeprefix("soak: "): row for row in judge_soak(seen, bars or Bars())}


def test_a_good_soak_passes_and_says_what_was_seen() -> None:
    rows = verdicts(load())
    assert all(row["passed"] for row in rows.values())
    assert rows["memory"]["seen"]["mb_per_10_min"] == 0.0
    assert rows["latency"]["seen"]["p50_ms"] == 40.0
    assert rows["sets"]["seen"]["lost"] == 0
    assert rows["sets"]["seen"]["dropped_while_busy"] == 1000


def test_a_leak_of_more_than_a_megabyte_in_ten_minutes_fails() -> None:
    assert verdicts(load(leak_mb_per_minute=0.09))["memory"]["passed"]
    row = verdicts(load(leak_mb_per_minute=0.12))["memory"]
    assert row["seen"]["mb_per_10_min"] == pytest.approx(1.2, abs=0.01)
    assert not row["passed"]


def test_a_latency_that_grows_fails() -> None:
    assert verdicts(load(growth=0.08))["latency"]["passed"]
    row = verdicts(load(growth=0.2))["latency"]
    assert row["seen"]["growth"] == pytest.approx(0.16, abs=0.02)
    assert not row["passed"]


@pytest.mark.parametrize(
    ("counts", "lost"),
    [
        ({"formed": 11_990, "dropped": 990}, 10),
        ({"dropped_while_idle": 3}, 3),
        ({"errors": 2, "dropped": 998}, 2),
        ({"skipped": 2, "dropped": 998}, 2),
        ({"published": 10_990}, 9),  # one may be in the works
    ],
)
def test_a_set_that_there_was_time_for_must_not_get_lost(counts: dict[str, int], lost: int) -> None:
    row = verdicts(load(**counts))["sets"]
    assert row["seen"]["lost"] == lost
    assert not row["passed"]
    assert verdicts(load(**counts), Bars(lost_share=0.001))["sets"]["passed"]


def overload(age_ms: float, **counts: int) -> list[dict[str, Any]]:
    seen = load(**({"published": 4_000, "dropped": 8_000} | counts))
    latencies = [(number * 300 * MS, 350 * MS) for number in range(3_999)] + [(1_200_000 * MS, round(age_ms * MS))]
    return judge_overload(seen._replace(latencies=latencies), 0.3, Bars())


def test_overload_costs_rate_and_neither_newness_nor_memory() -> None:
    rows = overload(599)
    assert [row["fault"] for row in rows] == ["overload", "overload: memory"]
    assert all(row["passed"] for row in rows)
    assert rows[0]["seen"]["dropped"] == 8_000
    assert not overload(601)[0]["passed"]
    assert not overload(400, published=12_000, dropped=0)[0]["passed"]
    assert not overload(400, published=3_990)[0]["passed"]


def test_the_slope_of_a_line() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)


REPORT = """<testsuites><testsuite>
<testcase name="test_images[rgb]"><properties>{}</properties></testcase>
<testcase name="test_other">{}</testcase></testsuite></testsuites>"""
FACTS = {"topic": "rgb/image", "messages": 10_000, "rejected": 6_000, "uncounted": 0, "growth": 0.01, "slowest_ms": 2}


def fuzzed(failure: str = "", exit_code: int = 0, **facts: Any) -> list[dict[str, Any]]:
    text = "".join(f'<property name="{name}" value="{value}"/>' for name, value in (FACTS | facts).items())
    return rows_of(REPORT.format(text, failure), exit_code, Bars())


def test_rows_of_bad_messages() -> None:
    topic, all_ = fuzzed()
    assert (topic["fault"], topic["camera"], topic["passed"]) == ("fuzz", "rgb/image", True)
    assert topic["seen"]["rejected"] == 6_000
    assert (all_["camera"], all_["passed"]) == ("all", True)
    for facts in ({"messages": 9_999}, {"uncounted": 1}, {"growth": 0.051}):
        assert not fuzzed(**facts)[0]["passed"]
    assert not fuzzed("<failure/>", exit_code=1)[1]["passed"]
    assert not fuzzed(exit_code=-11)[1]["passed"]


def test_rows_that_were_not_made_again_are_kept(tmp_path: Path) -> None:
    path, (topic, all_) = tmp_path / "faults.json", fuzzed()
    assert rows_to_keep(path, [topic]) == []
    path.write_text(json.dumps([topic, all_]))
    assert rows_to_keep(path, [topic]) == [all_]


def test_tables_show_every_row_and_misses_first() -> None:
    rows = [*judge_soak(load(growth=0.2), Bars()), *overload(400), *fuzzed()]
    text = markdown(rows)
    assert text.startswith("6 of 7 rows passed.\n\n### Missed\n")
    assert "| rgb/image | 10000 | 6000 | 0 | 0.01 | 2.0 | yes |" in text
    assert "| soak: memory | 10.0 |" in text
    assert "| overload: memory | 10.0 |" in text
    assert text.count("**no**") == 1


@pytest.mark.timeout(120)
def test_a_short_soak(tmp_path: Path) -> None:
    """Twenty seconds on any machine: leaks of images and sets that vanish show. The real one takes half an hour."""
    seen = put_under_load(tmp_path, 20.0, 1.0, say=lambda _: None)
    rows = verdicts(seen, Bars(rss_mb_per_10_min=900.0, lost_share=0.3))
    assert rows["memory"]["passed"], rows["memory"]
    assert rows["sets"]["passed"], rows["sets"]
    assert unaccounted(seen.counts) <= 1
    assert seen.counts["published"] > 0
    assert seen.counts["errors"] == 0
    assert seen.instants >= 190
