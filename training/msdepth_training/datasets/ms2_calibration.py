"""MS2's calib.npy: a pickled dictionary, read without executing anything in it, and the rig that it describes."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig
from msdepth_ros.core.errors import MsdepthError
from msdepth_training.errors import TrainingError

MAX_BYTES = 1 << 20
"""A calibration has some kilobytes."""
MAX_MEMO = 100_000
ALLOWED = {
    (module, name)
    for name, modules in {
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "scalar": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "ndarray": ("numpy",),
        "dtype": ("numpy",),
    }.items()
    for module in modules
}
"""What the pickle of arrays and NumPy's numbers refers to, before and from NumPy 2. None of it is called."""
NUMBER_CODE = re.compile(r"b1|[iu][1248]|f[248]")
KEYS = ("K_rgbL", "K_nirL", "K_thrL", "R_nir2rgb", "T_nir2rgb", "R_nir2thr", "T_nir2thr")
MM_PER_M = 1000.0
MIN_OFFSET_MM = 5.0
"""The cameras are 58 and 682 mm apart. Less than this between all of them: the numbers are metres."""


class _Refused(Exception):
    """Something in a pickle that a calibration does not have; the message says what."""


class _Made:
    """What a pickle made by a call: the name of what was called, its arguments and its state. Nothing ran."""

    __slots__ = ("name", "arguments", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments, self.state = name, arguments, ()

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple):
            raise _Refused(f"a state of {self.name} that is no tuple")
        self.state = state


class _Name:
    """Stands for an allowed name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: object) -> _Made:
        return _Made(self.name, arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise _Refused(f"a state for {self.name} itself")


class _Reader(pickle.Unpickler):
    """Finds nothing but stand-ins: what is unpickled consists of these, containers, text and numbers."""

    def find_class(self, module_name: str, global_name: str) -> _Name:
        if (module_name, global_name) not in ALLOWED:
            raise _Refused(f"{module_name}.{global_name}")
        return _Name(global_name)


def read_calibration(path: Path) -> dict[str, Any]:
    """Read calib.npy.

    Nothing in the file is executed, and NumPy does not unpickle it either: a crafted dtype could make it follow
    pointers. Arrays are built here from their bytes.

    Args:
        path: the file, as `np.save` writes a dictionary.

    Returns:
        Names to arrays, numbers, texts, lists or dictionaries.

    Raises:
        TrainingError: it cannot be read, is something else, or holds anything else; the message names that.
    """
    try:
        value = _plain(_unpickle(_pickle_of(path)))
    except _Refused as error:
        raise TrainingError(
            f"{path} wants {error}, which is refused: a calibration holds only dictionaries, arrays of numbers, text "
            "and numbers; do not use this file, get the original one"
        ) from error
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}; each MS2 sequence has its calib.npy") from error
    except (ValueError, pickle.UnpicklingError, EOFError, TypeError, AttributeError, LookupError, MemoryError) as error:
        raise TrainingError(f"{path} is not a calibration as np.save writes it: {error or type(error)}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TrainingError(f"{path} holds no dictionary; give MS2's calib.npy")
    return value


def _pickle_of(path: Path) -> bytes:
    """The pickle in an .npy file of one object."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    stream = io.BytesIO(data)
    header = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(stream)
    if shape != () or dtype != np.dtype("O"):
        raise ValueError(f"it is an array {shape} of {dtype}, not one pickled dictionary")
    return stream.read()


def _unpickle(data: bytes) -> object:
    """Unpickle into stand-ins, once it is known that no opcode claims more than there is."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > MAX_MEMO:
            raise ValueError(f"its memo has an entry {argument}")
    return _Reader(io.BytesIO(data)).load()


def _plain(value: object, depth: int = 0) -> Any:
    """Plain objects for stand-ins, nested at most ten deep."""
    if depth > 10:
        raise ValueError("it is nested too deeply")
    if isinstance(value, _Made):
        return _array(value, depth) if value.name == "_reconstruct" else _scalar(value)
    if isinstance(value, dict):
        return {_plain(key, depth + 1): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (str, bytes, bool, int, float, type(None))):
        return value
    raise _Refused(f"a {type(value).__name__}")


def _array(made: _Made, depth: int) -> Any:
    """The array whose state NumPy pickled; an array of objects becomes a list of them, or the one it holds."""
    _, shape, dtype, is_fortran, content = made.state
    if isinstance(content, list):
        items = [_plain(item, depth + 1) for item in content]
        return items[0] if shape == () and len(items) == 1 else items
    return np.frombuffer(content, _number_type(dtype)).reshape(shape, order="F" if is_fortran else "C").copy()


def _scalar(made: _Made) -> Any:
    """One of NumPy's numbers."""
    if made.name != "scalar":
        raise _Refused(f"a {made.name} by itself")
    dtype, content = made.arguments
    return np.frombuffer(content, _number_type(dtype))[0]


def _number_type(made: object) -> np.dtype[Any]:
    """The dtype of a pickled one, numbers only."""
    if not isinstance(made, _Made) or made.name != "dtype":
        raise _Refused("an array without a dtype")
    code, order = made.arguments[0], made.state[1] if len(made.state) > 1 else "="
    if not isinstance(code, str) or not NUMBER_CODE.fullmatch(code) or order not in ("<", ">", "=", "|"):
        raise _Refused(f"an array of {code!r}")
    return np.dtype(order + code)


def read_rig(path: Path, sizes: Mapping[str, tuple[int, int]]) -> Rig:
    """The left cameras of a sequence and where they are.

    calib.npy has `K_rgbL`, `K_nirL`, `K_thrL` in px of the rectified images and `R_nir2rgb`, `T_nir2rgb`, `R_nir2thr`,
    `T_nir2thr` with X_rgb = R X_nir + T and T in millimetres.

    Args:
        path: calib.npy.
        sizes: width and height of the images of `rgb`, `nir` and `thermal`, px.

    Returns:
        The rig in metres, in the frame of the left RGB camera.

    Raises:
        TrainingError: the file is not usable or lacks something.
    """
    calibration = read_calibration(path)
    missing = [key for key in KEYS if key not in calibration]
    if missing:
        raise TrainingError(f"{path} lacks {', '.join(missing)}; give MS2's own calib.npy")
    rgb_from_nir, thermal_from_nir = (_transform(path, calibration, f"nir2{band}") for band in ("rgb", "thr"))
    nir_from_rgb = np.linalg.inv(rgb_from_nir)
    poses = {"rgb": np.eye(4), "nir": nir_from_rgb, "thermal": thermal_from_nir @ nir_from_rgb}
    try:
        cameras = {
            spectrum: CameraModel(f"{path}: K_{band}L", *sizes[spectrum], _numbers(path, calibration, f"K_{band}L", 9))
            for spectrum, band in (("rgb", "rgb"), ("nir", "nir"), ("thermal", "thr"))
        }
        return Rig(cameras, poses)
    except MsdepthError as error:
        text = str(error)
        raise TrainingError(text if str(path) in text else f"{path}: {text}") from error


def _transform(path: Path, calibration: dict[str, Any], name: str) -> NDArray[np.float64]:
    """4 x 4 in metres from R_name and T_name in millimetres."""
    matrix = np.eye(4)
    matrix[:3, :3] = _numbers(path, calibration, f"R_{name}", 9).reshape(3, 3)
    offset_mm = _numbers(path, calibration, f"T_{name}", 3)
    if np.linalg.norm(offset_mm) < MIN_OFFSET_MM:
        raise TrainingError(
            f"{path}: T_{name} is {np.linalg.norm(offset_mm):.3g} long; it must be in millimetres, "
            "this looks like metres"
        )
    matrix[:3, 3] = offset_mm / MM_PER_M
    return matrix


def _numbers(path: Path, calibration: dict[str, Any], key: str, count: int) -> NDArray[np.float64]:
    """So many finite numbers, flat."""
    try:
        values = np.asarray(calibration[key], np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{path}: {key} is not {count} numbers") from error
    if values.size != count or not np.isfinite(values).all():
        raise TrainingError(f"{path}: {key} must be {count} finite numbers, got {calibration[key]!r}")
    return values
