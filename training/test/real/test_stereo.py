import cv2
import numpy as np
import pytest

from msdepth_training.real.stereo import match, texture


def textured(rng, height=96, width=240):
    noise = rng.normal(0.0, 1.0, (height, width)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 1.5) * 60 + 120


def pair(disparity, rng, *, width=240):
    """Left and right image [h, w] whose disparity is given in the left one, smooth enough for one step of warping."""
    left = textured(rng, disparity.shape[0], width)
    v, u = np.mgrid[: disparity.shape[0], :width].astype(np.float32)
    # the right image shows at x what the left one shows at x + d; d is nearly that of the right pixel
    d = cv2.remap(disparity, u + disparity, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    right = cv2.remap(left, u + d, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return left, right


def slope(height=96, width=240, first=4.0, last=14.0):
    return np.repeat(np.linspace(first, last, height, dtype=np.float32)[:, None], width, axis=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_slope_is_measured(dtype):
    images = pair(slope(), np.random.default_rng(0))
    scale, offset = (1, 0) if dtype == np.uint8 else (4, 3200)
    left, right = (np.clip(i * scale + offset, 0, np.iinfo(dtype).max).astype(dtype) for i in images)
    found = match(left, right, max_px=20, min_texture=0.6)
    known = np.isfinite(found)
    assert found.dtype == np.float32 and known.mean() > 0.6
    error = np.abs(found - slope())[known]
    assert np.median(error) < 0.25 and np.quantile(error, 0.95) < 1.0


def test_small_disparities_need_more_columns():
    truth = slope(first=0.4, last=1.6)
    images = [np.clip(i, 0, 255).astype(np.uint8) for i in pair(truth, np.random.default_rng(1))]
    found = match(*images, max_px=4, min_texture=0.6, upsample=4)
    known = np.isfinite(found)
    assert known.mean() > 0.5
    assert np.median(np.abs(found - truth)[known]) < 0.15
    assert np.corrcoef(found[known], truth[known])[0, 1] > 0.9


def test_where_there_is_nothing_to_match_nothing_is_said():
    left, right = pair(slope(), np.random.default_rng(2))
    for image in (left, right):
        image[:40] = 255  # an overexposed sky
    left, right = (np.clip(i, 0, 255).astype(np.uint8) for i in (left, right))
    found = match(left, right, max_px=20, min_texture=0.6)
    found[texture(left) <= 0.6] = np.nan
    assert np.isnan(found[:34]).all()
    assert np.isfinite(found[46:]).mean() > 0.6


def test_images_that_do_not_belong_together_give_little():
    rng = np.random.default_rng(3)
    left, right = (np.clip(textured(rng), 0, 255).astype(np.uint8) for _ in range(2))
    assert np.isfinite(match(left, right, max_px=20, min_texture=0.6)).mean() < 0.2


def test_colour_is_made_grey():
    images = [np.clip(i, 0, 255).astype(np.uint8) for i in pair(slope(), np.random.default_rng(4))]
    grey = match(*images, max_px=20, min_texture=0.6)
    coloured = match(*(np.repeat(i[..., None], 3, axis=-1) for i in images), max_px=20, min_texture=0.6)
    np.testing.assert_array_equal(grey, coloured)


def test_texture_is_the_mean_step_between_neighbours():
    image = np.full((40, 60), 100, np.uint8)
    image[:, 30:] = np.where(np.arange(30) // 2 % 2, 140, 100)
    found = texture(image)
    assert found.shape == (40, 60) and found[20, 10] == 0.0
    assert found[20, 45] > 10.0
    np.testing.assert_allclose(texture(image.astype(np.uint16) * 4), 4 * found, rtol=1e-3, atol=0.1)
