"""The launch file on the real launch and launch_ros, where they are installed; they are not on PyPI."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

# Not plain `launch`, which would also be found as this repository's folder of that name.
pytest.importorskip("launch.actions", reason="launch is not installed: it comes with a ROS 2 distribution")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed: it comes with a ROS 2 distribution")

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchService

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ament prefix in which this checkout is the installed package."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "msdepth_ros").write_text("")
    (tmp_path / "share" / "msdepth_ros").symlink_to(ROOT)
    install_executable(tmp_path, "msdepth_ros", "fused_depth")
    others = os.environ.get("AMENT_PREFIX_PATH")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}{os.pathsep}{others}" if others else str(tmp_path))
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISTRO"):
        monkeypatch.delenv(variable, raising=False)


def install_executable(prefix: Path, package: str, name: str) -> None:
    """A program that notes its command line, parameter files and environment, and ends."""
    executable = prefix / "lib" / package / name
    executable.parent.mkdir(parents=True)
    executable.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do echo "$word"; case "$word" in *launch_params*) cat "$word";; esac; done > "$0.seen"\n'
        'env > "$0.env"\n'
    )
    executable.chmod(0o755)


def launch_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fused_depth_launch", ROOT / "launch" / "fused_depth.launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def actions(**arguments: str) -> list[Any]:
    """What the launch file would do with these arguments."""
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    found: list[Any] = []
    for entity in launch_file().generate_launch_description().entities:
        if isinstance(entity, OpaqueFunction):
            found += entity.execute(context) or []
        else:
            entity.execute(context)
    return found


def run(**arguments: str) -> None:
    """Launches for real."""
    source = PythonLaunchDescriptionSource(str(ROOT / "launch" / "fused_depth.launch.py"))
    service = LaunchService()
    service.include_launch_description(
        LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments.items())])
    )
    assert service.run() == 0


def seen(prefix: Path, package: str = "msdepth_ros", name: str = "fused_depth") -> str:
    """The words that a program was started with, in one line."""
    return " ".join((prefix / "lib" / package / f"{name}.seen").read_text().split())


def test_every_argument_is_described() -> None:
    description = launch_file().generate_launch_description()
    arguments = {one.name: one for one in description.entities if isinstance(one, DeclareLaunchArgument)}
    assert set(arguments) >= {
        "params_file", "namespace", "use_sim_time", "log_level", "autostart", "model", "reference", "image_transport",
        "rviz", "points", "transport", "rgb_image", "nir_camera_info", "thermal_image",
    }  # fmt: skip
    assert all(len(argument.description) > 9 for argument in arguments.values())


def test_by_default_the_parameter_file_decides(tmp_path: Path) -> None:
    run()
    line = seen(tmp_path)
    assert f"--params-file {tmp_path}/share/msdepth_ros/config/fused_depth.yaml" in line
    assert "use_sim_time: false" in line
    for untouched in ("autostart", "reference", "model.path", "calibration.source"):
        assert untouched not in line


def test_arguments_become_parameters_and_remappings(tmp_path: Path) -> None:
    run(
        namespace="front", use_sim_time="true", log_level="debug", autostart="false", model="/m/x.onnx",
        reference="nir", image_transport="compressed", calibration_file="/c/rig.yaml", rgb_image="/cam/image_raw",
    )  # fmt: skip
    line = seen(tmp_path)
    for expected in (
        "__ns:=/front", "use_sim_time: true", "--log-level fused_depth:=debug", "autostart: false",
        "model.path: /m/x.onnx", "reference: nir", "image_transport: compressed", "calibration.file: /c/rig.yaml",
        "calibration.source: file", "rgb/image:=/cam/image_raw", "nir/image:=nir/image",
    ):  # fmt: skip
        assert expected in line


@pytest.mark.parametrize("argument", ["autostart", "rviz", "points", "use_sim_time", "reference", "transport"])
def test_nonsense_is_refused(argument: str) -> None:
    with pytest.raises(RuntimeError, match=f'"{argument}" provided value "perhaps" is not valid'):
        actions(**{argument: "perhaps"})


@pytest.mark.parametrize(("transport", "local"), [("vehicle", False), ("host_only", True)])
def test_transport_settings_reach_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str, local: bool
) -> None:
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    run(transport=transport)
    lines = (tmp_path / "lib" / "msdepth_ros" / "fused_depth.env").read_text().splitlines()
    profiles = [Path(line.partition("=")[2]) for line in lines if line.startswith("FASTDDS_DEFAULT_PROFILES_FILE=")]
    assert [path.name.removesuffix("_small.xml").removesuffix(".xml") for path in profiles] == [f"fastdds_{transport}"]
    assert profiles[0].is_file()
    assert ("ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in lines) == local


def test_too_little_shared_memory_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=64 << 20))
    assert [type(one) for one in actions()] == [LogInfo, SetEnvironmentVariable, Node]


def test_settings_of_the_user_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/mine.xml")
    found = actions()
    assert [type(one) for one in found] == [LogInfo, Node]


def test_default_transport_changes_nothing() -> None:
    assert [type(one) for one in actions(transport="default")] == [Node]


@pytest.mark.parametrize(("argument", "package"), [("rviz", "rviz2"), ("points", "depth_image_proc")])
def test_what_is_not_installed_is_named(argument: str, package: str) -> None:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        with pytest.raises(RuntimeError, match=f"{argument}:=true needs {package}"):
            actions(**{argument: "true"})
    else:
        assert sum(isinstance(one, Node) for one in actions(**{argument: "true"})) == 2


def test_rviz_and_points_follow_namespace_and_remappings(tmp_path: Path) -> None:
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    for package, executable in (("rviz2", "rviz2"), ("depth_image_proc", "point_cloud_xyz_node")):
        (index / package).write_text("")
        install_executable(tmp_path, package, executable)
    run(rviz="true", points="true", namespace="front", nir_image="/n")
    rviz, points = seen(tmp_path, "rviz2", "rviz2"), seen(tmp_path, "depth_image_proc", "point_cloud_xyz_node")
    assert "/nir/image:=/n" in rviz
    assert "/fused_depth/depth/image:=fused_depth/depth/image" in rviz
    assert "rviz/fused_depth.rviz" in rviz
    assert "image_rect:=fused_depth/depth/image" in points
    assert "__ns:=/front" in rviz
    assert "__ns:=/front" in points


@pytest.mark.skipif(importlib.util.find_spec("ros2launch") is None, reason="ros2launch is not installed")
def test_ros2_launch_shows_the_arguments() -> None:
    shown = subprocess.run(["ros2", "launch", "msdepth_ros", "fused_depth.launch.py", "--show-args"],
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "'params_file':" in shown.stdout
