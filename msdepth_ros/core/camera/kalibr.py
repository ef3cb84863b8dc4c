"""Kalibr's camchain YAML: what the file says, checked, without meaning attached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from msdepth_ros.core.camera.ground import GroundPlane, read_ground
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import load_yaml
from msdepth_ros.core.spectra import SPECTRA, spectra_of_topic


class ChainCamera(NamedTuple):
    """One camera of a chain."""

    label: str
    """Spectrum or free name, unique in the chain."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    intrinsics: tuple[float, float, float, float]
    """fx, fy, cx, cy in px."""
    distortion_model: str
    """As the file says."""
    distortion: tuple[float, ...]
    """Coefficients as the file says."""
    camera_from_previous: NDArray[np.float64]
    """4x4, metres; identity for the first camera."""


class Camchain(NamedTuple):
    """A camchain file."""

    cameras: list[ChainCamera]
    """In the chain's order."""
    ground: GroundPlane | None
    """The road, where the file says where it is."""


def read_camchain(path: str | Path) -> Camchain:
    """Reads a camchain file.

    Args:
        path: The YAML file. Beyond Kalibr's own keys, `label` may name a camera's spectrum, and `ground` at the top
            level say where the road is.

    Raises:
        MsdepthError: The file cannot be read, is not a camchain, lacks something, or no road is as it says.
    """
    document = _load_yaml(Path(path))
    names = [name for name in document if isinstance(name, str) and name[:3] == "cam" and name[3:].isdecimal()]
    names.sort(key=lambda name: int(name[3:]))
    if not names:
        raise MsdepthError(f"{path}: no cam0, cam1, ... found; give a Kalibr camchain YAML")
    cameras = [_read_camera(f"{path}: {name}", document[name], first=name == names[0]) for name in names]
    labels = [camera.label for camera in cameras]
    for label in labels:
        if labels.count(label) > 1:
            raise MsdepthError(f"{path}: {labels.count(label)} cameras are labelled {label!r}; make labels unique")
    ground = read_ground(str(path), document["ground"], labels) if "ground" in document else None
    return Camchain(cameras, ground)


def write_camchain(path: str | Path, chain: Camchain) -> None:
    """Writes a camchain so that `read_camchain` gives it back exactly.

    Raises:
        MsdepthError: The file cannot be written.
    """
    document: dict[str, dict[str, Any]] = {}
    for index, camera in enumerate(chain.cameras):
        entry = document[f"cam{index}"] = {
            "label": camera.label,
            "camera_model": "pinhole",
            "intrinsics": [float(value) for value in camera.intrinsics],
            "distortion_model": camera.distortion_model,
            "distortion_coeffs": [float(value) for value in camera.distortion],
            "resolution": [camera.width, camera.height],
        }
        if index:
            entry["T_cn_cnm1"] = camera.camera_from_previous.tolist()
    if chain.ground is not None:
        ground = chain.ground
        document["ground"] = {"camera": ground.camera, "normal": list(ground.normal), "height_m": ground.height_m}
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=120)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise MsdepthError(f"{path}: cannot write the rig: {error.strerror}; choose another place") from error


def _load_yaml(path: Path) -> dict[Any, Any]:
    """Reads a YAML file that holds a mapping."""
    document = load_yaml(path, "rig", "give a Kalibr camchain YAML")
    if not isinstance(document, dict):
        raise MsdepthError(f"{path}: holds no mapping; give a Kalibr camchain YAML with cam0, cam1, ...")
    return document


def _read_camera(where: str, entry: object, *, first: bool) -> ChainCamera:
    """Reads one `camN` entry; `where` names it in messages."""
    if not isinstance(entry, dict):
        raise MsdepthError(f"{where}: not a mapping; give a Kalibr camchain YAML")
    camera_model = entry.get("camera_model", "pinhole")
    if camera_model != "pinhole":
        raise MsdepthError(f"{where}: camera_model {camera_model!r} is not supported; calibrate as pinhole")
    fx, fy, cx, cy = _numbers(where, entry, "intrinsics", (4,)).tolist()
    width, height = _numbers(where, entry, "resolution", (2,)).tolist()
    if not (width.is_integer() and height.is_integer()):
        raise MsdepthError(f"{where}: resolution must be two whole numbers [width, height], got {width:g}, {height:g}")
    distortion_model = entry.get("distortion_model", "none")
    pose = np.eye(4) if first else _numbers(where, entry, "T_cn_cnm1", (4, 4))
    return ChainCamera(
        label=_label(where, entry),
        width=int(width),
        height=int(height),
        intrinsics=(fx, fy, cx, cy),
        distortion_model="none" if distortion_model is None else str(distortion_model),
        distortion=tuple(_numbers(where, entry, "distortion_coeffs", None).tolist()),
        camera_from_previous=pose,
    )


def _numbers(where: str, entry: dict[Any, Any], key: str, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
    """Returns finite numbers of a given shape; without a shape, a list of any length that may be absent."""
    value = entry.get(key, [] if shape is None else None)
    wanted = "a list of numbers" if shape is None else f"{' x '.join(str(size) for size in shape)} numbers"
    if value is None and shape is not None:
        raise MsdepthError(f"{where}: {key} is missing; it must be {wanted}")
    try:
        array = np.array([] if value is None else value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise MsdepthError(f"{where}: {key} must be {wanted}, got {value!r}") from error
    if (array.ndim != 1 if shape is None else array.shape != shape) or not np.all(np.isfinite(array)):
        raise MsdepthError(f"{where}: {key} must be {wanted}, all finite, got {value!r}")
    return array


def _label(where: str, entry: dict[Any, Any]) -> str:
    """Returns the camera's label, or the one spectrum that its rostopic names."""
    label = entry.get("label")
    if label is not None:
        if not isinstance(label, str) or not label:
            raise MsdepthError(f"{where}: label must be a name such as {', '.join(SPECTRA)}, got {label!r}")
        return label
    topic = str(entry.get("rostopic", ""))
    matches = spectra_of_topic(topic)
    if len(matches) != 1:
        raise MsdepthError(
            f"{where}: rostopic {topic!r} does not tell the spectrum; add a line `label:` with one of "
            f"{', '.join(SPECTRA)}, or any other name for a camera that is not used"
        )
    return matches[0]
