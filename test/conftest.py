"""Settings for all tests, and ROS for those that need it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does; what hangs is ended by pytest-timeout.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def domain() -> Iterator[None]:
    """Keeps this process and its children in a ROS domain of its own, on this host."""
    pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")
    from msdepth_ros.ros.transport import host_only_environment

    before = dict(os.environ)
    os.environ.update(host_only_environment(20 + os.getpid() % 80))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def ros(domain: None) -> Iterator[None]:
    """An initialised rclpy."""
    import rclpy

    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
