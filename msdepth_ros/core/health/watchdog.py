"""Why is there no depth? The chain from the cameras to the output, and one line in the log when it is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msdepth_ros.core.errors import kind_of
from msdepth_ros.core.health.findings import Finding, Level, S, verdict_of
from msdepth_ros.core.spectra import SPECTRA, spectra_key


class Cause(NamedTuple):
    """One reason for which there is no depth.

    Attributes:
        about: a camera, or the link of the chain that is broken.
        kind: equal for equal reasons, whatever numbers the message has; empty for a doubt, which comes and goes.
        message: what is wrong and what to do.
    """

    about: str
    kind: str
    message: str


@dataclass(frozen=True)
class Chain:
    """What is known of every link.

    Attributes:
        cameras: what is wrong with each camera.
        alive: the cameras that send usable messages.
        failure: why the newest set gave no depth; empty where none failed.
        busy_s: for how long the network has worked on one set, seconds.
        idle_s: since when no set has been complete, seconds.
        matching: how sets are built and why none may be complete.
    """

    cameras: Mapping[str, Sequence[Finding]]
    alive: tuple[str, ...] = ()
    failure: str = ""
    busy_s: float = 0.0
    idle_s: float = 0.0
    matching: str = ""


def why_no_depth(chain: Chain, silence_s: float) -> list[Cause]:
    """Names the links that are broken, the one nearest to the output first.

    Args:
        chain: all links.
        silence_s: from where on a link takes too long.
    """
    causes = []
    if chain.alive and chain.busy_s > silence_s:
        text = f"one set has been computed for {chain.busy_s:.1f} s; check model.providers and this computer's load"
        causes.append(Cause("inference", "busy", text))
    elif chain.alive and chain.failure:
        causes.append(Cause("set", kind_of(chain.failure), chain.failure))
    elif chain.alive and chain.idle_s > silence_s:
        text = f"images of {spectra_key(chain.alive)} come but make no set; {chain.matching}"
        causes.append(Cause("synchronizer", "incomplete", text))
    elif chain.alive:
        causes.append(Cause("output", "soon", f"images of {spectra_key(chain.alive)} come, none is computed yet"))
    for spectrum, findings in chain.cameras.items():
        if findings:
            grave = {finding.fault.value for finding in findings if finding.level is not Level.WARN}
            kind = ",".join(sorted(grave))
            causes.append(Cause(spectrum, kind, verdict_of(findings, "").message))
    return causes


def sentence(causes: Sequence[Cause]) -> str:
    """All causes in one line.

    >>> sentence([Cause("rgb", "silent", "no image for 3.0 s")])
    'rgb: no image for 3.0 s'
    """
    return "; ".join(f"{cause.about}: {cause.message}" if cause.about in SPECTRA else cause.message for cause in causes)


@dataclass
class Watchdog:
    """Barks once when depth is wanted and does not come, and once more whenever the reason is a new one, in good time.

    Attributes:
        since_ns: Since when depth has been wanted without any, steady time; None while it is not wanted.
    """

    since_ns: int | None = None
    _barked_ns: int = 0
    _said: set[tuple[tuple[str, str], ...]] = field(default_factory=set)

    def check(
        self, now_ns: int, *, wanted: bool, last_ns: int | None, silence_s: float, why: Callable[[], Sequence[Cause]]
    ) -> str | None:
        """Returns the line to log, None where there is nothing to say.

        Args:
            now_ns: steady time.
            wanted: whether depth should come.
            last_ns: when the last one came, None before the first.
            silence_s: for how long none may come.
            why: asked for the causes when they are needed.
        """
        if not wanted:
            self.since_ns = None
            self._said.clear()
            return None
        if self.since_ns is None:
            self.since_ns = now_ns
        if last_ns is not None and last_ns > self.since_ns:
            self.since_ns = last_ns
            self._said.clear()
        if now_ns - max(self.since_ns, self._barked_ns) <= silence_s * S:
            return None
        causes = why()
        kinds = tuple((cause.about, cause.kind) for cause in causes if cause.kind)
        if kinds in self._said:
            return None
        self._said.add(kinds)
        self._barked_ns = now_ns
        return f"no depth for {(now_ns - self.since_ns) / S:.1f} s: {sentence(causes)}"
