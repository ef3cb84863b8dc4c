import hashlib

import onnx
import pytest
import torch

from msdepth_ros.core.model.info import read_model
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor, TorchPredictor, predict
from msdepth_training.export import (
    INPUTS,
    OPSET,
    OUTPUTS,
    Calibration,
    ContractInputs,
    ContractModel,
    example_inputs,
    largest_difference,
    sha256,
)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_onnx_runtime_equals_pytorch(exported, count):
    assert largest_difference(*exported, count=count, height=64, width=160) < 1e-3


def test_a_difference_is_seen(exported):
    model, path = exported
    other = ContractModel(model.network, Calibration(fused=(0.9, 1.2), view_rgb=(1.1, -0.1)))
    assert largest_difference(other, path, count=2, height=64, width=160) > 0.05


def test_onnx_runtime_equals_pytorch_with_the_reference_view_absent(exported, samples):
    model, path = exported
    here, there = (predict(samples, 1, p, [1, 2], 0) for p in (TorchPredictor(model), OnnxPredictor(path)))
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(torch.from_numpy(a), torch.from_numpy(b), atol=1e-4, rtol=1e-3)


def test_the_file_keeps_the_contract(exported):
    proto = onnx.load(str(exported[1]))
    facts = {p.key: p.value for p in proto.metadata_props}
    assert {o.domain: o.version for o in proto.opset_import}[""] == OPSET == 18
    assert tuple(i.name for i in proto.graph.input) == INPUTS
    assert tuple(o.name for o in proto.graph.output) == OUTPUTS
    assert facts["msdepth_contract"] == "2"
    assert facts["spectra"] == "rgb,nir,thermal"
    assert (facts["height"], facts["width"]) == ("64", "160")
    assert (facts["depth_min_m"], facts["depth_max_m"]) == ("1.0", "100.0")
    assert "GridSample" not in {n.op_type for n in proto.graph.node}


def test_the_product_accepts_the_file(exported):
    _, info = read_model(exported[1], verify=False)
    assert (info.name, info.width, info.height, info.spectra) == ("small", 160, 64, ("rgb", "nir", "thermal"))
    assert info.sha256 == sha256(exported[1])


def test_the_file_says_nothing_of_the_machine_it_was_made_on(exported):
    import msdepth_training

    folder = str(msdepth_training.__file__).rsplit("/", 2)[0].encode()
    assert folder not in exported[1].read_bytes()


def test_outputs_are_in_range_and_a_view_that_sees_nothing_has_no_confidence(exported, samples):
    predictor = OnnxPredictor(exported[1])
    images, k = samples.views(torch.tensor([0]))[0], samples.k[0]
    away = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))  # looks backwards
    pose = torch.stack((torch.eye(4), torch.eye(4), away))
    out = predictor(ContractInputs(images, k, pose, k[0], torch.arange(3), torch.zeros(4)))
    assert 1.0 <= out.depth_m.min() <= out.depth_m.max() <= 100.0
    assert 0.0 <= out.confidence.min() <= out.confidence.max() <= 1.0
    assert out.view_confidence[2].max() == 0.0
    assert out.view_confidence[0].max() > 0.0


def test_calibration_changes_confidence_and_not_depth(exported):
    model, _ = exported
    inputs = example_inputs(2, 64, 160)
    with torch.no_grad():
        plain, calibrated = ContractModel(model.network)(*inputs), model(*inputs)
    assert torch.equal(plain[0], calibrated[0])
    assert not torch.allclose(plain[1], calibrated[1], atol=0.01)
    assert not torch.allclose(plain[2], calibrated[2], atol=0.01)


def test_nonsense_out_of_onnx_runtime_is_an_error(exported, tmp_path):
    proto = onnx.load(str(exported[1]))
    depth = next(n for n in proto.graph.node if "depth_m" in n.output)
    depth.output[list(depth.output).index("depth_m")] = "real_depth_m"
    proto.graph.node.append(onnx.helper.make_node("Sub", ["real_depth_m", "real_depth_m"], ["zero"]))
    proto.graph.node.append(onnx.helper.make_node("Div", ["zero", "zero"], ["depth_m"]))
    onnx.save(proto, str(tmp_path / "nan.onnx"))
    with pytest.raises(TrainingError, match="depth_m is not finite"):
        largest_difference(exported[0], tmp_path / "nan.onnx", count=1, height=64, width=160)


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
