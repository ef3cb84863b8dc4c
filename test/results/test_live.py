"""The summary of a run, with values computed by hand."""

import json

import pytest

from msdepth_ros.results.instants import Instant
from msdepth_ros.results.live import NodeReport, SetRecord, summarise

MS = 1_000_000
ALL = ("rgb", "nir", "thermal")


def record(tick: int, latency_ms: int, spectra: tuple[str, ...] = ALL, abs_rel: float | None = None) -> SetRecord:
    stamp_ns = tick * 100 * MS
    return SetRecord(stamp_ns, stamp_ns + 5 * MS, stamp_ns + (5 + latency_ms) * MS, spectra, abs_rel)


INSTANTS = [Instant(tick * 100 * MS, ("rgb",)) for tick in range(4)]


def test_summary_has_the_agreed_keys_and_values() -> None:
    records = [record(0, 40, abs_rel=0.1), record(1, 60, ("rgb", "thermal"), 0.4), record(2, 50, abs_rel=0.2)]
    node = NodeReport("tiny 0.1", ("CPUExecutionProvider",), 23.5, 3)
    summary = json.loads(json.dumps(summarise(records, INSTANTS, period_ns=100 * MS, node=node)))
    assert summary == {
        "instants_published": 4,
        "instants_answered": 3,
        "rate_hz": pytest.approx(2 / 0.21, abs=1e-3),
        "latency_ms": {"p50": 50.0, "p90": 58.0, "p99": pytest.approx(59.8)},
        "model_ms": {"p50": 23.5},
        "abs_rel": pytest.approx(0.7 / 3, abs=1e-5),
        "abs_rel_by_spectra": {"rgb+nir+thermal": pytest.approx(0.15), "rgb+thermal": pytest.approx(0.4)},
        "sets_by_spectra": {"rgb+nir+thermal": 2, "rgb+thermal": 1},
        "dropped": 3,
        "model": "tiny 0.1",
        "providers": ["CPUExecutionProvider"],
    }


def test_a_run_without_depth_has_a_summary_without_numbers() -> None:
    summary = summarise([], INSTANTS, period_ns=100 * MS, node=NodeReport())
    assert (summary["instants_answered"], summary["rate_hz"], summary["abs_rel"]) == (0, None, None)
    assert summary["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert "NaN" not in json.dumps(summary)


def test_sets_without_truth_do_not_pull_the_mean() -> None:
    records = [record(0, 1, abs_rel=0.3), record(1, 1, abs_rel=None)]
    assert summarise(records, INSTANTS, period_ns=100 * MS, node=NodeReport())["abs_rel"] == pytest.approx(0.3)


def test_records_survive_json() -> None:
    before = record(3, 40, abs_rel=0.25)
    assert SetRecord.from_json(json.loads(json.dumps(before.to_json()))) == before
    node = NodeReport("m", ("a", "b"), 1.5, 2)
    assert NodeReport.from_json(json.loads(json.dumps(node.to_json()))) == node
