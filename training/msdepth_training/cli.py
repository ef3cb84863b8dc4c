"""The `msdepth-train` command: a table of subcommands and their options; the work is in `commands`."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from pathlib import Path

from msdepth_ros.core.arguments import COUNT, DURATION_S, POSITIVE, SEED, Parser
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA
from msdepth_training import commands
from msdepth_training.config import ALIGNMENTS, RECIPES
from msdepth_training.errors import TrainingError

RUNS = Path("out/runs")
"""Folder of all runs, unless told otherwise."""


def _data_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("data")
    group.add_argument("--data", choices=("scenes", "ms2"), default="scenes", help="rendered scenes, or MS2")
    group.add_argument(
        "--root", type=Path, help="folder of MS2, or of the rendered scenes (out/scenes; made if missing)"
    )
    group.add_argument("--workers", type=POSITIVE, default=os.cpu_count() or 1, help="processes that render")
    return parser


def _machine_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("machine, as PyTorch Lightning has it")
    group.add_argument("--accelerator", default="auto", help="cpu, gpu, ...; auto takes a GPU where there is one")
    group.add_argument("--devices", default="1", help='how many, or which: "2", "0,3", "auto"')
    group.add_argument("--num-nodes", type=POSITIVE, default=1)
    group.add_argument("--strategy", default="auto", help="ddp, fsdp, ...")
    group.add_argument("--precision", default="32-true", help="16-mixed, bf16-mixed, ...")
    group.add_argument("--threads", type=POSITIVE, default=os.cpu_count() or 1, help="of the CPU")
    group.add_argument("--ahead", type=POSITIVE, default=1, help="batches made ahead, each in a thread")
    return parser


def _training_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config", default="tiny", help="name of a shipped configuration or a YAML file")
    parser.add_argument("--seed", type=SEED, help="instead of the configuration's")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs")
    parser.add_argument("--run", type=Path, help="folder of this run, instead of RUNS/<seed>/<stage>_<kind>")
    parser.add_argument("--minutes", type=DURATION_S, default=math.inf, help="stop, with a checkpoint, after this long")
    parser.add_argument("--change-config", action="store_true", help="go on with a configuration that has changed")
    return parser


def _add_training(commands_: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    common = [_training_options(), _data_options(), _machine_options()]
    part = commands_.add_parser(
        "align", parents=common, help="train depth from each view alone; goes on where a stopped run ended"
    )
    part.add_argument("--alignment", choices=ALIGNMENTS, help="of features, instead of the configuration's")
    part.add_argument("--spectra", nargs="+", choices=SPECTRA, help="fewer than all, for a specialist")
    part.set_defaults(run_command=commands.align)
    part = commands_.add_parser(
        "fuse", parents=common, help="train depth from the set of views; goes on where a stopped run ended"
    )
    part.add_argument("--recipe", choices=RECIPES, help="instead of the configuration's")
    part.add_argument("--from", dest="begin_with", type=Path, help="folder of the aligned run to begin with")
    part.set_defaults(run_command=commands.fuse)
    part = commands_.add_parser(
        "plan", parents=[_data_options(), _machine_options()], help="train everything that the table of results needs"
    )
    part.add_argument("--config", default="results", help="name of a shipped plan or a YAML file")
    part.add_argument("--runs", type=Path, default=RUNS, help="folder of all runs")
    part.add_argument("--minutes", type=DURATION_S, default=math.inf, help="stop, with checkpoints, after this long")
    part.set_defaults(run_command=commands.plan)


def _add_results(commands_: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    part = commands_.add_parser(
        "export", parents=[_data_options()], help="calibrate and export a fused network, with its card"
    )
    part.add_argument("--run", type=Path, default=RUNS / "0" / "fuse_msdepth", help="folder of the run")
    part.add_argument("--models", type=Path, default=Path("out/models"))
    part.add_argument("--test-sequences", type=POSITIVE, default=120)
    part.add_argument("--int8", action="store_true", help="write NAME.int8.onnx, too, and compare times and AbsRel")
    part.add_argument(
        "--onnx",
        type=Path,
        help="with --int8: quantize this exported file instead of a run",
    )
    part.add_argument("--note", action="append", default=[], help="a sentence on the training for the card")
    part.set_defaults(run_command=commands.export)
    part = commands_.add_parser(
        "evaluate", parents=[_data_options()], help="measure runs; write the table of results as JSON, Markdown, PNG"
    )
    part.add_argument("runs", nargs="*", type=Path, default=[RUNS], help="folders with runs in them")
    part.add_argument("--out", type=Path, default=Path("out/table"), help="docs, for the page of this project")
    part.add_argument("--test-sequences", type=POSITIVE, default=120, help="two frames of each are scored")
    part.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    part.add_argument("--real", type=Path, help="folder with real frames to score a model file on")
    part.add_argument("--model", type=Path, help="that file; by default fuse_msdepth of the first seed is exported")
    part.add_argument("--no-speed", action="store_true", help="measure no times")
    part.set_defaults(run_command=commands.evaluate)
    part = commands_.add_parser("show", parents=[_data_options()], help="draw scenes and predictions")
    part.add_argument("--run", type=Path, help="folder of a run whose predictions to show")
    part.add_argument("--model", type=Path, help="ONNX model whose predictions to show")
    part.add_argument("--out", type=Path, default=Path("out/show/sheet.png"))
    part.add_argument("--frames", type=POSITIVE, default=4, help="how many, conditions in turn")
    part.add_argument("--first", type=COUNT, default=0, help="number of the first one")
    part.add_argument("--scenes", default="street", help="style of the scenes, where no run tells it")
    part.add_argument(
        "--size", nargs=2, type=POSITIVE, metavar=("HEIGHT", "WIDTH"), help="of images, if no run or model says"
    )
    part.set_defaults(run_command=commands.show)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)


def _add_real(commands_: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    part = commands_.add_parser("real", help="score a model, or a run in training, on real frames")
    part.add_argument("--data", type=Path, required=True, help="folder with the frames")
    part.add_argument("--model", type=Path, default=Path("models/tiny.onnx"), help="ONNX file")
    part.add_argument("--run", type=Path, help="folder of a run, complete or not, instead of a file")
    part.add_argument("--size", type=_size, metavar="HEIGHTxWIDTH", help="of images for --run; else its last phase's")
    part.add_argument("--out", type=Path, default=Path("out/real"), help="for real.json and sheet.png")
    part.add_argument("--no-sheet", action="store_true", help="draw nothing")
    part.set_defaults(run_command=commands.real)


def make_parser() -> argparse.ArgumentParser:
    """All subcommands."""
    parser = Parser(prog="msdepth-train", description="Train, measure, calibrate and export msdepth models.")
    parts = parser.add_subparsers(dest="command", required=True)
    _add_training(parts)
    _add_results(parts)
    _add_real(parts)
    return parser


def main() -> None:
    """Entry point; bad input ends with one line and exit code 2."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        arguments = make_parser().parse_args()
        arguments.run_command(arguments)
    except (TrainingError, MsdepthError) as error:
        print(f"msdepth-train: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
