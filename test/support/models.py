"""Models for tests: the one that ships, changed copies of it, and a toy whose outputs show what it was fed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from msdepth_ros.core.model.info import default_model_path

TOY_WIDTH, TOY_HEIGHT = 64, 32
OWN = "view_confidence"
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


PLANE_WEIGHTS = (2.0, 4.0, 8.0, 16.0)
"""What a toy of contract 2 makes of the ground plane."""


def toy_model(
    path: Path,
    *,
    spectra: str = "rgb,nir,thermal",
    added_m: float = 0.0,
    broken: bool = False,
    contract: int = 1,
    int8: bool = False,
) -> Path:
    """Writes a network of the contract's signature that is easy to compute by hand.

    depth_m = added_m + mean of all images + sum of the poses' x translation; confidence = 0.001 * (sum of the views'
    fx + reference fx); view_confidence = each image's mean over its channels. A broken one has depth 0/0. One of
    contract 2 adds PLANE_WEIGHTS . ground_plane to depth_m, and 10 * spectrum to view_confidence. One of int8 has
    weights of 8 bits.
    """
    size = [TOY_HEIGHT, TOY_WIDTH]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["views", 3, *size]),
        helper.make_tensor_value_info("intrinsics", TensorProto.FLOAT, ["views", 3, 3]),
        helper.make_tensor_value_info("view_from_reference", TensorProto.FLOAT, ["views", 4, 4]),
        helper.make_tensor_value_info("reference_intrinsics", TensorProto.FLOAT, [3, 3]),
    ]
    if contract == 2:
        inputs.append(helper.make_tensor_value_info("spectrum", TensorProto.INT64, ["views"]))
        inputs.append(helper.make_tensor_value_info("ground_plane", TensorProto.FLOAT, [4]))
    outputs = [
        helper.make_tensor_value_info("depth_m", TensorProto.FLOAT, size),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, size),
        helper.make_tensor_value_info("view_confidence", TensorProto.FLOAT, ["views", *size]),
    ]
    pick_x, pick_f = np.zeros((4, 4), np.float32), np.zeros((3, 3), np.float32)
    pick_x[0, 3], pick_f[0, 0] = 1, 0.001
    constants: dict[str, Any] = {
        "added_m": np.float32(added_m),
        "pick_x": pick_x,
        "pick_f": pick_f,
        "views_axis": [0],
        "channels_axis": [1],
        "both_axes": [0, 1],
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "channels_axis"], ["view_mean"], keepdims=0),
        helper.make_node("ReduceMean", ["images", "both_axes"], ["mean_image"], keepdims=0),
        helper.make_node("Mul", ["view_from_reference", "pick_x"], ["picked_x"]),
        helper.make_node("ReduceSum", ["picked_x"], ["sum_x"], keepdims=0),
        helper.make_node("Add", ["sum_x", "added_m"], ["offset" if contract == 1 else "offset_1"]),
        helper.make_node("Add", ["mean_image", "offset"], ["depth" if broken else "depth_m"]),
        helper.make_node("ReduceSum", ["intrinsics", "views_axis"], ["sum_k"], keepdims=0),
        helper.make_node("Add", ["sum_k", "reference_intrinsics"], ["all_k"]),
        helper.make_node("Mul", ["all_k", "pick_f"], ["picked_f"]),
        helper.make_node("ReduceSum", ["picked_f"], ["sum_f"], keepdims=0),
        helper.make_node("Sub", ["mean_image", "mean_image"], ["zero"]),
        helper.make_node("Add", ["zero", "sum_f"], ["confidence"]),
    ]
    more = _contract_2(constants) if contract == 2 else [helper.make_node("Identity", ["view_mean"], [OWN])]
    nodes[5:5] = more  # a graph's nodes come in the order of their needs
    if broken:
        nodes.append(helper.make_node("Div", ["zero", "zero"], ["depth_m"]))
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.int64 if isinstance(value, list) else np.float32), name)
        for name, value in constants.items()
    ]
    if int8:
        nodes.insert(0, helper.make_node("DequantizeLinear", ["pick_x_int8", "one", "zero_point"], ["pick_x"]))
        tensors = [tensor for tensor in tensors if tensor.name != "pick_x"]
        tensors += [
            numpy_helper.from_array(pick_x.astype(np.int8), "pick_x_int8"),
            numpy_helper.from_array(np.float32(1), "one"),
            numpy_helper.from_array(np.int8(0), "zero_point"),
        ]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    set_metadata(model, **(TOY_METADATA | {"spectra": spectra, "msdepth_contract": str(contract)}))
    return write_with_card(model, path)


def _contract_2(constants: dict[str, Any]) -> list[onnx.NodeProto]:
    """What a toy does with the inputs that contract 1 lacks."""
    constants |= {"plane_weights": np.array(PLANE_WEIGHTS, np.float32), "ten": np.float32(10), "last_axes": [1, 2]}
    return [
        helper.make_node("Mul", ["ground_plane", "plane_weights"], ["weighted_plane"]),
        helper.make_node("ReduceSum", ["weighted_plane"], ["of_plane"], keepdims=0),
        helper.make_node("Cast", ["spectrum"], ["spectrum_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["spectrum_float", "ten"], ["of_spectrum"]),
        helper.make_node("Unsqueeze", ["of_spectrum", "last_axes"], ["of_spectrum_3d"]),
        helper.make_node("Add", ["view_mean", "of_spectrum_3d"], [OWN]),
        helper.make_node("Add", ["offset_1", "of_plane"], ["offset"]),
    ]
