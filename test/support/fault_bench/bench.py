"""Starts the processes, makes one camera after the other fail, and judges what was seen."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_bench.chain import BAG, CLEAN_S, PERIOD_S, node_arguments, watching
from fault_bench.expectations import KILL, Bars, Trial
from fault_bench.judge import (
    Episode,
    Scored,
    judge_accuracy,
    judge_clean,
    judge_latency,
    judge_restart,
    judge_trial,
    row,
)
from fault_bench.watcher import Watcher
from msdepth_ros.core.injection.faults import KINDS as FAULT_KINDS
from msdepth_ros.core.injection.faults import FaultSpan
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.demo.processes import Child, Children

PREFIX = "faulty"
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Plan:
    """How long things last, and how fast the drive plays.

    Attributes:
        trials: in this order.
        clean_s: without any fault at the beginning, seconds.
        hold_s: each fault, seconds.
        after_s: watching after each fault, seconds.
        restarts: how often the node is killed and started again.
        rate: speed of the drive, which has 10 images of each camera in a second.
        accuracy: whether depth is scored against the truth, which costs a process more.
        bars: what must be reached.
    """

    trials: Sequence[Trial]
    clean_s: float = 120.0
    hold_s: float = 3.1
    after_s: float = 2.0
    restarts: int = 5
    rate: float = 0.5
    accuracy: bool = True
    bars: Bars = Bars()


class Bench:
    """All processes of a run, in a domain of their own on this host.

    Args:
        plan: what to do.
        folder: existing; logs go there.
        say: called with a line about what goes on.
    """

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
        self._plan, self._folder, self._say = plan, folder, say
        self._children: Children
        self._injectors: dict[str, Child] = {}
        self._watcher: Watcher

    def run(self) -> list[dict[str, Any]]:
        """Does everything and returns the rows of faults.json."""
        with watching(self._folder) as (self._watcher, environment):
            self._children = Children(environment, self._folder)
            with self._children:
                return self._run()

    def _run(self) -> list[dict[str, Any]]:
        node = self._start_node("node")
        for spectrum in SPECTRA:
            self._start_injector(spectrum)
        drive = [str(BAG), "--as-drivers", "--duration", str(CLEAN_S), "--loop", "--rate", str(self._plan.rate)]
        scorer = self._start_scorer() if self._plan.accuracy else None
        self._children.start("player", "msdepth_ros.ros.play.command", drive)
        self._until(lambda: self._watcher.listening() and self._watcher.calm(0), 60.0, "depth from all cameras")
        begin_ns = time.time_ns()
        time.sleep(self._plan.clean_s)
        clean = (begin_ns, time.time_ns())
        rows = judge_clean(*clean, self._watcher.seen, self._plan.bars)
        self._report(rows)
        episodes = {}
        for trial in self._plan.trials:
            episode, made = self._try(trial)
            if not node.running:
                episode, made = None, row(made["fault"], made["camera"], {}, {"error": node.reason()}, False)
                node = self._start_node(f"node_after_{len(rows)}")
            rows.append(made)
            self._report([made])
            if episode:
                episodes[trial] = episode
        more = judge_latency(episodes, clean, self._watcher.seen, self._plan.bars)
        if scorer is not None:
            scorer.end(patience_s=60.0)
            scorer.check(may_end=True)
            more += judge_accuracy(episodes, self._scored(), self._plan.bars)
        more.append(judge_restart(self._restarts(node), self._watcher.seen, self._plan.bars))
        self._report(more)
        return [*rows, *more]

    def _start_scorer(self) -> Child:
        """The monitor of the demo, which scores each depth image."""
        arguments = ["--out", str(self._folder), "--moments", "1"]
        return self._children.start("monitor", "msdepth_ros.live.monitor", arguments)

    def _scored(self) -> list[Scored]:
        """What the monitor wrote, with the number of each picture in the part of the drive that is repeated."""
        records = json.loads((self._folder / "monitor.json").read_text(encoding="utf-8"))["records"]
        period_ns, first_ns = PERIOD_S / self._plan.rate * 1e9, min(record["stamp_ns"] for record in records)
        return [
            Scored(
                record["stamp_ns"],
                round((record["stamp_ns"] - first_ns) / period_ns) % round(CLEAN_S / PERIOD_S),
                record["abs_rel"],
            )
            for record in records
            if record["abs_rel"] is not None
        ]

    def _report(self, rows: Sequence[dict[str, Any]]) -> None:
        for one in rows:
            verdict = "passed" if one["passed"] else "FAILED"
            self._say(f"{verdict}  {one['fault']:<16} {one['camera']:<16} {one['seen']}")

    def _start_node(self, name: str) -> Child:
        return self._children.start(name, "msdepth_ros.ros.node.fused_depth", node_arguments(PREFIX))

    def _start_injector(self, spectrum: str, *faults: str) -> None:
        arguments = [*faults, "--spectra", spectrum, "--prefix", PREFIX, "--wait-for-subscribers", "1"]
        arguments += ["--ros-args", "-r", f"__node:=injector_{spectrum}"]
        name = f"injector_{spectrum}_{len(self._watcher.events)}"
        self._injectors[spectrum] = self._children.start(name, "msdepth_ros.ros.inject.command", arguments)

    def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Waits.

        Raises:
            TimeoutError: it never happened.
        """
        end_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end_s:
                raise TimeoutError(f"no {what} within {timeout_s:g} s")
            time.sleep(0.02)

    def _try(self, trial: Trial) -> tuple[Episode | None, dict[str, Any]]:
        """One fault from calm to calm."""
        names = "+".join(trial.spectra)
        try:
            asked_ns = time.time_ns()
            self._until(lambda: self._watcher.calm(asked_ns), _PATIENCE_S, "calm before the fault")
            episode = self._kill(trial) if trial.kind == KILL else self._inject(trial)
        except TimeoutError as error:
            words = self._watcher.seen.words[-1].cameras if self._watcher.seen.words else {}
            last = {name: sorted(found) for name, found in words.items()}
            return None, row(trial.kind, names, {}, {"error": str(error), "last_words": last}, False)
        time.sleep(self._plan.after_s)
        return episode, judge_trial(trial, episode, self._watcher.seen, time.time_ns(), self._plan.bars)

    def _inject(self, trial: Trial) -> Episode:
        """Asks the injectors for a fault and waits until it is over."""
        first = len(self._watcher.events)
        for spectrum in trial.spectra:
            span = FaultSpan(trial.kind, spectrum, 0.0, self._plan.hold_s, FAULT_KINDS[trial.kind].amount)
            self._watcher.inject(spectrum, str(span))

        def told(phase: str) -> list[dict[str, Any]]:
            return [event for event in self._watcher.events[first:] if event["phase"] == phase]

        self._until(lambda: len(told("begin")) == len(trial.spectra), _PATIENCE_S, "begin of the fault")
        self._until(lambda: len(told("end")) == len(trial.spectra), self._plan.hold_s + _PATIENCE_S, "end of the fault")
        last = max(told("end"), key=lambda event: event["stamp_ns"])
        return Episode(max(event["time_ns"] for event in told("begin")), last["time_ns"], last["stamp_ns"])

    def _kill(self, trial: Trial) -> Episode:
        """Kills the processes of cameras and starts new ones, which tell of their first image."""
        for spectrum in trial.spectra:
            self._injectors[spectrum].process.send_signal(signal.SIGKILL)
        begin_ns = time.time_ns()
        time.sleep(self._plan.hold_s)
        first = len(self._watcher.events)
        for spectrum in trial.spectra:
            self._start_injector(spectrum, f"drop=0:{spectrum}")
        self._until(lambda: len(self._watcher.events) >= first + len(trial.spectra), _PATIENCE_S, "camera after a kill")
        last = max(self._watcher.events[first:], key=lambda event: event["stamp_ns"])
        for spectrum in trial.spectra:
            self._watcher.inject(spectrum, "")
        return Episode(begin_ns, last["time_ns"], last["stamp_ns"])

    def _restarts(self, node: Child) -> list[int]:
        """Kills the node and starts another while the cameras go on; returns when, wall clock."""
        started_ns: list[int] = []
        for number in range(self._plan.restarts):
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            started_ns.append(time.time_ns())
            node = self._start_node(f"node_again_{number}")
            with contextlib.suppress(TimeoutError):  # the verdict says so
                self._until(lambda: self._watcher.seen.depths[-1].arrival_ns > started_ns[-1], _PATIENCE_S, "depth")
            time.sleep(self._plan.after_s)
        return started_ns
