"""The depth network behind one call: raw images in, metric depth and confidences out, on ONNX Runtime."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from msdepth_ros.core.camera.ground import UNKNOWN
from msdepth_ros.core.camera.rig import RigViews
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.info import ModelInfo, default_model_path, read_model
from msdepth_ros.core.model.providers import choose_providers, provider_options, session_options
from msdepth_ros.core.spectra import SPECTRA, in_canonical_order, normalise, spectra_key

__all__ = ["DepthEngine", "DepthResult", "NetworkInput", "ModelInfo", "default_model_path"]

MAX_VIEWS = 4
OUTPUTS = ("depth_m", "confidence", "view_confidence")
ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
)


@dataclass(frozen=True, eq=False)
class DepthResult:
    """What the network says about one instant, in the reference camera's network image.

    Attributes:
        depth_m: float32 [H,W], along the reference camera's z axis, metres, finite.
        confidence: float32 [H,W] in [0,1], probability that the depth is within a factor 1.25 of the truth.
        view_confidence: The same for each spectrum's own evidence; absent spectra are not in it.
        spectra: The spectra that were used, in canonical order.
        inference_ms: Time in the network alone.
        intrinsics: float32 [3,3], pinhole matrix of these images, px.
    """

    depth_m: NDArray[np.float32]
    confidence: NDArray[np.float32]
    view_confidence: Mapping[str, NDArray[np.float32]]
    spectra: tuple[str, ...]
    inference_ms: float
    intrinsics: NDArray[np.float32]


class NetworkInput(NamedTuple):
    """What the network is fed.

    Attributes:
        spectra: In canonical order, N of them.
        images: float32 [N,3,H,W] in [0,1].
        intrinsics: float32 [N,3,3], px.
        view_from_reference: float32 [N,4,4], metres.
        reference_intrinsics: float32 [3,3], px.
        ground_plane: float32 [4], the road in the reference's frame as of `RigViews`; all 0 where unknown.
    """

    spectra: tuple[str, ...]
    images: NDArray[np.float32]
    intrinsics: NDArray[np.float32]
    view_from_reference: NDArray[np.float32]
    reference_intrinsics: NDArray[np.float32]
    ground_plane: NDArray[np.float32]

    def feeds(self) -> dict[str, NDArray[Any]]:
        """Every input of the newest contract, by name."""
        spectrum = np.array([SPECTRA.index(name) for name in self.spectra], np.int64)
        return {**self._asdict(), "spectrum": spectrum}


class DepthEngine:
    """One model in one ONNX Runtime session.

    Make one per process: the idle threads of a second session compete with the first. `estimate` may be called from
    any thread; calls wait for each other.
    """

    def __init__(
        self,
        model_path: str | Path,
        *,
        providers: str | Sequence[str] = "auto",
        cache_dir: str | Path | None = None,
        threads: int = 2,
        verify: bool = True,
    ) -> None:
        """Loads and checks a model.

        Args:
            model_path: The ONNX file; its card lies beside it.
            providers: "auto" for TensorRT, CUDA, CPU, whatever is there; or one or more of these names, best first.
            cache_dir: Where TensorRT keeps the engines it builds, which takes minutes; None keeps none.
            threads: CPU threads that work on one image.
            verify: Insist on a card whose SHA-256 is the file's.

        Raises:
            MsdepthError: The model does not keep the contract, or a provider is not available.
        """
        data, self.info = read_model(Path(model_path), verify=verify)
        wanted = choose_providers(providers)
        options = [provider_options(name, self.info, cache_dir) for name in wanted]
        try:
            self._session = ort.InferenceSession(
                data, session_options(threads), providers=wanted, provider_options=options
            )
        except ORT_ERRORS as error:
            raise MsdepthError(f"model {model_path}: ONNX Runtime cannot load it: {error}") from error
        _check_signature(self._session, self.info)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        if providers != "auto" and wanted[0] not in self.providers:
            raise MsdepthError(
                f"ONNX Runtime could not start {wanted[0]} and runs on {', '.join(self.providers)}; "
                "install the CUDA and TensorRT libraries that it needs, or choose providers auto"
            )
        self._lock = threading.Lock()
        self._buffers: dict[int, NDArray[np.float32]] = {}

    def warm_up(self) -> None:
        """Runs the network once for one, two and three views, so that the first real image is not a slow one."""
        for count in range(1, min(len(self.info.spectra), MAX_VIEWS) + 1):
            k = np.array(
                [[self.info.width, 0, self.info.width / 2], [0, self.info.width, self.info.height / 2], [0, 0, 1]]
            )
            intrinsics = np.repeat(k[None].astype(np.float32), count, axis=0)
            poses = np.repeat(np.eye(4, dtype=np.float32)[None], count, axis=0)
            spectra = self.info.spectra[:count]
            with self._lock:
                self._buffer(count)[:] = 0.5
                self._run(NetworkInput(spectra, self._buffer(count), intrinsics, poses, k.astype(np.float32), UNKNOWN))

    def estimate(
        self, images: Mapping[str, NDArray[Any]], views: RigViews, *, bits: Mapping[str, int] | None = None
    ) -> DepthResult:
        """Computes depth from the images that are there; none of them is changed.

        Args:
            images: By spectrum, as the camera gave them: rgb uint8 [h,w,3] in RGB order, the others uint8 or uint16
                [h,w].
            views: The rig at this model's size; its reference need not be among the images.
            bits: Significant bits of uint16 images by spectrum; 16 where not given.

        Raises:
            MsdepthError: An image does not fit its calibration or its spectrum, or the network gave no finite result.
        """
        with self._lock:
            return self._compute(self._prepare(images, views, bits, self._buffer))

    def prepare(
        self, images: Mapping[str, NDArray[Any]], views: RigViews, *, bits: Mapping[str, int] | None = None
    ) -> NetworkInput:
        """Does what `estimate` does before the network, so that it can be done ahead in another thread.

        Args and errors are those of `estimate`.
        """
        return self._prepare(images, views, bits, self._new_buffer)

    def compute(self, prepared: NetworkInput) -> DepthResult:
        """Runs the network on what `prepare` made.

        Raises:
            MsdepthError: The network gave no finite result.
        """
        with self._lock:
            return self._compute(prepared)

    def _prepare(
        self,
        images: Mapping[str, NDArray[Any]],
        views: RigViews,
        bits: Mapping[str, int] | None,
        buffer: Callable[[int], NDArray[np.float32]],
    ) -> NetworkInput:
        """Brings images to network size and range."""
        spectra = self._check(images, views)
        batch = buffer(len(spectra))
        for index, name in enumerate(spectra):
            batch[index] = normalise(name, views.maps[name].apply(images[name]), bits=(bits or {}).get(name))
        intrinsics = np.stack([views.maps[name].intrinsics for name in spectra]).astype(np.float32)
        poses = np.stack([views.view_from_reference[name] for name in spectra]).astype(np.float32)
        return NetworkInput(spectra, batch, intrinsics, poses, views.reference_intrinsics, views.ground_plane)

    def _compute(self, prepared: NetworkInput) -> DepthResult:
        """Runs the network and checks what it gives."""
        spectra = prepared.spectra
        started = time.perf_counter()
        outputs = self._run(prepared)
        inference_ms = 1e3 * (time.perf_counter() - started)
        depth_m, confidence, view_confidence = outputs
        for name, values in zip(OUTPUTS, outputs, strict=True):
            if not np.isfinite(values).all():
                count = int(values.size - np.isfinite(values).sum())
                raise MsdepthError(
                    f"model {self.info.name}: {count} values of {name} are not finite for {spectra_key(spectra)}; "
                    "check the calibration of these cameras, or use another model"
                )
        by_spectrum = dict(zip(spectra, view_confidence, strict=True))
        return DepthResult(depth_m, confidence, by_spectrum, spectra, inference_ms, prepared.reference_intrinsics)

    def _check(self, images: Mapping[str, NDArray[Any]], views: RigViews) -> tuple[str, ...]:
        """Returns the spectra in canonical order, or says why these inputs cannot be used."""
        spectra = in_canonical_order(images)
        if not spectra:
            raise MsdepthError("no image at all; depth needs at least one")
        unknown = [name for name in spectra if name not in self.info.spectra]
        if unknown:
            raise MsdepthError(f"model {self.info.name} was not trained for {', '.join(unknown)}; leave them out")
        lacking = [name for name in spectra if name not in views.maps]
        if lacking:
            raise MsdepthError(f"no calibration for {', '.join(lacking)}; add these cameras to the rig")
        for name in spectra:
            size = views.maps[name].width, views.maps[name].height
            if size != (self.info.width, self.info.height):
                raise MsdepthError(
                    f"{name}: views were made for {size[0]} x {size[1]} px but model {self.info.name} takes "
                    f"{self.info.width} x {self.info.height} px; make them with rig.views(info.width, info.height, ...)"
                )
        return spectra

    def _buffer(self, count: int) -> NDArray[np.float32]:
        """The network input for so many views, kept from call to call."""
        if count not in self._buffers:
            self._buffers[count] = self._new_buffer(count)
        return self._buffers[count]

    def _new_buffer(self, count: int) -> NDArray[np.float32]:
        """Room for the network input for so many views."""
        return np.empty((count, 3, self.info.height, self.info.width), np.float32)

    def _run(self, prepared: NetworkInput) -> list[NDArray[np.float32]]:
        """Runs the network on what it takes of its inputs; the outputs are new arrays each time."""
        known = prepared.feeds()
        feeds = {name: known[name] for name in self.info.inputs}
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(list(OUTPUTS), feeds)
        except ORT_ERRORS as error:
            raise MsdepthError(
                f"model {self.info.name}: ONNX Runtime failed on {len(prepared.images)} views: {error}"
            ) from error
        return outputs


def _check_signature(session: ort.InferenceSession, info: ModelInfo) -> None:
    """Refuses a graph whose inputs and outputs are not those of the contract."""
    size: list[int | None] = [info.height, info.width]
    shapes: dict[str, list[int | None]] = {
        "images": [None, 3, *size],
        "intrinsics": [None, 3, 3],
        "view_from_reference": [None, 4, 4],
        "reference_intrinsics": [3, 3],
        "spectrum": [None],
        "ground_plane": [4],
    }
    expected: dict[str, dict[str, list[int | None]]] = {
        "input": {name: shapes[name] for name in info.inputs},
        "output": {"depth_m": size, "confidence": size, "view_confidence": [None, *size]},
    }
    for kind, nodes in (("input", session.get_inputs()), ("output", session.get_outputs())):
        actual = {node.name: node for node in nodes}
        if set(actual) != set(expected[kind]):
            raise MsdepthError(
                f"model {info.path}: its {kind}s are {', '.join(sorted(actual))} but contract {info.contract_version} "
                f"has {', '.join(sorted(expected[kind]))}; export it with msdepth_training"
            )
        for name, shape in expected[kind].items():
            node = actual[name]
            found = [length if isinstance(length, int) else None for length in node.shape]
            number = "int64" if name == "spectrum" else "float"
            if found != shape or node.type != f"tensor({number})":
                wanted = ["N" if length is None else length for length in shape]
                raise MsdepthError(
                    f"model {info.path}: {kind} {name} is {node.type} {node.shape}; the contract wants {number} "
                    f"{wanted}"
                )
