import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import Prediction
from msdepth_training.real.measure import load_frames, measure
from msdepth_training.real.predict import Network, onnx_network, predict
from msdepth_training.real.sheet import colour_of_error, draw_sheets
from msdepth_training.real.table import table

REPOSITORY = Path(__file__).resolve().parents[3]
TINY = REPOSITORY / "models" / "tiny.onnx"
DATA = REPOSITORY.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"real frames are not at {DATA}")


class Road:
    """Paints the road where it is told to, below a level camera 3 m high where it is not; remembers what it was fed."""

    height, width = 64, 160

    def __init__(self):
        self.planes, self.spectra = [], []

    def __call__(self, inputs):
        plane = inputs.ground_plane.double().numpy()
        self.planes.append(plane)
        self.spectra.append(tuple(inputs.spectrum.tolist()))
        assert inputs.images.shape == (len(inputs.spectrum), 3, self.height, self.width)
        normal, height_m = (plane[:3], plane[3]) if plane.any() else (np.array([0.0, 1.0, 0.0]), 3.0)
        k = inputs.reference_intrinsics.double().numpy()
        v, u = np.mgrid[: self.height, : self.width]
        down = normal[0] * (u - k[0, 2]) / k[0, 0] + normal[1] * (v - k[1, 2]) / k[1, 1] + normal[2]
        depth = np.where(down > 0.02, height_m / np.maximum(down, 0.02), 80.0).astype(np.float32)
        confidence = np.full(depth.shape, 0.7, np.float32)
        return Prediction(depth, confidence, np.stack([confidence] * len(inputs.spectrum)))


def road(*, takes_ground=True, predictor=None):
    return Network("road", Road.height, Road.width, takes_ground, predictor or Road())


def flatten(tree, path=""):
    for key, value in tree.items():
        yield from flatten(value, f"{path}{key}.") if isinstance(value, dict) else [(f"{path}{key}", value)]


def test_the_window_and_the_plane_reach_the_network_in_the_right_frame(real_frames):
    for frame in real_frames.values():
        for reference in frame.images:
            found = predict(road(), frame.images, frame.rig, reference, frame.ground_in(reference))
            known = frame.reference(reference)
            flat = (np.abs(frame.ground_in(reference).above_m(known.points)) < 0.05) & (known.depth_m < 15)
            predicted = known.at(found.depth_m)[flat]
            inside = ~np.isnan(predicted)
            assert inside.mean() > 0.5
            assert np.median(np.abs(predicted / known.depth_m[flat] - 1)[inside]) < 0.03
            assert np.isnan(found.confidence).sum() == np.isnan(found.depth_m).sum()


def test_everything_is_measured_with_and_without_the_plane(real_frames):
    predictor = Road()
    network = road(predictor=predictor)
    found = dict(flatten(measure(list(real_frames.values()), network)))
    parts = ("", "sets.van.", "sets.ms2.", "sets.van.cameras.side.")
    for where in (*parts, *(f"with_ground_plane.{part}" for part in parts)):
        for name in ("rho", "abs_rel", "delta", "scaled", "window"):
            assert np.isfinite(found[f"{where}mean.{name}"])
        assert np.isfinite(found[f"{where}confidence.ece"])
    for name in ("over_1_25", "over_1_5", "over_2", "under_1_5"):
        assert 0 <= found[f"sets.van.obstacles.{name}"] <= 1
    assert found["confidence.mean"] == pytest.approx(0.7)
    assert found["with_ground_plane.mean.abs_rel"] < 0.6 * found["mean.abs_rel"]  # 3 m instead of 1.5 m
    assert found["sets.van.count"] == 3 and found["sets.van.frames.01_side.mean.pixels"] > 1000
    assert found["mean.abs_rel"] == pytest.approx((found["sets.van.mean.abs_rel"] + found["sets.ms2.mean.abs_rel"]) / 2)
    assert found["baselines.flat_road.sets.van.mean.delta"] == pytest.approx(
        found["with_ground_plane.sets.van.mean.delta"], abs=0.05
    )
    told = [plane.any() for plane in predictor.planes]
    assert told == sorted(told) and told.count(True) == told.count(False)


def test_cameras_are_scored_alone_and_together_in_every_frame(real_frames):
    predictor = Road()
    found = measure([real_frames["ms2", "000011"]], road(predictor=predictor))["ms2"]
    assert {reference: [*row] for reference, row in found["frames"].items()} == dict.fromkeys(
        ("rgb", "nir", "thermal"), ["rgb", "nir", "thermal", "fused"]
    )
    assert predictor.spectra[1:13] == [(0,), (1,), (2,), (0, 1, 2)] * 3
    assert found["fused"] == found["frames"]["rgb"]["fused"]
    assert found["best_alone"]["spectrum"] in ("rgb", "nir", "thermal")
    assert found["ratio"] == found["fused"]["abs_rel"] / found["best_alone"]["abs_rel"] == 1.0


def test_a_network_that_takes_no_plane_is_scored_without_and_says_so(real_frames):
    said = []
    frames = [frame for frame in real_frames.values() if frame.set_name == "van"]
    found = measure(frames, road(takes_ground=False), said.append)
    assert found["with_ground_plane"] is None and found["ms2"] is None
    assert "cannot be told the road" in said[0] and len(said) == 1
    assert found["baselines"]["ray_elevation"]["sets"] == {}
    assert "needs frames of more than one set" in table(found)


def test_the_table_fits_a_terminal(real_frames):
    text = table(measure(list(real_frames.values()), road()))
    assert max(map(len, text.splitlines())) <= 80
    for row in ("mean over sets", "van (3)", "  front", "  side", "ms2 (1)", "with the plane of the road", "flat road"):
        assert any(line.startswith(row) or line.endswith(row) for line in text.splitlines()), row


def test_the_sheet_has_a_row_for_each_frame_and_one_more_for_all_cameras(real_frames, tmp_path):
    frames = list(real_frames.values())
    paths = draw_sheets(tmp_path / "a" / "sheet.png", [*frames, *frames[:2]], road())
    assert [path.name for path in paths] == ["sheet.png", "sheet_2.png"]
    heights = [cv2.imread(str(path)).shape[0] for path in paths]
    assert heights[0] > 4 * heights[1] > 400


def test_errors_are_blue_white_and_red():
    assert colour_of_error(np.array([0.4, 1.0, 3.0])).tolist() == [[40, 90, 255], [255, 255, 255], [255, 30, 30]]


def test_a_model_file_is_scored_and_drawn(real_folder, tmp_path, capsys, command):
    command("real", "--data", real_folder, "--model", TINY, "--out", tmp_path / "real")
    written = dict(flatten(json.loads((tmp_path / "real" / "real.json").read_text())))
    for name in (
        "mean.rho",
        "obstacles.over_1_5",
        "confidence.right",
        "sets.van.mean.abs_rel",
        "ms2.best_alone.abs_rel",
    ):
        assert np.isfinite(written[name])
    assert written["model"].startswith("tiny ") and written["width"] == 640
    assert (tmp_path / "real" / "sheet.png").stat().st_size > 10_000
    assert "mean over sets" in capsys.readouterr().out


def test_a_run_in_training_is_scored_at_any_size(real_folder, options, tmp_path, command):
    trained = tmp_path / "run"
    command("fuse", *options, "--run", trained)
    command("real", "--data", real_folder, "--run", trained, "--size", "64x128", "--out", tmp_path, "--no-sheet")
    written = json.loads((tmp_path / "real.json").read_text())
    assert (written["height"], written["width"]) == (64, 128) and "step" in written["model"]
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "no.onnx"], "no.onnx: there is no such file"),
        (["--size", "64x128"], "--size is for --run"),
        (["--run", "nothing"], "nothing"),
    ],
)
def test_bad_input_ends_with_one_line(real_folder, tmp_path, capsys, command, options, message):
    with pytest.raises(SystemExit) as ended:
        command("real", "--data", real_folder, "--out", tmp_path, *options)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="bad.onnx"):
        onnx_network(path)


@needs_data
def test_the_shipped_model_beats_the_road_and_the_prior_on_real_frames():
    frames = [frame for frame in load_frames(DATA) if frame.name in ("02_0_01", "02_0_06", "ours1", "000011")]
    found = measure(frames, onnx_network(TINY), lambda text: None)
    for baseline in found["baselines"].values():
        assert found["mean"]["rho"] > baseline["mean"]["rho"]
        assert found["obstacles"]["over_1_5"] < baseline["obstacles"]["over_1_5"]
    assert found["mean"]["window"] > 0.9
