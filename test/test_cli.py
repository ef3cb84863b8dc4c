"""The command: depth from files, what it writes, and how it refuses bad input."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import models
from msdepth_ros import __version__, cli
from msdepth_ros.core.camera.ground import GroundPlane, level_normal
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.spectra import SPECTRA

SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(SPECTRA, size)]
SIZES = {"rgb": (128, 64), "nir": (96, 48), "thermal": (64, 32)}
VALUES = {"rgb": 51, "nir": 102, "thermal": 4000}
NORMALISED = {"rgb": 0.2, "nir": 0.4, "thermal": 0.5}
SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "ms2_sample"


class Workplace:
    """A folder with a rig, flat images and the toy model, whose depth is easy to compute."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.model = models.toy_model(folder / "toy.onnx")
        cameras, poses = {}, {}
        for index, (name, (width, height)) in enumerate(SIZES.items()):
            k = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]], np.float64)
            cameras[name] = CameraModel(name, width, height, k)
            poses[name] = np.eye(4)
            poses[name][0, 3] = -index
        self.rig = folder / "rig.yaml"
        Rig(cameras, poses).save(self.rig)
        self.images = {name: folder / f"{name}.png" for name in SPECTRA}
        for name, (width, height) in SIZES.items():
            shape = (height, width, 3) if name == "rgb" else (height, width)
            kind = np.uint16 if name == "thermal" else np.uint8
            cv2.imwrite(str(self.images[name]), np.full(shape, VALUES[name], kind))

    def arguments(self, spectra: tuple[str, ...], *more: str) -> list[str]:
        images = [part for name in spectra for part in (f"--{name}", str(self.images[name]))]
        base = ["infer", "--rig", str(self.rig), "--model", str(self.model), "--out", str(self.out)]
        return [*base, *images, *more]

    def result(self, name: str) -> NDArray[Any]:
        return np.load(self.out / f"{name}.npy")


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def expect_error(capsys: pytest.CaptureFixture[str], arguments: list[str], *texts: str) -> None:
    assert cli.main(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("msdepth: error: ") and output.err.count("\n") == 1
    for text in texts:
        assert text in output.err
    assert output.out == ""


# What it writes.


@pytest.mark.parametrize("reference", SPECTRA)
@pytest.mark.parametrize("spectra", SUBSETS)
def test_any_subset_in_any_frame(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], spectra: tuple[str, ...], reference: str
) -> None:
    assert cli.main(workplace.arguments(spectra, "--reference", reference)) == 0
    width, height = SIZES[reference]
    x_m = sum(SPECTRA.index(reference) - SPECTRA.index(name) for name in spectra)
    expected_m = float(np.mean([NORMALISED[name] for name in spectra])) + x_m
    depth_m = workplace.result("depth_m")
    assert depth_m.shape == (height, width) and depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, expected_m, atol=1e-5)
    depth_mm = cv2.imread(str(workplace.out / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    assert depth_mm.shape == (height, width) and depth_mm.dtype == np.uint16
    np.testing.assert_array_equal(depth_mm, round(1000 * expected_m) if expected_m > 0 else 0)
    for name in SPECTRA:
        confidence = workplace.result(f"confidence_{name}")
        assert confidence.shape == (height, width) and confidence.dtype == np.float32
        np.testing.assert_allclose(confidence, NORMALISED[name] if name in spectra else 0, atol=1e-5)
    assert workplace.result("confidence").shape == (height, width)
    assert cv2.imread(str(workplace.out / "overview.png")).shape[1] > 1000
    printed = capsys.readouterr().out
    assert "+".join(spectra) in printed and f"frame of {reference}" in printed and " ms" in printed
    for path in sorted(workplace.out.iterdir()):
        assert f"wrote {path}" in printed
    assert len(list(workplace.out.iterdir())) == 7


def test_the_road_by_height_and_pitch_or_by_the_rig(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    def depth_m(*more: str) -> float:
        assert cli.main(workplace.arguments(("rgb", "thermal"), *more)) == 0
        return float(workplace.result("depth_m").mean())

    before = depth_m()
    assert "toy 1.2 (contract 1)" in capsys.readouterr().out
    models.toy_model(workplace.model, contract=2)
    assert depth_m() == pytest.approx(before)
    assert "toy 1.2 (contract 2)" in (text := capsys.readouterr().out) and "\nroad unknown\n" in text
    down = level_normal(10.0, 0.0)
    added_m = float(np.dot(models.PLANE_WEIGHTS, [*down, 1.5]))
    assert depth_m("--ground-height", "1.5", "--camera-pitch", "10") - before == pytest.approx(added_m, abs=1e-4)
    assert "road 1.50 m below the rgb camera, normal 0.000 0.985 0.174, from --ground-height" in capsys.readouterr().out
    dataclasses.replace(Rig.load(workplace.rig), ground=GroundPlane("nir", down, 1.5, "")).save(workplace.rig)
    assert depth_m() - before == pytest.approx(added_m, abs=1e-4)  # side by side, a metre apart
    assert f"from {workplace.rig}\n" in capsys.readouterr().out
    added_m = float(np.dot(models.PLANE_WEIGHTS, [0, 1, 0, 1.2]))
    assert depth_m("--ground-height", "1.2") - before == pytest.approx(added_m, abs=1e-4)
    models.toy_model(workplace.model)
    assert depth_m() == pytest.approx(before)
    assert "; a model of contract 1 takes none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--camera-pitch", "3"), "--camera-pitch: says nothing of the road without --ground-height"),
        (("--ground-height", "0"), "argument --ground-height: '0' must be a number above 0 and of at most 10"),
        (("--ground-height", "-1.5"), "argument --ground-height: '-1.5' must be a number above 0"),
        (("--ground-height", "nan"), "argument --ground-height: 'nan' must be a number above 0"),
        (
            ("--ground-height", "1.5", "--camera-pitch", "60"),
            "argument --camera-pitch: '60' must be a number of at least -45 and of at most 45",
        ),
        (("--ground-height", "1.5", "--camera-pitch", "inf"), "argument --camera-pitch: 'inf' must be a number"),
    ],
)
def test_a_road_that_cannot_be_is_refused(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    expect_error(capsys, workplace.arguments(("rgb",), *arguments), complaint)


def test_what_the_view_does_not_cover_is_nan_0_and_no_confidence(workplace: Workplace) -> None:
    k = np.array([[128, 0, 95.5], [0, 128, 31.5], [0, 0, 1]], np.float64)
    wide = CameraModel("rgb", 192, 64, k)
    Rig({"rgb": wide}, {"rgb": np.eye(4)}).save(workplace.rig)
    cv2.imwrite(str(workplace.images["rgb"]), np.full((64, 192, 3), 51, np.uint8))
    assert cli.main(workplace.arguments(("rgb",))) == 0
    depth_m, unknown = workplace.result("depth_m"), np.isnan(workplace.result("depth_m"))
    assert 0 < unknown.sum() < unknown.size / 2 and unknown[:, 0].all() and not unknown[:, 96].any()
    np.testing.assert_allclose(depth_m[~unknown], 0.2, atol=1e-5)
    depth_mm = cv2.imread(str(workplace.out / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(depth_mm == 0, unknown)
    np.testing.assert_array_equal(workplace.result("confidence") == 0, unknown)


def test_depth_where_the_models_range_ends_is_infinite_as_the_nodes_is(workplace: Workplace) -> None:
    models.toy_model(workplace.model, added_m=79.9)  # the toy model's range ends at 80 m; the image is brighter below
    image = np.full(cv2.imread(str(workplace.images["rgb"])).shape, 25, np.uint8)
    image[image.shape[0] // 2 :] = 51
    cv2.imwrite(str(workplace.images["rgb"]), image)
    assert cli.main(workplace.arguments(("rgb",))) == 0
    depth_m = workplace.result("depth_m")
    assert np.isposinf(depth_m[-2]).all() and np.isfinite(depth_m[1]).all()


def test_depth_beyond_16_bits_is_unknown_in_the_png_and_said(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    models.toy_model(workplace.model, added_m=70.0)
    assert cli.main(workplace.arguments(("rgb",))) == 0
    np.testing.assert_allclose(workplace.result("depth_m"), 70.2, atol=1e-4)
    assert not cv2.imread(str(workplace.out / "depth_mm.png"), cv2.IMREAD_UNCHANGED).any()
    assert "100.0 % of the depth is beyond 65.5 m" in capsys.readouterr().out


def test_rgb_file_is_read_in_the_right_order_and_without_alpha(workplace: Workplace) -> None:
    colours = np.zeros((64, 128, 4), np.uint8)
    colours[..., 2], colours[..., 3] = 255, 7
    cv2.imwrite(str(workplace.images["rgb"]), colours)
    assert cli.main(workplace.arguments(("rgb",))) == 0
    np.testing.assert_allclose(workplace.result("confidence_rgb"), 1 / 3, atol=1e-5)
    overview = cv2.imread(str(workplace.out / "overview.png"))
    assert (overview == [0, 0, 255]).all(axis=-1).sum() > 10_000


def test_grey_image_saved_as_colour_and_16_bit_nir_are_accepted(workplace: Workplace) -> None:
    cv2.imwrite(str(workplace.images["nir"]), np.full((48, 96, 3), 102, np.uint8))
    assert cli.main(workplace.arguments(("nir",))) == 0
    np.testing.assert_allclose(workplace.result("confidence_nir"), 0.4, atol=1e-5)
    cv2.imwrite(str(workplace.images["nir"]), np.full((48, 96), 1023, np.uint16))
    assert cli.main(workplace.arguments(("nir",), "--nir-bits", "10")) == 0
    np.testing.assert_allclose(workplace.result("confidence_nir"), 1.0, atol=1e-5)


def test_rig_needs_only_the_cameras_in_use(workplace: Workplace) -> None:
    Rig.load(workplace.rig).subset(["nir", "thermal"]).save(workplace.rig)
    assert cli.main(workplace.arguments(("thermal",), "--reference", "nir")) == 0
    assert workplace.result("depth_m").shape == (48, 96)


# What it refuses.


def test_missing_image_file(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.images["rgb"].unlink()
    expect_error(capsys, workplace.arguments(("rgb",)), "rgb image", "rgb.png", "No such file")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_unreadable_image_file(workplace: Workplace, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    workplace.images["nir"].write_bytes(content)
    expect_error(capsys, workplace.arguments(("rgb", "nir")), "nir image", "nir.png", "not an image")


@pytest.mark.parametrize(
    ("spectrum", "pixels", "text"),
    [
        ("rgb", np.zeros((64, 128), np.uint8), "has 1 channel(s) of uint8"),
        ("rgb", np.zeros((64, 128, 3), np.uint16), "has 3 channel(s) of uint16"),
        ("nir", np.arange(48 * 96 * 3, dtype=np.uint8).reshape(48, 96, 3), "is a colour image"),
        ("thermal", np.zeros((64, 128), np.uint16), "is 128 x 64 px but"),
    ],
)
def test_image_that_is_not_of_this_camera(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], spectrum: str, pixels: NDArray[Any], text: str
) -> None:
    cv2.imwrite(str(workplace.images[spectrum]), pixels)
    expect_error(capsys, workplace.arguments((spectrum,)), f"{spectrum} image", text)
    assert not workplace.out.exists()


def test_floating_point_image(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.images["thermal"] = workplace.folder / "thermal.tiff"
    cv2.imwrite(str(workplace.images["thermal"]), np.zeros((32, 64), np.float32))
    expect_error(capsys, workplace.arguments(("thermal",)), "pixels of float32")


@pytest.mark.parametrize(
    ("spectra", "reference", "lacking"), [(("thermal",), "rgb", "thermal"), (("rgb",), "nir", "nir")]
)
def test_rig_that_lacks_a_camera(
    workplace: Workplace, capsys: pytest.CaptureFixture[str], spectra: tuple[str, ...], reference: str, lacking: str
) -> None:
    Rig.load(workplace.rig).subset(["rgb"]).save(workplace.rig)
    expect_error(capsys, workplace.arguments(spectra, "--reference", reference), "rig.yaml", f"no camera '{lacking}'")


def test_missing_rig(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.rig.unlink()
    expect_error(capsys, workplace.arguments(("rgb",)), "rig.yaml")


def test_no_image_at_all(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    expect_error(capsys, workplace.arguments(()), "at least one of --rgb, --nir, --thermal")


def test_output_folder_that_cannot_be_made(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.out = workplace.rig / "out"
    expect_error(capsys, workplace.arguments(("rgb",)), "--out", "cannot be made", "name another folder")


def test_output_file_that_cannot_be_written(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace.out / "confidence.npy").mkdir(parents=True)
    expect_error(capsys, workplace.arguments(("rgb",)), "confidence.npy: cannot be written")


def test_model_that_differs_from_its_card(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.model.with_suffix(".json").write_text('{"sha256": "abc"}')
    expect_error(capsys, workplace.arguments(("rgb",)), "toy.onnx", "but its card says abc")


def test_provider_that_is_not_there(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    expect_error(capsys, workplace.arguments(("rgb",), "--providers", "cpu,warp"), "unknown provider 'warp'")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "required"),
        (["fly"], "invalid choice"),
        (["infer", "--out", "x"], "--rig"),
        (["infer", "--rig", "r", "--out", "x", "--reference", "radar"], "radar"),
        (["infer", "--rig", "r", "--out", "x", "--nir-bits", "17"], "17"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    expect_error(capsys, arguments, text)


# The command as a whole.


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"msdepth {__version__}\n"


def test_demo_gets_its_own_arguments_and_gives_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = pytest.importorskip("msdepth_ros.demo", reason="the demo needs the extras [ros,report]")
    monkeypatch.setattr(demo, "run", lambda arguments: 1 if arguments.rate == 2.0 else 99)
    assert cli.main(["demo", "--rate", "2"]) == 1


def test_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch, workplace: Workplace) -> None:
    def interrupted(_: Any) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("msdepth_ros.infer.infer", interrupted)
    assert cli.main(workplace.arguments(("rgb",))) == 130


def test_command_runs_as_a_process_without_ros(workplace: Workplace) -> None:
    block = workplace.folder / "block"
    block.mkdir()
    (block / "rclpy.py").write_text("raise ImportError('no ROS here')")
    path = os.pathsep.join([str(block), str(Path(cli.__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, "-m", "msdepth_ros.cli", *workplace.arguments(("nir",), "--reference", "thermal")],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert workplace.result("depth_m").shape == (32, 64)


def test_output_that_nobody_reads_ends_the_command_without_a_trace() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "msdepth_ros.cli", "info", "samples/city_drive"]
    root = Path(__file__).parents[1]
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, cwd=root, text=True, check=False)
    assert done.returncode == cli.EXIT_OUTPUT_CLOSED
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the MS2 sample frame is not at {SAMPLE}")
def test_real_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"rgb": "rgb", "nir": "nir", "thermal": "thr"}
    images = [part for name, file in names.items() for part in (f"--{name}", f"{SAMPLE}/left/000011_{file}.png")]
    assert cli.main(["infer", "--rig", f"{SAMPLE}/rig.yaml", *images, "--out", str(tmp_path)]) == 0
    depth_m = np.load(tmp_path / "depth_m.npy")
    assert depth_m.shape == (384, 1224)
    assert (~np.isnan(depth_m)).mean() > 0.95
    assert "rgb+nir+thermal" in capsys.readouterr().out
