"""The parameter table, what is refused, and that the shipped file tells the truth about it."""

from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.node import Node
from rclpy.parameter import Parameter

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.nodes.parameters import PARAMETERS, Settings, declare_parameters
from msdepth_ros.nodes.transport import share_path

DEFAULTS = {spec.name: spec.default for spec in PARAMETERS}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_shipped_file_has_every_parameter_with_its_default() -> None:
    document = yaml.safe_load(share_path("config/fused_depth.yaml").read_text(encoding="utf-8"))
    assert flatten(document["/**/fused_depth"]["ros__parameters"]) == DEFAULTS


def test_every_row_is_described_and_its_default_allowed() -> None:
    for spec in PARAMETERS:
        spec.check(spec.default)
        assert len(spec.description) > 20
        assert spec.descriptor().read_only is not spec.live


def test_defaults_make_settings() -> None:
    settings = Settings.from_values(DEFAULTS)
    assert settings.spectra == ("rgb", "nir", "thermal")
    assert settings.sync_offset_s == {"rgb": 0.0, "nir": 0.0, "thermal": 0.0}
    assert settings.providers == "auto"


def test_spectra_come_in_canonical_order_and_providers_as_a_list() -> None:
    settings = Settings.from_values(DEFAULTS | {"spectra": ["thermal", "rgb"], "model.providers": "A, B"})
    assert settings.spectra == ("rgb", "thermal")
    assert settings.providers == ["A", "B"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": "uv"}, "parameter reference is 'uv'; it must be one of rgb, nir, thermal"),
        ({"spectra": []}, "parameter spectra"),
        ({"spectra": ["rgb", "uv"]}, "parameter spectra"),
        ({"spectra": ["nir"]}, "which is not in spectra"),
        ({"sync.tolerance_s": -0.1}, "from 0 to 1"),
        ({"sync.tolerance_s": float("nan")}, "from 0 to 1"),
        ({"sync.tolerance_s": 1}, "with a decimal point"),
        ({"sync.offset_s.nir": float("inf")}, "from -1 to 1"),
        ({"sync.policy": "fancy"}, "one of spectral, exact, approximate"),
        ({"nir.bits": 17}, "from 8 to 16"),
        ({"autostart": 1}, "true or false"),
        ({"model.path": 3}, "a string"),
        ({"depth.min_m": 90.0}, "must be below depth.max_m"),
        ({"calibration.source": "file"}, "set calibration.file"),
    ],
)
def test_refuses_bad_values(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MsdepthError, match=reason):
        Settings.from_values(DEFAULTS | changes)


def declare(**overrides: Any) -> tuple[Node, list[Settings]]:  # noqa: ANN401
    parameters = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    node = Node("fused_depth", parameter_overrides=parameters)
    changes: list[Settings] = []
    try:
        declare_parameters(node, changes.append)
    except MsdepthError:
        node.destroy_node()
        raise
    return node, changes


def test_unknown_parameters_are_refused_with_a_suggestion(ros: None) -> None:
    with pytest.raises(MsdepthError, match=r"unknown parameter sync\.tolerence_s; did you mean sync\.tolerance_s\?"):
        declare(sync__tolerence_s=0.1)
    with pytest.raises(MsdepthError, match=r"unknown parameter zzz; see config/fused_depth\.yaml"):
        declare(zzz=0.1)


def test_bad_overrides_are_refused(ros: None) -> None:
    with pytest.raises(MsdepthError, match=r"parameter sync\.deadline_s is 9\.0"):
        declare(sync__deadline_s=9.0)


def test_parameters_of_ros_itself_are_let_through(ros: None) -> None:
    node, _ = declare(use_sim_time=False, **{"qos_overrides./rgb/image.subscription.depth": 2})
    node.destroy_node()


def test_live_parameters_change_and_the_rest_is_read_only(ros: None) -> None:
    node, changes = declare()
    results = node.set_parameters(
        [
            Parameter("depth.max_m", value=50.0),
            Parameter("depth.min_m", value=60.0),
            Parameter("output.min_confidence", value=2.0),
            Parameter("reference", value="nir"),
        ]
    )
    assert [result.successful for result in results] == [True, False, False, False]
    assert "must be below depth.max_m" in results[1].reason
    assert "read-only" in results[3].reason
    assert [settings.depth_max_m for settings in changes] == [50.0]
    node.destroy_node()
