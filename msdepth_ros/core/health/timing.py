"""When the images of one camera come and what their stamps say: rate, silence, jumps, and the offset to the clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from msdepth_ros.core.health.findings import Fault, Finding, Level, S, Thresholds
from msdepth_ros.core.health.image import Usual

WINDOW = 128
RATE_SPAN_NS = S
HOLD_NS = S
CREDIBLE_AFTER_NS = 60 * S
_RECENT = 8
_OFFSETS = 2
_MARGIN = 1.15
_LEARN_RATE_S = 10.0
_TIME_SCALES = {37: "TAI (PTP) and UTC", 18: "GPS time and UTC", 19: "TAI (PTP) and GPS time"}
_SCALE_TOLERANCE_S = 0.4
_SINCE_START_S = 10 * 365 * 86_400.0


def stamp_problem(stamp_ns: int) -> str:
    """Why an image's stamp cannot be used; empty if it can."""
    if stamp_ns:
        return ""
    return "header.stamp is 0: the driver does not fill it in, so nothing tells when the image was taken; correct it"


def clock_hint(offset_s: float) -> str:
    """Which two clocks differ by so much; empty where none that is known does.

    Args:
        offset_s: Difference of two stamps of the same moment, seconds.

    >>> clock_hint(-37.02)
    'that is the difference between TAI (PTP) and UTC: one clock lacks the leap seconds, set its UTC offset'
    >>> clock_hint(0.1)
    ''
    """
    size_s = abs(offset_s)
    for seconds, scales in _TIME_SCALES.items():
        if abs(size_s - seconds) < _SCALE_TOLERANCE_S:
            return f"that is the difference between {scales}: one clock lacks the leap seconds, set its UTC offset"
    if size_s > _SINCE_START_S:
        return "one of them counts from the start of a computer, a camera or a simulation, the other from 1970"
    return ""


def clock_notes(offsets_s: Mapping[str, float], reference: str, limit_s: float) -> dict[str, str]:
    """What is to be said of cameras whose stamps are not of one clock.

    Args:
        offsets_s: How far the stamps of each camera are ahead of the times at which its images came, seconds.
        reference: Spectrum that others are compared with when there are two.
        limit_s: From where on stamps are skewed, seconds.
    """
    rounded = {name: round(offset_s * S) for name, offset_s in offsets_s.items()}
    skews = skews_s(rounded, reference)
    notes = {name: skew_text(name, skew_s) for name, skew_s in skews.items() if abs(skew_s) > limit_s}
    common_s = min(offsets_s.values(), key=abs, default=0.0)
    if hint := clock_hint(common_s):
        notes[""] = f"stamps are {common_s:+.1f} s from the times of recording; {hint}"
    return notes


def skew_text(spectrum: str, skew_s: float) -> str:
    """What to say of a camera whose stamps are so far from those of the others at the same moment, seconds."""
    hint = clock_hint(skew_s)
    advice = hint or f"images are delayed or clocks differ; synchronise the clocks, or set sync.offset_s.{spectrum}"
    return f"stamps are {skew_s:+.2f} s from those of the other cameras: {advice}"


class Timing:
    """The arrivals of one camera's images."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._arrivals_ns: deque[int] = deque(maxlen=WINDOW)
        self._heard_ns: int | None = None
        self._last_stamps_ns: deque[int] = deque(maxlen=2)  # more would hide a jump back by some periods
        self._stamps: deque[tuple[int, int]] = deque(maxlen=_RECENT)
        self._steps: deque[tuple[int, int]] = deque(maxlen=_RECENT)
        self._newest: tuple[int, int] | None = None
        self._sound: tuple[int, int] | None = None
        self._odd = 0
        self._usual_rate = Usual(_LEARN_RATE_S)
        self._since_ns: int | None = None
        self._slow = False
        self._jump = ""
        self._jumped_ns: int | None = None
        self._home_ns = 0
        self._away_since_ns: int | None = None

    def accept(self, stamp_ns: int, now_ns: int, limits: Thresholds) -> None:
        """Takes an image.

        Args:
            stamp_ns: of its header, the configured offset added.
            now_ns: when it came, steady time.
            limits: in force now.
        """
        if self.age_s(now_ns) > limits.silent_after_s:
            self._since_ns = now_ns  # the rate begins anew
            self._arrivals_ns.clear()
        self._heard_ns = now_ns
        if stamp_ns in self._last_stamps_ns:
            return  # the same image once more makes no higher rate
        self._last_stamps_ns.append(stamp_ns)
        self._arrivals_ns.append(now_ns)
        self._note_stamp(stamp_ns, now_ns, limits)
        rate_hz = self.rate_hz(now_ns)
        if self._since_ns is None or now_ns - self._since_ns < RATE_SPAN_NS:
            return
        share = self._usual_rate.ratio(rate_hz)
        margin = _MARGIN if self._slow else 1.0
        self._slow = share < limits.min_rate_share * margin or rate_hz < limits.min_rate_hz * margin
        unusual = self._slow or share * limits.min_rate_share > 1.0
        self._usual_rate.learn(max(rate_hz, 1e-3), now_ns, slowly=unusual)

    def age_s(self, now_ns: int) -> float:
        """Returns the seconds since the last image; infinite before the first."""
        return float("inf") if self._heard_ns is None else (now_ns - self._heard_ns) / S

    def rate_hz(self, now_ns: int) -> float:
        """Returns the images per second in the last second, or of the last few of a slow camera; 0 below two."""
        recent = [arrival for arrival in self._arrivals_ns if now_ns - arrival <= RATE_SPAN_NS]
        if len(recent) < 3:
            recent = [arrival for arrival in list(self._arrivals_ns)[-3:] if now_ns - arrival <= 5 * RATE_SPAN_NS]
        span_ns = recent[-1] - recent[0] if recent else 0
        if self._since_ns is not None and now_ns - self._since_ns < RATE_SPAN_NS:
            span_ns = now_ns - self._since_ns  # images that waited come in a burst at first
        return (len(recent) - 1) * S / span_ns if len(recent) >= 2 and span_ns > 0 else 0.0

    def offset_ns(self, now_ns: int) -> int | None:
        """Returns by how much the stamps are ahead of the steady clock, judged by the less delayed of the last two.

        Only differences between cameras mean anything. None while images do not come as usual: after a moment in
        which this computer was busy, the images of one camera may have been taken and those of another still wait.
        """
        times_ns = [arrival for _, arrival in self._stamps]
        if len(times_ns) < _OFFSETS or now_ns - times_ns[-1] > min(RATE_SPAN_NS, 2 * _longest_step_ns(times_ns)):
            return None
        return max(stamp - arrival for stamp, arrival in list(self._stamps)[-_OFFSETS:])

    @property
    def is_credible(self) -> bool:
        """Whether the stamps are where they have always been: of cameras that disagree, such a one is right.

        Stamps that jumped and stay there become credible after a minute.
        """
        return self._away_since_ns is None

    def stamps_ns(self) -> list[int]:
        """The newest stamps, oldest first."""
        return [stamp for stamp, _ in self._stamps]

    def findings(self, now_ns: int, limits: Thresholds) -> list[Finding]:
        """What is wrong now; nothing before the first image."""
        if self._heard_ns is None:
            return []
        found = []
        if self.age_s(now_ns) > limits.silent_after_s:
            text = f"no image for {self.age_s(now_ns):.1f} s; check the driver and the cable"
            found.append(Finding(Fault.SILENT, Level.ERROR, text))
        elif self._slow:
            text = f"only {self.rate_hz(now_ns):.1f} Hz; check the driver, the transport and this computer's load"
            found.append(Finding(Fault.SLOW, Level.WARN, text))
        if self._jumped_ns is not None and now_ns - self._jumped_ns <= HOLD_NS:
            found.append(Finding(Fault.JUMPING, Level.WARN, f"{self._jump}; check how the driver stamps"))
        return found

    def _note_stamp(self, stamp_ns: int, now_ns: int, limits: Thresholds) -> None:
        """Compares the step of the stamps with the time that passed, at the speed at which a recording plays.

        One image that is late looks like a jump, too; so the next ones have to agree.
        """
        last_stamp_ns, last_ns = self._newest or (stamp_ns, now_ns)
        sound_stamp_ns, sound_ns = self._sound or (stamp_ns, now_ns)
        jump_ns = stamp_ns - sound_stamp_ns - (now_ns - sound_ns) * self._speed()
        self._steps.append((stamp_ns - last_stamp_ns, now_ns - last_ns))
        self._newest = (stamp_ns, now_ns)
        if stamp_ns < last_stamp_ns:
            self._jump, self._jumped_ns = f"stamps go back, by {(last_stamp_ns - stamp_ns) / S:.3f} s", now_ns
        if abs(jump_ns) <= limits.stamp_jump_s * S:
            self._odd = 0
        else:
            self._odd += 1
            if self._odd < limits.confirm_images:
                return
            self._jump, self._jumped_ns = f"stamps jumped by {jump_ns / S:+.2f} s", now_ns
            self._away_since_ns = self._away_since_ns or now_ns
            self._odd = 0
            self._stamps.clear()
        self._sound = self._newest
        self._stamps.append(self._newest)
        self._note_home(stamp_ns - now_ns, now_ns, limits)

    def _note_home(self, offset_ns: int, now_ns: int, limits: Thresholds) -> None:
        """Keeps where the stamps were before they jumped, and sees when they are back."""
        if self._away_since_ns is not None:
            back = abs(offset_ns - self._home_ns) <= limits.stamp_jump_s * S
            if not back and now_ns - self._away_since_ns <= CREDIBLE_AFTER_NS:
                return
            self._away_since_ns = None
        self._home_ns = offset_ns

    def _speed(self) -> float:
        """How fast the stamps run against the clock; 1 unless they keep running faster, as in a quick replay."""
        elapsed_ns = sum(passed for _, passed in self._steps)
        if len(self._steps) < 4 or elapsed_ns <= 0:
            return 1.0
        # The middle step, so that one jump does not count; all the time, so that images in a burst do not.
        usual_step_ns = sorted(step for step, _ in self._steps)[len(self._steps) // 2]
        return max(1.0, usual_step_ns * len(self._steps) / elapsed_ns)


def _longest_step_ns(times_ns: Sequence[int]) -> int:
    return max(later - earlier for earlier, later in pairwise(times_ns))


def skews_s(offsets_ns: Mapping[str, int], reference: str, credible: Collection[str] | None = None) -> dict[str, float]:
    """How far each camera's stamps are from those of the others at the same moment.

    The middle one of three is right; of two the reference is, or else the one that is ahead: the other may be delayed.

    Args:
        offsets_ns: of `Timing.offset_ns`, by spectrum.
        reference: spectrum that others are compared with when there are two.
        credible: those of which one is right, if any of them is heard; all where not given.

    Returns:
        Seconds by spectrum; positive is ahead.

    >>> skews_s({"rgb": 0, "nir": 20_000_000, "thermal": 500_000_000}, "rgb")
    {'rgb': -0.02, 'nir': 0.0, 'thermal': 0.48}
    """
    if not offsets_ns:
        return {}
    asked = {name: offset for name, offset in offsets_ns.items() if credible is None or name in credible} or offsets_ns
    ordered = sorted(asked.values())
    basis = ordered[len(ordered) // 2]
    if len(ordered) == 2:
        basis = asked.get(reference, ordered[1])
    return {name: (offset - basis) / S for name, offset in offsets_ns.items()}


def nearest_skews_s(stamps_ns: Mapping[str, Sequence[int]], reference: str) -> dict[str, float]:
    """How far the nearest recent stamps of the other cameras are from those of one.

    Args:
        stamps_ns: the newest stamps by spectrum.
        reference: spectrum to compare with; the first that has any, where it has none.

    Returns:
        Seconds by spectrum, without the one that is compared with; empty where fewer than two have any.

    >>> nearest_skews_s({"rgb": [0, 100_000_000], "nir": [140_000_000]}, "rgb")
    {'nir': 0.04}
    """
    heard = {name: stamps for name, stamps in stamps_ns.items() if stamps}
    if not heard:
        return {}
    anchors = heard.pop(reference) if reference in heard else heard.pop(next(iter(heard)))
    return {
        name: min((stamp - anchor for stamp in stamps for anchor in anchors), key=abs) / S
        for name, stamps in heard.items()
    }
