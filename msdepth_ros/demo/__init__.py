"""`msdepth demo`: player, node and monitor as three processes on this host, and a report of what was measured."""

from msdepth_ros.demo.command import DESCRIPTION, add_arguments, main, run

__all__ = ["DESCRIPTION", "add_arguments", "main", "run"]
