"""Entry point of the fused_depth process; the node itself is in lifecycle.py."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros.transport import prepare_process, require_rclpy, start_rclpy

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

_ENDING = {signal.SIGINT, signal.SIGTERM}
_PATIENCE_S = 1.5


class Ending:
    """Waits for SIGINT or SIGTERM in a thread of its own, whatever the main thread is doing.

    Python's signal handlers run between two steps of the main thread, and building an engine is one step that may take
    minutes. So the signals are blocked everywhere and waited for here: the node is told to end, and if it has not
    after a moment, the process ends all the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None
        self._asked = False
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # before any other thread, all of which inherit it
        threading.Thread(target=self._wait, name="msdepth_signals", daemon=True).start()

    def begin(self, wake: Callable[[], None]) -> None:
        """From now on there is something to end in an orderly way, and `wake` makes it look at `asked`."""
        with self._lock:
            self._wake = wake

    @property
    def asked(self) -> bool:
        """Whether the process is to end."""
        return self._asked

    def _wait(self) -> None:
        signal.sigwait(_ENDING)
        with self._lock:
            self._asked = True
            if self._wake is None:
                os._exit(0)  # still importing: there is nothing to tidy up
        self._wake()
        time.sleep(_PATIENCE_S)
        os.write(2, b"fused_depth: ended in the middle of something that takes long\n")
        os._exit(0)


def spin(arguments: Sequence[str], ending: Ending) -> None:
    """Runs the node until it is asked to end.

    Args:
        arguments: the command line, program name first.
        ending: tells when.

    Raises:
        MsdepthError: a parameter is unknown or has a bad value.
    """
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    from msdepth_ros.ros.node.lifecycle import FusedDepthNode

    start_rclpy(arguments)
    try:
        executor = SingleThreadedExecutor()
        ending.begin(executor.wake)
        node = FusedDepthNode()
        executor.add_node(node)
        try:
            node.autostart()
            while not ending.asked:
                _spin_once(executor, node)
        finally:
            node.destroy_node()
    except ExternalShutdownException:
        pass  # somebody shut the context down
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
    """Runs the node; returns the exit code: 0, also when a signal ended it, or 2 for a bad parameter."""
    ending = Ending()
    try:
        require_rclpy()
        prepare_process()
        spin(sys.argv if arguments is None else arguments, ending)
    except MsdepthError as error:
        print(f"fused_depth: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
