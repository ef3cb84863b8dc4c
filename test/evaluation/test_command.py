"""msdepth evaluate as a command: what it computes, what it writes, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bags
import cv2
import drives
import numpy as np
import pytest
import yaml

pytest.importorskip("pyarrow", reason="evaluate needs the extra [report]")

import models
from msdepth_ros import cli
from msdepth_ros.bags.bag import Bag
from msdepth_ros.core.behaviour import OUTPUT_IMAGES
from msdepth_ros.core.camera.camera_info import camera_model_from_info
from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.core.camera.view import make_view
from msdepth_ros.core.spectra import normalise
from msdepth_ros.core.visualize import colourise
from msdepth_ros.results.frame import FrameRecord
from msdepth_ros.results.parquet import read_frames

ALL3 = ("rgb", "nir", "thermal")
ALL = "+".join(ALL3)
INSTANTS = 6


class Workplace:
    """A recording, the toy model and a folder for results."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.model = models.toy_model(folder / "toy.onnx", added_m=5.0)
        self.bag = drives.write_drive(folder / "drive", INSTANTS)

    def run(self, *arguments: str, bag: Path | None = None, out: str = "out") -> int:
        base = ["evaluate", str(bag or self.bag), "--model", str(self.model), "--out", str(self.folder / out)]
        return cli.main([*base, *arguments])

    def metrics(self, out: str = "out") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / out / "metrics.json").read_text())
        return document

    def frames(self, out: str = "out") -> list[FrameRecord]:
        return list(read_frames(self.folder / out / "frames.parquet"))


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def toy_depth_m(index: int, spectra: tuple[str, ...]) -> np.ndarray:
    """What the toy network makes of a set: mean of the images, baselines of the cameras, and 5 m."""
    rig = drives.rig()
    depth = np.full((models.TOY_HEIGHT, models.TOY_WIDTH), 5.0)
    for name in spectra:
        image = drives.noise(name, index)
        if name == "rgb":
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        view = make_view(rig.cameras[name], models.TOY_WIDTH, models.TOY_HEIGHT)
        depth += normalise(name, view.apply(image)).mean(axis=0) / len(spectra)
        depth += rig.view_from_reference(name, "rgb")[0, 3]
    return depth


def test_scores_equal_a_computation_by_hand(workplace: Workplace) -> None:
    assert workplace.run() == 0
    frames = workplace.frames()
    assert [frame.number for frame in frames] == list(range(INSTANTS))
    truth = drives.plane_mm() / 1000.0
    for index in (1, 4):
        depth = toy_depth_m(index, drives.SPECTRA)
        at_truth = depth[np.rint(2 * np.arange(16) + 0.49).astype(int)][
            :, np.rint(2 * np.arange(32) + 0.49).astype(int)
        ]
        expected = np.mean(np.abs(at_truth - truth) / truth)
        assert frames[index].spectra == drives.SPECTRA
        assert frames[index].scores["abs_rel"] == pytest.approx(expected, rel=0.02)
        assert frames[index].truth_pixels == truth.size


def test_files_and_table(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run() == 0
    output = capsys.readouterr()
    assert output.err.startswith("looking at the images of drive, 0 %")
    assert f"[{24 * '#'}] {INSTANTS}/{INSTANTS} sets" in output.err
    assert ALL in output.out
    assert "% of the time in the model" in output.out
    assert {path.name for path in workplace.out.iterdir()} == {"report.html", "metrics.json", "frames.parquet"}
    assert (workplace.out / "report.html").stat().st_size > 10_000
    document = workplace.metrics()
    assert document["model"]["name"] == "toy"
    result = document["results"][ALL]["all"]
    assert result["sets_with_truth"] == INSTANTS
    rows = workplace.frames()
    assert result["scores"]["rmse"] == pytest.approx(np.mean([row.scores["rmse"] for row in rows]))


def test_two_runs_give_the_same_bytes_but_for_the_timings(workplace: Workplace) -> None:
    texts = []
    for out in ("first", "second"):
        assert workplace.run("--sweep", "--inject", "noise:rgb@0.1-0.3s", out=out) == 0
        document = workplace.metrics(out)
        assert document.pop("timings")["sets_per_s"] > 0
        texts.append(json.dumps(document))
    assert texts[0] == texts[1]


def test_a_sweep_reports_every_subset(workplace: Workplace) -> None:
    assert workplace.run("--sweep") == 0
    document = workplace.metrics()
    assert document["variants"] == [ALL, "rgb+nir", "rgb+thermal", "nir+thermal", "rgb", "nir", "thermal"]
    assert {name: result["all"]["sets_with_depth"] for name, result in document["results"].items()} == dict.fromkeys(
        document["variants"], INSTANTS
    )


def test_one_variant_of_a_sweep_equals_an_evaluation_without_the_others(workplace: Workplace) -> None:
    assert workplace.run("--sweep", out="sweep") == 0
    assert workplace.run("--drop", "rgb,thermal", out="nir") == 0
    assert workplace.metrics("nir")["results"]["nir"] == workplace.metrics("sweep")["results"]["nir"]


def test_without_ground_truth_pictures_rates_confidence_and_agreement_are_reported(workplace: Workplace) -> None:
    assert workplace.run("--ground-truth", "none") == 0
    result = workplace.metrics()["results"][ALL]["all"]
    assert set(result["scores"].values()) == {None}
    assert result["rate_hz"] == pytest.approx(10.0)
    assert set(workplace.frames()[0].consistency) == set()  # one camera alone agrees with itself
    assert workplace.run("--ground-truth", "none", "--start", "0.1", out="later") == 0
    assert result["confidence"] > 0


def test_faults_show_in_the_frames(workplace: Workplace) -> None:
    faults = ("--inject", "black:rgb@0.2-0.4s", "--inject", "white:nir@0.3-0.5s", "--inject", "black:thermal@0.3-0.4s")
    assert workplace.run(*faults) == 0
    frames = workplace.frames()
    assert [frame.spectra for frame in frames[1:]] == [ALL3, ("nir", "thermal"), (), ("thermal",), ("rgb", "thermal")]
    assert [frame.health for frame in frames[1:3]] == [(), ("rgb:black",)]
    assert frames[3].health == ("nir:overexposed", "rgb:black", "thermal:black")
    why = "no image of the set is usable: rgb black, nir overexposed, thermal black; look at the cameras"
    assert frames[3].error == why
    assert (frames[3].confidence, frames[3].timings, dict(frames[3].scores)) == (None, None, {})
    result = workplace.metrics()["results"][ALL]
    assert (result["all"]["sets"], result["all"]["sets_with_depth"], result["all"]["sets_with_truth"]) == (6, 5, 5)
    assert result["by_spectra"]["none"]["sets"] == 1
    assert result["all"]["health"]["rgb:black"] == 3  # one more until it counts as over
    assert workplace.metrics()["problems"] == {why: 1}
    assert workplace.metrics()["settings"]["faults"] == list(faults[1::2])
    report = (workplace.out / "report.html").read_text()
    assert "1 of 6 sets gave no depth." in report
    assert why in report


def test_a_node_that_leaves_nothing_out_is_evaluated_so(workplace: Workplace) -> None:
    path = workplace.folder / "params.yaml"
    path.write_text("/**/fused_depth:\n  ros__parameters:\n    health:\n      leave_out: false\n")
    assert workplace.run("--params", str(path), "--inject", "black:rgb@0.2-0.4s") == 0
    frames = workplace.frames()
    assert [frame.spectra for frame in frames[1:]] == [ALL3] * 5
    assert ["rgb:black" in frame.health for frame in frames] == [False, False, True, True, True, False]
    assert workplace.metrics()["settings"]["health"]["leave_out"] is False


def test_the_parameter_file_of_the_node_works_and_options_go_before_it(workplace: Workplace) -> None:
    shipped = yaml.safe_load((Path(__file__).resolve().parents[2] / "config" / "fused_depth.yaml").read_text())
    parameters = shipped["/**/fused_depth"]["ros__parameters"]
    parameters |= {"spectra": ["rgb", "nir"], "reference": "nir"}
    parameters["depth"]["max_m"] = 5.4
    path = workplace.folder / "params.yaml"
    path.write_text(yaml.safe_dump(shipped))
    assert workplace.run("--params", str(path)) == 0
    settings = workplace.metrics()["settings"]
    assert (settings["reference"], settings["spectra"], settings["depth_max_m"]) == ("nir", ["rgb", "nir"], 5.4)
    assert workplace.run("--params", str(path), "--reference", "rgb", out="rgb") == 0
    assert workplace.metrics("rgb")["settings"]["reference"] == "rgb"


def test_comparison_decides_the_exit_code(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert workplace.run(out="before") == 0
    before = str(workplace.folder / "before" / "metrics.json")
    assert workplace.run("--compare", before, "--fail-if", "abs_rel=0") == 0
    assert "metrics are the same" in capsys.readouterr().out
    worse = models.toy_model(workplace.folder / "worse.onnx", added_m=40.0)
    assert workplace.run("--model", str(worse), "--compare", before, "--fail-if", "abs_rel=2%") == 3
    assert "worse  FAILED" in capsys.readouterr().out
    assert workplace.run("--model", str(worse), "--compare", before) == 0
    assert workplace.run("--fail-if", "abs_rel=2%") == 2
    assert "--compare" in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused_before_anything_is_computed(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert workplace.run("--drop", "nir", out="before") == 0
    before = str(workplace.folder / "before" / "metrics.json")
    capsys.readouterr()
    for arguments, reason in [
        (["--drop", "thermal"], "it has rgb+thermal, this evaluation rgb+nir; compare evaluations of the same cameras"),
        (["--drop", "nir", "--fail-if", "consistency=0.1"], "--fail-if consistency"),
        (["--drop", "nir", "--ground-truth", "none", "--fail-if", "abs_rel=2%"], "--fail-if abs_rel"),
    ]:
        assert workplace.run("--compare", before, *arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line
        assert not workplace.out.exists()
    assert workplace.run("--compare", before, "--sweep", "--duration", "0.2") == 0
    assert "compared is only rgb+thermal, which both have; " in capsys.readouterr().out


def test_results_are_kept_where_a_comparison_turns_out_to_be_impossible(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert workplace.run(out="before") == 0
    late = drives.Drive().add_cameras(3).add_truth(3, late_ns=90_000_000).write(workplace.folder / "late")
    drives.rig().save(late / "rig.yaml")
    comparing = ["--compare", str(workplace.folder / "before" / "metrics.json"), "--fail-if", "abs_rel=2%"]
    assert workplace.run("--truth-tolerance", "0.001", *comparing, bag=late) == 2
    assert "--fail-if abs_rel" in capsys.readouterr().err.splitlines()[-1]
    assert (workplace.out / "report.html").stat().st_size > 10_000


def test_one_bad_recording_does_not_lose_the_others(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    bad = workplace.folder / "bad"
    bad.mkdir()
    (bad / "bad.mcap").write_bytes(b"nothing")
    assert workplace.run(str(bad)) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("msdepth: error: bad: ")  # before the time that the others take
    assert errors.count("msdepth: error:") == 1
    document = workplace.metrics()
    assert list(document["failed_bags"]) == ["bad"]
    assert document["bags"] == ["drive"]
    assert workplace.run(bag=bad, out="none") == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--drop", "radar"], "unknown spectrum 'radar'"),
        (["--drop", "rgb,nir,thermal"], "no camera is left"),
        (["--inject", "melt:rgb"], "for example black:rgb@3-5s"),
        (["--topic", "rgb"], "SPECTRUM=TOPIC"),
        (["--topic", "rgb=/nowhere"], "no messages on /nowhere"),
        (["--ground-truth", "/nowhere"], "no messages on /nowhere"),
        (["--every", "0"], "argument --every: '0' must be a whole number of at least 1"),
        *((["--start", text], "argument --start: ") for text in ("nan", "inf", "1e300", "-1", "")),
        *((["--duration", text], "argument --duration: ") for text in ("nan", "inf", "1e300", "0")),
        *((["--truth-tolerance", text], "argument --truth-tolerance: ") for text in ("nan", "inf", "1e300", "-1")),
        (["--start", "100"], "form no set"),
        (["--compare", "nowhere.json"], "nowhere.json"),
        (["--workers", "2"], "--cluster local"),
        (["--params", "nowhere.yaml"], "nowhere.yaml: cannot read"),
        (["--rig", "nowhere.yaml"], "nowhere.yaml: cannot read"),
        (["--model", "nowhere.onnx"], "nowhere.onnx: cannot be read"),
        (["--cluster", "local", "--write-bag"], "does not go with --cluster"),
    ],
)
def test_bad_input_ends_with_one_line_and_2(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert workplace.run(*arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()  # no progress before it
    assert line.startswith("msdepth: error: ")
    assert reason in line
    assert not workplace.out.exists()


def test_an_image_that_cannot_be_used_is_left_out_and_named(workplace: Workplace) -> None:
    drive = drives.Drive().add_cameras(4)
    broken = drives.compressed_image(0, "nir_optical_frame", drives.noise("nir", 2), "png")
    stamp_ns = bags.stamps_of("nir", 2)
    broken.header.stamp.sec, broken.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    broken.data = broken.data[:-20]
    topic = "/nir/image/compressed"
    drive.messages = [one for one in drive.messages if not (one[1] == topic and one[0] == stamp_ns + 1_000_000)]
    drive.add(topic, bags.COMPRESSED, broken, stamp_ns + 1_000_000)
    path = drive.write(workplace.folder / "broken")
    drives.rig().save(path / "rig.yaml")
    assert workplace.run(bag=path) == 0
    third = workplace.frames()[2]
    assert third.spectra == ("rgb", "thermal")
    assert third.health == ("nir:rejected",)
    assert "/nir/image/compressed" in third.error
    assert third.confidence is not None


@pytest.mark.parametrize("kind", ["points", "depth image of nir", "compressedDepth"])
def test_any_kind_of_ground_truth_gives_about_the_same_scores(workplace: Workplace, kind: str) -> None:
    drive = drives.Drive().add_cameras(3).add_transforms({**drives.camera_frames(), "lidar": (0.0, -0.5, 0.0)})
    wall_m = 8.0
    for index in range(3):
        stamp_ns = bags.stamps_of("rgb", index)
        if kind == "points":
            y, x = np.mgrid[-20:20:200j, -20:20:400j] * 0.25
            wall = np.stack([x.ravel(), y.ravel(), np.full(x.size, wall_m)], axis=1)
            drive.add("/lidar/points", drives.POINTS, drives.points_message(wall, "lidar", stamp_ns), stamp_ns)
        elif kind == "compressedDepth":
            width, height = bags.SIZES["rgb"]
            image = drives.compressed_image(stamp_ns, "rgb_optical_frame", np.zeros((2, 2), np.uint8), "png")
            png = cv2.imencode(".png", np.full((height, width), wall_m * 1000, np.uint16))[1].ravel()
            image.data, image.format = np.concatenate([np.zeros(12, np.uint8), png]), "16UC1; compressedDepth"
            drive.add("/lidar/points", bags.COMPRESSED, image, stamp_ns)
        else:
            width, height = bags.SIZES["nir"]
            pixels = np.full((height, width), wall_m, np.float32)
            drive.add(
                "/lidar/points", bags.IMAGE, drives.raw_image(stamp_ns, "nir_optical_frame", pixels, "32FC1"), stamp_ns
            )
    assert workplace.run("--ground-truth", "/lidar/points", bag=drive.write(workplace.folder / "walled")) == 0
    last = workplace.frames()[-1]
    expected = np.mean(np.abs(toy_depth_m(2, drives.SPECTRA) - wall_m) / wall_m)
    assert last.truth_pixels > 500
    assert last.scores["abs_rel"] == pytest.approx(expected, rel=0.02)


def test_problems_are_counted_and_no_depth_at_all_is_an_error(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = drives.Drive().add_cameras(3, ("nir",))
    for index in range(3):
        stamp_ns = bags.stamps_of("rgb", index)
        image = drives.raw_image(stamp_ns, "rgb_optical_frame", drives.noise("rgb", index), "rgb8")
        image.encoding = "fancy12"
        drive.add("/rgb/image", bags.IMAGE, image, stamp_ns)
    path = drive.write(workplace.folder / "odd")
    drives.rig().save(path / "rig.yaml")
    assert workplace.run(bag=path) == 0
    output = capsys.readouterr().out
    assert "note: odd: 3 of 3 images cannot be used: /rgb/image: encoding 'fancy12' is not supported" in output
    assert "problem in 3 sets: /rgb/image: encoding 'fancy12' is not supported" in output
    frames = [(frame.spectra, frame.health) for frame in workplace.frames()]
    assert frames == 3 * [(("nir",), ("rgb:rejected",))]
    assert workplace.run("--drop", "nir", bag=path, out="nothing") == 2
    assert "form no set" in (error := capsys.readouterr().err)
    assert "3 of 3 images cannot be used: /rgb/image: encoding 'fancy12'" in error
    assert workplace.run("--drop", "rgb", "--inject", "black:nir", bag=path, out="nothing") == 2
    assert "no set gave any depth; reasons: no image of the set is usable: nir black" in capsys.readouterr().err


def test_a_result_bag_holds_inputs_and_results_on_the_original_clock(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert workplace.run("--write-bag") == 0
    with Bag(workplace.out / "bags" / "drive") as bag, Bag(workplace.bag) as before:
        topics = bag.topics
        assert set(before.topics) < set(topics)
        for name in ("depth/image", "depth/confidence", "depth/image_color", "depth/camera_info", "confidence/nir"):
            assert topics[f"/fused_depth/{name}"].message_count == INSTANTS
        for name, summary in before.topics.items():
            assert topics[name] == summary
        assert topics["/tf_static"].message_count == 1
        depths = [message for _, _, message in bag.messages(["/fused_depth/depth/image"])]
        info = next(bag.messages(["/fused_depth/depth/camera_info"])).message
        times = [payload.log_ns for payload in bag.payloads(list(topics))]
    assert times == sorted(times)
    assert depths[2].header.frame_id == "rgb_optical_frame"
    assert depths[2].header.stamp.nanosec == bags.stamps_of("rgb", 2) % 10**9
    expected = toy_depth_m(2, drives.SPECTRA)
    assert decode_image(depths[2]).pixels == pytest.approx(expected, abs=0.01)
    assert (camera_model_from_info("depth", info).width, depths[2].width) == (models.TOY_WIDTH, models.TOY_WIDTH)
    capsys.readouterr()
    assert workplace.run("--write-bag") == 2  # nothing is overwritten
    (line,) = capsys.readouterr().err.splitlines()
    assert "bags/drive exists already" in line
    # Its own inputs can be evaluated again, with the poses that it carries.
    assert workplace.run(bag=workplace.out / "bags" / "drive", out="again") == 0
    assert workplace.metrics("again")["results"] == workplace.metrics()["results"]


@pytest.mark.parametrize("depth_max_m", [6.5, 80.0, 200.0])  # the toy says 80
@pytest.mark.parametrize("drop", ["", "nir", "rgb,thermal"])
def test_a_result_bag_has_what_the_node_publishes_whatever_the_limits_and_cameras(
    workplace: Workplace, depth_max_m: float, drop: str
) -> None:
    params = workplace.folder / "params.yaml"
    params.write_text(f"fused_depth: {{ros__parameters: {{depth.max_m: {depth_max_m}, depth.min_m: 0.0}}}}")
    assert (
        workplace.run("--write-bag", "--params", str(params), "--every", "3", *(["--drop", drop] if drop else [])) == 0
    )
    with Bag(workplace.out / "bags" / "drive") as bag:
        written = {name: bag.topics[name].message_count for name in bag.topics if name.startswith("/fused_depth/")}
        found: dict[str, list[Any]] = {name: [] for name in written if not name.endswith("camera_info")}
        for name, _, message in bag.messages(list(found)):
            found[name].append(decode_image(message).pixels)
    assert written == {f"/fused_depth/{name}": 2 for name in (*OUTPUT_IMAGES, "depth/camera_info")}
    depths_m, colours = found["/fused_depth/depth/image"], found["/fused_depth/depth/image_color"]
    for depth_m, colour in zip(depths_m, colours, strict=True):
        np.testing.assert_array_equal(colour, colourise(depth_m, 0.1, min(depth_max_m, 80.0)))
    for spectrum in drives.SPECTRA:
        confidence = found[f"/fused_depth/confidence/{spectrum}"][
            1
        ]  # the first set leaves before all cameras are known
        assert (confidence.max() > 0) == (spectrum not in drop)
        assert confidence.dtype == np.float32 and confidence.shape == depths_m[1].shape


def test_needs_no_ros(workplace: Workplace) -> None:
    block = workplace.folder / "block"
    block.mkdir()
    (block / "rclpy.py").write_text("raise ImportError('no ROS here')")
    path = os.pathsep.join([str(block), str(Path(cli.__file__).parents[1])])
    command = [sys.executable, "-m", "msdepth_ros.cli", "evaluate", str(workplace.bag), "--model", str(workplace.model)]
    done = subprocess.run(
        [*command, "--out", str(workplace.out)], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert workplace.metrics()["results"][ALL]["all"]["sets"] == INSTANTS
