"""Every fault on a running node: depth goes on, diagnostics name the camera, and it is used again when the fault ends.

The short version: each fault once, the cameras taking turns. `make faults` tries every fault on every camera.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from fault_bench.bench import Bench, Plan
from fault_bench.expectations import Bars, Trial, short

from msdepth_ros.core.spectra import SPECTRA

pytestmark = pytest.mark.timeout(600)

ANY_MACHINE = 3.0
"""The bars are those of two quiet cores, and `make faults` measures them. Here it is shown that everything works, also
where tests run on slow cores or beside other work: times may be this many times longer."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """What came out of one run, by fault and camera."""
    folder: Path = tmp_path_factory.mktemp("faults")
    bars = Bars().for_a_busy_machine(max(ANY_MACHINE, os.getloadavg()[0] / (os.cpu_count() or 1)))
    lines: list[str] = []
    plan = Plan(short(), clean_s=10.0, hold_s=3.1, after_s=1.5, accuracy=False, bars=bars, restarts=1)
    made = Bench(plan, folder, lines.append).run()
    print("\n".join(lines))
    return {(row["fault"], row["camera"]): row for row in made}


@pytest.mark.parametrize("camera", SPECTRA)
def test_nothing_is_said_of_good_cameras(rows: dict[tuple[str, str], dict[str, Any]], camera: str) -> None:
    assert rows["none", camera]["passed"], rows["none", camera]


@pytest.mark.parametrize("trial", short(), ids=lambda trial: f"{trial.kind}-{'+'.join(trial.spectra)}")
def test_the_node_lives_through_it(rows: dict[tuple[str, str], dict[str, Any]], trial: Trial) -> None:
    row = rows[trial.kind, "+".join(trial.spectra)]
    assert row["passed"], row


def test_a_lost_camera_costs_no_latency(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    found = [row for (fault, _), row in rows.items() if fault == "latency without"]
    assert found
    assert all(row["passed"] for row in found), found


def test_a_new_node_soon_has_depth(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert rows["kill node", ""]["passed"], rows["kill node", ""]
