import cv2
import numpy as np
import pytest

from msdepth_training.sheets import draw_sheet


def test_a_sheet_of_scenes_has_three_bands_and_depth(tmp_path, samples):
    draw_sheet(tmp_path / "a" / "sheet.png", samples, [0, 3])
    sheet = cv2.imread(str(tmp_path / "a" / "sheet.png"))
    assert sheet.shape == (2 * (64 + 18 + 4), 4 * (160 + 4), 3)
    tile = sheet[18:82, :160, ::-1]
    assert np.array_equal(tile, samples.images[0, :3].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("name", "rows"), [("align_msdepth", 3), ("fuse_paper", 3), ("specialist_nir", 1)])
def test_show_draws_the_predictions_of_a_run(command, runs, data, tmp_path, name, rows):
    out = tmp_path / "sheet.png"
    command("show", "--run", runs / "0" / name, "--root", data, "--workers", 1, "--out", out, "--frames", 1)
    assert cv2.imread(str(out)).shape[0] == (1 + rows) * (64 + 18 + 4)


def test_show_draws_the_predictions_of_an_exported_model(command, exported, data, tmp_path):
    out = tmp_path / "sheet.png"
    command("show", "--model", exported[1], "--root", data, "--workers", 1, "--out", out, "--frames", 2)
    assert cv2.imread(str(out)).shape[0] == 8 * (64 + 18 + 4)
