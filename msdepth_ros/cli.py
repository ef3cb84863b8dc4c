"""The `msdepth` command: finds the module of a subcommand, which declares its options and does the work."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from msdepth_ros import __version__
from msdepth_ros.core.arguments import Parser
from msdepth_ros.core.errors import MsdepthError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_OUTPUT_CLOSED = 141


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        module: Has `add_arguments(parser)`, `run(arguments)` and DESCRIPTION; imported only when it is called.
        help: One line.
        takes_ros_arguments: The module has a `main(argv)` instead, since argparse does not know those of ROS.
    """

    module: str
    help: str
    takes_ros_arguments: bool = False


COMMANDS = {
    "infer": Command("msdepth_ros.infer", "depth from image files, without ROS"),
    "evaluate": Command(
        "msdepth_ros.evaluation.command", "replay recordings, score the depth, and report; without ROS"
    ),
    "info": Command(
        "msdepth_ros.inspection.command", "what is in a recording, and whether evaluate will work; without ROS"
    ),
    "play": Command(
        "msdepth_ros.ros.play.command", "publish a recording over ROS 2, as `ros2 bag play` or camera drivers do", True
    ),
    "demo": Command("msdepth_ros.demo", "play the sample drive through the live node, and report"),
    "inject": Command(
        "msdepth_ros.ros.inject.command", "make live camera topics fail, to see what the node does", True
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        Exit code: 0 done, 1 done but a check failed or a part could not be done, 2 bad input, 3 something got worse
        than was allowed, 130 interrupted, 141 nobody reads the output any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if not arguments or arguments[0] not in COMMANDS:
            _parser().parse_args(arguments)
        name, *rest = arguments
        module = importlib.import_module(COMMANDS[name].module)
        code: int
        if COMMANDS[name].takes_ros_arguments:
            code = module.main(rest)
            return code
        parser = Parser(prog=f"msdepth {name}", description=module.DESCRIPTION)
        module.add_arguments(parser)
        code = module.run(parser.parse_intermixed_args(rest))
        return code
    except MsdepthError as error:
        print(f"msdepth: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # whoever read our output, `head` for one, has enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OUTPUT_CLOSED
    except KeyboardInterrupt:
        print("msdepth: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    """Describes the command as a whole; whatever it is given ends in help, the version or an error."""
    parser = Parser(prog="msdepth", description="Dense metric depth from RGB, near-infrared and thermal cameras.")
    parser.add_argument("--version", action="version", version=f"msdepth {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar=f"{{{','.join(COMMANDS)}}}")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help)
    return parser


if __name__ == "__main__":
    sys.exit(main())
