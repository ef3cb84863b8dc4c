"""The frames of the first kind of scenes stay what the shipped model was trained on, and are measured on."""

from pathlib import Path

import numpy as np
import pytest

from msdepth_training.errors import TrainingError
from msdepth_training.scenes import render_frame, sample_rig, sample_scene
from msdepth_training.scenes.style import STYLES, scene_style

FRAMES = ((4, "train", "day"), (5, "train", "night"), (2_000_002, "test", "rain"))
PINNED = Path(__file__).with_name("street1.npz")
"""Written by the renderer of models/tiny.onnx 0.2.0 (commit 934cec0), before there was another style.

Every other row and column."""


@pytest.mark.parametrize(("seed", "split", "condition"), FRAMES)
def test_the_street_is_drawn_as_it_was_when_the_shipped_model_was_trained(seed, split, condition):
    """Nearly all pixels, since machines round sines and exponentials differently; a changed draw changes most."""
    rig = sample_rig(np.random.default_rng([seed, 3]), 48, 120, style="street")
    frame = render_frame(sample_scene(seed, split, condition=condition, style="street"), rig, time_s=0.4)
    with np.load(PINNED) as pinned:
        for spectrum, image in frame.images.items():
            expected = pinned[f"{seed}_{spectrum}_image"].astype(np.int64)
            assert (np.abs(image.numpy()[:, ::2, ::2] - expected) <= 1).mean() > 0.995, spectrum
            depth_m = pinned[f"{seed}_{spectrum}_depth_m"]
            assert np.isclose(frame.depth_m[spectrum].numpy()[::2, ::2], depth_m, rtol=1e-3).mean() > 0.995, spectrum


def test_styles_are_found_by_name_and_an_unknown_one_is_named():
    assert {name: scene_style(name).name for name in STYLES} == {"street": "street", "rich": "rich"}
    with pytest.raises(TrainingError, match="unknown style of scenes 'lush'; choose one of street, rich"):
        sample_scene(0, "train", condition="day", style="lush")
