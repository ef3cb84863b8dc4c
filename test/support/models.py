"""Models for tests: the one that ships, changed copies of it, and a toy whose outputs show what it was fed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from msdepth_ros.core.model.info import default_model_path

TOY_WIDTH, TOY_HEIGHT = 64, 32
TOY_METADATA = {
    "msdepth_contract": "1",
    "name": "toy",
    "version": "1.2",
    "spectra": "rgb,nir,thermal",
    "normalisation": json.dumps({"rgb": "scale", "nir": "scale", "thermal": "percentile_1_99"}),
    "height": str(TOY_HEIGHT),
    "width": str(TOY_WIDTH),
    "depth_min_m": "0.5",
    "depth_max_m": "80",
}


def write_with_card(model: onnx.ModelProto, path: Path) -> Path:
    """Writes a model and a card with its hash."""
    data = model.SerializeToString()
    path.write_bytes(data)
    card = {"name": path.stem, "file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "limits": "a test"}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def changed_copy(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """Copies the model that ships, changes it, and gives it a card that fits."""
    model = onnx.load(default_model_path())
    change(model)
    return write_with_card(model, folder / "changed.onnx")


def set_metadata(model: onnx.ModelProto, **entries: str | None) -> None:
    """Sets metadata; None removes an entry."""
    kept = {prop.key: prop.value for prop in model.metadata_props} | entries
    del model.metadata_props[:]
    helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})


def toy_model(path: Path, *, spectra: str = "rgb,nir,thermal", added_m: float = 0.0, broken: bool = False) -> Path:
    """Writes a network of the contract's signature that is easy to compute by hand.

    depth_m = added_m + mean of all images + sum of the poses' x translation; confidence = 0.001 * (sum of the views'
    fx + reference fx); view_confidence = each image's mean over its channels. A broken one has depth 0/0.
    """
    size = [TOY_HEIGHT, TOY_WIDTH]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["views", 3, *size]),
        helper.make_tensor_value_info("intrinsics", TensorProto.FLOAT, ["views", 3, 3]),
        helper.make_tensor_value_info("view_from_reference", TensorProto.FLOAT, ["views", 4, 4]),
        helper.make_tensor_value_info("reference_intrinsics", TensorProto.FLOAT, [3, 3]),
    ]
    outputs = [
        helper.make_tensor_value_info("depth_m", TensorProto.FLOAT, size),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, size),
        helper.make_tensor_value_info("view_confidence", TensorProto.FLOAT, ["views", *size]),
    ]
    pick_x, pick_f = np.zeros((4, 4), np.float32), np.zeros((3, 3), np.float32)
    pick_x[0, 3], pick_f[0, 0] = 1, 0.001
    constants = {
        "added_m": np.float32(added_m),
        "pick_x": pick_x,
        "pick_f": pick_f,
        "views_axis": [0],
        "channels_axis": [1],
        "both_axes": [0, 1],
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "channels_axis"], ["view_confidence"], keepdims=0),
        helper.make_node("ReduceMean", ["images", "both_axes"], ["mean_image"], keepdims=0),
        helper.make_node("Mul", ["view_from_reference", "pick_x"], ["picked_x"]),
        helper.make_node("ReduceSum", ["picked_x"], ["sum_x"], keepdims=0),
        helper.make_node("Add", ["sum_x", "added_m"], ["offset"]),
        helper.make_node("Add", ["mean_image", "offset"], ["depth" if broken else "depth_m"]),
        helper.make_node("ReduceSum", ["intrinsics", "views_axis"], ["sum_k"], keepdims=0),
        helper.make_node("Add", ["sum_k", "reference_intrinsics"], ["all_k"]),
        helper.make_node("Mul", ["all_k", "pick_f"], ["picked_f"]),
        helper.make_node("ReduceSum", ["picked_f"], ["sum_f"], keepdims=0),
        helper.make_node("Sub", ["mean_image", "mean_image"], ["zero"]),
        helper.make_node("Add", ["zero", "sum_f"], ["confidence"]),
    ]
    if broken:
        nodes.append(helper.make_node("Div", ["zero", "zero"], ["depth_m"]))
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.int64 if isinstance(value, list) else np.float32), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    set_metadata(model, **(TOY_METADATA | {"spectra": spectra}))
    return write_with_card(model, path)
