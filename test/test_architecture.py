"""Who may import whom, and how long a module or function may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40

ROS = (
    "rclpy",
    "*_msgs",
    "std_srvs",
    "builtin_interfaces",
    "rosidl_runtime_py",
    "message_filters",
    "cv_bridge",
    "tf2_ros",
    "ament_index_python",
    "launch",
    "launch_ros",
)
TRAINING = ("torch", "msdepth_training")

# Folder: top-level packages, or modules of ours, that it must not import. Arrows point towards core.
FORBIDDEN = {
    "msdepth_ros/core": (*ROS, *TRAINING, "rosbags", "msdepth_ros.nodes", "msdepth_ros.replay", "msdepth_ros.demo")
    + ("msdepth_ros.cli",),
    "msdepth_ros/replay": (*ROS, *TRAINING, "msdepth_ros.nodes", "msdepth_ros.demo", "msdepth_ros.cli"),
    "msdepth_ros": TRAINING,
    "training/msdepth_training": (*ROS, "msdepth_ros.nodes", "msdepth_ros.demo", "msdepth_ros.cli"),
}

# Path, or path:function: the reason for which it may be longer.
LONGER: dict[str, str] = {}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def product_sources() -> list[Path]:
    launch = sources("launch") if (ROOT / "launch").exists() else []
    return [*sources("msdepth_ros"), *sources("training/msdepth_training"), *launch]


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, also inside functions and by importlib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def is_forbidden(module: str, rules: tuple[str, ...]) -> bool:
    top = module.split(".")[0]
    return any(
        top.endswith(rule[1:]) if rule.startswith("*") else module == rule or module.startswith(f"{rule}.")
        for rule in rules
    )


def bad_imports(text: str, package: str, rules: tuple[str, ...]) -> list[str]:
    found = imported_modules(ast.parse(text), package)
    return [f"line {line}: {module}" for line, module in found if is_forbidden(module, rules)]


def lengths(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, lines and limit of the module (name empty) and of each function."""
    yield "", len(text.splitlines()), MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1, MAX_FUNCTION_LINES


def too_long(path: str, text: str) -> dict[str, str]:
    return {
        f"{path}:{name}" if name else path: f"{lines} lines, at most {limit}"
        for name, lines, limit in lengths(text)
        if lines >= limit
    }


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_towards_core(folder: str) -> None:
    paths = sources(folder)
    assert paths, f"{folder} has no sources"
    bad = {}
    for path in paths:
        package = ".".join(path.relative_to(ROOT).parent.parts).removeprefix("training.")
        found = bad_imports(path.read_text(), package, FORBIDDEN[folder])
        if found:
            bad[str(path.relative_to(ROOT))] = found
    assert not bad


def test_core_loads_neither_ros_nor_torch() -> None:
    names = [f"msdepth_ros.core.{path.stem}" for path in sources("msdepth_ros/core") if path.stem != "__init__"]
    code = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = result.stdout.split()
    assert "msdepth_ros.core.camera" in loaded
    assert [name for name in loaded if is_forbidden(name, FORBIDDEN["msdepth_ros/core"])] == []


def test_modules_and_functions_are_short() -> None:
    found = {}
    for path in product_sources():
        found.update(too_long(str(path.relative_to(ROOT)), path.read_text()))
    assert {name: size for name, size in found.items() if name not in LONGER} == {}
    assert sorted(set(LONGER) - set(found)) == [], "no longer too long: take it off the list"


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ("import rclpy.node", "rclpy.node"),
        ("from sensor_msgs.msg import Image", "sensor_msgs.msg.Image"),
        ("def f():\n    from torch import nn", "torch.nn"),
        ("from ..nodes import transport", "msdepth_ros.nodes.transport"),
        ("from msdepth_ros import replay", "msdepth_ros.replay"),
        ("from .. import cli", "msdepth_ros.cli"),
        ("import importlib\nimportlib.import_module('rosbags.rosbag2')", "rosbags.rosbag2"),
    ],
)
def test_a_planted_import_is_caught(planted: str, caught: str) -> None:
    found = bad_imports(planted, "msdepth_ros.core", FORBIDDEN["msdepth_ros/core"])
    assert [entry.split(": ")[1] for entry in found] == [caught]


def test_allowed_imports_are_not_caught() -> None:
    text = "import numpy\nfrom . import errors\nfrom msdepth_ros.core.errors import MsdepthError\nimport torchless"
    assert bad_imports(text, "msdepth_ros.core", FORBIDDEN["msdepth_ros/core"]) == []


def test_planted_lengths_are_caught() -> None:
    body = "    x = 1\n" * 38
    assert too_long("a.py", "def f():\n" + body) == {}
    assert too_long("a.py", "def f():\n" + body + "    x = 1\n") == {"a.py:f": "40 lines, at most 40"}
    assert too_long("a.py", "x = 1\n" * 299) == {}
    assert too_long("a.py", "x = 1\n" * 300) == {"a.py": "300 lines, at most 300"}
