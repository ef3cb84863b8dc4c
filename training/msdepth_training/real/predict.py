"""Depth of a real frame from an exported model or from a training run, through the product's own preprocessing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.model.engine import ORT_ERRORS
from msdepth_ros.core.model.providers import session_options
from msdepth_ros.core.spectra import SPECTRA, in_canonical_order, normalise
from msdepth_training.card import contract_network
from msdepth_training.errors import TrainingError
from msdepth_training.export import OUTPUTS, ContractModel
from msdepth_training.real.frames import FloatImage
from msdepth_training.real.ground import GroundPlane
from msdepth_training.stages.runs import Run, phases_of

GROUND = "ground_plane"
"""Input of the model contract that says where the road is."""
Feeds = Mapping[str, NDArray[Any]]
"""Contract inputs by name."""


class Prediction(NamedTuple):
    """At the resolution of the reference camera."""

    depth_m: FloatImage
    """[h, w] along its z axis, metres; NaN outside the network's window."""
    confidence: FloatImage
    """[h, w] in [0, 1]; NaN outside the window."""


class Network(Protocol):
    """What keeps the model contract."""

    title: str
    """For people."""
    height: int
    """Rows of the images, px."""
    width: int
    """Columns of the images, px."""
    inputs: frozenset[str]
    """Names of the contract inputs that it takes."""

    def __call__(self, feeds: Feeds) -> tuple[FloatImage, FloatImage]:
        """Contract inputs, those it takes, to depth_m and confidence, each [H, W]."""


class OnnxNetwork:
    """A model file in ONNX Runtime on the CPU.

    Args:
        path: ONNX file; it needs no card.
        threads: of the CPU.
    """

    def __init__(self, path: Path, *, threads: int = 2) -> None:
        if not path.is_file():
            raise TrainingError(f"model {path}: there is no such file")
        providers = ["CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(str(path), session_options(threads), providers=providers)
        except ORT_ERRORS as error:
            raise TrainingError(f"model {path}: ONNX Runtime cannot load it: {error}") from error
        found = {node.name: node for node in self._session.get_inputs()}
        self.inputs = frozenset(found)
        if "images" not in found:
            raise TrainingError(f"model {path}: it has no input `images`; export it with msdepth-train export")
        self.height, self.width = (int(size) for size in found["images"].shape[-2:])
        about = self._session.get_modelmeta().custom_metadata_map
        self.title = f"{about.get('name', path.stem)} {about.get('version', '')}".strip()

    def __call__(self, feeds: Feeds) -> tuple[FloatImage, FloatImage]:
        """See `Network`."""
        depth_m, confidence = self._session.run(list(OUTPUTS[:2]), dict(feeds))
        return depth_m, confidence


class RunNetwork:
    """The averaged weights of a training run in PyTorch, also of one that is not complete; confidence not calibrated.

    Args:
        run: of stage fuse, recipe msdepth.
        size: rows and columns of the images; by default those of the run's last phase.
    """

    def __init__(self, run: Run, size: tuple[int, int] | None = None) -> None:
        last = phases_of(run.config, run.stage)[-1]
        self.height, self.width = size or (last.height, last.width)
        if self.height % 32 or self.width % 32:
            raise TrainingError(f"--size {self.height}x{self.width}: both must be multiples of 32")
        self._model = ContractModel(contract_network(run)).eval()
        self.inputs = frozenset(inspect.signature(self._model.forward).parameters)
        self.title = f"{run.folder}, step {run.progress.steps} of {run.progress.total_steps}"

    def __call__(self, feeds: Feeds) -> tuple[FloatImage, FloatImage]:
        """See `Network`."""
        with torch.inference_mode():
            outputs = self._model(**{name: torch.from_numpy(value) for name, value in feeds.items()})
        return outputs[0].numpy(), outputs[1].numpy()


def predict(
    network: Network, images: Mapping[str, NDArray[Any]], rig: Rig, reference: str, ground: GroundPlane | None = None
) -> Prediction:
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
    feeds: dict[str, NDArray[Any]] = {
        "images": np.stack([normalise(name, views.maps[name].apply(images[name])) for name in spectra]),
        "intrinsics": np.stack([views.maps[name].intrinsics for name in spectra]).astype(np.float32),
        "view_from_reference": np.stack([views.view_from_reference[name] for name in spectra]),
        "reference_intrinsics": views.reference_intrinsics,
        "spectrum": np.array([SPECTRA.index(name) for name in spectra], np.int64),
        GROUND: np.zeros(4, np.float32) if ground is None else ground.as_input(),
    }
    depth_m, confidence = network({name: value for name, value in feeds.items() if name in network.inputs})
    to_sensor = views.maps[reference].to_sensor
    return Prediction(to_sensor(depth_m), to_sensor(confidence))
