"""What all runs share: the drive, how the node is started, and a watcher in a domain of its own on this host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import rclpy

from fault_bench.watcher import Watcher
from msdepth_ros.ros.transport import host_only_environment

ROOT = Path(__file__).resolve().parents[3]
SUPPORT = Path(__file__).resolve().parents[1]
BAG = ROOT / "samples" / "city_drive"
CLEAN_S = 1.2
"""So much of the sample drive is played again and again: then a wiper comes. No time of a plan is a multiple of it, or
the picture after a fault would be the one before it."""
PERIOD_S = 0.1


def node_arguments(prefix: str = "") -> list[str]:
    """The command line of the node.

    Args:
        prefix: of the camera topics; empty for those of the player itself.
    """
    arguments = ["--ros-args", "-p", "calibration.source:=file", "-p", f"calibration.file:={BAG / 'rig.yaml'}"]
    if prefix:
        for spectrum in ("rgb", "nir", "thermal"):
            for topic in (f"{spectrum}/image", f"{spectrum}/camera_info"):
                arguments += ["-r", f"{topic}:=/{prefix}/{topic}"]
    return arguments


@contextlib.contextmanager
def watching(folder: Path, *, cameras: bool = True) -> Iterator[tuple[Watcher, dict[str, str]]]:
    """A watcher, and the environment in which processes meet it.

    Args:
        folder: for logs.
        cameras: of the watcher.
    """
    environment = host_only_environment(1 + os.getpid() % 100)
    places = [str(ROOT), str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    environment["ROS_LOG_DIR"] = str(folder)
    before = dict(os.environ)
    os.environ.update(environment)
    rclpy.init(args=[])
    watcher = Watcher(cameras=cameras)
    try:
        yield watcher, environment
    finally:
        watcher.close()
        rclpy.try_shutdown()
        os.environ.clear()
        os.environ.update(before)
