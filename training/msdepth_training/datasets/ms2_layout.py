"""Where MS2's files lie: sequence lists, frames and paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.errors import TrainingError

BANDS = {"rgb": "rgb", "nir": "nir", "thermal": "thr"}
"""Spectrum to the name of its folders."""
TEST_LISTS = {"day": "test_day_list.txt", "night": "test_night_list.txt", "rain": "test_rainy_list.txt"}
"""Condition to the list of its test sequences."""
SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("train_list.txt",),
    "val": ("val_list.txt",),
    "test": tuple(TEST_LISTS.values()),
    **{f"test_{condition}": (name,) for condition, name in TEST_LISTS.items()},
}
"""Split to its lists."""
MAX_LEFT_OUT = 0.1
"""So large a share of a sequence's frames may lack a file."""


class Frame(NamedTuple):
    """One instant of a sequence."""

    sequence: str
    number: str
    """Name of its files, as "000011"."""


class ListEntry(NamedTuple):
    """One line of a list."""

    sequence: str
    number: str | None
    """None: the whole sequence."""
    condition: str | None
    """Day, night or rain; None if the list does not say (training and validation)."""


@dataclass(frozen=True)
class Layout:
    """Paths below the folder that has `sync_data`, `proj_depth` and the lists."""

    root: Path

    def image(self, frame: Frame, spectrum: str) -> Path:
        """Left image."""
        return self.root / "sync_data" / frame.sequence / BANDS[spectrum] / "img_left" / f"{frame.number}.png"

    def depth(self, frame: Frame, spectrum: str) -> Path:
        """Projected LiDAR depth in the left camera, moving things and see-through points removed."""
        return self.root / "proj_depth" / frame.sequence / BANDS[spectrum] / "depth_filtered" / f"{frame.number}.png"

    def calibration(self, sequence: str) -> Path:
        """Calibration of a sequence."""
        return self.root / "sync_data" / sequence / "calib.npy"


def read_lists(root: Path, split: str) -> list[ListEntry]:
    """Lines of the lists of a split.

    A line is the name of a sequence, or of a sequence and a frame (`_2021-08-06-10-59-33 000011`) for a selection.
    Empty lines and what follows a `#` do not count.

    Raises:
        TrainingError: unknown split, or a list is missing, empty or has a line of another kind.
    """
    if split not in SPLITS:
        raise TrainingError(f"unknown MS2 split {split!r}; use one of {', '.join(SPLITS)}")
    conditions = {name: condition for condition, name in TEST_LISTS.items()}
    return [entry for name in SPLITS[split] for entry in _read_list(root / name, conditions.get(name))]


def _read_list(path: Path, condition: str | None) -> list[ListEntry]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"cannot read the sequence list {path}: {error}; --root is the folder that has it"
        ) from error
    entries = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        is_frame = len(words) == 1 or words[1].isdecimal()
        if len(words) > 2 or not is_frame or Path(words[0]).name != words[0] or words[0] in (".", ".."):
            raise TrainingError(f"{path}, line {number}: {line!r} is not a sequence, nor a sequence and a frame number")
        entries.append(ListEntry(words[0], words[1] if len(words) == 2 else None, condition))
    if not entries:
        raise TrainingError(f"{path} lists no sequence")
    return entries


def find_frames(layout: Layout, entry: ListEntry) -> tuple[list[Frame], int]:
    """Frames of a line that have an image and a depth of every band, and how many were left out because they do not.

    Raises:
        TrainingError: a folder is missing, a listed frame lacks a file, or more than a tenth of a sequence's do.
    """
    if entry.number is not None:
        frame = Frame(entry.sequence, entry.number)
        missing = [path for path in _files(layout, frame) if not path.exists()]
        if missing:
            raise TrainingError(f"{missing[0]} is missing; the list names frame {entry.number} of {entry.sequence}")
        return [frame], 0
    folders = [path.parent for path in _files(layout, Frame(entry.sequence, "0"))]
    found = [_numbers(folder) for folder in folders]
    complete, all_numbers = set.intersection(*found), set.union(*found)
    left_out = len(all_numbers) - len(complete)
    if left_out > MAX_LEFT_OUT * len(all_numbers) or not complete:
        number = min(all_numbers - complete, default="000000", key=int)
        folder = next(folder for folder, numbers in zip(folders, found, strict=True) if number not in numbers)
        raise TrainingError(
            f"{left_out} of {len(all_numbers)} frames of {entry.sequence} lack a file, first {folder / number}.png; "
            "unpack sync_data and proj_depth of this sequence again"
        )
    return [Frame(entry.sequence, number) for number in sorted(complete, key=int)], left_out


def _files(layout: Layout, frame: Frame) -> list[Path]:
    """Every file of a frame."""
    return [find(frame, spectrum) for find in (layout.image, layout.depth) for spectrum in SPECTRA]


def _numbers(folder: Path) -> set[str]:
    """Names, without .png, of the frames in a folder."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise TrainingError(
            f"cannot list {folder}: {error.strerror}; --root is the folder that has sync_data and proj_depth"
        ) from error
    return {name[:-4] for name in names if name.endswith(".png") and name[:-4].isdecimal()}
