"""Style and types, checked where the tools are installed (extra `test`)."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; pip install 'msdepth_ros[test]'")
    return subprocess.run([sys.executable, "-m", name, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_ruff_finds_nothing() -> None:
    result = run_tool("ruff", "check", "--no-cache", "--output-format=concise", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_are_strict() -> None:
    result = run_tool("mypy", "--strict")  # the files that pyproject.toml names
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("tool", "arguments", "complaint"),
    [
        ("ruff", ["check", "--no-cache", "--isolated", "--select=D,ANN"], "ANN001"),
        ("mypy", ["--strict"], "no-untyped-def"),
    ],
)
def test_the_tools_do_complain(tmp_path: Path, tool: str, arguments: list[str], complaint: str) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def add(a, b):\n    return a + b\n")
    result = run_tool(tool, *arguments, str(bad))
    assert result.returncode == 1 and complaint in result.stdout
