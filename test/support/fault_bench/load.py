"""The node under load for a while: what became of the cameras' images, of its memory and of its latency."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fault_bench.chain import BAG, CLEAN_S, node_arguments, watching
from fault_bench.judge_load import Load, Sample
from fault_bench.watcher import Watcher
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.demo.processes import Child, Children

CORES = 2
_SAMPLE_EVERY_S = 1.0
_TELL_EVERY_S = 30.0
_PATIENCE_S = 60.0
_DIAGNOSED_S = 1.5  # diagnostics come each second


def put_under_load(
    folder: Path, seconds: float, rate: float, *, slow_s: float = 0.0, say: Callable[[str], None] = print
) -> Load:
    """Runs player, node and watcher on two cores.

    Args:
        folder: existing; logs go there.
        seconds: how long.
        rate: speed of the drive, which has 10 images of each camera in a second.
        slow_s: time that the network takes at least, seconds.
        say: called with a line now and then.
    """
    module, first = ("fault_bench.slow_node", [str(slow_s)]) if slow_s else ("msdepth_ros.ros.node.fused_depth", [])
    with _two_cores(), watching(folder, cameras=False) as (watcher, environment), Children(environment, folder) as all_:
        node = all_.start("node_loaded", module, [*first, *node_arguments()])
        summary = folder / "played.json"
        summary.unlink(missing_ok=True)
        drive = [str(BAG), "--as-drivers", "--duration", str(CLEAN_S), "--loop"]
        drive += ["--rate", str(rate), "--summary", str(summary)]
        player = all_.start("player_loaded", "msdepth_ros.ros.play.command", drive)
        _wait_for(lambda: bool(watcher.seen.depths), node)
        begin_ns = time.time_ns()
        samples = _watch(node, watcher, seconds, say)
        end_ns = time.time_ns()
        player.end()
        player.check(may_end=True)
        time.sleep(_DIAGNOSED_S)
        node.check()
        played = json.loads(summary.read_text(encoding="utf-8"))
        return Load(
            samples=samples, latencies=[(one.arrival_ns, one.arrival_ns - one.stamp_ns) for one in watcher.seen.depths],
            counts=_counts(watcher.values), instants=len(played["instants"]),
            images=sum(played["published"].get(name, 0) for name in SPECTRA),
            words=sorted({f"{name}: {word}" for one in watcher.seen.words if begin_ns < one.arrival_ns < end_ns
                          for name, words in one.cameras.items() for word in words}),
        )  # fmt: skip


def _watch(node: Child, watcher: Watcher, seconds: float, say: Callable[[str], None]) -> list[Sample]:
    """Looks at the memory of the node once a second."""
    samples: list[Sample] = []
    begin_s, told_s = time.monotonic(), 0.0
    while (elapsed_s := time.monotonic() - begin_s) < seconds:
        samples.append(Sample(elapsed_s, _rss_bytes(node.process.pid)))
        if elapsed_s >= told_s:
            megabytes, count = samples[-1].rss_bytes / 1e6, len(watcher.seen.depths)
            inference_ms = watcher.values.get("inference", {}).get("inference_ms_p50")
            latency_ms = watcher.values.get("output", {}).get("latency_ms_p50")
            say(f"{elapsed_s:7.0f} s  {megabytes:.2f} MB, {count} depth images, p50 {inference_ms} and {latency_ms} ms")
            told_s += _TELL_EVERY_S
        node.check()
        time.sleep(_SAMPLE_EVERY_S)
    return samples


def _counts(values: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """What the node's diagnostics count."""
    matched, computed, out = values["synchronizer"], values["inference"], values["output"]
    cameras = [values[f"camera {name}"] for name in SPECTRA]
    return {
        "received": sum(int(camera["received"]) + int(camera["rejected"]) for camera in cameras),
        "formed": int(matched["complete"]) + int(matched["partial"]), "partial": int(matched["partial"]),
        "published": int(out["sets_published"]), "unusable": int(out["unusable_sets"]),
        **{name: int(computed[name]) for name in ("dropped", "dropped_while_idle", "skipped", "errors")},
    }  # fmt: skip


def _rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _wait_for(condition: Callable[[], bool], node: Child) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not condition():
        node.check()
        if time.monotonic() > end_s:
            raise TimeoutError(f"no depth within {_PATIENCE_S:g} s")
        time.sleep(0.02)


@contextlib.contextmanager
def _two_cores() -> Iterator[None]:
    """Keeps this process, and those that it starts, to two cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:CORES]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def rows_to_keep(path: Path, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a file that tell of something that was not done again."""
    if not path.exists():
        return []
    again = {(one["fault"], one["camera"]) for one in made}
    kept: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return [one for one in kept if (one["fault"], one["camera"]) not in again]
