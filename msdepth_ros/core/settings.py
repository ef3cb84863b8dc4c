"""The settings of the pipeline: one table, which the node declares as ROS parameters and a replay reads from YAML."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msdepth_ros.core.camera.ground import MAX_HEIGHT_M, MAX_TILT_DEG, GroundSource
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.health.findings import Thresholds
from msdepth_ros.core.safe_yaml import load_yaml
from msdepth_ros.core.spectra import SPECTRA, in_canonical_order
from msdepth_ros.core.sync.synchronizer import SynchronizerConfig

S = 1_000_000_000
SAME = "same"
"""Value of ``image_transport.<spectrum>`` that takes the one of all cameras."""
POLICIES = ("spectral", "exact", "approximate")
"""Values of ``sync.policy``; all but the first use the message_filters package and need every spectrum."""


@dataclass(frozen=True)
class ParameterSpec:
    """One row of the table.

    Attributes:
        name: dotted name.
        default: also fixes the type.
        description: one sentence with the unit.
        limits: lowest and highest value allowed, for numbers.
        choices: the allowed strings; empty allows any.
        live: may be changed while the node runs; the others are read-only.
    """

    name: str
    default: bool | int | float | str | list[str]
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def expected(self) -> str:
        """What a value must be, for people."""
        kind = {bool: "true or false", int: "an integer", float: "a number with a decimal point (1.0, not 1)",
                str: "a string", list: "a list"}[type(self.default)]  # fmt: skip
        if self.limits:
            kind += f" from {self.limits[0]:g} to {self.limits[1]:g}"
        if self.choices:
            kind = f"a list of {', '.join(self.choices)}" if kind == "a list" else f"one of {', '.join(self.choices)}"
        return kind

    def check(self, value: Any) -> None:
        """Tells whether a value may be used.

        Raises:
            MsdepthError: It is of the wrong type, or not allowed.
        """
        if type(value) is type(self.default):
            number: Any = value
            values = value if isinstance(value, list) else [value]
            good_choice = not self.choices or (values and all(item in self.choices for item in values))
            if good_choice and (self.limits is None or self.limits[0] <= number <= self.limits[1]):
                return
        raise MsdepthError(f"parameter {self.name} is {value!r}; it must be {self.expected}")


PARAMETERS = (
    ParameterSpec("reference", "rgb", "Camera whose optical frame and time stamps the depth has.", choices=SPECTRA),
    ParameterSpec("spectra", list(SPECTRA), "Cameras this vehicle has.", choices=SPECTRA),
    ParameterSpec("image_transport", "raw", "raw subscribes <spectrum>/image, compressed <spectrum>/image/compressed.",
                  choices=("raw", "compressed")),
    *(ParameterSpec(f"image_transport.{spectrum}", SAME, f"The same for the {spectrum} camera alone, where it "
                    "differs.", choices=(SAME, "raw", "compressed")) for spectrum in SPECTRA),
    ParameterSpec("rgb.bits", 16, "Significant bits of 16-bit RGB images, Bayer ones included, where a camera delivers "
                  "fewer.", limits=(8, 16)),
    ParameterSpec("nir.bits", 16, "Significant bits of 16-bit NIR images, where a camera delivers fewer.",
                  limits=(8, 16)),
    ParameterSpec("model.path", "", "ONNX model; empty takes the one that ships with the package."),
    ParameterSpec("model.providers", "auto", "ONNX Runtime execution providers, best first and comma-separated; "
                  "auto takes TensorRT, CUDA, CPU, whatever is there."),
    ParameterSpec("model.cache_dir", "", "Folder for engines that a provider builds; empty keeps none."),
    ParameterSpec("sync.policy", "spectral", "spectral goes on when cameras stop; exact and approximate are those of "
                  "message_filters and need all cameras.", choices=POLICIES),
    ParameterSpec("sync.tolerance_s", 0.04, "Largest difference of the stamps in one set, seconds.", limits=(0.0, 1.0),
                  live=True),
    ParameterSpec("sync.deadline_s", 0.06, "Longest wait for missing images after a set's first, seconds.",
                  limits=(0.0, 2.0), live=True),
    ParameterSpec("sync.stale_after_s", 0.5, "A camera silent for longer is not waited for, seconds; more than the "
                  "slowest camera's period.", limits=(0.0, 60.0), live=True),
    *(ParameterSpec(f"sync.offset_s.{spectrum}", 0.0, f"Added to the stamps of the {spectrum} images, seconds.",
                    limits=(-1.0, 1.0), live=True) for spectrum in SPECTRA),
    ParameterSpec("calibration.source", "tf", "tf takes camera poses from /tf_static, file from calibration.file.",
                  choices=("tf", "file")),
    ParameterSpec("calibration.file", "", "Kalibr camchain YAML with the cameras' poses; needed for source file."),
    ParameterSpec("ground.frame", "", "tf frame on the road, z up, such as base_footprint; empty for none."),
    ParameterSpec("ground.height_m", 0.0, "Height of ground.camera above the road, metres; 0 where it is not known.",
                  limits=(0.0, MAX_HEIGHT_M), live=True),
    ParameterSpec("ground.camera", "", "Camera that ground.height_m and the angles are of; empty for the reference."),
    ParameterSpec("ground.pitch_deg", 0.0, "How far that camera looks down, degrees.",
                  limits=(-MAX_TILT_DEG, MAX_TILT_DEG), live=True),
    ParameterSpec("ground.roll_deg", 0.0, "How far that camera leans to its right, degrees.",
                  limits=(-MAX_TILT_DEG, MAX_TILT_DEG), live=True),
    ParameterSpec("publish_tf", True, "Broadcast the camera frames of calibration.file, and a frame on the road where "
                  "the ground plane is not from tf, on /tf_static."),
    ParameterSpec("depth.min_m", 0.5, "Nearer depth is published as NaN, metres.", limits=(0.0, 1000.0), live=True),
    ParameterSpec("depth.max_m", 80.0, "Depth from here on is published as +Inf, metres.", limits=(1.0, 1000.0),
                  live=True),
    ParameterSpec("output.min_confidence", 0.0, "Depth of lower confidence is published as NaN.", limits=(0.0, 1.0),
                  live=True),
    ParameterSpec("health.leave_out", True, "Leave black, overexposed, flat and frozen images out of their set.",
                  live=True),
    ParameterSpec("health.confirm_images", 2, "Images in a row that must show a fault before it is reported.",
                  limits=(1, 100), live=True),
    ParameterSpec("health.clear_images", 2, "Images in a row without the fault after which it is over.",
                  limits=(1, 100), live=True),
    ParameterSpec("health.silent_after_s", 0.7, "A camera without any usable image for longer is silent, seconds; more "
                  "than the slowest camera's period.", limits=(0.01, 60.0), live=True),
    ParameterSpec("health.min_rate_hz", 2.0, "A camera below is too slow, images per second.", limits=(0.0, 1000.0),
                  live=True),
    ParameterSpec("health.min_rate_share", 0.7, "A camera below this share of its own usual rate is too slow.",
                  limits=(0.0, 1.0), live=True),
    ParameterSpec("health.frozen_after_s", 0.5, "The same picture under new stamps for this long is frozen, seconds.",
                  limits=(0.01, 60.0), live=True),
    ParameterSpec("health.black_level", 0.02, "Black: 99 of 100 pixels are not brighter, share of full scale; thermal "
                  "images only where they are 0.", limits=(0.0, 1.0), live=True),
    ParameterSpec("health.overexposed_share", 0.75, "Overexposed: at least this share of the pixels is at full scale.",
                  limits=(0.01, 1.0), live=True),
    ParameterSpec("health.flat_contrast", 0.02, "Flat: 1st and 99th percentile are not further apart, share of full "
                  "scale; 8-bit thermal images, too.", limits=(0.0, 1.0), live=True),
    ParameterSpec("health.flat_thermal_counts", 30.0, "The same for 16-bit thermal images, counts.",
                  limits=(0.0, 65535.0), live=True),
    ParameterSpec("health.noise_ratio", 3.0, "Noisy: this many times the noise that the camera usually has.",
                  limits=(1.0, 1000.0), live=True),
    ParameterSpec("health.blur_ratio", 0.35, "Blurred: edges have only this share of their usual sharpness.",
                  limits=(0.0, 1.0), live=True),
    ParameterSpec("health.stamp_jump_s", 0.5, "Stamps that advance by so much more or less than the time that passed "
                  "have jumped, seconds.", limits=(0.001, 3600.0), live=True),
    ParameterSpec("health.skew_s", 0.25, "Stamps this far from those of the other cameras at the same moment are "
                  "skewed, seconds.", limits=(0.001, 3600.0), live=True),
    ParameterSpec("health.unmatched_share", 0.3, "Unmatched: more than this share of the images of the last second get "
                  "into no set.", limits=(0.0, 1.0), live=True),
    ParameterSpec("watchdog.silence_s", 2.0, "After this long without any depth the log says why, seconds.",
                  limits=(0.1, 3600.0), live=True),
    ParameterSpec("autostart", True, "Configure and activate at start; false leaves it to a lifecycle manager."),
)  # fmt: skip
"""Every parameter of the node, in the order of config/fused_depth.yaml."""

_BITS = {spectrum: f"{spectrum}.bits" for spectrum in ("rgb", "nir")}
_SPECS = {spec.name: spec for spec in PARAMETERS}
_FOREIGN = ("qos_overrides.", "use_sim_time", "start_type_description_service", "diagnostic_updater.")
NODE_NAME = "fused_depth"


@dataclass(frozen=True)
class Settings:
    """The node's parameters, validated together. Durations are seconds, depths metres.

    What belongs to one camera is by spectrum: `image_transports`, `bits` (of 16-bit images), `sync_offset_s`.
    """

    reference: str
    spectra: tuple[str, ...]
    image_transport: str
    image_transports: dict[str, str]
    bits: dict[str, int]
    model_path: str
    model_providers: str
    model_cache_dir: str
    sync_policy: str
    sync_tolerance_s: float
    sync_deadline_s: float
    sync_stale_after_s: float
    sync_offset_s: dict[str, float]
    calibration_source: str
    calibration_file: str
    ground: GroundSource
    publish_tf: bool
    depth_min_m: float
    depth_max_m: float
    output_min_confidence: float
    health: Thresholds
    watchdog_silence_s: float
    autostart: bool

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Builds the settings from one value for each parameter of the table.

        Raises:
            MsdepthError: a value is not allowed, or two contradict each other.
        """
        for name, value in values.items():
            _SPECS[name].check(value)
        limits = {name.split(".")[1]: value for name, value in values.items() if name.startswith("health.")}
        ground = {name.split(".")[1]: value for name, value in values.items() if name.startswith("ground.")}
        grouped = ("sync.offset_s.", "health.", "ground.", "image_transport.", *_BITS.values())
        plain = {name.replace(".", "_"): value for name, value in values.items() if not name.startswith(grouped)}
        plain["spectra"] = in_canonical_order(values["spectra"])
        offsets = {spectrum: float(values[f"sync.offset_s.{spectrum}"]) for spectrum in SPECTRA}
        own = {name: values[f"image_transport.{name}"] for name in SPECTRA}
        transports = {name: values["image_transport"] if one == SAME else one for name, one in own.items()}
        bits = {name: values[parameter] for name, parameter in _BITS.items()}
        settings = cls(
            sync_offset_s=offsets,
            ground=GroundSource(**ground),
            health=Thresholds(**limits),
            image_transports=transports,
            bits=bits,
            **plain,
        )
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        if self.reference not in self.spectra:
            raise MsdepthError(f"parameter reference is {self.reference!r}, which is not in spectra {self.spectra}")
        if self.depth_min_m >= self.depth_max_m:
            raise MsdepthError(f"depth.min_m ({self.depth_min_m}) must be below depth.max_m ({self.depth_max_m})")
        if self.calibration_source == "file" and not self.calibration_file:
            raise MsdepthError("calibration.source is file: set calibration.file to a Kalibr camchain YAML")
        if self.ground.frame and self.ground.height_m:
            raise MsdepthError(
                f"ground.frame is {self.ground.frame!r} and ground.height_m {self.ground.height_m:g}: set one of them"
            )
        if self.ground.camera and self.ground.camera not in self.spectra:
            raise MsdepthError(f"parameter ground.camera is {self.ground.camera!r}, which is not in {self.spectra}")
        self.ground.plane(self.reference)

    def synchronizer(self, spectra: Iterable[str] | None = None) -> SynchronizerConfig:
        """Returns how sets are built, for all cameras or for some of them."""
        present = self.spectra if spectra is None else in_canonical_order(spectra)
        return SynchronizerConfig(
            spectra=present,
            reference=self.reference,
            tolerance_ns=round(self.sync_tolerance_s * S),
            deadline_ns=round(self.sync_deadline_s * S),
            stale_after_ns=round(self.sync_stale_after_s * S),
        )

    @property
    def providers(self) -> str | list[str]:
        """The providers as the engine takes them."""
        if self.model_providers == "auto":
            return "auto"
        return [name.strip() for name in self.model_providers.split(",") if name.strip()]


DEFAULTS: Mapping[str, Any] = {spec.name: spec.default for spec in PARAMETERS}


def check_override(name: str, value: Any) -> bool:
    """Checks one parameter that somebody sets; a misspelt name would otherwise silently do nothing.

    Returns:
        Whether it is one of the table; False for those that ROS itself declares on every node.

    Raises:
        MsdepthError: Nobody knows the name, or the value is not allowed.
    """
    if name in _SPECS:
        _SPECS[name].check(value)
        return True
    if name.startswith(_FOREIGN):
        return False
    close = difflib.get_close_matches(name, _SPECS, n=1)
    hint = f"did you mean {close[0]}?" if close else "see config/fused_depth.yaml for those there are"
    raise MsdepthError(f"unknown parameter {name}; {hint}")


def read_parameter_file(path: Path) -> dict[str, Any]:
    """Reads the node's parameters out of a ROS parameter file, as the node itself would take them.

    Args:
        path: YAML with `ros__parameters` below node names; `*` and `**` in them are wildcards.

    Returns:
        The values that the file sets, by dotted name; parameters of ROS itself left out.

    Raises:
        MsdepthError: The file cannot be read, sets nothing for the node, or sets something that is not allowed.
    """
    document = load_yaml(path, "parameters", "see config/fused_depth.yaml")
    trees = list(_trees_of_node(document, "")) if isinstance(document, dict) else []
    if not trees:
        raise MsdepthError(
            f"{path}: sets no `ros__parameters` of a node named {NODE_NAME}; see config/fused_depth.yaml"
        )
    values: dict[str, Any] = {}
    for tree in trees:
        values |= dict(_flat(tree, ""))
    try:
        return {name: value for name, value in values.items() if check_override(name, value)}
    except MsdepthError as error:
        raise MsdepthError(f"{path}: {error}") from error


def _trees_of_node(tree: Mapping[Any, Any], name: str) -> Iterator[Mapping[Any, Any]]:
    """Every `ros__parameters` whose node name matches ours, in the order of the file."""
    for key, value in tree.items():
        if key == "ros__parameters":
            last = name.rstrip("/").rpartition("/")[2]
            if last in (NODE_NAME, "*", "**") and isinstance(value, dict):
                yield value
        elif isinstance(value, dict):
            yield from _trees_of_node(value, f"{name}/{key}")


def _flat(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted names."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
