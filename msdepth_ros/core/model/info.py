"""What a model says about itself, in its ONNX metadata and in the card beside it, checked against the contract."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.onnx_header import read_onnx_header
from msdepth_ros.core.spectra import NORMALISATION, SPECTRA

CONTRACT_INPUTS: Mapping[str, tuple[str, ...]] = {
    "1": ("images", "intrinsics", "view_from_reference", "reference_intrinsics"),
    "2": ("images", "intrinsics", "view_from_reference", "reference_intrinsics", "spectrum", "ground_plane"),
}
"""The inputs of each version of the model contract that this release runs."""
FIRST_UNSAFE_OPSET = 20
"""From here on TensorRT silently runs GridSample as nearest."""
FIRST_USABLE_OPSET = 16
"""The first one that has GridSample."""
PACKAGE = "msdepth_ros"
DEFAULT_MODEL = Path("models", "tiny.onnx")
MODEL_VARIABLE = "MSDEPTH_MODEL"


@dataclass(frozen=True)
class ModelInfo:
    """One model file that keeps the contract.

    Attributes:
        path: The ONNX file.
        name: Short name.
        version: Version of the weights.
        contract_version: Version of the model contract.
        spectra: The spectra it was trained for, in canonical order.
        normalisation: The rule of each spectrum.
        width: Pixels of the network image.
        height: Pixels of the network image.
        min_m: Smallest depth it gives, metres.
        max_m: Largest depth it gives, metres.
        opset: Version of the ONNX operators.
        sha256: Hash of the file, hexadecimal.
        card: Content of the card beside it; empty if there is none and none was asked for.
    """

    path: Path
    name: str
    version: str
    contract_version: int
    spectra: tuple[str, ...]
    normalisation: Mapping[str, str]
    width: int
    height: int
    min_m: float
    max_m: float
    opset: int
    sha256: str
    card: Mapping[str, Any]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network is fed, by name."""
        return CONTRACT_INPUTS[str(self.contract_version)]

    @property
    def title(self) -> str:
        """Name, version and contract, for people."""
        return f"{self.name} {self.version} (contract {self.contract_version})"

    @property
    def takes_ground(self) -> bool:
        """Whether it is told where the road is."""
        return "ground_plane" in self.inputs

    def use_of_ground(self, known: object) -> str:
        """What is known of the road, for people, and whether this model uses it."""
        return str(known) if self.takes_ground else f"{known}; a model of contract {self.contract_version} takes none"


def default_model_path() -> Path:
    """Finds the model that comes with the package: in the source tree, or where it was installed.

    The environment variable MSDEPTH_MODEL overrides it.

    Raises:
        MsdepthError: There is none.
    """
    chosen = os.environ.get(MODEL_VARIABLE)
    if chosen:
        return Path(chosen)
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    shares = [prefix / "share" / PACKAGE for prefix in (*prefixes, Path(sys.prefix))]
    candidates = [folder / DEFAULT_MODEL for folder in (Path(__file__).resolve().parents[3], *shares)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise MsdepthError(f"no default model (looked for {looked}); install the package again or name a model")


def read_model(path: Path, *, verify: bool = True) -> tuple[bytes, ModelInfo]:
    """Reads a model file and checks everything that can be checked without running it.

    Args:
        path: The ONNX file.
        verify: Insist on a card whose SHA-256 is the file's.

    Returns:
        The bytes of the file, so that what was checked is what is run, and what the model says about itself.

    Raises:
        MsdepthError: Says what is wrong with the model, and where.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MsdepthError(f"model {path}: cannot be read ({error.strerror}); check the path") from error
    try:
        header = read_onnx_header(data)
        card = _read_card(path.with_suffix(".json"), required=verify)
        sha256 = hashlib.sha256(data).hexdigest()
        if verify:
            _check_card(card, path, sha256)
        return data, _model_info(path, header.metadata, header.opset, sha256, card)
    except MsdepthError as error:
        raise MsdepthError(f"model {path}: {error}") from error


def _read_card(path: Path, *, required: bool) -> dict[str, Any]:
    """Reads a card; empty if there is none and none is required."""
    if not path.is_file():
        if required:
            raise MsdepthError(f"its card {path.name} is missing; put it beside the model")
        return {}
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MsdepthError(f"its card {path.name} cannot be read: {error}") from error
    if not isinstance(card, dict):
        raise MsdepthError(f"its card {path.name} must be a JSON object")
    return card


def _check_card(card: Mapping[str, Any], path: Path, sha256: str) -> None:
    """Refuses a card that belongs to another file."""
    stated = card.get("sha256")
    if stated != sha256:
        raise MsdepthError(
            f"its SHA-256 is {sha256} but its card says {stated}; "
            "the file was changed or damaged: get model and card again"
        )
    if card.get("file", path.name) != path.name:
        raise MsdepthError(f"its card is for a file named {card['file']}; keep the name of the model")


def _model_info(path: Path, metadata: Mapping[str, str], opset: int, sha256: str, card: Mapping[str, Any]) -> ModelInfo:
    """Reads and checks the metadata."""
    contract = _text(metadata, "msdepth_contract")
    if contract not in CONTRACT_INPUTS:
        raise MsdepthError(
            f"it has contract version {contract!r} but this release knows {' and '.join(CONTRACT_INPUTS)}; "
            "use a model exported for this release"
        )
    if not FIRST_USABLE_OPSET <= opset < FIRST_UNSAFE_OPSET:
        raise MsdepthError(
            f"opset {opset} is not between {FIRST_USABLE_OPSET} and {FIRST_UNSAFE_OPSET - 1}: "
            "TensorRT silently changes what newer ones compute; export it again with opset 18"
        )
    spectra, normalisation = _spectra(metadata)
    min_m, max_m = _number(metadata, "depth_min_m"), _number(metadata, "depth_max_m")
    if not 0 < min_m < max_m:
        raise MsdepthError(f"its depth range is {min_m:g} to {max_m:g} m; it must be positive and rising")
    return ModelInfo(
        path=path,
        name=_text(metadata, "name"),
        version=_text(metadata, "version"),
        contract_version=int(contract),
        spectra=spectra,
        normalisation=normalisation,
        width=_size(metadata, "width"),
        height=_size(metadata, "height"),
        min_m=min_m,
        max_m=max_m,
        opset=opset,
        sha256=sha256,
        card=card,
    )


def _spectra(metadata: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Reads the spectra and their rules; both have to be the ones that this release computes."""
    named = [name.strip() for name in _text(metadata, "spectra").split(",")]
    unknown = [name for name in named if name not in SPECTRA]
    if unknown or len(set(named)) != len(named):
        raise MsdepthError(f"its spectra are {', '.join(named)}; this release knows {', '.join(SPECTRA)}, each once")
    try:
        rules = json.loads(_text(metadata, "normalisation"))
    except ValueError as error:
        raise MsdepthError(f"its normalisation is not JSON: {error}") from error
    spectra = tuple(name for name in SPECTRA if name in named)
    known = {name: NORMALISATION[name] for name in spectra}
    if not isinstance(rules, dict) or {name: rules.get(name) for name in spectra} != known:
        raise MsdepthError(f"its normalisation is {rules}; this release computes {known}")
    return spectra, known


def _text(metadata: Mapping[str, str], key: str) -> str:
    """Reads one entry that must be there."""
    value = metadata.get(key)
    if not value:
        raise MsdepthError(f"its metadata lack {key!r}; export it with msdepth_training")
    return value


def _number(metadata: Mapping[str, str], key: str) -> float:
    """Reads one finite number."""
    text = _text(metadata, key)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MsdepthError(f"its metadata say {key} = {text!r}, which is no number")
    return value


def _size(metadata: Mapping[str, str], key: str) -> int:
    """Reads one size in px."""
    value = _number(metadata, key)
    if value < 1 or value != int(value):
        raise MsdepthError(f"its metadata say {key} = {value:g}; it must be a whole number of px")
    return int(value)
