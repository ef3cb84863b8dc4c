"""What an evaluation is asked to do makes sense, whoever asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, Settings
from msdepth_ros.evaluation.options import EvaluateOptions

SETTINGS = Settings.from_values(DEFAULTS)
NOW_NS = 1_700_000_000_000_000_000


@given(st.floats(), st.none() | st.floats(), st.floats())
def test_times_give_a_window_that_has_room_in_64_bits_or_are_refused(
    start_s: float, duration_s: float | None, tolerance_s: float
) -> None:
    try:
        options = EvaluateOptions(SETTINGS, start_s=start_s, duration_s=duration_s, truth_tolerance_s=tolerance_s)
    except MsdepthError as error:
        assert "seconds" in str(error)
        return
    begin_ns, end_ns = options.window_ns(NOW_NS)
    assert NOW_NS <= (begin_ns or NOW_NS) <= (end_ns or 2**63 - 1) < 2**63
    assert tolerance_s >= 0


@pytest.mark.parametrize("every", [0, -1])
def test_every_so_many_sets_is_at_least_every_one(every: int) -> None:
    with pytest.raises(MsdepthError, match=f"--every {every}: it must be at least 1"):
        EvaluateOptions(SETTINGS, every=every)
