"""The policies of ``sync.policy`` behind one interface: ours, and those of the message_filters package."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Protocol

from rclpy.time import Time

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import Settings
from msdepth_ros.core.sync.synchronizer import FrameSet, Item, SpectralSynchronizer

_QUEUE_SIZE = 10


class Matcher(Protocol):
    """Groups images into sets; times are nanoseconds, ``now_ns`` of a clock that never goes back.

    Stamps are aligned already (see `core.behaviour.aligned_ns`).
    """

    def add(self, spectrum: str, stamp_ns: int, item: Any, now_ns: int) -> Sequence[FrameSet]:  # noqa: ANN401
        """Takes an image and returns the sets that became ready."""

    def poll(self, now_ns: int) -> Sequence[FrameSet]:
        """Returns the sets whose deadline has passed."""

    def next_deadline_ns(self) -> int | None:
        """When `poll` is worth calling, None if nothing waits."""


class MessageFilterMatcher:
    """Sets by message_filters: exact or approximate stamps, only ever complete ones.

    Upstream's synchronizers never recover from an exception in their callback, so the callback here only stores.

    Raises:
        MsdepthError: message_filters is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            import message_filters
        except ImportError as error:
            raise MsdepthError(
                f"sync.policy {settings.sync_policy} needs message_filters, which is not installed; install "
                "ros-<distro>-message-filters, or set sync.policy to spectral"
            ) from error
        self._settings = settings
        self._inputs = {spectrum: message_filters.SimpleFilter() for spectrum in settings.spectra}
        filters = list(self._inputs.values())
        if settings.sync_policy == "exact":
            self._sync = message_filters.TimeSynchronizer(filters, _QUEUE_SIZE)
        else:
            self._sync = message_filters.ApproximateTimeSynchronizer(filters, _QUEUE_SIZE, settings.sync_tolerance_s)
        self._ready: list[FrameSet] = []
        self._sync.registerCallback(self._store)

    def add(self, spectrum: str, stamp_ns: int, item: Any, now_ns: int) -> Sequence[FrameSet]:  # noqa: ANN401
        """See `Matcher`."""
        header = SimpleNamespace(stamp=Time(nanoseconds=stamp_ns).to_msg())
        self._inputs[spectrum].signalMessage(SimpleNamespace(header=header, item=Item(stamp_ns, item, now_ns)))
        ready, self._ready = self._ready, []
        return ready

    def poll(self, now_ns: int) -> Sequence[FrameSet]:
        """See `Matcher`; these policies know no deadline."""
        return ()

    def next_deadline_ns(self) -> int | None:
        """See `Matcher`."""
        return None

    def _store(self, *stamped: Any) -> None:  # noqa: ANN401
        items = {spectrum: one.item for spectrum, one in zip(self._settings.spectra, stamped, strict=True)}
        self._ready.append(FrameSet(items[self._settings.reference].stamp_ns, items))


def make_matcher(settings: Settings) -> Matcher:
    """Makes what ``sync.policy`` names.

    Raises:
        MsdepthError: the package it needs is missing.
    """
    if settings.sync_policy != "spectral":
        return MessageFilterMatcher(settings)
    return SpectralSynchronizer(settings.synchronizer())


def reconfigure(matcher: Matcher, settings: Settings) -> Matcher:
    """Returns the matcher with changed times: ours goes on with what waits, message_filters starts anew."""
    if isinstance(matcher, SpectralSynchronizer):
        matcher.config = settings.synchronizer()
        return matcher
    return make_matcher(settings)
