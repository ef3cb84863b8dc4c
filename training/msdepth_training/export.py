"""Export to the model contract (version 1) and check that ONNX Runtime says the same as PyTorch."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_ros.core.spectra import NORMALISATION, SPECTRA
from msdepth_training.confidence import CONFIDENCE_DEFINITION, probability_within_factor
from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth
from msdepth_training.stages.sources import About

OPSET = 18
"""From opset 20 on, TensorRT silently runs GridSample as nearest."""
INPUTS = ("images", "intrinsics", "view_from_reference", "reference_intrinsics")
OUTPUTS = ("depth_m", "confidence", "view_confidence")


@dataclass(frozen=True)
class Calibration:
    """Held-out recalibration, log scale -> slope * log scale + offset, as (slope, offset)."""

    fused: tuple[float, float] = (1.0, 0.0)
    """Of the fused depth."""
    view: tuple[float, float] = (1.0, 0.0)
    """Of the views' own evidence."""


class ContractModel(nn.Module):
    """The network behind the inputs and outputs of the contract: one set of N views, no batch dimension."""

    def __init__(self, network: MsDepth, calibration: Calibration | None = None) -> None:
        super().__init__()
        self.network = network
        self.calibration = calibration or Calibration()

    def forward(
        self, images: Tensor, intrinsics: Tensor, view_from_reference: Tensor, reference_intrinsics: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Contract inputs to contract outputs.

        Args:
            images: [N, 3, H, W] in [0, 1].
            intrinsics: [N, 3, 3], px.
            view_from_reference: [N, 4, 4], metres.
            reference_intrinsics: [3, 3], px.

        Returns:
            depth_m [H, W], confidence [H, W] and view_confidence [N, H, W].
        """
        out = self.network(images[None], intrinsics[None], view_from_reference[None], reference_intrinsics[None])
        config = self.network.config
        depth_m = out.log_depth[0].exp().clamp(config.min_m, config.max_m)
        slope, offset = self.calibration.fused
        confidence = probability_within_factor(out.log_scale[0] * slope + offset)
        slope, offset = self.calibration.view
        own = probability_within_factor(out.view_scale_in_reference[0] * slope + offset)
        size = images.shape[-2:]
        own = F.interpolate(own[:, None], size=size, mode="bilinear", align_corners=False)
        seen = F.interpolate(out.view_seen[0][:, None], size=size, mode="nearest")
        return depth_m, confidence, (own * seen)[:, 0]


def example_inputs(count: int, height: int, width: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Contract inputs of `count` plausible cameras with random images, for export and for comparisons."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, height, width, generator=generator)
    k = torch.tensor([[0.6 * width, 0.0, width / 2], [0.0, 0.6 * width, height / 2], [0.0, 0.0, 1.0]])
    pose = torch.eye(4).repeat(count, 1, 1)
    pose[:, :3, 3] = 0.3 * torch.randn(count, 3, generator=generator)
    return images, k.repeat(count, 1, 1), pose, k


def export_onnx(model: ContractModel, path: Path, *, height: int, width: int, metadata: Mapping[str, str]) -> None:
    """Write the contract model with its metadata; N is dynamic from 1 to 4.

    Args:
        model: trained network.
        path: file to write.
        height: rows of the network's images.
        width: columns of the network's images.
        metadata: contract metadata, see the design page.
    """
    model = model.eval()
    views = torch.export.Dim("views", min=1, max=4)
    by_view = {0: views}
    program = torch.onnx.export(
        model,
        example_inputs(2, height, width),
        input_names=list(INPUTS),
        output_names=list(OUTPUTS),
        dynamic_shapes=(by_view, by_view, by_view, None),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        program.save(str(raw))
        proto = onnx.load(str(raw))
    _strip(proto)
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, str(path))


def _strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter notes about this machine's files (stack traces, source paths)."""
    proto.doc_string = ""
    proto.graph.doc_string = ""
    del proto.graph.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]


def contract_metadata(
    network: MsDepth, *, name: str, version: str, height: int, width: int, commit: str, about: About
) -> dict[str, str]:
    """Metadata of the contract for a trained network."""
    return {
        "msdepth_contract": "1",
        "name": name,
        "version": version,
        "spectra": ",".join(SPECTRA),
        "normalisation": json.dumps(dict(NORMALISATION)),
        "height": str(height),
        "width": str(width),
        "depth_min_m": str(network.config.min_m),
        "depth_max_m": str(network.config.max_m),
        "training_data": about.data,
        "training_data_licence": about.licence,
        "training_commit": commit,
        "confidence_definition": CONFIDENCE_DEFINITION,
    }


def largest_difference(model: ContractModel, path: Path, *, count: int, height: int, width: int) -> float:
    """Largest relative difference of ONNX Runtime from PyTorch over all outputs, for `count` views.

    Args:
        model: what was exported.
        path: the file it was exported to.
        count: N, 1 to 4.
        height: rows of the network's images.
        width: columns of the network's images.

    Returns:
        |difference| / max(|PyTorch|, 0.01).

    Raises:
        TrainingError: ONNX Runtime returned something non-finite.
    """
    inputs = example_inputs(count, height, width, seed=count)
    with torch.no_grad():
        expected = [t.numpy() for t in model.eval()(*inputs)]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(list(OUTPUTS), {n: t.numpy() for n, t in zip(INPUTS, inputs, strict=True)})
    worst = 0.0
    for name, want, have in zip(OUTPUTS, expected, got, strict=True):
        if not np.isfinite(have).all():
            raise TrainingError(f"{path}: output {name} is not finite in ONNX Runtime; check the exported operators")
        worst = max(worst, float((np.abs(have - want) / np.maximum(np.abs(want), 1e-2)).max()))
    return worst


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
