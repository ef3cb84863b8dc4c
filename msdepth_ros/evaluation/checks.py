"""What can be wrong with recordings, found before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msdepth_ros.bags.bag import Bag
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.evaluation.options import EvaluateOptions
from msdepth_ros.evaluation.plan.planner import prepare
from msdepth_ros.results.compare import Extent


class Checked(NamedTuple):
    """Recordings that were opened, but not looked at.

    Attributes:
        usable: Those that can be evaluated as far as is known, by name.
        failed: Why the others cannot, by name.
        extent: Of an evaluation of the usable ones.
    """

    usable: Mapping[str, Path]
    failed: Mapping[str, str]
    extent: Extent


def check_recordings(bags: Mapping[str, Path], options: EvaluateOptions) -> Checked:
    """Opens recordings and finds their topics and calibration, as planning them will.

    Args:
        bags: By name.
        options: What is asked of them.
    """
    usable: dict[str, Path] = {}
    failed: dict[str, str] = {}
    variants: dict[str, None] = {}
    truths = []
    for name, path in bags.items():
        try:
            with Bag(path) as bag:
                sources, _ = prepare(bag, options)
        except MsdepthError as error:
            failed[name] = str(error)
            continue
        usable[name] = path
        variants |= dict.fromkeys(map(spectra_key, options.variants(sources.cameras)))
        truths.append(sources.truth is not None)
    return Checked(usable, failed, Extent(list(variants), truths))
