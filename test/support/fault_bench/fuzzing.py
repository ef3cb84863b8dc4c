"""The fuzz tests of the node's topics, as rows of faults.json."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fault_bench.chain import ROOT
from fault_bench.expectations import Bars
from fault_bench.judge import row

TEST = ROOT / "test" / "ros" / "node" / "test_fuzz.py"
COUNT = 10_000


def fuzz(folder: Path, bars: Bars) -> list[dict[str, Any]]:
    """Runs the tests in a process of their own; one row for each topic.

    Args:
        folder: existing; the report goes there.
        bars: what must be reached.
    """
    report = folder / "fuzz.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, "MSDEPTH_FUZZ_COUNT": str(COUNT)}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=600", f"--junitxml={report}", str(TEST)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    (folder / "fuzz.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if not report.exists():
        return [row("fuzz", "", {"crashes": 0}, {"exit_code": done.returncode}, False)]
    return rows_of(report.read_text(encoding="utf-8"), done.returncode, bars)


def rows_of(report: str, exit_code: int, bars: Bars) -> list[dict[str, Any]]:
    """One row for each topic of a JUnit report, and one for everything together.

    Args:
        report: XML of pytest.
        exit_code: of pytest.
        bars: what must be reached.
    """
    rows = []
    cases = list(ET.fromstring(report).iter("testcase"))  # noqa: S314  our own file
    for case in cases:
        facts = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        if "topic" in facts:
            rows.append(_row(case.find("failure") is None and case.find("error") is None, facts, bars))
    bad = [case.attrib["name"] for case in cases if case.find("failure") is not None or case.find("error") is not None]
    seen = {"tests": len(cases), "failed": bad, "exit_code": exit_code}
    rows.append(row("fuzz", "all", {"failed": []}, seen, exit_code == 0 and not bad and bool(cases)))
    return rows


def _row(sound: bool, facts: Mapping[str, str], bars: Bars) -> dict[str, Any]:
    messages, rejected, growth = int(facts["messages"]), int(facts["rejected"]), float(facts["growth"])
    seen = {
        "messages": messages, "rejected": rejected, "uncounted": int(facts["uncounted"]), "growth": round(growth, 4),
        "slowest_ms": round(float(facts["slowest_ms"]), 1),
    }  # fmt: skip
    expected = {"messages": COUNT, "uncounted": 0, "growth": bars.memory_share}
    passed = sound and messages >= COUNT and not seen["uncounted"] and growth <= bars.memory_share
    return row("fuzz", facts["topic"], expected, seen, passed)
