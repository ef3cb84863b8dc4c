"""What judging the health of an image costs."""

from __future__ import annotations

import time
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fault_bench.chain import BAG, CLEAN_S
from fault_bench.expectations import Bars
from fault_bench.judge import row
from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.images import decode_image
from msdepth_ros.core.camera.images import spectrum_image
from msdepth_ros.core.health.cameras import Seen, SpectrumHealth
from msdepth_ros.core.health.findings import Thresholds
from msdepth_ros.core.health.image import measure
from msdepth_ros.core.spectra import SPECTRA

_ROUNDS = 2000


def cost(bars: Bars) -> list[dict[str, Any]]:
    """Times what the node does with each image of each camera."""
    return [_judge(spectrum, _times_ms(spectrum), bars) for spectrum in SPECTRA]


def _times_ms(spectrum: str) -> list[float]:
    health, limits, times_ms = SpectrumHealth(spectrum), Thresholds(), []
    for number, image in enumerate(islice(cycle(_images(spectrum)), _ROUNDS)):
        begin_ns = time.perf_counter_ns()
        height, width = image.shape[:2]
        seen = Seen(number * 100_000_000, measure(image), f"{width} x {height}")
        health.accept(seen, number * 100_000_000, limits)
        health.findings(number * 100_000_000, limits)
        times_ms.append((time.perf_counter_ns() - begin_ns) * 1e-6)
    return times_ms


def _images(spectrum: str) -> list[NDArray[Any]]:
    topic = f"/{spectrum}/image/compressed"
    with Bag(BAG) as bag:
        found = [message for _, _, message in bag.messages([topic], duration_ns=round(CLEAN_S * 1e9))]
    return [spectrum_image(spectrum, decode_image(topic, message)) for message in found]


def _judge(spectrum: str, times_ms: list[float], bars: Bars) -> dict[str, Any]:
    p50, p99 = (round(float(np.percentile(times_ms, percent)), 3) for percent in (50, 99))
    seen = {"p50_ms": p50, "p99_ms": p99, "images": len(times_ms)}
    return row("cost of health", spectrum, {"p50_ms": bars.health_ms}, seen, p50 < bars.health_ms)
