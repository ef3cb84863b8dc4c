import sys
from pathlib import Path

import pytest
from ms2_tree import ALL_LISTS, write_ms2

from msdepth_training import cli
from msdepth_training.stages.runs import load_run


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["msdepth-train", *map(str, arguments)])
    cli.main()


def refused(monkeypatch, capsys, *arguments):
    """The one line that says why."""
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, *arguments)
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("msdepth-train: error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("stage", ["align", "fuse", "plan"])
def test_an_unknown_configuration_is_named(monkeypatch, capsys, stage):
    assert "nothing.yaml" in refused(monkeypatch, capsys, stage, "--config", "nothing")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fuse: {phases: [{stepz: 3}]}", "fuse.phases[0]: unknown key stepz"),
        ("align: {spectra: [uv]}", "spectra"),
        ("align: {alignment: both}", "alignment: 'both' must be one of none, paper, msdepth"),
        ("fuse: {recipe: best}", "recipe"),
        ("stages: []", "unknown key stages"),
        ("scenes: nowhere", "nowhere"),
    ],
)
def test_a_wrong_key_or_value_is_named(monkeypatch, capsys, tmp_path, text, named):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert named in refused(monkeypatch, capsys, "fuse", "--config", path, "--run", tmp_path, "--root", tmp_path)


def test_a_wrong_key_of_a_plan_is_named(monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("train: {fuse: {recipes: paper}}")
    assert "train.fuse: unknown key recipes" in refused(monkeypatch, capsys, "plan", "--config", path)


def test_broken_yaml_is_one_line(monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("align: [\nname: {a\n")
    assert "mine.yaml" in refused(monkeypatch, capsys, "align", "--config", path, "--run", tmp_path)


@pytest.mark.parametrize("arguments", [("export", "--run"), ("show", "--run"), ("fuse", "--from")])
def test_a_missing_run_says_what_to_do(monkeypatch, capsys, tmp_path, arguments):
    message = refused(monkeypatch, capsys, *arguments, tmp_path)
    assert "weights.pt does not exist" in message
    assert "msdepth-train align" in message


def test_an_empty_folder_of_runs_is_an_error(monkeypatch, capsys, tmp_path):
    assert "no run was found" in refused(monkeypatch, capsys, "evaluate", tmp_path)


def test_ms2_needs_its_folder(monkeypatch, capsys, tmp_path):
    assert "--root" in refused(monkeypatch, capsys, "align", "--data", "ms2", "--run", tmp_path)


def test_no_command_is_refused(monkeypatch, capsys):
    assert "the following arguments are required: command; see msdepth-train --help" in refused(monkeypatch, capsys)


PARTS = next(action for action in cli.make_parser()._actions if action.dest == "command").choices
NUMBERS = [
    (part, action.option_strings[0])
    for part, parser in PARTS.items()
    for action in parser._actions
    if action.type not in (None, Path)
]


@pytest.mark.parametrize(("part", "option"), NUMBERS)
def test_what_is_no_sensible_number_is_refused(monkeypatch, capsys, part, option):
    for text in ("nan", "inf", "-inf", "1e400", "1e300", "9" * 5000, "-1", "", "x"):
        error = refused(monkeypatch, capsys, part, f"{option}={text}")
        assert f"argument {option}: " in error and f"; see msdepth-train {part} --help" in error


def test_every_number_of_the_commands_is_among_them():
    assert {"--minutes", "--seed", "--threads", "--size", "--first"} <= {option for _, option in NUMBERS}


def test_a_shipped_configuration_is_found_by_its_name_or_its_path():
    assert cli.commands.find_config("tiny") == cli.commands.find_config("configs/tiny.yaml")


def test_ms2_trains_as_scenes_do(monkeypatch, capsys, tmp_path, options):
    root = write_ms2(tmp_path / "ms2", lists=ALL_LISTS)
    rest = [*options[:2], *options[6:]]
    run(monkeypatch, "align", *rest, "--data", "ms2", "--root", root, "--run", tmp_path / "run", "--seed", 5)
    assert "6 of 6 steps" in capsys.readouterr().out
    assert load_run(tmp_path / "run").config.seed == 5


def test_a_complete_run_says_so(monkeypatch, capsys, options, runs):
    run(monkeypatch, "align", *options, "--runs", runs)
    assert "align_msdepth: 6 of 6 steps" in capsys.readouterr().out
