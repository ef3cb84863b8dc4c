"""Sets are planned as the node makes them: by its synchronizer, and of the images that it would use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bags
import drives
import numpy as np
import pytest
import replays

from msdepth_ros.bags.bag import Bag
from msdepth_ros.core.camera.images import decode_image, spectrum_image
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.cameras import Seen, SpectrumHealth, leave_out
from msdepth_ros.core.health.image import measure
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.core.sync.synchronizer import SpectralSynchronizer
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.faults import parse_fault
from msdepth_ros.evaluation.plan.planned_sets import Plan, SetPlan
from msdepth_ros.evaluation.plan.planner import BagPlan, simulate
from msdepth_ros.evaluation.run.collector import Collector, key_of
from msdepth_ros.report.frame_pictures import Why
from msdepth_ros.results.frame import record_key

ALL = "rgb+nir+thermal"


def options(*, settings: Settings | None = None, **changes: Any) -> EvaluateOptions:
    return EvaluateOptions(settings or Settings.from_values(DEFAULTS), **changes)


def plan(path: Path, **changes: Any) -> BagPlan:
    """Plans a recording; its calibration is put beside it where it has none."""
    if not (path / "rig.yaml").exists():
        drives.rig().save(path / "rig.yaml")
    return replays.plan(path, "drive", options(**changes))


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


def test_images_that_are_none_are_in_no_set_as_in_the_node_but_told(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(6)
    drive.messages = [
        (log, topic, kind, data[:60] if topic.startswith("/nir/image") and data[8:12] > b"" and index % 2 else data)
        for index, (log, topic, kind, data) in enumerate(drive.messages)
    ]
    found = plan(drive.write(tmp_path / "cut"))
    cut = [one.number for one in found.plans[0] if "nir" in one.rejected]
    assert cut
    for one in found.plans[0]:
        assert ("nir" in one.inputs, "nir:rejected" in one.health) == (one.number not in cut, one.number in cut)
        assert all(ref.stamp_ns == bags.stamps_of("nir", one.number) for ref in one.rejected.values())
    assert any(note.startswith(f"drive: {len(cut)} of 6 images cannot be used: /nir/image") for note in found.notes)


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
    with pytest.raises(MsdepthError, match="--inject drop:thermal@0-s: the recording has no images of thermal"):
        plan(drive, drop=("thermal",), faults=(parse_fault("drop:thermal"),))


def by_hand(path: Path, spectra: tuple[str, ...], settings: Settings) -> list[tuple[int, tuple[str, ...], list[str]]]:
    """Stamp, cameras used and words of each set: core's parts put together as the node does it, image by image."""
    synchronizer = SpectralSynchronizer(settings.synchronizer(spectra))
    health = {name: SpectrumHealth(name) for name in spectra}

    def arrivals() -> Iterator[tuple[int, str, int, Any]]:
        with Bag(path) as bag:
            for payload in bag.payloads([f"/{name}/image/compressed" for name in spectra]):
                name = payload.topic.split("/")[1]
                message = bag.deserialise(payload)
                stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                facts = measure(spectrum_image(name, decode_image(message)))
                faults = health[name].accept(Seen(stamp_ns, facts, "form"), payload.log_ns, settings.health)
                yield payload.log_ns, name, stamp_ns, (stamp_ns, faults)

    found = []
    for ready, _ in simulate(arrivals(), synchronizer):
        faults = {name: item.item[1] for name, item in ready.items.items()}
        out = leave_out(faults) if settings.health.leave_out else {}
        stamp_ns = ready.items["rgb"].item[0] if "rgb" in ready.items else ready.stamp_ns
        words = sorted(f"{name}:{fault.value}" for name, some in faults.items() for fault in some)
        found.append((stamp_ns, tuple(name for name in faults if name not in out), words))
    return found


def planned(one: Plan) -> list[tuple[int, tuple[str, ...], list[str]]]:
    """The same of a plan."""
    return [
        (planned.stamp_ns, tuple(planned.used), [word for word in planned.health if not word.endswith(":missing")])
        for planned in one
    ]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drive = drives.Drive().add_cameras(drives.TROUBLED_INSTANTS, see=drives.troubled)
    return drive.write(tmp_path_factory.mktemp("plan") / "troubled")


@pytest.mark.parametrize("leave_out", [True, False])
def test_images_are_judged_and_left_out_as_the_node_does_in_every_subset(troubled: Path, leave_out: bool) -> None:
    settings = Settings.from_values(DEFAULTS | {"health.leave_out": leave_out})
    plans = plan(troubled, settings=settings, sweep=True).plans
    for one in plans:
        assert planned(one) == by_hand(troubled, tuple(one.variant.split("+")), settings)
    used = {stamp_ns: names for stamp_ns, names, _ in planned(plans[0])}
    words = {stamp_ns: words for stamp_ns, _, words in planned(plans[0])}

    def at(index: int) -> tuple[tuple[str, ...], list[str]]:
        stamp_ns = bags.stamps_of("rgb", index)
        return used[stamp_ns], words[stamp_ns]

    everything = drives.SPECTRA
    assert at(6) == (("nir", "thermal") if leave_out else everything, ["rgb:black"])
    assert at(8) == (() if leave_out else everything, ["nir:flat", "rgb:black", "thermal:black"])
    assert at(9) == (("thermal",) if leave_out else everything, ["nir:flat", "rgb:black"])  # black is not over yet
    assert at(13) == (("nir", "thermal") if leave_out else everything, ["rgb:overexposed"])
    assert at(19) == (everything, [])  # the same picture, but not for long enough
    assert at(21) == (("rgb",) if leave_out else everything, ["nir:frozen", "thermal:flat"])
    assert at(30) == (everything, [])


def test_thresholds_are_those_of_the_parameters(troubled: Path) -> None:
    settings = Settings.from_values(DEFAULTS | {"health.frozen_after_s": 0.2, "health.flat_thermal_counts": 0.0})
    (only,) = plan(troubled, settings=settings).plans
    assert planned(only) == by_hand(troubled, drives.SPECTRA, settings)
    assert only[18].health == ("nir:frozen",)
    assert "thermal" in only[21].used


def test_pictures_that_all_repeat_are_used_and_named(tmp_path: Path) -> None:
    path = drives.Drive().add_cameras(12, see=drives.standing).write(tmp_path / "bag")
    (only,) = plan(path).plans
    assert only[11].health == ("nir:frozen", "rgb:frozen", "thermal:frozen")
    assert tuple(only[11].used) == drives.SPECTRA
    assert only[11].left_out == ()


def test_every_changes_nothing_of_the_judgement(troubled: Path) -> None:
    (whole,) = plan(troubled).plans
    (thin,) = plan(troubled, every=3).plans
    assert [one._replace(pictures=Why.NOT) for one in thin] == [
        one._replace(pictures=Why.NOT) for one in list(whole)[::3]
    ]


def test_injected_faults_are_judged_as_if_the_camera_had_them(drive: Path) -> None:
    texts = ("black:rgb@0.2-0.4s", "white:nir@0.3-0.4s", "freeze:thermal@0.1-0.9s")
    (only,) = plan(drive, faults=tuple(map(parse_fault, texts))).plans
    assert [one.left_out for one in only] == [
        (), (), ("rgb",), ("rgb", "nir"), ("rgb",), ("thermal",), ("thermal",), ("thermal",)
    ]  # fmt: skip
    assert only[4].health == ("rgb:black",)
    assert only[7].health == ("thermal:frozen",)


def test_how_far_it_is_is_told(drive: Path) -> None:
    shares: list[float] = []
    replays.plan(drive, "drive", options(), progress=shares.append)
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.05 < 0.95 < shares[-1] <= 1


@pytest.mark.parametrize("threads", [2, 5])
def test_any_number_of_threads_looks_at_the_same_images(troubled: Path, threads: int) -> None:
    whole = plan(troubled, sweep=True)
    again = replays.plan(troubled, "drive", options(sweep=True), threads=threads)
    assert (again.notes, [list(one) for one in again.plans]) == (whole.notes, [list(one) for one in whole.plans])


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
    assert "drive: camera_info on /rgb/camera_info changes while it records; one is used for all images" in notes
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
    assert [one.pictures for one in only] == [Why.SPREAD] * len(only)


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
    few = Plan(only.bag, only.variant, only.topics, only.rows[[3, 4, 50]])
    windows = Collector([few]).windows_ns()
    assert [round((begin - bags.START_NS) * 1e-9, 1) for begin, _ in windows] == [0.3, 5.0]
    assert sum(end - begin for begin, end in windows) < 0.2e9
    assert [one.number for one in collected(path, [few])] == [3, 4, 50]
    assert Collector([only[:0]]).windows_ns() == []


def test_sets_of_which_nothing_is_used_hold_nobody_up(troubled: Path) -> None:
    plans = plan(troubled, sweep=True, ground_truth="").plans
    assert any(not one.used for part in plans for one in part)
    everything = sorted((one for part in plans for one in part), key=record_key)
    assert sorted(collected(troubled, plans), key=record_key) == everything
    rgb = next(part for part in plans if part.variant == "rgb")
    assert [one.number for one in collected(troubled, [rgb[5:8]])] == [5, 6, 7]


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
