"""What comes from outside is data: nothing in it is run, and no path in it leads out of its folder."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

import models
from msdepth_ros import cli
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.info import default_model_path, read_model

ROOT = Path(__file__).resolve().parents[1]

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {
    "eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.full_load",
    "yaml.unsafe_load", "torch.load",
}  # fmt: skip


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(text: str) -> Iterator[str]:
    """What in a source runs or revives what it reads."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (f"line {node.lineno}: {alias.name}" for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield f"line {node.lineno}: {node.module}"
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            options = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
            pickled = name in ("np.load", "numpy.load") and options.get("allow_pickle", True) is not False
            if name in CALLS or pickled or options.get("shell"):
                yield f"line {node.lineno}: {name}"


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell() -> None:
    sources = [*(ROOT / "msdepth_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    assert len(sources) > 20
    found = {str(path.relative_to(ROOT)): list(dangers(path.read_text(encoding="utf-8"))) for path in sources}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "planted",
    ["import pickle", "from marshal import loads", "eval(text)", "yaml.load(text)", "np.load(path)", "torch.load(path)",
     "np.load(path, allow_pickle=True)", "subprocess.run(line, shell=True)"],
)  # fmt: skip
def test_a_planted_danger_is_found(planted: str) -> None:
    assert len(list(dangers(planted))) == 1


def with_external(model: onnx.ModelProto, tensor: onnx.TensorProto, location: str) -> onnx.ModelProto:
    external_data_helper.set_external_data(tensor, location=location, offset=0, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return model


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_weights_in_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    """The card's hash does not cover them, and a model could name any file, also one in the current folder."""
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    monkeypatch.chdir(tmp_path)
    model = onnx.load(models.toy_model(tmp_path / "toy.onnx"))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.raw_data)
    path = models.write_with_card(with_external(model, tensor, location), tmp_path / "toy.onnx")
    with pytest.raises(MsdepthError, match="takes weights from other files"):
        read_model(path)


def test_weights_hidden_in_a_branch_are_found_too(tmp_path: Path) -> None:
    model = onnx.load(models.toy_model(tmp_path / "toy.onnx"))
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [4], bytes(16), raw=True)
    with_external(model, tensor, "weights.bin")
    constant = helper.make_node("Constant", [], ["branch"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("branch", 1, [4])])
    model.graph.node.append(helper.make_node("If", ["never"], ["unused"], then_branch=branch, else_branch=branch))
    with pytest.raises(MsdepthError, match="takes weights from other files"):
        read_model(models.write_with_card(model, tmp_path / "toy.onnx"))


def test_the_model_that_ships_is_one_file() -> None:
    assert read_model(default_model_path())[1].name == "tiny"


@pytest.mark.parametrize("file", ["../toy.onnx", "/etc/toy.onnx", "folder/toy.onnx", ""])
def test_a_card_names_the_file_beside_it_or_is_refused(tmp_path: Path, file: str) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), "file": file}))
    with pytest.raises(MsdepthError, match="its card is for a file named"):
        read_model(path)


def test_names_in_a_rig_make_no_paths(tmp_path: Path) -> None:
    k = np.array([[64.0, 0.0, 31.5], [0.0, 64.0, 15.5], [0.0, 0.0, 1.0]])
    names = ("rgb", "../../escaped", "/tmp/escaped")
    Rig({name: CameraModel(name, 64, 32, k) for name in names}, {name: np.eye(4) for name in names}).save(
        tmp_path / "rig.yaml"
    )
    cv2.imwrite(str(tmp_path / "rgb.png"), np.full((32, 64, 3), 100, np.uint8))
    model = models.toy_model(tmp_path / "toy.onnx")
    before = set(tmp_path.iterdir())
    command = ["infer", "--rig", str(tmp_path / "rig.yaml"), "--rgb", str(tmp_path / "rgb.png"), "--model", str(model)]
    assert cli.main([*command, "--out", str(tmp_path / "a" / "b" / "out")]) == 0
    assert set(tmp_path.iterdir()) - before == {tmp_path / "a"}
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"out"}
    assert all(path.is_file() and "escaped" not in path.name for path in (tmp_path / "a" / "b" / "out").iterdir())
