"""The table of settings, what is refused, and that parameter files are read as the node would read them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, PARAMETERS, Settings, read_parameter_file

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "fused_depth.yaml"


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_shipped_file_has_every_parameter_with_its_default() -> None:
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    assert flatten(document["/**/fused_depth"]["ros__parameters"]) == DEFAULTS


def test_every_row_is_described_and_its_default_allowed() -> None:
    for spec in PARAMETERS:
        spec.check(spec.default)
        assert len(spec.description) > 20


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
        ({"ground.height_m": 10.5}, "from 0 to 10"),
        (
            {"ground.height_m": 1.5, "ground.pitch_deg": 40.0, "ground.roll_deg": 40.0},
            "ground.height_m: ground plane of",
        ),
        ({"ground.height_m": 1.5, "ground.frame": "base"}, "set one of them"),
        ({"ground.camera": "left"}, "parameter ground.camera is 'left', which is not in"),
        ({"publish_tf": "auto"}, "true or false"),
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


def test_the_shipped_file_is_read_as_it_is() -> None:
    assert read_parameter_file(SHIPPED) == DEFAULTS


@pytest.mark.parametrize("node", ["fused_depth", "/fused_depth", "/front/fused_depth", "/**", "/**/fused_depth", "/*"])
def test_names_of_the_node_and_wildcards_match(tmp_path: Path, node: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"{node}:\n  ros__parameters:\n    sync: {{tolerance_s: 0.02}}\n    use_sim_time: true\n")
    assert read_parameter_file(path) == {"sync.tolerance_s": 0.02}


def test_parameters_of_other_nodes_are_left_alone_and_later_ones_win(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "/**:\n  ros__parameters: {reference: nir, depth.max_m: 50.0}\n"
        "driver:\n  ros__parameters: {gain: 3}\n"
        "front:\n  fused_depth:\n    ros__parameters: {reference: thermal}\n"
    )
    assert read_parameter_file(path) == {"reference": "thermal", "depth.max_m": 50.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fused_depth:\n  ros__parameters: {sync.tolerence_s: 0.1}", r"did you mean sync\.tolerance_s"),
        ("fused_depth:\n  ros__parameters: {depth.max_m: 50}", "with a decimal point"),
        ("driver:\n  ros__parameters: {gain: 3}", "sets no `ros__parameters` of a node named fused_depth"),
        ("- 1", "sets no `ros__parameters`"),
        ("a: [", "not valid YAML"),
    ],
)
def test_bad_parameter_files_are_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(MsdepthError, match=f"params.yaml.*{reason}"):
        read_parameter_file(path)


def test_a_missing_parameter_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match="nowhere.yaml: cannot read"):
        read_parameter_file(tmp_path / "nowhere.yaml")
