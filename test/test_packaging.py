"""The files that colcon, rosdep and pip read agree with each other and with the code."""

import ast
import re
import runpy
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import msdepth_ros

ROOT = Path(__file__).resolve().parents[1]

# Imported package: rosdep key, for what is no ROS package of the same name.
ROSDEP_KEYS = {
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "onnxruntime": "python3-onnxruntime-pip",
    "yaml": "python3-yaml",
}
# No rosdep key exists, or only one verb needs them and says so: installed by pip.
PIP_ONLY = {"rosbags", "backports", "compression", "lz4", "jinja2", "markupsafe", "plotly", "pyarrow", "ray"}
NOT_ON_PYPI = {"cv_bridge", "message_filters", "tf2_msgs", "tf2_ros"}  # cv_bridge is, but not as a ros-* wheel
STANDARD = sys.stdlib_module_names | {"msdepth_ros"}


def canonical(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


@pytest.fixture(scope="module")
def setup_arguments() -> dict[str, Any]:
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    with mock.patch.object(setuptools, "setup") as setup, pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return dict(setup.call_args.kwargs)


def package_xml() -> ET.Element:
    return ET.parse(ROOT / "package.xml").getroot()


def third_party_imports(folder: str) -> set[str]:
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def pins() -> dict[str, list[str]]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    result: dict[str, list[str]] = {}
    for line in lines:
        result.setdefault(canonical(line), []).append(line)
    return result


def test_version_name_and_licence_are_the_same_everywhere(setup_arguments: dict[str, Any]) -> None:
    xml = package_xml()
    assert setup_arguments["version"] == xml.findtext("version") == msdepth_ros.__version__
    assert setup_arguments["name"] == xml.findtext("name") == "msdepth_ros"
    assert setup_arguments["license"] == xml.findtext("license") == "Apache-2.0"
    assert xml.findtext("export/build_type") == "ament_python"


def test_what_is_installed_into_share(setup_arguments: dict[str, Any]) -> None:
    installed = {f"{target}/{Path(path).name}" for target, paths in setup_arguments["data_files"] for path in paths}
    share = "share/msdepth_ros"
    for name in (
        "share/ament_index/resource_index/packages/msdepth_ros",
        f"{share}/package.xml",
        f"{share}/launch/fused_depth.launch.py",
        f"{share}/config/fused_depth.yaml",
        f"{share}/config/fastdds_host_only.xml",
        f"{share}/config/fastdds_vehicle.xml",
        f"{share}/models/tiny.onnx",
        f"{share}/models/tiny.json",
        f"{share}/rviz/fused_depth.rviz",
    ):
        assert name in installed
    assert not any("samples" in name for name in installed)


def test_every_package_and_data_file_of_ours_is_installed(setup_arguments: dict[str, Any]) -> None:
    packages = {".".join(path.relative_to(ROOT).parent.parts) for path in (ROOT / "msdepth_ros").rglob("*.py")}
    assert set(setup_arguments["packages"]) == packages
    for path in (ROOT / "msdepth_ros").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            package = ".".join(path.relative_to(ROOT).parent.parts)
            patterns = setup_arguments["package_data"].get(package, [])
            assert any(path.match(pattern) for pattern in patterns), f"{path} is not installed"


def test_executables_exist(setup_arguments: dict[str, Any]) -> None:
    scripts = setup_arguments["entry_points"]["console_scripts"]
    assert {script.split(" = ")[0] for script in scripts} == {"fused_depth", "player", "msdepth"}
    for script in scripts:
        module, function = script.split(" = ")[1].split(":")
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                names |= {alias.asname or alias.name for alias in node.names}
        assert function in names, f"{module} has no {function}"


def test_package_xml_names_everything_the_package_imports(setup_arguments: dict[str, Any]) -> None:
    depends = {element.text for element in package_xml() if element.tag in ("depend", "exec_depend")}
    imported = third_party_imports("msdepth_ros") | third_party_imports("launch")
    needed = {ROSDEP_KEYS.get(name, name) for name in imported - PIP_ONLY if name not in STANDARD}
    assert needed <= depends, f"add to package.xml: {sorted(needed - depends)}"
    wheels = {canonical(name) for name in setup_arguments["extras_require"]["ros"]}
    from_wheels = third_party_imports("msdepth_ros") - PIP_ONLY - STANDARD - set(ROSDEP_KEYS) - NOT_ON_PYPI
    assert {f"ros-{name.replace('_', '-')}" for name in from_wheels} <= wheels
    pip_needs = {canonical(name) for name in setup_arguments["install_requires"]}
    assert {"numpy", "onnxruntime", "opencv-python-headless", "pyyaml", "rosbags"} <= pip_needs


def test_every_requirement_is_pinned_exactly(setup_arguments: dict[str, Any]) -> None:
    pinned = pins()
    assert all(
        re.fullmatch(r"[a-z0-9-]+==[^ ;*]+( ; python_version [<>]=? \"3\.\d+\")?", line)
        for lines in pinned.values()
        for line in lines
    )
    extras = setup_arguments["extras_require"]
    optional = [name for extra in ("fleet", "report", "ros", "test") for name in extras[extra]]
    wanted = [*setup_arguments["install_requires"], *optional, "torch"]
    assert sorted({canonical(name) for name in wanted} - set(pinned)) == []
    assert pinned["torch"] == ["torch==2.13.0"]
