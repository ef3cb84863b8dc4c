"""The report page of `msdepth evaluate`, and what it shares with that of `msdepth demo`."""

from msdepth_ros.report.page.evaluation import write_page

__all__ = ["write_page"]
