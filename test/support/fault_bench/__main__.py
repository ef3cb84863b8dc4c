"""`python -m fault_bench`: fault matrix, bad messages and load, written to faults.json; or its tables as Markdown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_bench.bench import Bench, Plan
from fault_bench.cost import cost
from fault_bench.expectations import Bars, full, short
from fault_bench.fuzzing import fuzz
from fault_bench.judge_load import judge_overload, judge_soak
from fault_bench.load import put_under_load, rows_to_keep
from fault_bench.tables import markdown
from msdepth_ros.core.arguments import SPEED, START_S

Rows = list[dict[str, Any]]
SOAK_RATE = 2.0
OVERLOAD_S = 240.0
SLOW_S = 0.3
"""Three periods of cameras with 10 images in a second."""


def _say(line: str) -> None:
    print(line, flush=True)


def _matrix(options: argparse.Namespace, logs: Path) -> Rows:
    trials = short() if options.short else full()
    only = [name for name in options.only.split(",") if name]
    chosen = [trial for trial in trials if not only or trial.kind in only]
    return Bench(
        Plan(chosen, clean_s=options.clean_seconds, rate=options.rate, accuracy=not options.short), logs, _say
    ).run()


def _fuzz(options: argparse.Namespace, logs: Path) -> Rows:
    return fuzz(logs, Bars())


def _overload(options: argparse.Namespace, logs: Path) -> Rows:
    load = put_under_load(logs, OVERLOAD_S, 1.0, slow_s=SLOW_S, say=_say)
    return judge_overload(load, SLOW_S, Bars())


def _soak(options: argparse.Namespace, logs: Path) -> Rows:
    return judge_soak(put_under_load(logs, 60.0 * options.soak_minutes, SOAK_RATE, say=_say), Bars())


def _cost(options: argparse.Namespace, logs: Path) -> Rows:
    return cost(Bars())


PARTS: dict[str, Callable[[argparse.Namespace, Path], Rows]] = {
    "cost": _cost, "matrix": _matrix, "fuzz": _fuzz, "overload": _overload, "soak": _soak,
}  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fault_bench", description="Everything that can go wrong around a "
                                     "running node, and what is seen of it.")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("out/faults"), help="folder for faults.json and logs")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to do (default: %(default)s); other rows of "
                        "faults.json are kept")  # fmt: skip
    parser.add_argument("--soak-minutes", type=START_S, default=30.0, help="length of the soak (default: %(default)s)")
    parser.add_argument("--clean-seconds", type=START_S, default=120.0, help="matrix: time without faults at first")
    parser.add_argument("--short", action="store_true", help="matrix: every fault once")
    parser.add_argument("--only", default="", help="matrix: comma-separated faults")
    parser.add_argument("--rate", type=SPEED, default=0.5, help="matrix: speed of the drive (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="only print the tables of faults.json")
    return parser.parse_args()


def main() -> int:
    """Runs it; returns 1 if anything failed."""
    options = _options()
    path = options.out / "faults.json"
    if options.markdown:
        print(markdown(json.loads(path.read_text(encoding="utf-8"))))
        return 0
    logs = options.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    made: Rows = []
    for part in options.parts.split(","):
        if part == "soak" and not options.soak_minutes:
            continue
        rows = PARTS[part](options, logs)
        if part != "matrix":  # which tells of each row as soon as it is there
            for one in rows:
                _say(f"{'passed' if one['passed'] else 'FAILED'}  {one['fault']:<16} {one['camera']:<16} {one['seen']}")
        made += rows
        path.write_text(json.dumps([*rows_to_keep(path, made), *made], indent=1) + "\n", encoding="utf-8")
    failed = [one for one in made if not one["passed"]]
    _say(f"{len(made) - len(failed)} of {len(made)} passed; {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
