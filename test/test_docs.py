"""What the pages say of commands, parameters, topics, launch arguments and files is what the code has."""

import ast
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.core.sync.synchronizer import SpectralSynchronizer, SynchronizerConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "samples").glob("*.md")])
}
README = PAGES["README.md"]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
TOP_FOLDERS = {"msdepth_ros", "launch", "config", "models", "samples", "test", "docs", "training", "rviz", "resource"}


def commands(text: str) -> list[str]:
    """Shell lines of a page: those of bash blocks, continued ones joined, and code within the text."""
    lines = [
        line.split("  #")[0].strip()
        for language, block in FENCE.findall(text)
        if language == "bash"
        for line in re.sub(r"\\\n\s*", "", block).splitlines()
    ]
    return [*lines, *(span for span in SPAN.findall(FENCE.sub("", text).replace("\n", " ")))]


def table(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    lines = text.split(f"\n{heading}\n", 1)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def spans(cell: str) -> list[str]:
    return SPAN.findall(cell)


def named_in(cell: str) -> str:
    return cell.strip("`")


def test_pages_and_their_commands_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/network.md"} <= PAGES.keys()
    assert any(command.startswith("ros2 launch") and "rviz:=true" in command for command in commands(README))


def test_readme_shows_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(commands(README))


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match[1] for command in commands(PAGES[page]) if (match := re.fullmatch(r"make (\w+)( .*)?", command))}
    assert named <= targets


# What a command is called in the pages: the module whose main() it is, and the arguments that choose its help.
COMMANDS = {
    "msdepth infer": ("msdepth_ros.cli", ["infer"]),
    "msdepth evaluate": ("msdepth_ros.cli", ["evaluate"]),
    "msdepth info": ("msdepth_ros.cli", ["info"]),
    "msdepth play": ("msdepth_ros.ros.play.command", []),
    "msdepth demo": ("msdepth_ros.cli", ["demo"]),
    "msdepth inject": ("msdepth_ros.ros.inject.command", []),
    "msdepth_ros player": ("msdepth_ros.ros.play.command", []),
    "msdepth_ros.live.monitor": ("msdepth_ros.live.monitor", []),
    **{
        f"msdepth-train {part}": ("msdepth_training.cli", [part])
        for part in ("align", "fuse", "plan", "evaluate", "show", "export", "real")
    },
    "msdepth_training.bench": ("msdepth_training.bench", []),
}

OF_CONTAINERS = {"--shm-size", "--ipc"}


def test_faults_listed_are_those_of_the_injector() -> None:
    from msdepth_ros.core.injection.faults import KINDS

    text = README.split("\nFaults are ")[1].split(";")[0]
    assert spans(text.replace("\n", " ")) == list(KINDS)


def options_named(command: str) -> set[str]:
    lines = [line for page in PAGES.values() for line in commands(page) if f"{command} " in f"{line} "]
    return {option for line in lines for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", line)}


def options_of(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Options that the command's --help shows."""
    module_name, arguments = COMMANDS[command]
    if ".ros." in module_name or ".live." in module_name:
        pytest.importorskip("rclpy", reason="rclpy is not installed")
    module = pytest.importorskip(module_name, reason="the training package is not installed")
    with mock.patch("sys.argv", ["command", *arguments, "--help"]), pytest.raises(SystemExit):
        module.main()
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))


@pytest.mark.parametrize("command", COMMANDS)
def test_options_in_commands_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert any(f"{command} " in f"{line} " for page in PAGES.values() for line in commands(page)), "not in the pages"
    assert options_named(command) <= options_of(command, capsys)


def test_every_option_named_belongs_to_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    known = {option for command in COMMANDS for option in options_of(command, capsys)}
    started = re.compile(r"(\.venv/bin/)?(python -m )?msdepth[-_ ]")
    ours = [line for page in PAGES.values() for line in commands(page) if started.match(line) or line.startswith("--")]
    assert ours
    named = {option for line in ours for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", line)}
    assert named - OF_CONTAINERS <= known


def test_outputs_of_infer_are_named(tmp_path: Path) -> None:
    from msdepth_ros import infer

    depth = np.full((4, 6), 2.0, np.float32)
    views = SimpleNamespace(depth_to_sensor=lambda values: values, confidence_to_sensor=lambda values: values)
    result = SimpleNamespace(depth_m=depth, confidence=depth, view_confidence={})
    written = {path.name for path in infer._write(tmp_path, result, views, max_m=80.0)}  # noqa: SLF001
    section = README.split("## Depth from files")[1].split("\n## ")[0]
    assert written | {"overview.png"} == {span for span in spans(section) if re.search(r"\.(npy|png)$", span)}


def test_keys_of_the_demo_summary_are_named() -> None:
    from msdepth_ros.results.live import NodeReport, summarise

    keys = summarise([], [], period_ns=100_000_000, node=NodeReport()).keys()
    entry = README.split("`out/demo/summary.json`:")[1].split("\n\n")[0]
    assert set(spans(entry.replace("\n", " "))) == set(keys)


@pytest.mark.skipif(not importlib.util.find_spec("rclpy"), reason="rclpy is not installed")
def test_parameter_table_is_that_of_the_node() -> None:
    from msdepth_ros.core.settings import PARAMETERS

    kinds = {bool: "bool", int: "integer", float: "double", str: "string", list: "string[]"}
    expected = []
    for spec in PARAMETERS:
        default = f"[{', '.join(spec.default)}]" if isinstance(spec.default, list) else str(spec.default) or '""'
        default = default.lower() if isinstance(spec.default, bool) else default
        allowed = f"{spec.limits[0]:g} to {spec.limits[1]:g}" if spec.limits else ", ".join(spec.choices) or "any"
        live = "yes" if spec.live else "no"
        expected.append([spec.name, kinds[type(spec.default)], default, allowed, live, spec.description])
    assert [[cell.replace("`", "") for cell in row] for row in table(README, "### Parameters")] == expected


@pytest.mark.skipif(not importlib.util.find_spec("rclpy"), reason="rclpy is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_dotted_parameters_named_in_the_text_exist(page: str) -> None:
    from msdepth_ros.core.settings import PARAMETERS

    names = {spec.name for spec in PARAMETERS}
    groups = {name.split(".")[0] for name in names if "." in name}
    named = {
        span.split(":")[0]
        for span in spans(FENCE.sub("", PAGES[page]))
        if re.fullmatch(rf"({'|'.join(groups)})\.[a-z_.]+(: .*)?", span) and not span.endswith((".py", ".jpg"))
    }
    assert named <= names


@pytest.mark.skipif(not importlib.util.find_spec("rclpy"), reason="rclpy is not installed")
def test_topic_table_is_that_of_the_node() -> None:
    from msdepth_ros.ros.node.diagnostics import Diagnostics
    from msdepth_ros.ros.node.inputs import CameraInput
    from msdepth_ros.ros.node.publishers import Outputs

    found: list[tuple[str, str, str]] = []

    def note(direction: str) -> Any:
        def create(kind: type, topic: str, *arguments: Any, **_: Any) -> None:
            message = f"{kind.__module__.split('.')[0]}/{kind.__name__}"
            found.append((direction, topic, message))

        return create

    node: Any = SimpleNamespace(
        create_lifecycle_publisher=note("out"),
        create_publisher=note("out"),
        create_subscription=note("in"),
        create_timer=lambda *_, **__: None,
        resolve_topic_name=lambda name: name,
    )
    Outputs(node)
    Diagnostics(node, SPECTRA, lambda: 2.0)
    for spectrum in SPECTRA:
        for transport in ("raw", "compressed"):
            CameraInput(
                node, spectrum, image_transport=transport, settings=mock.Mock(), calibration=mock.Mock(),
                sink=mock.Mock(),
            )  # fmt: skip
    rows = [(row[0], named_in(row[1]), row[2]) for row in table(README, "### Topics")]
    assert len(rows) == len(set(rows))
    assert set(rows) == set(found)


def launch_arguments() -> dict[str, str]:
    """Names and, where they are written down, defaults, from the text of the launch file: launch is not on PyPI."""
    tree = ast.parse((ROOT / "launch" / "fused_depth.launch.py").read_text())
    constants: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            exec(compile(ast.Module([node], []), "launch", "exec"), constants)  # noqa: S102  our own file
    found = dict.fromkeys(constants["PARAMETER_ARGUMENTS"], "")
    found |= {topic.replace("/", "_"): topic for topic in constants["INPUTS"]}
    for node in ast.walk(tree):
        named = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"
        if named and isinstance(node.args[0], ast.Constant):
            default = next(keyword.value for keyword in node.keywords if keyword.arg == "default_value")
            found[node.args[0].value] = default.value if isinstance(default, ast.Constant) else None
    return found


def test_launch_arguments_are_listed_with_their_defaults() -> None:
    listed: dict[str, str] = {}
    for names, default, _ in table(README, "### Launch arguments"):
        for name in spans(names):
            first = (spans(default) or [""])[0]
            listed[name] = first.replace("rgb", name.split("_")[0]) if "and so on" in default else first
    actual = launch_arguments()
    assert listed.keys() == actual.keys()
    written = {name: default for name, default in actual.items() if default is not None}
    assert {name: listed[name] for name in written} == written


@pytest.mark.parametrize("page", PAGES)
def test_launch_arguments_named_in_the_text_exist(page: str) -> None:
    named = set(re.findall(r"(?<![.\w])([a-z_]+):=", PAGES[page]))  # with a dot before it, it is a parameter
    assert named <= launch_arguments().keys()


@pytest.mark.skipif(not importlib.util.find_spec("rclpy"), reason="rclpy is not installed")
def test_diagnostics_table_is_that_of_the_node() -> None:
    from msdepth_ros.core.settings import DEFAULTS, Settings
    from msdepth_ros.ros.node.calibration import Road
    from msdepth_ros.ros.node.diagnostics import Diagnostics
    from msdepth_ros.ros.node.statistics import Statistics

    statistics = Statistics(("rgb",))
    statistics.published(("rgb",), inference_ms=1.0, latency_ms=2.0)
    node: Any = mock.Mock()
    node.get_fully_qualified_name.return_value = "/fused_depth"
    node.get_parameter.return_value.value = False
    equipment: Any = SimpleNamespace(
        engine=mock.Mock(providers=("CPUExecutionProvider",)), statistics=statistics,
        calibration=SimpleNamespace(
            output_frame="rgb_optical_frame", road=lambda: Road(None), frame_doubt=lambda _: ""
        ),
        outputs=SimpleNamespace(subscribers=lambda: 1),
    )  # fmt: skip
    cameras = [SimpleNamespace(spectrum="rgb", image_topic="/rgb/image", obstacle=lambda: None, doubts=list)]
    matcher = SpectralSynchronizer(SynchronizerConfig(spectra=("rgb",)))
    pipeline: Any = SimpleNamespace(
        inputs=cameras, matcher=matcher, equipment=equipment, enabled=True, busy_s=0.0,
        settings=Settings.from_values(DEFAULTS),
    )  # fmt: skip
    diagnostics = Diagnostics(node, ("rgb",), lambda: 2.0)
    diagnostics.configured(equipment)
    diagnostics.activated(pipeline)

    def general(key: str) -> str:
        return re.sub(r"\brgb$|(?<=_)rgb$", "<spectra>" if key.startswith("sets_") else "<spectrum>", key)

    actual = {
        general(status.name.split(": ", 1)[1]): {general(value.key) for value in status.values}
        for status in diagnostics.statuses()
    }
    listed = {named_in(task): set(spans(keys)) for task, keys, _ in table(README, "### Diagnostics")}
    assert listed == actual


def test_every_fault_word_is_explained() -> None:
    from msdepth_ros.core.health.findings import Fault

    rows = table(README.split("`faults` of a camera are words")[1], "")
    assert sorted(named_in(row[0]) for row in rows) == sorted(fault.value for fault in Fault)


@pytest.mark.skipif(not importlib.util.find_spec("rclpy"), reason="rclpy is not installed")
def test_service_table_is_that_of_the_node() -> None:
    from msdepth_ros.ros.node.services import Services

    found = []

    def create_service(kind: type, name: str, *_: Any, **__: Any) -> None:
        found.append((name, f"{kind.__module__.split('.')[0]}/{kind.__name__}"))

    node: Any = SimpleNamespace(create_service=create_service)
    Services(node, enable=mock.Mock(), load=mock.Mock(), exchange=mock.Mock())
    assert [(named_in(row[0]), row[1]) for row in table(README, "### Node")] == found


def relative_links(text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for link in relative_links(PAGES[page]):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_paths_named_in_the_text_exist(page: str) -> None:
    """Paths of the project; what runs make (out/, .venv/) and patterns are left out."""
    text = FENCE.sub("", PAGES[page]).replace("\n", " ")
    named = {span for span in spans(text) if re.fullmatch(r"[\w./-]+", span) and span.split("/")[0] in TOP_FOLDERS}
    assert [path for path in sorted(named) if "/" in path and not (ROOT / path).exists()] == []


def test_modules_named_in_the_network_page_exist() -> None:
    networks, package = ROOT / "training/msdepth_training/networks", ROOT / "training/msdepth_training"
    for span in spans(PAGES["docs/network.md"]):
        if re.fullmatch(r"\w+\.py", span):
            assert (networks / span).exists() or (package / span).exists(), span
    for span in spans(PAGES["docs/scenes.md"]):
        if re.fullmatch(r"\w+\.py", span):
            assert (package / "scenes" / span).exists(), span


def tree_of_contributing() -> set[str]:
    """Paths in the layout of CONTRIBUTING.md."""
    block = FENCE.findall(PAGES["CONTRIBUTING.md"])[0][1]
    parents: list[str] = []
    found = set()
    for line in block.splitlines():
        match = re.match(r"( *)([^\s,]+(?:, [^\s,]+)*)", line)
        assert match, line
        depth = len(match[1]) // 4
        for name in match[2].split(", "):
            found.add("/".join([*parents[:depth], name.rstrip("/")]))
        parents[depth:] = [match[2].rstrip("/")]
    return found


def test_layout_is_true_to_the_tree() -> None:
    listed = tree_of_contributing()
    assert [path for path in sorted(listed) if not (ROOT / path).exists()] == []
    packages = [ROOT / "msdepth_ros", ROOT / "training/msdepth_training"]
    folders = [path for package in packages for path in package.iterdir() if (path / "__init__.py").exists()]
    shared = [ROOT / name for name in TOP_FOLDERS]
    assert {path.relative_to(ROOT).as_posix() for path in [*folders, *shared]} <= listed


def test_no_placeholder_is_left() -> None:
    """Measured numbers are filled in before a release."""
    assert {page: re.findall(r"@@[^@\n]*@@", text) for page, text in PAGES.items() if "@@" in text} == {}
