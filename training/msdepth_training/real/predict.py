"""Depth of a real frame from an exported model or from a training run, through the product's own preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.model.engine import ORT_ERRORS
from msdepth_ros.core.spectra import SPECTRA, in_canonical_order, normalise
from msdepth_training.card import contract_network
from msdepth_training.errors import TrainingError
from msdepth_training.evaluate import OnnxPredictor, Predictor, TorchPredictor
from msdepth_training.export import ContractInputs, ContractModel
from msdepth_training.real.frames import FloatImage
from msdepth_training.real.ground import GroundPlane
from msdepth_training.stages.runs import Run, phases_of


class RealPrediction(NamedTuple):
    """At the resolution of the reference camera."""

    depth_m: FloatImage
    """[h, w] along its z axis, metres; NaN outside the network's window."""
    confidence: FloatImage
    """[h, w] in [0, 1]; NaN outside the window."""


class Network(NamedTuple):
    """What is scored."""

    title: str
    """For people."""
    height: int
    """Rows of the images, px."""
    width: int
    """Columns of the images, px."""
    takes_ground: bool
    """Whether it can be told where the road is."""
    predictor: Predictor


def onnx_network(path: Path) -> Network:
    """A model file in ONNX Runtime on the CPU; it needs no card.

    Raises:
        TrainingError: it is not there, or no exported model.
    """
    if not path.is_file():
        raise TrainingError(f"model {path}: there is no such file")
    try:
        predictor = OnnxPredictor(path)
    except ORT_ERRORS as error:
        raise TrainingError(f"model {path}: ONNX Runtime cannot load it: {error}") from error
    about = predictor.session.get_modelmeta().custom_metadata_map
    title = f"{about.get('name', path.stem)} {about.get('version', '')} {about.get('precision', '')}".strip()
    inputs = {node.name for node in predictor.session.get_inputs()}
    return Network(title, *predictor.size, "ground_plane" in inputs, predictor)


def run_network(run: Run, size: tuple[int, int] | None = None) -> Network:
    """The averaged weights of a training run in PyTorch, also of one that is not complete; confidence not calibrated.

    Args:
        run: of stage fuse, recipe msdepth.
        size: rows and columns of the images; by default those of the run's last phase.

    Raises:
        TrainingError: the run does not keep the model contract, or the size is not for its strides.
    """
    last = phases_of(run.config, run.stage)[-1]
    height, width = size or (last.height, last.width)
    if min(height, width) < 32 or height % 32 or width % 32:
        raise TrainingError(f"--size {height}x{width}: both must be multiples of 32")
    title = f"{run.folder}, step {run.progress.steps} of {run.progress.total_steps}"
    return Network(title, height, width, True, TorchPredictor(ContractModel(contract_network(run))))


def predict(
    network: Network, images: Mapping[str, NDArray[Any]], rig: Rig, reference: str, ground: GroundPlane | None = None
) -> RealPrediction:
    """Depth from raw images, as `msdepth infer --rig` gives it.

    Args:
        network: what computes.
        images: by spectrum, as the cameras gave them; at least one.
        rig: cameras of these images and of the reference.
        reference: spectrum in whose frame the depth is; it needs no image.
        ground: the road in the frame of that camera, for networks that take it; None is unknown.
    """
    spectra = in_canonical_order(images)
    views = rig.subset(dict.fromkeys((*spectra, reference))).views(network.width, network.height, reference)
    pixels = np.stack([normalise(name, views.maps[name].apply(images[name])) for name in spectra])
    found = network.predictor(
        ContractInputs(
            torch.from_numpy(pixels),
            torch.from_numpy(np.stack([views.maps[name].intrinsics for name in spectra]).astype(np.float32)),
            torch.from_numpy(np.stack([views.view_from_reference[name] for name in spectra])),
            torch.from_numpy(views.reference_intrinsics),
            torch.tensor([SPECTRA.index(name) for name in spectra]),
            torch.zeros(4) if ground is None else torch.from_numpy(ground.as_input()),
        )
    )
    to_sensor = views.maps[reference].to_sensor
    return RealPrediction(to_sensor(found.depth_m), to_sensor(found.confidence))
