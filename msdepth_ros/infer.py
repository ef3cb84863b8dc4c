"""Depth from image files, without ROS: the body of `msdepth infer`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.arguments import number, whole_number
from msdepth_ros.core.camera.ground import MAX_HEIGHT_M, MAX_TILT_DEG, NO_SOURCE, GroundSource
from msdepth_ros.core.camera.images import is_grey
from msdepth_ros.core.camera.rig import Rig, RigViews
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.folders import make_folder
from msdepth_ros.core.model.engine import DepthEngine, DepthResult, default_model_path
from msdepth_ros.core.spectra import SPECTRA, check_spectrum, in_canonical_order, spectra_key
from msdepth_ros.core.visualize import overview

MAX_DEPTH_MM = 65535
DESCRIPTION = (
    "Writes depth_m.npy (float32 metres, NaN unknown), depth_mm.png (uint16 millimetres, 0 unknown or beyond 65.5 m), "
    "confidence.npy and confidence_<spectrum>.npy, all at the reference camera's resolution, and overview.png. "
    "Any subset of the three images will do; the reference camera needs no image, only its calibration."
)


@dataclass(frozen=True)
class InferConfig:
    """What to compute, from what.

    Attributes:
        rig: Kalibr camchain YAML.
        images: Image file of each spectrum that is there.
        out: Folder for the results; made if it is not there.
        reference: The spectrum whose camera the results belong to; it needs no image.
        model: ONNX file; None is the one that comes with the package.
        nir_bits: Significant bits of a 16-bit NIR image.
        providers: As `DepthEngine` takes them.
        ground: Where the road is, if that is said beside the rig.
    """

    rig: Path
    images: Mapping[str, Path]
    out: Path
    reference: str = "rgb"
    model: Path | None = None
    nir_bits: int = 16
    providers: str | Sequence[str] = "auto"
    ground: GroundSource = NO_SOURCE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `msdepth infer`."""
    parser.add_argument("--rig", type=Path, required=True, help="calibration of the cameras, a Kalibr camchain YAML")
    parser.add_argument("--rgb", type=Path, help="colour image of 8 bits")
    parser.add_argument("--nir", type=Path, help="near-infrared image, 8 or 16 bits")
    parser.add_argument("--thermal", type=Path, help="thermal image, 8 or 16 bits, for example raw counts")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--reference", choices=SPECTRA, default="rgb", help="camera whose frame the depth is in (default: %(default)s)"
    )
    parser.add_argument("--model", type=Path, help="ONNX model with its card beside it (default: the one that ships)")
    parser.add_argument(
        "--nir-bits",
        type=whole_number(at_least=1, at_most=16),
        default=16,
        metavar="BITS",
        help="significant bits of a 16-bit NIR image, 1 to 16 (default: %(default)s)",
    )
    parser.add_argument(
        "--ground-height",
        type=number(above=0.0, at_most=MAX_HEIGHT_M),
        metavar="M",
        help="height of the reference camera above the road, metres",
    )
    parser.add_argument(
        "--camera-pitch",
        type=number(at_least=-MAX_TILT_DEG, at_most=MAX_TILT_DEG),
        metavar="DEG",
        help="how far it looks down, degrees; needs --ground-height",
    )
    parser.add_argument(
        "--providers", default="auto", help="auto, or some of tensorrt,cuda,cpu, best first (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Computes depth from the files that the arguments name.

    Returns:
        Exit code 0.

    Raises:
        MsdepthError: Bad input.
    """
    providers = [name.strip() for name in arguments.providers.split(",") if name.strip()]
    config = InferConfig(
        rig=arguments.rig,
        images={name: path for name in SPECTRA if (path := getattr(arguments, name)) is not None},
        out=arguments.out,
        reference=arguments.reference,
        model=arguments.model,
        nir_bits=arguments.nir_bits,
        providers="auto" if providers == ["auto"] else providers,
        ground=_ground(arguments.ground_height, arguments.camera_pitch),
    )
    for line in infer(config):
        print(line)
    return 0


def _ground(height_m: float | None, pitch_deg: float | None) -> GroundSource:
    """What the options say of the road.

    Raises:
        MsdepthError: A pitch without a height.
    """
    if height_m is None and pitch_deg is not None:
        raise MsdepthError("--camera-pitch: says nothing of the road without --ground-height; give both")
    return GroundSource(height_m=height_m or 0.0, pitch_deg=pitch_deg or 0.0, name="--ground-height")


def infer(config: InferConfig) -> list[str]:
    """Computes depth and writes the results.

    Returns:
        Lines that tell what was computed and written.

    Raises:
        MsdepthError: An input cannot be used, or a result cannot be written.
    """
    check_spectrum(config.reference)
    if not config.images:
        raise MsdepthError(f"no image at all; give at least one of {', '.join(f'--{name}' for name in SPECTRA)}")
    spectra = in_canonical_order(config.images)
    rig = _rig(config, spectra).with_ground(config.ground, config.reference)
    images = {name: read_image(name, config.images[name]) for name in spectra}
    for name in spectra:
        _check_size(name, images[name], rig, config)
    make_folder(config.out)
    engine = DepthEngine(config.model or default_model_path(), providers=config.providers)
    engine.warm_up()
    views = rig.views(engine.info.width, engine.info.height, config.reference)
    bits = {"nir": config.nir_bits}
    result = engine.estimate(images, views, bits=bits)
    written = _write(config.out, result, views, max_m=engine.info.max_m)
    title = f"{engine.info.name} {engine.info.version}, frame of {config.reference}:"
    written.append(_write_png(config.out / "overview.png", overview(images, result, bits=bits, title=title)))
    return [*_facts(engine, result, config, rig), *(f"wrote {path}" for path in written)]


def read_image(spectrum: str, path: Path) -> NDArray[Any]:
    """Reads an image file as its camera would deliver it.

    Args:
        spectrum: rgb becomes uint8 [h,w,3] in RGB order; the others uint8 or uint16 [h,w].
        path: Anything that OpenCV reads; an alpha channel is dropped.

    Raises:
        MsdepthError: The file cannot be read, or is no image of this spectrum.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MsdepthError(f"{spectrum} image {path}: cannot be read ({error.strerror}); check the path") from error
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None:
        raise MsdepthError(f"{spectrum} image {path}: not an image that OpenCV can read; give a PNG, JPEG or TIFF file")
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = image[:, :, :-1]
    if spectrum == "rgb":
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            channels = 1 if image.ndim == 2 else image.shape[2]
            raise MsdepthError(
                f"rgb image {path}: has {channels} channel(s) of {image.dtype}; it must be a colour image of 8 bits"
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.ndim == 3:
        if not is_grey(image):
            raise MsdepthError(f"{spectrum} image {path}: is a colour image; it must have one channel, or equal ones")
        image = np.ascontiguousarray(image[:, :, 0])
    if image.dtype not in (np.uint8, np.uint16):
        raise MsdepthError(f"{spectrum} image {path}: has pixels of {image.dtype}; it must have 8 or 16 bits")
    return image


def _rig(config: InferConfig, spectra: tuple[str, ...]) -> Rig:
    """Loads the cameras that are needed."""
    try:
        return Rig.load(config.rig).subset(dict.fromkeys((*spectra, config.reference)))
    except MsdepthError as error:
        text = str(error)
        raise MsdepthError(text if str(config.rig) in text else f"{config.rig}: {text}") from error


def _check_size(spectrum: str, image: NDArray[Any], rig: Rig, config: InferConfig) -> None:
    """Refuses an image that its camera cannot have taken."""
    camera = rig.cameras[spectrum]
    if image.shape[:2] != (camera.height, camera.width):
        raise MsdepthError(
            f"{spectrum} image {config.images[spectrum]}: is {image.shape[1]} x {image.shape[0]} px but {config.rig} "
            f"says {camera.width} x {camera.height} px; give the calibration of these images"
        )


def _write(out: Path, result: DepthResult, views: RigViews, *, max_m: float) -> list[Path]:
    """Writes depth (+Inf where the model's range of max_m metres ends) and confidences at the camera's resolution."""
    depth_m = views.depth_to_sensor(result.depth_m)
    depth_m[depth_m >= max_m] = np.inf
    depth_mm = np.round(1000.0 * np.nan_to_num(depth_m, nan=0.0, posinf=0.0, neginf=0.0))
    depth_mm[(depth_mm < 0) | (depth_mm > MAX_DEPTH_MM)] = 0
    arrays = {"depth_m": depth_m, "confidence": views.confidence_to_sensor(result.confidence)}
    for name in SPECTRA:
        confidence = result.view_confidence.get(name)
        arrays[f"confidence_{name}"] = (
            np.zeros(depth_m.shape, np.float32) if confidence is None else views.confidence_to_sensor(confidence)
        )
    written = [_write_png(out / "depth_mm.png", depth_mm.astype(np.uint16))]
    for name, values in arrays.items():
        path = out / f"{name}.npy"
        try:
            np.save(path, values)
        except OSError as error:
            raise _cannot_write(path, error) from error
        written.append(path)
    return written


def _write_png(path: Path, picture: NDArray[Any]) -> Path:
    """Writes a picture, in RGB order if it has colours."""
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    try:
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def _cannot_write(path: Path, error: OSError) -> MsdepthError:
    """The error for a result that cannot be written."""
    return MsdepthError(f"{path}: cannot be written ({error.strerror}); name another folder with --out")


def _facts(engine: DepthEngine, result: DepthResult, config: InferConfig, rig: Rig) -> list[str]:
    """What was computed, in words."""
    low_m, high_m = np.percentile(result.depth_m, (2, 98))
    beyond = float((result.depth_m > MAX_DEPTH_MM / 1000).mean())
    lines = [
        f"model {engine.info.title}: {result.inference_ms:.1f} ms on {engine.providers[0]}",
        f"spectra {spectra_key(result.spectra)}, frame of {config.reference}",
        f"road {engine.info.use_of_ground(rig.ground or 'unknown')}",
        f"depth {low_m:.2f} to {high_m:.2f} m (2nd to 98th percentile), mean confidence {result.confidence.mean():.2f}",
    ]
    if beyond:
        lines.append(f"{100 * beyond:.1f} % of the depth is beyond 65.5 m and therefore 0 in depth_mm.png")
    return lines
