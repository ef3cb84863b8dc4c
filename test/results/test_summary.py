"""Records in a file and in a summary: exact, in order, whoever made them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.results.compare import compare, parse_limit
from msdepth_ros.results.frame import BAND_EDGES_M, BIN_COUNT, SCORES, FrameRecord, Summary, Timings, record_key
from msdepth_ros.results.parquet import FrameWriter, read_frames
from msdepth_ros.results.summary import About, read_metrics, summarise, write_metrics

ABOUT = About({"name": "toy", "version": "1", "sha256": "0"}, {"reference": "rgb"}, wall_s=2.0)
ALL = "rgb+nir+thermal"


def record(number: int, *, bag: str = "a", variant: str = ALL, truth: bool = True, **changes: Any) -> FrameRecord:
    """A record of made-up numbers that differ from set to set."""
    generator = np.random.default_rng(number)
    values: dict[str, Any] = {
        "spectra": tuple(variant.split("+")),
        "skew_ms": 7.0,
        "confidence": float(generator.random()),
        "view_confidence": {name: float(generator.random()) for name in variant.split("+")},
        "health": ("rgb:black",) if number % 2 else (),
        "timings": Timings(10.0 + number, 12.0 + number, 20.0 + number),
    }
    if truth:
        counts = generator.integers(1, 9, BIN_COUNT)
        values |= {
            "scores": {name: float(generator.random()) for name in SCORES},
            "truth_stamp_ns": number * 10**8,
            "truth_pixels": 100,
            "band_counts": tuple(int(value) for value in generator.integers(1, 9, len(BAND_EDGES_M) - 1)),
            "band_abs_rel_sums": tuple(generator.random(len(BAND_EDGES_M) - 1).tolist()),
            "bin_counts": tuple(int(value) for value in counts),
            "bin_confidence_sums": tuple((counts * generator.random(BIN_COUNT)).tolist()),
            "bin_correct_counts": tuple(int(value) for value in counts // 2),
        }
    return FrameRecord(bag, variant, number, number * 10**8, **(values | changes))


def summary_of(*records: FrameRecord, about: About = ABOUT) -> Summary:
    return summarise(sorted(records, key=record_key), about)


def test_frames_come_back_exactly(tmp_path: Path) -> None:
    records = [record(0), record(1, truth=False, consistency={"nir": 0.1}), record(2, spectra=(), confidence=None,
               view_confidence={}, timings=None, error="no image", truth=False)]  # fmt: skip
    with FrameWriter(tmp_path / "frames.parquet") as writer:
        for one in records:
            writer.add(one)
    assert list(read_frames(tmp_path / "frames.parquet")) == records


def test_a_damaged_frames_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "frames.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(MsdepthError, match=r"frames\.parquet: cannot be read"):
        list(read_frames(tmp_path / "frames.parquet"))


def test_a_summary_means_over_images_and_pools_pixels() -> None:
    records = [record(number) for number in range(5)] + [record(9, truth=False)]
    result = summary_of(*records).result()
    assert (result["sets"], result["sets_with_depth"], result["sets_with_truth"]) == (6, 6, 5)
    assert result["truth_pixels"] == 500
    for name in SCORES:
        assert result["scores"][name] == pytest.approx(np.mean([one.scores[name] for one in records[:5]]), rel=1e-12)
    counts = np.sum([one.bin_counts for one in records[:5]], axis=0)
    gap = np.sum([one.bin_confidence_sums for one in records[:5]], axis=0) - np.sum(
        [one.bin_correct_counts for one in records[:5]], axis=0
    )
    assert result["ece"] == pytest.approx(np.abs(gap).sum() / counts.sum())
    band = result["range_bands"][2]
    assert (band["from_m"], band["to_m"]) == (10.0, 20.0)
    assert band["abs_rel"] == pytest.approx(
        sum(one.band_abs_rel_sums[2] for one in records[:5]) / sum(one.band_counts[2] for one in records[:5])
    )
    assert result["health"] == {"rgb:black": 3}
    assert result["duration_s"] == pytest.approx(0.9)
    assert result["rate_hz"] == pytest.approx(5 / 0.9)


def test_groups_are_by_variant_by_recording_and_by_the_cameras_that_were_there() -> None:
    document = summary_of(
        record(0), record(1, spectra=("rgb", "nir")), record(0, bag="b"), record(0, variant="nir+thermal"),
        record(0, variant="rgb"),
    ).document  # fmt: skip
    assert document["variants"] == [ALL, "nir+thermal", "rgb"]
    groups = document["results"][ALL]
    assert {name: cell["sets"] for name, cell in groups["by_bag"].items()} == {"a": 2, "b": 1}
    assert {name: cell["sets"] for name, cell in groups["by_spectra"].items()} == {"rgb+nir": 1, ALL: 2}
    assert document["bags"] == ["a", "b"]


def test_without_truth_there_is_no_error_but_confidence_and_agreement() -> None:
    result = summary_of(record(0, truth=False, consistency={"rgb": 0.5, "nir": 0.9})).result()
    assert set(result["scores"].values()) == {None}
    assert result["ece"] is None
    assert result["consistency"] == {"rgb": 0.5, "nir": 0.9}
    assert result["confidence"] is not None


def test_records_out_of_order_are_refused_because_sums_depend_on_it() -> None:
    with pytest.raises(MsdepthError, match="out of order"):
        summarise([record(1), record(0)], ABOUT)
    with pytest.raises(MsdepthError, match="out of order"):
        summarise([record(0), record(0)], ABOUT)


def test_only_the_timings_depend_on_the_run(tmp_path: Path) -> None:
    slow = [dataclasses.replace(record(number), timings=Timings(90.0, 95.0, 99.0)) for number in range(4)]
    summaries = [
        summary_of(*(record(number) for number in range(4))),
        summary_of(*slow, about=dataclasses.replace(ABOUT, wall_s=77.0, providers=("X",))),
    ]
    documents = []
    for index, summary in enumerate(summaries):
        write_metrics(tmp_path / f"{index}.json", summary)
        document = json.loads((tmp_path / f"{index}.json").read_text())
        document.pop("timings")
        documents.append(json.dumps(document))
    assert documents[0] == documents[1]
    assert read_metrics(tmp_path / "0.json").document == summaries[0].document
    timings = summaries[1].document["timings"]
    assert timings["model_ms"]["p50"] == 90.0
    assert timings["model_share"] == pytest.approx(4 * 0.09 / 77.0)
    assert sum(timings["latency_histogram"]["counts"]) == 4


def test_latency_is_that_of_all_cameras_and_speed_that_of_all_sets() -> None:
    fast = [record(n, variant="rgb", timings=Timings(1.0, 2.0, 3.0)) for n in range(6)]
    slow = [record(n, timings=Timings(30.0, 35.0, 40.0)) for n in range(3)]
    timings = summary_of(*fast, *slow).document["timings"]
    assert set(timings["latency_ms"].values()) == {40.0}
    assert [timings[name]["p99"] for name in ("model_ms", "compute_ms")] == [30.0, 35.0]
    assert sum(timings["latency_histogram"]["counts"]) == 3
    assert list(timings["by_variant"]) == [ALL, "rgb"]
    assert set(timings["by_variant"]["rgb"]["latency_ms"].values()) == {3.0}
    assert timings["sets_per_s"] == 9 / 2.0
    assert timings["model_share"] == pytest.approx((3 * 0.030 + 6 * 0.001) / 2.0)
    silent = summary_of(record(0, spectra=(), confidence=None, timings=None)).document["timings"]
    assert set(silent["latency_ms"].values()) == {None}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 99, "results": {}}'])
def test_what_is_no_metrics_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(MsdepthError, match=r"m\.json"):
        read_metrics(tmp_path / "m.json")


def shifted(**scores: float) -> Summary:
    base = dict.fromkeys(SCORES, 0.5)
    return summary_of(record(0, scores=base | scores))


def test_comparison_knows_which_way_is_better() -> None:
    changes = {
        change.metric: change
        for change in compare(
            "old", shifted(), shifted(abs_rel=0.6, delta_1=0.6, delta_2_median_scaled=0.4, rmse=0.4, coverage=0.4)
        ).changes
    }
    assert {name: change.verdict for name, change in changes.items() if change.verdict != "same"} == {
        "abs_rel": "worse", "delta_1": "better", "delta_2_median_scaled": "worse", "rmse": "better",
        "coverage": "worse",
    }  # fmt: skip
    assert changes["silog"].verdict == "same"
    assert (changes["abs_rel"].before, changes["abs_rel"].after) == (0.5, 0.6)


@pytest.mark.parametrize(
    ("limit", "now", "failed"),
    [
        ("abs_rel=2%", {"abs_rel": 0.5101}, True),
        ("abs_rel=2%", {"abs_rel": 0.5099}, False),
        ("abs_rel=0.05", {"abs_rel": 0.551}, True),
        ("abs_rel=0", {"abs_rel": 0.5}, False),
        ("abs_rel=0", {"abs_rel": 0.4}, False),
        ("delta_1=0.01", {"delta_1": 0.48}, True),
        ("delta_1=0.01", {"delta_1": 0.52}, False),
    ],
)
def test_limits(limit: str, now: dict[str, float], failed: bool) -> None:
    comparison = compare("old", shifted(), shifted(**now), [parse_limit(limit)])
    assert bool(comparison.failures) is failed


def test_fewer_sets_with_depth_are_worse_even_where_the_others_are_better() -> None:
    silent = dataclasses.replace(record(1), scores={}, confidence=None, spectra=(), timings=None)
    before, after = summary_of(record(0), record(1)), summary_of(record(0), silent)
    (change,) = compare("old", before, after, [parse_limit("answered=10%")]).failures
    assert (change.metric, change.before, change.after, change.verdict) == ("answered", 1.0, 0.5, "worse")
    assert not compare("old", before, after, [parse_limit("answered=50%")]).failures


def test_a_limit_on_what_is_not_there_is_an_error_and_not_a_pass() -> None:
    with pytest.raises(MsdepthError, match="--fail-if consistency"):
        compare("old", shifted(), shifted(), [parse_limit("consistency=0.1")])
    for text in ("abs_rel", "speed=1", "abs_rel=-1", "abs_rel=x%", "abs_rel=nan"):
        with pytest.raises(MsdepthError, match="for example abs_rel=2%"):
            parse_limit(text)


def test_a_part_of_a_sweep_is_compared_with_the_same_part_and_that_is_said() -> None:
    variants = (ALL, "rgb+nir", "rgb")
    sweep = summary_of(*(record(0, variant=name) for name in variants))
    about = dataclasses.replace(ABOUT, settings={"reference": "rgb", "spectra": ["rgb", "nir"]})
    part = summary_of(record(0, variant="rgb+nir"), about=about)
    found = compare("old", sweep, part)
    assert found.scope == f"compared is only rgb+nir, which both have; {ALL}, rgb only there"
    assert {change.verdict for change in found.changes} == {"same"}
    assert found.differences == ()
    assert compare("old", part, sweep).scope == f"compared is only rgb+nir, which both have; {ALL}, rgb only here"
    assert compare("old", sweep, sweep).scope == ""


def test_recordings_that_lack_cameras_are_told_where_they_make_a_difference() -> None:
    before = summary_of(record(0), record(0, bag="b", variant="rgb"))
    now = summary_of(record(0, variant="rgb"), record(0, bag="b", variant="rgb"))
    assert "rgb: recordings b before, now a, b" in compare("old", before, now).differences


def test_what_makes_a_comparison_doubtful_is_said() -> None:
    other = summary_of(record(0), about=dataclasses.replace(ABOUT, settings={"reference": "nir"}))
    this = summary_of(record(0), record(1), record(0, bag="b"))
    differences = compare("old", other, this).differences
    assert "bags: a before, now a, b" in differences
    assert "reference: nir before, now rgb" in differences
    assert f"{ALL}: 1 sets with ground truth before, now 3" in differences
    with pytest.raises(MsdepthError, match="compare evaluations of the same cameras"):
        compare("old", summary_of(record(0, variant="rgb")), summary_of(record(0, variant="nir")))
