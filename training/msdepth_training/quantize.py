"""Static INT8 from an exported model: the convolutions of encoder and decoder; everything else stays as it was.

The exporter names a weight after its module (`network.encoder.smooth.expand.0.weight`) and folds batch norm into it. So
what is quantized is told by module: whatever convolutions an encoder is made of, and the levels of the decoder, but not
their heads. Their activations belong to them: 8 bits for what comes out of ReLU6, 0 to 6, are 16 times as fine as for
what goes in, -28 to 34. Additions of nothing but such results work on the same 8 bits. Whatever else there is, now or
later (geometry, warps, volumes, heads, confidence), is not in the list.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.card import read_card, write_card
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor, card_metrics, contract_inputs, score_rows, view_calibration_error
from msdepth_training.export import ContractInputs, example_inputs, sha256, strip
from msdepth_training.stages.sources import Frames

QUANTIZED = ("network.encoder.", "network.levels.")
"""Modules whose convolutions are quantized: the encoder, and what goes from coarse to fine."""
KEPT = ("head", "evidence")
"""Parts of them that are not: they end in log depth and its scale, where 8 bits would be steps of per cent."""
ACTIVATIONS = ("Relu", "Clip")
"""What follows a convolution: its range is the one that counts."""
CALIBRATION_VIEWS = (((0, 1, 2), 0), ((0,), 0), ((1, 2), 0), ((2,), 2), ((0, 1, 2), 2), ((1,), 1), ((0, 2), 1))
"""Views and reference of the sets that activations are observed on, in turn."""
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""Tells the quantizer that the graph is folded already."""
REPEATS = 40
"""Timed calls of each model."""


def quantized_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions to quantize, of their activations, and of the additions of nothing but their results.

    Raises:
        TrainingError: there is no such convolution.
    """
    names, narrow = [], set()
    for node in graph.node:
        found = (
            (node.op_type == "Conv" and _is_quantized(node.input[1]))
            or (node.op_type in ACTIVATIONS and node.input[0] in narrow)
            or (node.op_type == "Add" and narrow.issuperset(node.input))
        )
        if found:
            names.append(node.name)
        if found or (node.op_type == "Resize" and node.input[0] in narrow):
            narrow.update(node.output)
    if not names:
        raise TrainingError(f"no convolution belongs to {' or '.join(QUANTIZED)}; export it with msdepth-train export")
    return names


def _is_quantized(weight: str) -> bool:
    """Whether a convolution's weight belongs to what is quantized."""
    return weight.startswith(QUANTIZED) and not set(weight.split(".")) & set(KEPT)


class _Observed(CalibrationDataReader):  # type: ignore[misc]
    """Contract inputs of frames, one set after the other."""

    def __init__(self, frames: Frames, inputs: Sequence[str]) -> None:
        self._feeds = self._make(frames, inputs)

    @staticmethod
    def _make(frames: Frames, inputs: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        for index in range(len(frames)):
            views, reference = CALIBRATION_VIEWS[index % len(CALIBRATION_VIEWS)]
            found = contract_inputs(frames, index, views, reference, ground=index % 2 == 0)
            yield {name: value.numpy() for name, value in found._asdict().items() if name in inputs}

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next set, None after the last."""
        return next(self._feeds, None)


def quantize(path: Path, frames: Frames, out: Path) -> int:
    """Write the INT8 model: per channel, QDQ, same inputs, outputs and metadata.

    Args:
        path: exported fp32 model.
        frames: that activations are observed on, of the model's size; never test frames.
        out: file to write.

    Returns:
        How many nodes were quantized.

    Raises:
        TrainingError: the model has none that should be.
    """
    proto = onnx.load(str(path))
    about = {prop.key: prop.value for prop in proto.metadata_props}
    names = quantized_nodes(proto.graph)
    onnx.helper.set_model_props(proto, dict([PREPARED]))
    out.parent.mkdir(parents=True, exist_ok=True)
    quantize_static(
        proto, str(out), _Observed(frames, [value.name for value in proto.graph.input]),
        quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", "Add", *ACTIVATIONS], nodes_to_quantize=names,
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )  # fmt: skip
    written = onnx.load(str(out))
    strip(written)
    onnx.helper.set_model_props(written, {**about, "precision": "int8"})
    onnx.checker.check_model(written)
    onnx.save(written, str(out))
    return len(names)


def int8_path(path: Path) -> Path:
    """`tiny.onnx` to `tiny.int8.onnx`."""
    return path.with_suffix(f".int8{path.suffix}")


def compare_times(paths: Sequence[Path], *, threads: int = 2, repeats: int = REPEATS) -> list[float]:
    """Median time of each model for three views, milliseconds; they take turns, so that a busy machine is fair."""
    predictors = [OnnxPredictor(path, threads=threads) for path in paths]
    inputs: ContractInputs = example_inputs(len(SPECTRA), *predictors[0].size)
    spent: list[list[float]] = [[] for _ in paths]
    for number in range(repeats + 2):
        for predictor, times in zip(predictors, spent, strict=True):
            started = time.perf_counter()
            predictor(inputs)
            if number >= 2:
                times.append(1e3 * (time.perf_counter() - started))
    return [statistics.median(times) for times in spent]


def export_int8(path: Path, held_out: Frames, test: Frames, *, threads: int = 2) -> dict[str, Any]:
    """Quantize an exported model, compare it with what it was made of, and write its card.

    Args:
        path: fp32 model with its card beside it.
        held_out: frames that activations are observed on.
        test: frames that both are measured on.
        threads: of the CPU, for the times.

    Returns:
        The part `int8` of the card: times and AbsRel of both, and their ratios.
    """
    out = int8_path(path)
    count = quantize(path, held_out, out)
    card = read_card(path)
    before, after = (score_rows(test, OnnxPredictor(file)) for file in (path, out))
    fp32_ms, int8_ms = compare_times((path, out), threads=threads)
    abs_rel = {
        row: {"fp32": before[row]["all"].metrics.abs_rel, "int8": scores["all"].metrics.abs_rel}
        for row, scores in after.items()
    }
    found = {
        "made_of": card["sha256"], "nodes": count, "observed_on": f"{len(held_out)} validation frames",
        "ms": {"fp32": round(fp32_ms, 1), "int8": round(int8_ms, 1), "threads": threads, "views": len(SPECTRA)},
        "time_ratio": round(int8_ms / fp32_ms, 3),
        "abs_rel": {row: {name: round(value, 4) for name, value in pair.items()} for row, pair in abs_rel.items()},
        "abs_rel_ratio": {row: round(pair["int8"] / pair["fp32"], 4) for row, pair in abs_rel.items()},
    }  # fmt: skip
    predictor = OnnxPredictor(out)
    write_card(
        out,
        {
            **card, "file": out.name, "sha256": sha256(out), "int8": found, "metrics": card_metrics(after),
            "view_confidence_ece": {s: view_calibration_error(test, predictor, i) for i, s in enumerate(SPECTRA)},
        },
    )  # fmt: skip
    return found
