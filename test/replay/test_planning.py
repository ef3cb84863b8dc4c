"""Sets are planned from stamps and times of recording alone, as the node's synchronizer makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bags
import drives
import numpy as np
import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.replay.bag import Bag
from msdepth_ros.replay.collector import Collector, key_of
from msdepth_ros.replay.faults import parse_fault
from msdepth_ros.replay.options import EvaluateOptions
from msdepth_ros.replay.planning import BagPlan, plan_bag
from msdepth_ros.replay.results import Plan, SetPlan

ALL = "rgb+nir+thermal"


def options(**changes: Any) -> EvaluateOptions:
    return EvaluateOptions(Settings.from_values(DEFAULTS), **changes)


def plan(path: Path, **changes: Any) -> BagPlan:
    """Plans a recording; its calibration is put beside it where it has none."""
    if not (path / "rig.yaml").exists():
        drives.rig().save(path / "rig.yaml")
    return plan_bag(path, "drive", options(**changes))


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drives.write_drive(tmp_path_factory.mktemp("plan") / "drive", instants=8)


def test_sets_hold_the_images_of_one_instant_and_their_truth(drive: Path) -> None:
    (only,) = plan(drive).plans
    assert (only.variant, len(only)) == (ALL, 8)
    assert [planned.number for planned in only] == list(range(8))
    third = only[3]
    assert third.stamp_ns == bags.stamps_of("rgb", 3)
    assert {name: ref.stamp_ns for name, ref in third.inputs.items()} == {
        name: bags.stamps_of(name, 3) for name in drives.SPECTRA
    }
    assert third.inputs["nir"].topic == "/nir/image/compressed"
    assert third.truth is not None
    assert third.truth.stamp_ns == third.stamp_ns
    assert third.wait_ms == 0.0


def test_nothing_is_decoded(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(4)
    drive.messages = [
        (log, topic, kind, data[:60] if "image" in topic else data) for log, topic, kind, data in drive.messages
    ]
    assert len(plan(drive.write(tmp_path / "cut")).plans[0]) == 4


def test_a_camera_that_is_missing_makes_smaller_sets(tmp_path: Path) -> None:
    path = bags.write_bag(tmp_path / "bag", instants=12, missing={"nir": {5, 6, 7, 8}})
    sets = list(plan(path).plans[0])
    assert [tuple(one.inputs) for one in sets[4:7]] == [drives.SPECTRA, ("rgb", "thermal"), ("rgb", "thermal")]
    assert sets[5].wait_ms == pytest.approx(53.0)  # thermal comes 7 ms late, the deadline is 60 ms after rgb


def test_a_sweep_plans_every_subset_with_its_own_synchronizer(drive: Path) -> None:
    plans = plan(drive, sweep=True).plans
    assert [one.variant for one in plans] == [ALL, "rgb+nir", "rgb+thermal", "nir+thermal", "rgb", "nir", "thermal"]
    thermal = plans[-1][2]
    assert tuple(thermal.inputs) == ("thermal",)
    assert thermal.stamp_ns == bags.stamps_of("thermal", 2)
    assert thermal.truth is not None  # 7 ms away


def test_dropped_cameras_and_truth_that_nobody_wants_are_not_read(drive: Path) -> None:
    (only,) = plan(drive, drop=("thermal",), ground_truth="").plans
    assert only.variant == "rgb+nir"
    assert all(one.truth is None for one in only)
    assert [one.consistency for one in only] == [len(one.inputs) > 1 and one.number % 10 == 0 for one in only]
    with pytest.raises(MsdepthError, match="no camera is left"):
        options(drop=drives.SPECTRA)


@pytest.mark.parametrize(("late_ns", "found"), [(40_000_000, True), (40_000_001, False), (-40_000_000, True)])
def test_truth_is_the_nearest_within_the_tolerance(tmp_path: Path, late_ns: int, found: bool) -> None:
    path = drives.Drive().add_cameras(1).add_truth(1, late_ns).write(tmp_path / "bag")
    first = plan(path).plans[0][0]
    assert (first.truth is not None) is found


def test_start_duration_and_every(drive: Path) -> None:
    (cut,) = plan(drive, start_s=0.2, duration_s=0.4).plans
    assert [one.stamp_ns for one in cut] == [bags.stamps_of("rgb", index) for index in (2, 3, 4, 5)]
    (thin,) = plan(drive, every=3).plans
    assert [one.number for one in thin] == [0, 3, 6]
    with pytest.raises(MsdepthError, match="form no set within --start 99"):
        plan(drive, start_s=99.0)


def test_a_dropping_camera_is_absent_and_a_freezing_one_repeats_its_last_image(drive: Path) -> None:
    faults = (parse_fault("drop:nir@0.2-0.4s"), parse_fault("freeze:rgb@0.5-0.7s"))
    sets = list(plan(drive, faults=faults).plans[0])
    assert ["nir" in one.inputs for one in sets[1:5]] == [True, False, False, True]
    clean = list(plan(drive).plans[0])
    assert [one.inputs["rgb"].log_ns for one in sets[4:7]] == 3 * [clean[4].inputs["rgb"].log_ns]
    assert [one.inputs["rgb"].stamp_ns for one in sets[4:7]] == [one.stamp_ns for one in clean[4:7]]
    assert [one.frozen for one in sets[4:8]] == [(), ("rgb",), ("rgb",), ()]
    with pytest.raises(MsdepthError, match="--inject drop:thermal@0-s: the recording has no images of thermal"):
        plan(drive, drop=("thermal",), faults=(parse_fault("drop:thermal"),))


def test_images_that_repeat_byte_by_byte_are_called_frozen(tmp_path: Path) -> None:
    drive = drives.Drive()
    for index in range(4):
        stamp_ns = bags.stamps_of("nir", index)
        image = drives.compressed_image(stamp_ns, "nir", drives.noise("nir", 0 if index < 3 else 1), "png")
        drive.add("/nir/image/compressed", bags.COMPRESSED, image, stamp_ns)
    sets = list(plan(drive.write(tmp_path / "bag")).plans[0])
    assert [one.frozen for one in sets] == [(), ("nir",), ("nir",), ()]


def test_a_clock_that_jumps_back_loses_no_more_than_one_set(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(8)
    later = [(log + 2 * 10**9, topic, kind, data) for log, topic, kind, data in drive.messages]
    drive.messages += later  # the same stamps again, two seconds later
    sets = list(plan(drive.write(tmp_path / "bag")).plans[0])
    assert len(sets) >= 15
    assert [one.number for one in sets] == list(range(len(sets)))


def test_what_is_odd_is_noted(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(3, ("rgb", "nir"))
    info = drives.camera_info(bags.START_NS, "rgb_optical_frame", (64, 30))
    drive.add("/rgb/camera_info", bags.INFO, info, bags.START_NS + bags.PERIOD_NS)
    notes = plan(drive.write(tmp_path / "bag")).notes
    assert "drive: camera_info on /rgb/camera_info changes while it records; the first one is used" in notes
    assert "drive: no images of thermal" in notes
    assert "drive: calibration from rig.yaml beside the recording, which has no /tf_static" in notes


def test_images_that_get_into_no_set_are_noted_but_not_the_one_at_the_start(drive: Path, tmp_path: Path) -> None:
    assert not [note for note in plan(drive).notes if "arrive after" in note]
    late = drives.Drive().add_cameras(8, ("rgb",))
    nir = drives.Drive().add_cameras(8, ("nir",))
    late.messages += [(log + 90_000_000, topic, kind, data) for log, topic, kind, data in nir.messages]
    notes = plan(late.write(tmp_path / "late")).notes
    assert any("nir: 8 of 8 images arrive after their set has left: raise sync.deadline_s" in note for note in notes)


def test_a_plan_gives_back_what_was_packed(drive: Path) -> None:
    (only,) = plan(drive, faults=(parse_fault("freeze:thermal@0.3-0.5s"),)).plans
    again = Plan.pack("drive", ALL, only.topics, list(only))
    assert list(again) == list(only)
    assert [one.number for one in only[2:4]] == [2, 3]
    asked = only.pictures_of({1, 5})
    assert [(one.number, one.snapshot) for one in asked] == [(1, True), (5, True)]
    assert not any(one.snapshot for one in only)


def collected(path: Path, plans: list[Plan]) -> list[SetPlan]:
    """Runs a collector over the recording; checks that every set comes with all its messages."""
    collector = Collector(plans)
    done = []
    with Bag(path) as bag:
        for start_ns, stop_ns in collector.windows_ns():
            for payload in bag.payloads(collector.topics, start_ns=start_ns, stop_ns=stop_ns):
                done += list(collector.offer(payload))
                assert len(collector._payloads) < 20  # noqa: SLF001  what it holds is what bounds the memory
    done += list(collector.rest())
    for planned, payloads in done:
        assert {key_of(ref) for ref in planned.refs} == payloads.keys()
    return [planned for planned, _ in done]


def test_messages_are_gathered_for_all_variants_in_one_pass(drive: Path) -> None:
    plans = plan(drive, sweep=True).plans
    sets = collected(drive, plans)
    assert len(sets) == sum(len(one) for one in plans)
    for one in plans:
        assert [planned.number for planned in sets if planned.variant == one.variant] == list(range(len(one)))


def test_a_slice_of_a_plan_gives_the_same_sets(drive: Path) -> None:
    (only,) = plan(drive, faults=(parse_fault("freeze:rgb@0.3-0.7s"),)).plans
    whole = collected(drive, [only])
    assert collected(drive, [only[:4]]) + collected(drive, [only[4:]]) == whole == list(only)


def test_only_the_parts_that_are_needed_are_read(tmp_path: Path) -> None:
    path = drives.write_drive(tmp_path / "long", instants=60)
    (only,) = plan(path).plans
    few = only.pictures_of({3, 4, 50})
    windows = Collector([few]).windows_ns()
    assert [round((begin - bags.START_NS) * 1e-9, 1) for begin, _ in windows] == [0.3, 5.0]
    assert sum(end - begin for begin, end in windows) < 0.2e9
    assert [one.number for one in collected(path, [few])] == [3, 4, 50]
    assert Collector([only[:0]]).windows_ns() == []


def test_a_message_that_cannot_be_found_again_holds_nobody_up(drive: Path) -> None:
    (only,) = plan(drive).plans
    rows = only.rows.copy()
    rows["nir"]["repeat"][2] = 7
    collector = Collector([Plan(only.bag, only.variant, only.topics, rows)])
    with Bag(drive) as bag:
        ((start_ns, stop_ns),) = collector.windows_ns()
        payloads = bag.payloads(collector.topics, start_ns=start_ns, stop_ns=stop_ns)
        done = [gathered for payload in payloads for gathered in collector.offer(payload)]
    assert [len(gathered.payloads) for gathered in done[:4]] == [2, 4, 3, 4]  # the first set is of rgb alone


def test_same_time_of_recording_tells_messages_apart(tmp_path: Path) -> None:
    drive = drives.Drive()
    for index in range(3):
        stamp_ns = bags.stamps_of("rgb", index)
        image = drives.compressed_image(stamp_ns, "rgb", drives.noise("rgb", index), "png")
        drive.add("/rgb/image/compressed", bags.COMPRESSED, image, bags.START_NS + 10**9)
    path = drive.write(tmp_path / "bag")
    sets = list(plan(path).plans[0])
    assert [one.inputs["rgb"].repeat for one in sets] == [0, 1, 2]
    assert collected(path, plan(path).plans) == sets
    assert np.array_equal([one.stamp_ns for one in sets], [bags.stamps_of("rgb", index) for index in range(3)])
