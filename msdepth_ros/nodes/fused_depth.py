"""Entry point of the fused_depth process; the node itself is in node.py."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.nodes.transport import prepare_process, require_rclpy


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
            node.autostart()
            executor.spin()
        finally:
            node.destroy_node()
    except ExternalShutdownException:
        pass  # how launch ends a node
    except Exception:
        if rclpy.ok():  # else it was told to end while it was starting
            raise
    finally:
        rclpy.try_shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node; returns the exit code."""
    try:
        # Loading takes seconds: be as polite to who ends it then as rclpy is later.
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
