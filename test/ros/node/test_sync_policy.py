"""The policies of sync.policy give the same kind of sets; those of message_filters run on the real package."""

import importlib.util
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import PARAMETERS, Settings
from msdepth_ros.core.sync.synchronizer import SpectralSynchronizer
from msdepth_ros.ros.node.sync_policy import Matcher, make_matcher

MS = 1_000_000
BASE_NS = 1_700_000_000_000_000_000

needs_message_filters = pytest.mark.skipif(
    importlib.util.find_spec("message_filters") is None,
    reason="message_filters is not installed: it comes with a ROS 2 distribution",
)


def matcher(policy: str, **changes: Any) -> Matcher:
    values = {spec.name: spec.default for spec in PARAMETERS} | {"sync.policy": policy}
    return make_matcher(Settings.from_values(values | {name.replace("__", "."): v for name, v in changes.items()}))


def feed(one: Matcher, number: int, thermal_ms: int = 0) -> list[tuple[int, dict[str, Any]]]:
    stamp_ns = BASE_NS + number * 100 * MS
    sets = []
    for spectrum, offset_ms in (("rgb", 0), ("nir", 0), ("thermal", thermal_ms)):
        item = f"{spectrum}{number}"
        sets += one.add(spectrum, stamp_ns + offset_ms * MS, item, now_ns=number * 100 * MS)
    return [(each.stamp_ns, {name: item.item for name, item in each.items.items()}) for each in sets]


def complete(number: int) -> dict[str, str]:
    return {spectrum: f"{spectrum}{number}" for spectrum in ("rgb", "nir", "thermal")}


def test_spectral_takes_its_settings_from_the_parameters() -> None:
    one = matcher("spectral", sync__tolerance_s=0.02, sync__deadline_s=0.03, sync__stale_after_s=2.0,
                  spectra=["rgb", "nir"])  # fmt: skip
    assert isinstance(one, SpectralSynchronizer)
    config = one.config
    assert (config.tolerance_ns, config.deadline_ns, config.stale_after_ns) == (20 * MS, 30 * MS, 2000 * MS)
    assert config.spectra == ("rgb", "nir")


@needs_message_filters
def test_exact_wants_equal_stamps() -> None:
    one = matcher("exact")
    assert feed(one, 0) == [(BASE_NS, complete(0))]
    assert feed(one, 1, thermal_ms=1) == []
    assert one.next_deadline_ns() is None
    assert list(one.poll(10**12)) == []


@needs_message_filters
def test_offsets_apply_to_exact_too() -> None:
    one = matcher("exact", sync__offset_s__thermal=-0.015)
    assert feed(one, 0, thermal_ms=15) == [(BASE_NS, complete(0))]


@needs_message_filters
def test_approximate_takes_what_is_near_and_the_set_has_the_reference_stamp() -> None:
    one = matcher("approximate", reference="thermal")
    assert feed(one, 0, thermal_ms=15) == [(BASE_NS + 15 * MS, complete(0))]
    assert feed(one, 1, thermal_ms=45) == []


@needs_message_filters
def test_thousands_of_sets_go_through() -> None:
    one = matcher("approximate")
    assert [found for number in range(2000) for found in feed(one, number, thermal_ms=10)] == [
        (BASE_NS + number * 100 * MS, complete(number)) for number in range(2000)
    ]


@pytest.mark.parametrize("policy", ["exact", "approximate"])
@pytest.mark.skipif(importlib.util.find_spec("message_filters") is not None, reason="message_filters is installed")
def test_the_missing_package_is_named(policy: str) -> None:
    with pytest.raises(MsdepthError, match="needs message_filters, which is not installed"):
        matcher(policy)
