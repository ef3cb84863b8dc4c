"""From plans to records: the same ones however the plans are cut, and pictures of what was left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import drives
import numpy as np
import pytest

import models
from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.plan.planner import plan_bag
from msdepth_ros.evaluation.run.compute import run
from msdepth_ros.evaluation.workers.pieces import cut
from msdepth_ros.report.frame_pictures import encode
from msdepth_ros.results.frame import FrameRecord, record_key


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "troubled"
    drive = drives.Drive().add_cameras(drives.TROUBLED_INSTANTS, see=drives.troubled)
    drive.add_truth(drives.TROUBLED_INSTANTS).write(folder)
    drives.rig().save(folder / "rig.yaml")
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> EvaluateOptions:
    model = models.toy_model(tmp_path_factory.mktemp("model") / "toy.onnx")
    faults = ("noise=0.5:rgb@2-4s", "freeze:rgb@2.6-3.4s", "blur:nir@3-s", "drop=0.3:thermal@2-3s")
    settings = Settings.from_values({**DEFAULTS, "model.path": str(model)})
    return EvaluateOptions(settings, sweep=True, faults=tuple(map(parse_fault, faults)))


@pytest.fixture(scope="module")
def engine(options: EvaluateOptions) -> DepthEngine:
    return options.make_engine()


def records(path: Path, plans: Sequence[Plan], options: EvaluateOptions, engine: DepthEngine) -> list[FrameRecord]:
    return [dataclasses.replace(result.record, timings=None) for result in run(path, plans, options, engine)]


@pytest.mark.parametrize("sets", [9, 31, 100])
def test_pieces_of_any_size_give_the_same_records(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine, sets: int
) -> None:
    plans = plan_bag(troubled, "drive", options).plans
    whole = sorted(records(troubled, plans, options, engine), key=record_key)
    pieces = cut(plans, "identity", sets=sets)
    assert len(pieces) > 2
    parts = [one for piece in pieces for one in records(troubled, piece.plans, options, engine)]
    assert sorted(parts, key=record_key) == whole
    words = {word for one in whole for word in one.health}
    assert {"rgb:black", "rgb:overexposed", "rgb:frozen", "nir:frozen", "nir:flat", "thermal:flat"} <= words
    assert any(one.confidence is None for one in whole)


def test_what_is_left_out_is_not_computed_but_shown(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine
) -> None:
    (plan, *_) = plan_bag(troubled, "drive", options).plans
    (result,) = run(troubled, [plan.pictures_of([6])], options, engine)
    assert result.record.spectra == ("nir", "thermal")
    assert result.snapshot is not None
    assert not result.snapshot.moment.inputs["rgb"].pixels.any()
    tiles = {tile.name: tile for tile in encode(result.snapshot).tiles}
    assert tiles["input-rgb"].note == "black, not used"
    assert tiles["input-nir"].note == ""
    assert tiles["confidence-rgb"].absent == "not in the set"


def test_the_noise_of_a_frozen_picture_is_that_of_the_picture(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine
) -> None:
    faults = tuple(fault for fault in options.faults if fault.spectrum == "rgb")
    rgb = dataclasses.replace(options, sweep=False, drop=("nir", "thermal"), faults=faults)
    (plan,) = plan_bag(troubled, "drive", rgb).plans
    shown = [result.snapshot for result in run(troubled, [plan.pictures_of([26, 27, 30])], rgb, engine)]
    first, *others = [one.moment.inputs["rgb"].pixels for one in shown if one is not None]
    assert len(others) == 2
    for pixels in others:
        np.testing.assert_array_equal(pixels, first)
