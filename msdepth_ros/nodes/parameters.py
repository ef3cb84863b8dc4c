"""The parameters of the fused_depth node: one table, and the validated settings read from it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA, in_canonical_order

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

    def descriptor(self) -> ParameterDescriptor:
        """Returns the row as ROS describes parameters, shown by ``ros2 param describe``."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description, read_only=not self.live)
        if self.choices:
            descriptor.additional_constraints = self.expected
        if self.limits and isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.limits[0], to_value=self.limits[1])]
        elif self.limits:
            descriptor.integer_range = [IntegerRange(from_value=int(self.limits[0]), to_value=int(self.limits[1]))]
        return descriptor

    def check(self, value: Any) -> None:  # noqa: ANN401  ROS parameters are of any of nine types
        """Raises MsdepthError where a value is of the wrong type or not allowed."""
        if type(value) is type(self.default):
            values = value if isinstance(value, list) else [value]
            good_choice = not self.choices or (values and all(item in self.choices for item in values))
            if good_choice and (self.limits is None or self.limits[0] <= value <= self.limits[1]):
                return
        raise MsdepthError(f"parameter {self.name} is {value!r}; it must be {self.expected}")


PARAMETERS = (
    ParameterSpec("reference", "rgb", "Camera whose optical frame and time stamps the depth has.", choices=SPECTRA),
    ParameterSpec("spectra", list(SPECTRA), "Cameras this vehicle has.", choices=SPECTRA),
    ParameterSpec("image_transport", "raw", "raw subscribes <spectrum>/image, compressed <spectrum>/image/compressed.",
                  choices=("raw", "compressed")),
    ParameterSpec("nir.bits", 16, "Significant bits of 16-bit NIR images, where a camera delivers fewer.",
                  limits=(8, 16)),
    ParameterSpec("model.path", "", "ONNX model; empty takes the one that ships with the package."),
    ParameterSpec("model.providers", "auto", "ONNX Runtime execution providers, best first and comma-separated; "
                  "auto takes TensorRT, CUDA, CPU, whatever is there."),
    ParameterSpec("model.cache_dir", "", "Folder for engines that a provider builds; empty keeps none."),
    ParameterSpec("sync.policy", "spectral", "spectral goes on when cameras stop; exact and approximate are those of "
                  "message_filters and need all cameras.", choices=POLICIES),
    ParameterSpec("sync.tolerance_s", 0.04, "Largest difference of the stamps in one set, seconds.", limits=(0.0, 1.0)),
    ParameterSpec("sync.deadline_s", 0.06, "Longest wait for missing images after a set's first, seconds.",
                  limits=(0.0, 2.0)),
    ParameterSpec("sync.stale_after_s", 0.5, "A camera silent for longer is not waited for, seconds; more than the "
                  "slowest camera's period.", limits=(0.0, 60.0)),
    *(ParameterSpec(f"sync.offset_s.{spectrum}", 0.0, f"Added to the stamps of the {spectrum} images, seconds.",
                    limits=(-1.0, 1.0)) for spectrum in SPECTRA),
    ParameterSpec("calibration.source", "tf", "tf takes camera poses from /tf_static, file from calibration.file.",
                  choices=("tf", "file")),
    ParameterSpec("calibration.file", "", "Kalibr camchain YAML with the cameras' poses; needed for source file."),
    ParameterSpec("depth.min_m", 0.5, "Nearer depth is published as NaN, metres.", limits=(0.0, 1000.0), live=True),
    ParameterSpec("depth.max_m", 80.0, "Depth from here on is published as +Inf, metres.", limits=(1.0, 1000.0),
                  live=True),
    ParameterSpec("output.min_confidence", 0.0, "Depth of lower confidence is published as NaN.", limits=(0.0, 1.0),
                  live=True),
    ParameterSpec("autostart", True, "Configure and activate at start; false leaves it to a lifecycle manager."),
)  # fmt: skip
"""Every parameter of the node, in the order of config/fused_depth.yaml."""

_SPECS = {spec.name: spec for spec in PARAMETERS}
_FOREIGN = ("qos_overrides.", "use_sim_time", "start_type_description_service", "diagnostic_updater.")


@dataclass(frozen=True)
class Settings:
    """The node's parameters, validated together. Durations are seconds, depths metres."""

    reference: str
    spectra: tuple[str, ...]
    image_transport: str
    nir_bits: int
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
    depth_min_m: float
    depth_max_m: float
    output_min_confidence: float
    autostart: bool

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Builds the settings from one value for each parameter of the table.

        Raises:
            MsdepthError: a value is not allowed, or two contradict each other.
        """
        for name, value in values.items():
            _SPECS[name].check(value)
        plain = {name.replace(".", "_"): value for name, value in values.items() if ".offset_s." not in name}
        plain["spectra"] = in_canonical_order(values["spectra"])
        offsets = {spectrum: float(values[f"sync.offset_s.{spectrum}"]) for spectrum in SPECTRA}
        settings = cls(sync_offset_s=offsets, **plain)
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        if self.reference not in self.spectra:
            raise MsdepthError(f"parameter reference is {self.reference!r}, which is not in spectra {self.spectra}")
        if self.depth_min_m >= self.depth_max_m:
            raise MsdepthError(f"depth.min_m ({self.depth_min_m}) must be below depth.max_m ({self.depth_max_m})")
        if self.calibration_source == "file" and not self.calibration_file:
            raise MsdepthError("calibration.source is file: set calibration.file to a Kalibr camchain YAML")

    @property
    def providers(self) -> str | list[str]:
        """The providers as the engine takes them."""
        if self.model_providers == "auto":
            return "auto"
        return [name.strip() for name in self.model_providers.split(",") if name.strip()]


def declare_parameters(node: Node, on_change: Callable[[Settings], None]) -> Settings:
    """Declares the table on a node, refuses what the user set wrongly, and keeps refusing it while the node runs.

    Args:
        node: to declare on.
        on_change: called with the new settings when a live parameter changed.

    Raises:
        MsdepthError: an unknown parameter, or a value of the wrong type or out of range.
    """
    _refuse_bad_overrides(node)
    for spec in PARAMETERS:
        node.declare_parameter(spec.name, spec.default, spec.descriptor())
    settings = read_settings(node)
    node.add_on_set_parameters_callback(lambda changes: _change(node, changes, on_change))
    return settings


def read_settings(node: Node) -> Settings:
    """Reads the declared parameters.

    Raises:
        MsdepthError: they contradict each other.
    """
    return Settings.from_values({spec.name: node.get_parameter(spec.name).value for spec in PARAMETERS})


def _refuse_bad_overrides(node: Node) -> None:
    """Checks what the command line and parameter files set.

    rclpy ignores overrides that nobody declares, so a misspelt name would silently do nothing.
    """
    for name, override in node._parameter_overrides.items():  # noqa: SLF001  there is no public list of them
        if name in _SPECS:
            _SPECS[name].check(override.value)
        elif not name.startswith(_FOREIGN):
            close = difflib.get_close_matches(name, _SPECS, n=1)
            hint = f"did you mean {close[0]}?" if close else "see config/fused_depth.yaml for those there are"
            raise MsdepthError(f"unknown parameter {name}; {hint}")


def _change(node: Node, changes: Sequence[Parameter], on_change: Callable[[Settings], None]) -> SetParametersResult:
    """Accepts changes after which all settings still hold together."""
    values = {spec.name: node.get_parameter(spec.name).value for spec in PARAMETERS}
    values.update({change.name: change.value for change in changes if change.name in _SPECS})
    try:
        settings = Settings.from_values(values)
    except MsdepthError as error:
        return SetParametersResult(successful=False, reason=str(error))
    on_change(settings)
    return SetParametersResult(successful=True)
