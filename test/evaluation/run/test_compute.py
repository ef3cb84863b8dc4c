"""From plans to records: the same ones however the plans are cut, and pictures of what was left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import drives
import numpy as np
import pytest
import replays

import models
from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.plan.planned_sets import Plan
from msdepth_ros.evaluation.workers.pieces import cut
from msdepth_ros.report.frame_pictures import FramePictures, PictureKeeper, ShownPictures, Why, encode
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
    return [dataclasses.replace(record, timings=None) for record in replays.compute(path, plans, options, engine)]


class Album(PictureKeeper):
    """Takes the pictures of some sets, whatever they show."""

    def __init__(self, *numbers: int) -> None:
        self.numbers, self.moments = numbers, [None] * len(numbers)

    def take(self, record: FrameRecord, why: Why, develop: Any) -> None:
        if record.number in self.numbers:
            self.moments[self.numbers.index(record.number)] = develop()


@pytest.mark.parametrize("sets", [9, 31, 100])
def test_pieces_of_any_size_give_the_same_records(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine, sets: int
) -> None:
    plan = replays.plan(troubled, "drive", options)
    whole = sorted(records(troubled, plan.plans, options, engine), key=record_key)
    pieces = cut(plan, "identity", sets=sets)
    assert len(pieces) > 2
    parts = [one for piece in pieces for one in records(troubled, piece.plans, options, engine)]
    assert sorted(parts, key=record_key) == whole
    words = {word for one in whole for word in one.health}
    assert {"rgb:black", "rgb:overexposed", "rgb:frozen", "nir:frozen", "nir:flat", "thermal:flat"} <= words
    assert any(one.confidence is None for one in whole)


def test_what_is_left_out_is_not_computed_but_shown(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine
) -> None:
    (plan, *_) = replays.plan(troubled, "drive", options).plans
    album = Album(6)
    record = replays.compute(troubled, [plan], options, engine, pictures=album)[6]
    assert record.spectra == ("nir", "thermal")
    (moment,) = album.moments
    assert not moment.inputs["rgb"].pixels.any()
    tiles = {tile.name: tile for tile in encode(moment).tiles}
    assert tiles["input-rgb"].note == "black, not used"
    assert tiles["input-nir"].note == ""
    assert tiles["confidence-rgb"].absent == "not in the set"


def test_the_noise_of_a_frozen_picture_is_that_of_the_picture(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine
) -> None:
    faults = tuple(fault for fault in options.faults if fault.spectrum == "rgb")
    rgb = dataclasses.replace(options, sweep=False, drop=("nir", "thermal"), faults=faults)
    album = Album(26, 27, 30)
    replays.compute(troubled, replays.plan(troubled, "drive", rgb).plans, rgb, engine, pictures=album)
    first, *others = [moment.inputs["rgb"].pixels for moment in album.moments]
    for pixels in others:
        np.testing.assert_array_equal(pixels, first)


@pytest.mark.parametrize("sets", [9, 31])
def test_pieces_of_any_size_give_the_same_pictures(
    troubled: Path, options: EvaluateOptions, engine: DepthEngine, sets: int
) -> None:
    plan = replays.plan(troubled, "drive", options)

    def taken(parts: Sequence[Plan]) -> list[FramePictures]:
        keeper = PictureKeeper(plan.pictures)
        replays.compute(troubled, parts, options, engine, pictures=keeper)
        return [one._replace(record=dataclasses.replace(one.record, timings=None)) for one in keeper.pictures()]

    def shown(pictures: list[FramePictures]) -> list[FramePictures]:
        chosen = ShownPictures([plan.pictures.variant])
        chosen.add(pictures, plan.pictures)
        return sorted(chosen, key=lambda one: one.record.number)

    whole = shown(taken(plan.plans))
    assert len(whole) > 20
    assert shown([one for piece in cut(plan, "identity", sets=sets) for one in taken(piece.plans)]) == whole
