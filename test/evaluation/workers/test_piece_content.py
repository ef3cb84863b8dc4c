"""Plans and records as bytes."""

import evaluations
import numpy as np

from msdepth_ros.core.health.findings import Fault
from msdepth_ros.evaluation.plan.planned_sets import MessageRef, Plan, SetPlan
from msdepth_ros.evaluation.plan.planner import BagPlan
from msdepth_ros.evaluation.workers.piece_content import (
    pack_piece,
    pack_plan,
    unpack_pictures,
    unpack_plan,
    unpack_records,
)
from msdepth_ros.report.frame_pictures import PictureRange, Why
from msdepth_ros.results.frame import FrameRecord, Timings


def record(number: int, variant: str = "rgb+nir") -> FrameRecord:
    """A record with something in every field, in numbers that no short text holds."""
    rng = np.random.default_rng(number)
    third = float(rng.random()) / 3
    return FrameRecord(
        bag="city", variant=variant, number=number, stamp_ns=1_700_000_000_123_456_789 + number,
        spectra=tuple(variant.split("+")), skew_ms=third, scores={"abs_rel": 1e-17 * third, "rmse": third * 1e9},
        truth_stamp_ns=2**62 + number, truth_pixels=7, confidence=third, view_confidence={"rgb": third},
        consistency={"nir": third}, band_counts=(1, 2, 0), band_abs_rel_sums=tuple(rng.random(3).tolist()),
        bin_counts=(3, 4), bin_confidence_sums=(third, 0.1 + 0.2), bin_correct_counts=(0, 2), health=("rgb:black",),
        error="", timings=Timings(third, third * 2, third * 3),
    )  # fmt: skip


def test_records_come_back_to_the_last_bit_and_variant_by_variant() -> None:
    both = [record(number) for number in range(5)]
    empty = FrameRecord(bag="city", variant="rgb+nir", number=5, stamp_ns=6, spectra=(), error="no image can be used")
    nir = [record(number, "nir") for number in range(3)]
    shown = [evaluations.pictures(one) for one in nir[1:]]
    data = pack_piece([*both, empty, *nir], shown)
    assert list(unpack_records(data, "rgb+nir")) == [*both, empty]
    assert list(unpack_records(data, "nir")) == nir
    assert list(unpack_records(data, "thermal")) == []
    assert unpack_pictures(data, "nir") == shown


def test_a_plan_comes_back_whole() -> None:
    topics = {"rgb": "/rgb/image", "nir": "/nir/image", "truth": "/truth"}
    sets = [
        SetPlan("city", "rgb", 0, 2**62 + 1, {"rgb": MessageRef("/rgb/image", 2**62, 1, 2**62 + 1)}, None, 1 / 3),
        SetPlan(
            "city", "rgb", 1, 5, {"rgb": MessageRef("/rgb/image", 4, 0, 5)}, MessageRef("/truth", 6, 0, 5), 0.0,
            {"rgb": frozenset({Fault.BLACK, Fault.NOISY})}, ("rgb",), {"nir": MessageRef("/nir/image", 7, 0, 5)},
            Why.STATE, consistency=True,
        ),
    ]  # fmt: skip
    plan = BagPlan(
        "city", [Plan.pack("city", "rgb", topics, sets)], ["no images of nir"], PictureRange("rgb", 2**62, 7)
    )
    read = unpack_plan(pack_plan(plan))
    assert (read.name, read.notes, read.pictures) == (plan.name, plan.notes, plan.pictures)
    assert [list(part) for part in read.plans] == [sets]
    assert read.plans[0].topics == topics
