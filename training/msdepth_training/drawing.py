"""Pictures with titles, side by side and below each other, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from msdepth_ros.core.visualize import Picture

CAPTION_PX, GAP_PX = 18, 4


def titled(picture: Picture, title: str) -> Picture:
    """A picture below its title."""
    head = np.full((CAPTION_PX, picture.shape[1], 3), 24, np.uint8)
    cv2.putText(head, title, (3, CAPTION_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    return np.concatenate((head, picture))


def beside(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one height in a row."""
    gap = np.full((pictures[0].shape[0], GAP_PX, 3), 24, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)], axis=1)


def write_sheet(path: Path, rows: Sequence[Picture]) -> None:
    """Write pictures of one width below each other as PNG."""
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 24, np.uint8)
    sheet = np.concatenate([part for row in rows for part in (row, gap)])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), sheet[..., ::-1])
