"""Entry point of the fused_depth process; the node itself is in node.py."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.nodes.transport import prepare_process, require_rclpy

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

_ENDING = {signal.SIGINT, signal.SIGTERM}


def spin(arguments: Sequence[str]) -> None:
    """Runs the node until SIGINT or SIGTERM.

    Args:
        arguments: the command line, program name first.

    Raises:
        MsdepthError: a parameter is unknown or has a bad value.
    """
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    from msdepth_ros.nodes.node import FusedDepthNode

    rclpy.init(args=list(arguments))
    try:
        node = FusedDepthNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            node.autostart()
            while rclpy.ok():
                _spin_once(executor, node)
        finally:
            node.destroy_node()
    except ExternalShutdownException:
        pass  # how launch ends a node
    except Exception:
        if rclpy.ok():  # else it was told to end while it was starting
            raise
    finally:
        rclpy.try_shutdown()


def _spin_once(executor: Executor, node: Node) -> None:
    """Does one callback. Ours do not raise; one of rclpy itself, on a message it cannot read, must not end the node."""
    from rclpy.executors import ExternalShutdownException

    try:
        executor.spin_once()
    except ExternalShutdownException:
        raise
    except Exception as error:  # noqa: BLE001
        node.get_logger().error(f"{type(error).__name__} in a callback of rclpy: {error}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node; returns the exit code."""
    try:
        # Interrupted imports leave half-made modules: signals wait until the node exists. Loading a model, which may
        # take long, is interrupted by SIGTERM, too.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        require_rclpy()
        prepare_process()
        spin(sys.argv if arguments is None else arguments)
    except MsdepthError as error:
        print(f"fused_depth: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass  # how people end a node
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
