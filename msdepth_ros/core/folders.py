"""Folders for results."""

from __future__ import annotations

from pathlib import Path

from msdepth_ros.core.errors import MsdepthError


def make_folder(path: Path) -> None:
    """Makes the folder that a command's option --out names.

    Args:
        path: Of the folder; may be there already.

    Raises:
        MsdepthError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MsdepthError(f"--out {path}: cannot be made ({error.strerror}); name another folder") from error
