"""How the small ROS tools (the monitor, `msdepth play`) start and end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros.transport import prepare_process, require_rclpy, start_rclpy


def run_tool(
    name: str,
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Parses the command line beside ROS arguments and runs a tool between rclpy's start and end.

    Args:
        name: of the tool, for its messages.
        parser: of its own options.
        run: the tool; it handles signals itself.
        argv: options, `sys.argv` by default.

    Returns:
        The exit code: 0, or 2 for bad input, which is said in one line.
    """
    try:
        require_rclpy()
        prepare_process()
        from rclpy.utilities import remove_ros_args

        arguments = list(sys.argv if argv is None else [name, *argv])
        options = parser.parse_args(remove_ros_args(arguments)[1:])
        with ros_session(arguments):
            run(options)
    except MsdepthError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    return 0


@contextmanager
def ros_session(arguments: Sequence[str]) -> Iterator[None]:
    """Runs what is within between rclpy's start and end; signals are its own matter.

    Args:
        arguments: Of the command line, for ROS arguments.

    Raises:
        MsdepthError: rclpy is not installed, or has no folder for its logs.
    """
    require_rclpy()
    prepare_process()
    import rclpy

    start_rclpy(arguments)
    try:
        yield
    finally:
        rclpy.try_shutdown()
