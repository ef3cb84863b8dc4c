import copy

import pytest

from msdepth_training.bench import trained_on, verdicts

MET = {
    "model_ms": {"n3": 40.0},
    "eager_over_ort": 3.0,
    "abs_rel": {"fused": 0.25, "rgb": 0.5, "nir": 0.75, "thermal": 0.75, "row_prior": 0.625},
    "abs_rel_own_frame": {"rgb": 0.5, "nir": 0.75, "thermal": 0.5},
    "abs_rel_without": {"rgb": 0.3125, "nir": 0.25, "thermal": 0.25},
}


def changed(*path_and_value):
    *path, last, value = path_and_value
    result = copy.deepcopy(MET)
    at = result
    for key in path:
        at = at[key]
    at[last] = value
    return result


def missed(result):
    return [what for what, _, _, met in verdicts(result) if not met]


def test_values_at_or_better_than_their_bar_are_met():
    assert missed(MET) == []
    assert len(verdicts(MET)) == 6


@pytest.mark.parametrize(
    ("what", "result"),
    [
        ("model, N = 3, ms", changed("model_ms", "n3", 40.1)),
        ("eager PyTorch over ONNX Runtime", changed("eager_over_ort", 2.99)),
        ("fused over best single spectrum, RGB frame", changed("abs_rel", "nir", 0.294)),
        ("fused over best single spectrum, own frames", changed("abs_rel_own_frame", "thermal", 0.294)),
        ("fused over row prior", changed("abs_rel", "row_prior", 0.624)),
        ("worst camera missing over all three", changed("abs_rel_without", "nir", 0.326)),
    ],
)
def test_a_value_just_beyond_its_bar_is_missed_alone(what, result):
    assert missed(result) == [what]


def test_what_was_measured_is_told():
    told = {what: measured for what, measured, _, _ in verdicts(MET)}
    assert told["fused over row prior"] == pytest.approx(0.4)
    assert told["fused over best single spectrum, RGB frame"] == pytest.approx(0.5)
    assert told["worst camera missing over all three"] == pytest.approx(1.25)


@pytest.mark.parametrize(("config", "style"), [({"scenes": "rich"}, "rich"), ({}, "street")])
def test_a_model_is_measured_on_the_kind_of_scenes_it_was_trained_on(config, style):
    assert trained_on({"training": {"config": config}}) == style
