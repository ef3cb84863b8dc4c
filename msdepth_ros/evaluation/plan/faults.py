"""Faults put into a recording on purpose, to see what the depth makes of them."""

from __future__ import annotations

import numpy as np

from msdepth_ros.core.injection.faults import FaultSpan, parse_span

IMAGE_FAULTS = ("black", "white", "noise", "blur")
"""Faults that change the image, by `core.injection.faults.apply_fault`."""
STREAM_FAULTS = ("drop", "freeze")
"""Faults that change which images come."""


def parse_fault(text: str) -> FaultSpan:
    """Reads `KIND[=AMOUNT]:SPECTRUM[@START-[END]s]`, times in seconds from the start of the recording.

    >>> parse_fault("black:rgb@3-5s")
    FaultSpan(kind='black', spectrum='rgb', start_s=3.0, end_s=5.0, amount=0.0)

    Raises:
        MsdepthError: It is written wrongly, or is no fault that a replay can have.
    """
    return parse_span(text, (*IMAGE_FAULTS, *STREAM_FAULTS))


def is_dropped(fault: FaultSpan, log_ns: int) -> bool:
    """Whether an image is one of the share that a fault drops: by chance, which its time of recording decides."""
    return float(np.random.default_rng(log_ns % 2**63).random()) < fault.amount
