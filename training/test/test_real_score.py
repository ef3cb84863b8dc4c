import json
from pathlib import Path

import numpy as np
import pytest
from ms2_tree import SIZES, intrinsics, poses, true_depth
from real_pairs import LABELS

from msdepth_training.errors import TrainingError
from msdepth_training.real_frame import load_real_frames
from msdepth_training.real_score import (
    ROWS,
    EnginePredictor,
    FlatGround,
    compare,
    main,
    score_frame,
    score_real_frame,
    sheet,
    spearman,
)

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY.parent / "shared" / "data" / "ms2_sample"
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"{SAMPLE} is not here")


class Truth:
    """Knows the world that the test made but for its scale, says nothing of the sky, remembers what it was asked."""

    def __init__(self, scale=1.0):
        self.scale, self.asked = scale, []

    def __call__(self, images, rig, reference):
        self.asked.append((tuple(images), reference))
        band = next(band for band, label in LABELS.items() if label == reference)
        depth = true_depth(intrinsics(band), poses()[band], *SIZES[band])[0]
        return np.where(np.isfinite(depth), self.scale * depth, np.nan).astype(np.float32)


def test_spearman_by_hand():
    assert spearman(np.array([1.0, 5.0, 2.0, 9.0]), np.array([10.0, 20.0, 15.0, 100.0])) == 1.0
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([9.0, 5.0, 1.0])) == -1.0
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5)
    assert spearman(np.array([0, 3, 3, 8]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5.0))
    assert np.isnan(spearman(np.ones(5), np.arange(5.0))) and np.isnan(spearman(np.ones(1), np.ones(1)))


def test_spearman_hears_only_the_order():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=500), rng.normal(size=500)
    mixed = a + b
    assert spearman(np.exp(a), mixed) == pytest.approx(spearman(a, mixed), abs=1e-12)
    assert 0.6 < spearman(a, mixed) < 0.8


def test_comparison_by_hand():
    stereo = np.array([[2.0, 4.0, np.nan, 100.0, 10.0]], np.float32)
    predicted = np.array([[1.0, 5.0, 3.0, 3.0, np.nan]], np.float32)
    result = compare(predicted, stereo)
    assert result.pixels == 2 and result.spearman == 1.0
    assert result.abs_rel == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert result.abs_rel_median_scaled == pytest.approx((1 / 2 + 1 / 4) / 2)  # medians agree already
    assert compare(np.array([[np.inf, 5.0, 1, 1, 1]], np.float32), stereo).spearman < 1
    with pytest.raises(TrainingError, match="no pixel in common"):
        compare(np.full((1, 5), np.nan, np.float32), stereo)


def test_one_who_knows_the_truth_scores_well_in_every_row(real_frame):
    predictor = Truth(scale=2.0)
    scores = score_frame(real_frame, predictor)
    assert [score.row for score in scores] == list(ROWS)
    assert predictor.asked == [
        (("rgb",), "rgb"), (("nir",), "nir"), (("thermal",), "thermal"),
        *((("rgb", "nir", "thermal"), reference) for reference in ("rgb", "nir", "thermal")),
    ]  # fmt: skip
    for score in scores:
        assert score.spearman > 0.9 and score.spearman_rgb_pair > 0.9
        assert 0.9 < score.abs_rel < 1.2 and 0.9 < score.abs_rel_rgb_pair < 1.2  # twice too far
        assert score.abs_rel_median_scaled < 0.15 and score.abs_rel_median_scaled_rgb_pair < 0.15
        assert score.pixels > 500 and 0.1 < score.stereo_coverage < 1


def test_the_flat_ground_guess_knows_the_road_but_not_the_wall(real_frame):
    for band, label in LABELS.items():
        guess = FlatGround()({}, real_frame.rig, label)
        truth, points = true_depth(intrinsics(band), poses()[band], *SIZES[band])
        road = (np.abs(points[..., 1] - 1.5) < 1e-6) & (truth < 40)
        np.testing.assert_allclose(guess[road], truth[road], rtol=1e-4)
        assert (guess[:3] == 80.0).all() or band == "thr"
    flat = {score.row: score.spearman for score in score_frame(real_frame, FlatGround())}
    known = {score.row: score.spearman for score in score_frame(real_frame, Truth())}
    assert all(flat[row] < known[row] for row in ROWS)


def test_a_model_file_is_scored_and_drawn(real_folder, tmp_path, capsys):
    model = REPOSITORY / "models" / "tiny.onnx"
    rows, picture = tmp_path / "a" / "rows.json", tmp_path / "b" / "sheet.png"
    main(["--frame", str(real_folder), "--model", str(model), "--json", str(rows), "--picture", str(picture)])
    written = json.loads(rows.read_text())
    assert [row["row"] for row in written["model"]] == list(ROWS)
    assert written["model"] == json.loads(json.dumps(score_real_frame(real_folder, EnginePredictor(model))))
    assert picture.stat().st_size > 10_000
    assert "| fused_thermal | 000011 |" in capsys.readouterr().out


def test_the_picture_has_a_column_for_each_camera(real_frame):
    picture = sheet(real_frame, Truth())
    assert picture.dtype == np.uint8 and picture.shape[1] == 3 * 806


def test_bad_input_ends_with_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--frame", str(tmp_path), "--model", str(tmp_path / "no.onnx")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@needs_sample
def test_stereo_of_the_real_frame_is_plausible_and_the_shipped_model_beats_flat_ground():
    frame = load_real_frames(SAMPLE)[0]
    coverage = {spectrum: float((depth < 80).mean()) for spectrum, depth in frame.stereo_m.items()}
    assert all(share > 0.3 for share in coverage.values()), coverage
    agreement = {spectrum: compare(frame.carried_m(spectrum), frame.stereo_m[spectrum]) for spectrum in coverage}
    assert agreement["nir"].spearman > 0.9 and agreement["thermal"].spearman > 0.8
    model = score_frame(frame, EnginePredictor(REPOSITORY / "models" / "tiny.onnx"))
    guess = score_frame(frame, FlatGround())
    for known, flat in zip(model, guess, strict=True):
        assert known.spearman > flat.spearman
        assert known.abs_rel < flat.abs_rel
