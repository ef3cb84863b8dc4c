"""Faults put into a recording on purpose, to see what the depth makes of them."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA

IMAGE_FAULTS = ("black", "white", "noise", "blur")
"""Faults that change the image, by `core.faults.apply_fault`."""
STREAM_FAULTS = ("drop", "freeze")
"""Faults that change which images come."""
_PATTERN = re.compile(r"(?P<kind>\w+):(?P<spectrum>\w+)(@(?P<start>[\d.]+)-(?P<end>[\d.]+)?s?)?")


class Fault(NamedTuple):
    """One fault.

    Attributes:
        kind: black, white, noise or blur change the image; drop leaves it out; freeze repeats the one before.
        spectrum: Whose images.
        start_s: From when on, seconds since the start of the recording.
        end_s: Until when.
    """

    kind: str
    spectrum: str
    start_s: float
    end_s: float

    def covers(self, seconds: float) -> bool:
        """Whether something recorded at this time has the fault."""
        return self.start_s <= seconds < self.end_s

    def __str__(self) -> str:
        """As it is written on the command line."""
        end = "" if math.isinf(self.end_s) else f"{self.end_s:g}"
        return f"{self.kind}:{self.spectrum}@{self.start_s:g}-{end}s"


def parse_fault(text: str) -> Fault:
    """Reads `KIND:SPECTRUM@START-ENDs`; without a time, all of the recording; without an end, all that follows.

    >>> parse_fault("black:rgb@3-5s")
    Fault(kind='black', spectrum='rgb', start_s=3.0, end_s=5.0)

    Raises:
        MsdepthError: It is written wrongly.
    """
    match = _PATTERN.fullmatch(text)
    try:
        if match and match["kind"] in (*IMAGE_FAULTS, *STREAM_FAULTS) and match["spectrum"] in SPECTRA:
            start_s, end_s = float(match["start"] or 0), float(match["end"] or "inf")
            if start_s < end_s:
                return Fault(match["kind"], match["spectrum"], start_s, end_s)
    except ValueError:  # two points in a number
        pass
    raise MsdepthError(
        f"fault {text!r}: write KIND:SPECTRUM@START-ENDs, for example black:rgb@3-5s; KIND is one of "
        f"{', '.join((*IMAGE_FAULTS, *STREAM_FAULTS))}, SPECTRUM one of {', '.join(SPECTRA)}, times are seconds from "
        "the start of the recording"
    )
