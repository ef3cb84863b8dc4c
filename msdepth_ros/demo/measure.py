"""Runs player, node and monitor beside each other, and shows how it goes."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.progress import StatusLine
from msdepth_ros.demo.processes import Children
from msdepth_ros.live.monitor import status_text
from msdepth_ros.ros.transport import host_only_environment

_DRAIN_S = 1.5  # the last depth image and one more diagnostics message after the player has ended


class ChildError(Exception):
    """A process of the demo failed; inputs had been checked before."""


def measure(options: argparse.Namespace, bag: Path, rig: Path, scratch: Path, status: StatusLine) -> None:
    """Run the three processes to the end of the drive; their results are in `scratch` then."""
    # Any process may take any domain; a number that differs between runs keeps two demos on one host apart.
    domain_id = 1 + os.getpid() % 100 if options.domain_id is None else options.domain_id
    logs = options.out / "logs"
    logs.mkdir(exist_ok=True)
    environment = host_only_environment(domain_id)
    package_root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, environment.get("PYTHONPATH", "")]))
    environment["ROS_LOG_DIR"] = str(scratch)  # the same lines as in our logs, under names that nobody can tell apart
    with Children(environment, logs) as children:
        try:
            _follow(options, bag, rig, scratch, status, children)
        except MsdepthError as error:
            raise ChildError(str(error)) from error


def _follow(
    options: argparse.Namespace, bag: Path, rig: Path, scratch: Path, status: StatusLine, children: Children
) -> None:
    """Start the processes, show the status while the drive plays, end them in order."""
    latest: list[dict[str, Any]] = []

    def take(line: str) -> None:
        latest[:] = [json.loads(line)]

    node = children.start("node", "msdepth_ros.ros.node.fused_depth", node_arguments(options, rig))
    monitor = children.start("monitor", "msdepth_ros.live.monitor", ["--json", "--out", str(scratch)], take)
    # Two subscribers to each camera: the node, once it is active, and the monitor.
    play = [str(bag), "--as-drivers", "--wait-for-subscribers", "2", "--summary", str(scratch / "player.json")]
    play += ["--rate", str(options.rate)]
    play += ["--duration", str(options.duration)] if options.duration is not None else []
    player = children.start("player", "msdepth_ros.ros.play.command", play)
    while player.running:
        node.check()
        monitor.check()
        if latest and latest[0]["trouble"] and not latest[0]["sets"]:
            raise MsdepthError(f"the node did not start: {latest[0]['trouble']}")
        status.show(_status(latest))
        time.sleep(0.1)
    player.check(may_end=True)
    end_s = time.monotonic() + _DRAIN_S
    while time.monotonic() < end_s:
        node.check()
        monitor.check()
        time.sleep(0.1)
    monitor.end(patience_s=30.0)
    monitor.check(may_end=True)
    status.show(_status(latest))
    node.end()


def node_arguments(options: argparse.Namespace, rig: Path) -> list[str]:
    """Command line of the node."""
    parameters = {"calibration.source": "file", "calibration.file": str(rig)}
    if options.model:
        parameters["model.path"] = str(options.model.resolve())
    return ["--ros-args", *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}"))]


def _status(latest: list[dict[str, Any]]) -> str:
    """The live line."""
    if not latest or not latest[0]["sets"]:
        return "starting: the node loads and warms its model, the player decodes the drive"
    return status_text(latest[0])
