import json

import numpy as np
import onnx
import pytest
import torch

from models import toy_model
from msdepth_training.card import write_card
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor, predict
from msdepth_training.export import ContractModel, export_onnx, sha256
from msdepth_training.networks import MsDepth
from msdepth_training.quantize import compare_times, int8_path, quantize, quantized_nodes


@pytest.fixture(scope="module")
def quantized(config, samples, command, data, tmp_path_factory):
    """A miniature network, as exported, and what `msdepth-train export --int8` makes of it."""
    path = tmp_path_factory.mktemp("int8") / "small.onnx"
    torch.manual_seed(0)
    network, (height, width) = MsDepth(config.network).eval(), samples.images.shape[-2:]
    about = {"name": "small", "version": "1", "msdepth_contract": "2"}
    export_onnx(ContractModel(network), path, height=height, width=width, metadata=about)
    training = {"config": {"scenes": config.scenes, "validation_sequences": 4}}
    write_card(path, {"sha256": sha256(path), "file": path.name, "limits": "a test", "training": training})
    command("export", "--onnx", path, "--int8", "--root", data, "--workers", 1, "--test-sequences", 4)
    return path, int8_path(path)


def weights(proto, *, narrow):
    """Modules of the convolutions whose weights are (not) 8 bits."""
    made = {output: node for node in proto.graph.node for output in node.output}
    found = set()
    for node in proto.graph.node:
        if node.op_type == "Conv":
            source = made.get(node.input[1])
            if (source is not None and source.op_type == "DequantizeLinear") == narrow:
                found.add((source.input[0] if narrow else node.input[1]).removesuffix("_quantized"))
    return found


def test_encoder_and_decoder_are_8_bits_and_heads_are_not(quantized):
    proto = onnx.load(str(quantized[1]))
    narrow, wide = weights(proto, narrow=True), weights(proto, narrow=False)
    assert any(name.startswith("network.encoder.") for name in narrow)
    assert any(name.startswith("network.levels.") for name in narrow)
    assert all(name.startswith(("network.encoder.", "network.levels.")) for name in narrow)
    assert not any(".head." in name or ".evidence." in name for name in narrow)
    assert any(".head." in name for name in wide) and any(".evidence." in name for name in wide)
    assert all(name.split(".")[1] not in ("encoder", "levels") or "head" in name or "evidence" in name for name in wide)


def test_scales_are_per_channel(quantized):
    proto = onnx.load(str(quantized[1]))
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    scales = [
        list(tensors[node.input[1]].dims)
        for node in proto.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0].endswith("weight_quantized")
    ]
    assert scales and all(len(dims) == 1 for dims in scales) and max(dims[0] for dims in scales) > 1


def test_the_contract_stays(quantized):
    before, after = (onnx.load(str(path)) for path in quantized)
    for part in ("input", "output"):
        assert [str(v) for v in getattr(before.graph, part)] == [str(v) for v in getattr(after.graph, part)]
    about = {prop.key: prop.value for prop in after.metadata_props}
    assert about == {**{prop.key: prop.value for prop in before.metadata_props}, "precision": "int8"}
    assert [(o.domain, o.version) for o in after.opset_import if not o.domain] == [("", 18)]
    assert {node.domain for node in after.graph.node} <= {"", "ai.onnx"}


def test_depth_stays_nearly_the_same(quantized, samples):
    wide, narrow = (OnnxPredictor(path, threads=1) for path in quantized)
    for views, reference in (((0, 1, 2), 0), ((0,), 0), ((1, 2), 2)):
        expected, found = (predict(samples, 0, p, views, reference) for p in (wide, narrow))
        assert found.depth_m.shape == expected.depth_m.shape
        assert np.median(np.abs(found.depth_m / expected.depth_m - 1)) < 0.05
        assert (found.depth_m != expected.depth_m).any()


def test_the_card_tells_what_it_costs(quantized):
    path, out = quantized
    card, made_of = (json.loads(file.with_suffix(".json").read_text()) for file in (out, path))
    assert card["sha256"] == sha256(out) and card["file"] == "small.int8.onnx"
    found = card["int8"]
    assert found["made_of"] == made_of["sha256"] and found["nodes"] > 10
    assert found["time_ratio"] == pytest.approx(found["ms"]["int8"] / found["ms"]["fp32"], rel=0.2)
    assert found["abs_rel"]["fused"]["int8"] == card["metrics"]["fused"]["all"]["abs_rel"]
    assert {key: card[key] for key in ("training", "limits")} == {key: made_of[key] for key in ("training", "limits")}


def test_times_are_those_of_each_file(quantized):
    first, second = compare_times(quantized, threads=1, repeats=3)
    assert first > 0 and second > 0


def test_a_model_without_encoder_is_refused(tmp_path, samples):
    path = toy_model(tmp_path / "toy.onnx")
    with pytest.raises(TrainingError, match="no convolution belongs to network.encoder"):
        quantize(path, samples, tmp_path / "toy.int8.onnx")


def node(kind, name, inputs, output):
    return onnx.helper.make_node(kind, inputs, [output], name=name)


def test_sums_are_8_bits_only_between_what_is():
    graph = onnx.helper.make_graph(
        [
            node("Conv", "wide", ["images", "network.fusions.8.embed.weight"], "a"),
            node("Conv", "first", ["images", "network.encoder.backbone._blocks.0._project_conv.weight"], "b"),
            node("Clip", "relu6", ["b", "low", "high"], "c"),
            node("Conv", "second", ["c", "network.encoder.backbone._blocks.1._project_conv.weight"], "d"),
            node("Add", "residual", ["b", "d"], "e"),
            node("Resize", "larger", ["e", "", "scales"], "f"),
            node("Add", "top_down", ["f", "d"], "g"),
            node("Add", "mixed", ["g", "a"], "h"),
            node("Conv", "head", ["g", "network.levels.4.head.weight"], "i"),
        ],
        "graph", [], [],
    )  # fmt: skip
    assert quantized_nodes(graph) == ["first", "relu6", "second", "residual", "top_down"]


def test_the_range_of_an_activation_counts_and_not_what_goes_into_it(quantized):
    proto = onnx.load(str(quantized[1]))
    made = {output: node for node in proto.graph.node for output in node.output}
    relu = [node for node in proto.graph.node if node.op_type in ("Relu", "Clip")]
    assert not any(made[node.input[0]].op_type == "DequantizeLinear" for node in relu if node.input[0] in made)


def test_a_file_is_only_quantized_when_it_is_said(quantized, command, capsys):
    with pytest.raises(SystemExit):
        command("export", "--onnx", quantized[0])
    assert "--int8" in capsys.readouterr().err


def test_a_file_without_a_card_is_refused(tmp_path, command, capsys):
    toy_model(tmp_path / "toy.onnx").with_suffix(".json").unlink()
    with pytest.raises(SystemExit):
        command("export", "--onnx", tmp_path / "toy.onnx", "--int8")
    assert "toy.json" in capsys.readouterr().err
