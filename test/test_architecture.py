"""Who may import whom, how many modules a folder holds, and, as a warning, how long modules and functions are."""

import ast
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_MODULES = 16
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

# Parts of msdepth_ros, lowest first: each imports from lower layers only.
LAYERS = (
    ("core",),
    ("bags",),
    ("results",),
    ("scoring", "playback", "report"),
    ("ros", "evaluation", "live"),
    ("inspection", "demo", "infer", "cli"),
)
# Arrows within a layer: the reason for each.
SIDEWAYS = {
    ("live", "ros"): "the monitor is a ROS process; it starts and ends like the others",
    ("demo", "cli"): "`python -m msdepth_ros.demo` is the subcommand; cli knows subcommands by name alone",
}
WITHOUT_ROS = ("core", "bags", "results", "scoring", "playback", "report", "evaluation", "inspection")

# Folder: top-level packages, or modules of ours, that it must not import.
FORBIDDEN = {
    **{f"msdepth_ros/{part}": (*ROS, *TRAINING) for part in WITHOUT_ROS},
    "msdepth_ros/core": (*ROS, *TRAINING, "rosbags"),
    "msdepth_ros": TRAINING,
    "training/msdepth_training": (*ROS, "msdepth_ros.ros", "msdepth_ros.live", "msdepth_ros.demo", "msdepth_ros.cli"),
}

# Module, and what it may import all the same, in a function: the reason.
EXCEPTED = {
    ("msdepth_ros/core/camera/bridge.py", "cv_bridge"): "knows encodings that we do not, for the node and bags alike",
}
# Folder, and modules or folders in it that import each other in a loop: none.
CIRCLES: dict[tuple[str, frozenset[str]], str] = {}
# Folder with more than MAX_MODULES modules: the reason. The list only gets shorter.
CROWDED = {
    "training/msdepth_training": "not divided yet",
    "training/msdepth_training/scenes": "not divided yet",
}


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


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts).removeprefix("training.")


def module_graph(root: Path) -> dict[str, set[str]]:
    """Modules below a package, each with those of them that it imports, anywhere in its text."""
    paths = {}
    for path in root.rglob("*.py"):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        paths[".".join(parts).removesuffix(".__init__")] = path
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = set()
        for _, target in imported_modules(ast.parse(path.read_text()), package):
            while target and target not in paths:
                target = target.rpartition(".")[0]
            found.add(target)
        graph[name] = found - {"", name, root.name}
    return graph


def circles(graph: Mapping[str, set[str]]) -> dict[str, set[frozenset[str]]]:
    """By folder: its modules and folders that import each other in a loop. A folder counts with all that is in it."""
    folders = {".".join(name.split(".")[:depth]) for name in graph for depth in range(1, name.count(".") + 1)}
    found: dict[str, set[frozenset[str]]] = {}
    for folder in sorted(folders):
        depth = folder.count(".") + 1
        inside: dict[str, set[str]] = {}
        for name, targets in graph.items():
            if name.startswith(f"{folder}."):
                member = name.split(".")[depth]
                others = {target.split(".")[depth] for target in targets if target.startswith(f"{folder}.")}
                inside.setdefault(member, set()).update(others - {member})
        reached = {member: reachable(inside, member) for member in inside}
        loops = {
            frozenset(other for other in reached[member] if member in reached[other])
            for member in inside
            if member in reached[member]
        }
        if loops:
            found[folder] = loops
    return found


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Everything that can be reached by one step or more."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        fresh = graph[ahead.pop()] - found
        found |= fresh
        ahead += fresh
    return found


def wrong_arrows(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports between parts of msdepth_ros that go up, or sideways without a reason."""
    layer = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    wrong = []
    for name, targets in sorted(graph.items()):
        for target in sorted(targets):
            ours, theirs = ((*module.split("."), "")[1] for module in (name, target))
            upwards = ours and theirs and ours != theirs and layer[theirs] >= layer[ours]
            if upwards and (ours, theirs) not in SIDEWAYS:
                wrong.append(f"{name} -> {target}")
    return wrong


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
def test_nothing_foreign_is_imported(folder: str) -> None:
    paths = sources(folder)
    assert paths, f"{folder} has no sources"
    bad = {}
    for path in paths:
        name = str(path.relative_to(ROOT))
        rules = tuple(rule for rule in FORBIDDEN[folder] if (name, rule) not in EXCEPTED)
        bad[name] = bad_imports(path.read_text(), package_of(path), rules)
    assert {path: found for path, found in bad.items() if found} == {}


def test_imports_point_towards_core() -> None:
    graph = module_graph(ROOT / "msdepth_ros")
    parts = {name.split(".")[1] for name in graph if "." in name}
    assert parts == {part for layer in LAYERS for part in layer}
    assert wrong_arrows(graph) == []
    arrows = {(name.split(".")[1], to.split(".")[1]) for name, targets in graph.items() for to in targets}
    assert sorted(set(SIDEWAYS) - arrows) == [], "no longer there: take it off the list"


@pytest.mark.parametrize("package", ["msdepth_ros", "training/msdepth_training"])
def test_nothing_imports_itself_by_a_detour(package: str) -> None:
    found = {
        (f"{package}{folder.removeprefix(Path(package).name).replace('.', '/')}", loop)
        for folder, loops in circles(module_graph(ROOT / package)).items()
        for loop in loops
    }
    listed = [entry for entry in CIRCLES if entry[0].startswith(package)]
    new = [entry for entry in found if not any(entry[0] == known[0] and entry[1] <= known[1] for known in listed)]
    assert new == []
    gone = [known for known in listed if not any(known[0] == entry[0] and entry[1] <= known[1] for entry in found)]
    assert gone == [], "no longer there: take it off the list"


def test_no_folder_is_crowded() -> None:
    counts: dict[str, int] = {}
    for path in product_sources():
        folder = str(path.parent.relative_to(ROOT))
        counts[folder] = counts.get(folder, 0) + (path.name != "__init__.py")
    crowded = {folder: count for folder, count in counts.items() if count > MAX_MODULES}
    assert {folder: count for folder, count in crowded.items() if folder not in CROWDED} == {}
    assert sorted(set(CROWDED) - set(crowded)) == [], "no longer crowded: take it off the list"


def test_core_loads_neither_ros_nor_torch() -> None:
    paths = [path for path in sources("msdepth_ros/core") if path.stem != "__init__"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    code = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = result.stdout.split()
    assert "msdepth_ros.core.camera.rig" in loaded
    assert [name for name in loaded if is_forbidden(name, FORBIDDEN["msdepth_ros/core"])] == []


def test_modules_and_functions_are_short() -> None:
    """Says what is long, and does not fail: a module is cut by what it is about, not by its length."""
    for path in product_sources():
        for name, size in too_long(str(path.relative_to(ROOT)), path.read_text()).items():
            warnings.warn(f"{name}: {size}", stacklevel=1)


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ("import rclpy.node", "rclpy.node"),
        ("from sensor_msgs.msg import Image", "sensor_msgs.msg.Image"),
        ("def f():\n    from torch import nn", "torch.nn"),
        ("from rosbags import rosbag2", "rosbags.rosbag2"),
        ("import importlib\nimportlib.import_module('rosbags.rosbag2')", "rosbags.rosbag2"),
    ],
)
def test_a_planted_import_is_caught(planted: str, caught: str) -> None:
    found = bad_imports(planted, "msdepth_ros.core", FORBIDDEN["msdepth_ros/core"])
    assert [entry.split(": ")[1] for entry in found] == [caught]


@pytest.mark.parametrize(
    ("name", "text", "arrow"),
    [
        ("core/a.py", "from ..bags import bag", "msdepth_ros.core.a -> msdepth_ros.bags"),
        ("ros/a.py", "from msdepth_ros import evaluation", "msdepth_ros.ros.a -> msdepth_ros.evaluation"),
        (
            "evaluation/a.py",
            "def f():\n    from msdepth_ros.ros import b",
            "msdepth_ros.evaluation.a -> msdepth_ros.ros",
        ),
        ("live/a.py", "from .. import ros", ""),
        ("demo/a.py", "import msdepth_ros.core", ""),
    ],
)
def test_a_planted_arrow_is_caught(tmp_path: Path, name: str, text: str, arrow: str) -> None:
    for part in ("core", "bags", "ros", "evaluation", "live", "demo"):
        (tmp_path / "msdepth_ros" / part).mkdir(parents=True)
        (tmp_path / "msdepth_ros" / part / "__init__.py").touch()
    (tmp_path / "msdepth_ros" / "__init__.py").touch()
    (tmp_path / "msdepth_ros" / name).write_text(text)
    assert wrong_arrows(module_graph(tmp_path / "msdepth_ros")) == ([arrow] if arrow else [])


def test_planted_circles_are_caught() -> None:
    modules = {"p.a": {"p.b"}, "p.b": {"p.a"}, "p.c": {"p.a"}}
    assert circles(modules) == {"p": {frozenset({"a", "b"})}}
    folders = {"p.x.a": {"p.y.b"}, "p.y.b": set(), "p.y.c": {"p.x.d"}, "p.x.d": set()}
    assert circles(folders) == {"p": {frozenset({"x", "y"})}}
    assert circles({"p.x.a": {"p.y.b", "p.x.c"}, "p.y.b": set(), "p.x.c": set()}) == {}


def test_allowed_imports_are_not_caught() -> None:
    text = "import numpy\nfrom . import errors\nfrom msdepth_ros.core.errors import MsdepthError\nimport torchless"
    assert bad_imports(text, "msdepth_ros.core", FORBIDDEN["msdepth_ros/core"]) == []


def test_planted_lengths_are_caught() -> None:
    body = "    x = 1\n" * 38
    assert too_long("a.py", "def f():\n" + body) == {}
    assert too_long("a.py", "def f():\n" + body + "    x = 1\n") == {"a.py:f": "40 lines, at most 40"}
    assert too_long("a.py", "x = 1\n" * 299) == {}
    assert too_long("a.py", "x = 1\n" * 300) == {"a.py": "300 lines, at most 300"}
