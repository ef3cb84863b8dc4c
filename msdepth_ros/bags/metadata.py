"""metadata.yaml of a rosbag2 folder, versions 1 to 9: which files there are, and what they should hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.safe_yaml import load_yaml

FILE_NAME = "metadata.yaml"
_NEWEST = 9
_MAX_BYTES = 16 << 20
_WITHOUT = "or move metadata.yaml away, then the storage files are read without it"


@dataclass(frozen=True)
class Metadata:
    """What metadata.yaml says.

    Attributes:
        files: Names of the storage files, in order.
        types: Message type of each topic.
        counts: Messages of each topic.
        qos: Offered QoS profiles of each topic, as YAML.
    """

    files: tuple[str, ...]
    types: Mapping[str, str]
    counts: Mapping[str, int]
    qos: Mapping[str, str]


def read_metadata(path: Path) -> Metadata:
    """Reads and checks metadata.yaml.

    Raises:
        MsdepthError: It is damaged, or of a version that is not known.
    """
    document = load_yaml(path, "metadata of rosbag2", f"restore it, {_WITHOUT}", max_bytes=_MAX_BYTES)
    try:
        information = document["rosbag2_bagfile_information"]
        version = information["version"]
        if not isinstance(version, int) or not 1 <= version <= _NEWEST:
            raise MsdepthError(f"{path} has version {version!r}, known are 1 to {_NEWEST}; update msdepth, {_WITHOUT}")
        return _parse(information)
    except KeyError as error:
        raise MsdepthError(f"{path} has no {error}; it is damaged: restore it, {_WITHOUT}") from error
    except (ValueError, TypeError, AttributeError, OverflowError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MsdepthError(f"{path} cannot be read: {reason}; restore it, {_WITHOUT}") from error


def _parse(information: Mapping[str, Any]) -> Metadata:
    """The parts that are used; `relative_file_paths` had the folder's name in it before version 4."""
    files = tuple(Path(str(name)).name for name in information["relative_file_paths"])
    mode = str(information.get("compression_mode") or "").upper()
    compression = str(information.get("compression_format") or "")
    if mode not in ("", "NONE") and compression != "zstd":
        raise MsdepthError(f"it is compressed as {compression!r} by {mode}; record with zstd")
    types: dict[str, str] = {}
    counts: dict[str, int] = {}
    qos: dict[str, str] = {}
    for entry in information["topics_with_message_count"]:
        topic = entry["topic_metadata"]
        name = str(topic["name"])
        types[name] = str(topic["type"])
        counts[name] = counts.get(name, 0) + int(entry["message_count"])
        offered = topic.get("offered_qos_profiles") or ""
        qos[name] = offered if isinstance(offered, str) else yaml.safe_dump(offered)
    return Metadata(files, types, counts, qos)
