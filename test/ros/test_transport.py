"""The settings that processes need for images to arrive."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros import transport

NAMESPACE = "{http://www.eprosima.com}"


def profile(name: str) -> ElementTree.Element:
    return ElementTree.parse(transport.share_path(name)).getroot()


def number(root: ElementTree.Element, name: str) -> int:
    element = root.find(f".//{NAMESPACE}{name}")
    assert element is not None
    return int(str(element.text))


@pytest.mark.parametrize(
    ("name", "segment_mib"),
    [
        (transport.HOST_ONLY_PROFILE, 64),
        (transport.VEHICLE_PROFILE, 64),
        (transport.HOST_ONLY_SMALL_PROFILE, 16),
    ],
)
def test_shared_memory_holds_images(name: str, segment_mib: int) -> None:
    root = profile(name)
    assert number(root, "segment_size") == segment_mib << 20
    assert number(root, "maxMessageSize") == min(16, segment_mib // 2) << 20
    participant = root.find(f".//{NAMESPACE}participant")
    assert participant is not None
    assert participant.get("is_default_profile") == "true"


@pytest.mark.parametrize("name", [transport.HOST_ONLY_PROFILE, transport.HOST_ONLY_SMALL_PROFILE])
def test_host_only_profiles_stay_on_loopback(name: str) -> None:
    assert [element.text for element in profile(name).iter(f"{NAMESPACE}address")] == ["127.0.0.1"]


@pytest.mark.parametrize(("free_mib", "small"), [(64, True), (1024, False)])
def test_segments_fit_into_what_a_container_has(monkeypatch: pytest.MonkeyPatch, free_mib: int, small: bool) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free_mib << 20))
    path = transport.host_only_environment(1, {})["FASTDDS_DEFAULT_PROFILES_FILE"]
    assert path.endswith("fastdds_host_only_small.xml") == small


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [
        ({}, "fastdds_vehicle.xml"),
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"}, "mine.xml"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, ""),
    ],
)
def test_a_process_gets_room_for_images_unless_the_user_has_settings(
    monkeypatch: pytest.MonkeyPatch, set_by_user: dict[str, str], expected: str
) -> None:
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS", "ROS_DISTRO"):
        monkeypatch.setenv(variable, "")  # so that it is restored
        monkeypatch.delenv(variable)
    for variable, value in set_by_user.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 40))
    transport.prepare_process()
    assert Path(os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", "")).name == expected


def test_host_only_environment_is_complete() -> None:
    env = transport.host_only_environment(42, {"PATH": "/bin", "ROS_LOCALHOST_ONLY": "1"})
    assert env["PATH"] == "/bin"
    assert env["ROS_DOMAIN_ID"] == "42"
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_LOCALHOST_ONLY" not in env
    assert Path(env["FASTDDS_DEFAULT_PROFILES_FILE"]).is_file()
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in env


@pytest.mark.parametrize(
    ("distribution", "variable"), [("humble", "FASTRTPS"), ("jazzy", "FASTRTPS"), ("kilted", "FASTDDS")]
)
def test_profile_goes_by_the_name_that_the_distribution_knows(distribution: str, variable: str) -> None:
    assert transport.profile_variable({"ROS_DISTRO": distribution}) == f"{variable}_DEFAULT_PROFILES_FILE"


def test_host_only_environment_keeps_the_domain() -> None:
    assert transport.host_only_environment(None, {"ROS_DOMAIN_ID": "7"})["ROS_DOMAIN_ID"] == "7"


def test_ament_prefix_is_left_alone_where_a_distribution_set_it() -> None:
    env = transport.host_only_environment(1, {"AMENT_PREFIX_PATH": "/opt/ros/jazzy"})
    assert env["AMENT_PREFIX_PATH"] == "/opt/ros/jazzy"


def test_share_path_looks_where_ament_installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "share" / "msdepth_ros" / "config" / "only_there.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert transport.share_path("config/only_there.yaml") == file


def test_share_path_names_what_is_missing() -> None:
    with pytest.raises(MsdepthError, match=r"config/none\.xml is not installed"):
        transport.share_path("config/none.xml")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_big_blocks_are_kept() -> None:
    code = "from msdepth_ros.ros.transport import keep_big_blocks as k; import sys; sys.exit(0 if k() else 1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
