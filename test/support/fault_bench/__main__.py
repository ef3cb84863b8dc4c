"""`python -m fault_bench`: the fault matrix, written to faults.json."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from fault_bench.bench import Bench, Plan
from fault_bench.expectations import full, short


def main() -> int:
    """Runs it; returns 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Every fault on every camera of a running node, and what is seen.")
    parser.add_argument("--out", type=Path, default=Path("out/faults"), help="folder for faults.json and logs")
    parser.add_argument("--short", action="store_true", help="every fault once, and 15 s without faults")
    parser.add_argument("--only", default="", help="comma-separated faults")
    parser.add_argument("--rate", type=float, default=0.5, help="speed of the drive (default: %(default)s)")
    options = parser.parse_args()
    trials = short() if options.short else full()
    only = [name for name in options.only.split(",") if name]
    plan = Plan([trial for trial in trials if not only or trial.kind in only], rate=options.rate)
    if options.short:
        plan = replace(plan, clean_s=15.0, accuracy=False)
    logs = options.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    rows = Bench(plan, logs, lambda line: print(line, flush=True)).run()
    path = options.out / "faults.json"
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    failed = [one for one in rows if not one["passed"]]
    print(f"{len(rows) - len(failed)} of {len(rows)} passed; {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
