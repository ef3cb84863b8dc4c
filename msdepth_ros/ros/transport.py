"""What a process needs to move camera images over Fast DDS without losing them, and where our files are installed."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msdepth_ros.core.errors import MsdepthError

PACKAGE = "msdepth_ros"
HOST_ONLY_PROFILE = "config/fastdds_host_only.xml"
HOST_ONLY_SMALL_PROFILE = "config/fastdds_host_only_small.xml"
VEHICLE_PROFILE = "config/fastdds_vehicle.xml"

SHARED_MEMORY = Path("/dev/shm")
ROOMY_BYTES = 256 << 20
"""Free shared memory from which on a few processes can have segments of 64 MiB each."""

_FAST_DDS_2 = ("humble", "iron", "jazzy")

# glibc's mallopt numbers, from malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20


def share_path(relative: str) -> Path:
    """Find a file of this package, in the source tree or where it was installed.

    Args:
        relative: path below the package's share folder, for example ``config/fastdds_host_only.xml``.

    Raises:
        MsdepthError: the file is in none of the places.
    """
    roots = [Path(__file__).resolve().parents[2], *_ament_share(), Path(sys.prefix) / "share" / PACKAGE]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    places = ", ".join(str(root) for root in roots)
    raise MsdepthError(f"{relative} is not installed (looked in {places}); install or build {PACKAGE} again")


def _ament_share() -> list[Path]:
    """The package's share folder by the ament index, if the environment has one."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [Path(prefix) / "share" / PACKAGE for prefix in prefixes if prefix]


def profile_variable(env: Mapping[str, str]) -> str:
    """The environment variable that names the profile file: Fast DDS 3 complains about the name Fast DDS 2 needs."""
    old = env.get("ROS_DISTRO") in _FAST_DDS_2
    return "FASTRTPS_DEFAULT_PROFILES_FILE" if old else "FASTDDS_DEFAULT_PROFILES_FILE"


def has_roomy_shared_memory() -> bool:
    """Whether segments of 64 MiB fit. In a container that was given the usual 64 MiB in all, they do not.

    Fast DDS then goes on without shared memory, and most images are lost.
    """
    try:
        return shutil.disk_usage(SHARED_MEMORY).free >= ROOMY_BYTES
    except OSError:
        return False


def host_only_profile() -> Path:
    """The profile for this host only, with segments that fit into its shared memory."""
    return share_path(HOST_ONLY_PROFILE if has_roomy_shared_memory() else HOST_ONLY_SMALL_PROFILE)


def host_only_environment(domain_id: int | None = None, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for a process that talks ROS 2 on this host only, over shared memory and loopback.

    Args:
        domain_id: ``ROS_DOMAIN_ID`` of the process, 0 to 101; None keeps what ``base`` has.
        base: the environment to start from; the caller's own by default.

    Returns:
        A complete environment for ``subprocess.Popen(env=...)``.
    """
    env = dict(os.environ if base is None else base)
    env[profile_variable(env)] = str(host_only_profile())
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    env["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    env.pop("ROS_LOCALHOST_ONLY", None)
    if env.get("ROS_DISTRO") == "humble":  # does not know the discovery range
        env["ROS_LOCALHOST_ONLY"] = "1"
    if domain_id is not None:
        env["ROS_DOMAIN_ID"] = str(domain_id)
    env.update(wheel_environment(env))
    return env


def wheel_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What ``env`` lacks for rclpy from PyPI wheels: the ament index lies in the virtual environment's prefix."""
    if env.get("AMENT_PREFIX_PATH") or not (Path(sys.prefix) / "share" / "ament_index").is_dir():
        return {}
    return {"AMENT_PREFIX_PATH": sys.prefix}


def prepare_process() -> None:
    """Call first in every main() that uses rclpy: ament index for wheels, room for images in transport and allocator.

    What the user set for Fast DDS is left alone.
    """
    os.environ.update(wheel_environment(os.environ))
    variable = profile_variable(os.environ)
    if not {variable, "FASTDDS_BUILTIN_TRANSPORTS"} & set(os.environ) and has_roomy_shared_memory():
        os.environ[variable] = str(share_path(VEHICLE_PROFILE))
    keep_big_blocks()


def require_rclpy() -> None:
    """Say in one line how to get rclpy where it is missing."""
    if importlib.util.find_spec("rclpy") is None:
        raise MsdepthError("rclpy is missing; source a ROS 2 distribution, or: pip install 'msdepth_ros[ros]'")


def start_rclpy(arguments: Sequence[str]) -> None:
    """Starts rclpy; signals are the caller's own matter.

    Args:
        arguments: Of the command line, for ROS arguments.

    Raises:
        MsdepthError: There is no folder that ROS could write its log into, as in a container without a home.
    """
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        reason = " ".join(str(error).split(", at /")[0].split())
        if "logging" not in reason:
            raise
        raise MsdepthError(f"ROS has no folder for its logs ({reason}); set ROS_LOG_DIR to one that exists") from error


def keep_big_blocks() -> bool:
    """Make glibc keep freed image-sized blocks instead of returning them to the kernel.

    Each returned block costs page faults on the next image: 0.35 ms for a 0.5 MB image against 0.014 ms.

    Returns:
        False where the C library has no mallopt or refuses the values; nothing breaks then, it is only slower.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # Older glibc refuses mmap thresholds above 32 MiB.
    mmap_ok = mallopt(_M_MMAP_THRESHOLD, 64 * _MIB) or mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
    top_ok = mallopt(_M_TOP_PAD, 64 * _MIB)
    trim_ok = mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)
    return bool(mmap_ok and top_ok and trim_ok)
