import sys

import pytest
import torch

from msdepth_training import cli


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


def test_an_unknown_configuration_is_named(monkeypatch, capsys, tmp_path):
    assert "nothing.yaml" in refused(monkeypatch, capsys, "train", "--config", "nothing", "--run", tmp_path)


def test_a_wrong_key_is_named(monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("stages: [{stepz: 3}]\n")
    message = refused(monkeypatch, capsys, "train", "--config", path, "--run", tmp_path)
    assert "stages[0]: unknown key stepz" in message


def test_broken_yaml_is_one_line(monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("stages: [\nname: {a\n")
    assert "mine.yaml" in refused(monkeypatch, capsys, "train", "--config", path, "--run", tmp_path)


def test_a_missing_checkpoint_says_what_to_do(monkeypatch, capsys, tmp_path):
    message = refused(monkeypatch, capsys, "export", "--run", tmp_path)
    assert "checkpoint.pt" in message
    assert "msdepth-train train" in message


def test_no_command_is_a_usage_error(monkeypatch, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch)
    assert exit_.value.code == 2
    assert "usage: msdepth-train" in capsys.readouterr().err


def test_a_complete_run_is_not_trained_again(monkeypatch, capsys, tmp_path, trained, data):
    path = tmp_path / "small.yaml"
    path.write_text(
        "name: small\nwarmup_steps: 2\ncheckpoint_every: 3\n"
        "network: {channels: [4, 8, 12, 16, 16], blocks: [1, 1, 1, 1], fused: [4, 8, 8, 8], decoder: [8, 8, 8, 8], "
        "descriptor: 4}\nstages: [{height: 64, width: 160, sequences: 4, batch: 2, steps: 6}]\n"
    )
    threads, written = torch.get_num_threads(), (trained / "checkpoint.pt").stat().st_mtime_ns
    run(monkeypatch, "train", "--config", path, "--run", trained, "--data", data, "--threads", threads)
    assert "6 of 6 steps" in capsys.readouterr().out
    assert (trained / "checkpoint.pt").stat().st_mtime_ns == written
