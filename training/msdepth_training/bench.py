"""`make bench`: speed and accuracy of the shipped model, in one file of numbers."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from msdepth_ros.core.arguments import POSITIVE
from msdepth_ros.core.model.info import read_model
from msdepth_training.bench_geometry import measure_geometry
from msdepth_training.datasets.scenes import TEST_SEED, SceneSet, load_set, render_set
from msdepth_training.evaluate import OnnxPredictor, RowPrior, Score, score_row_prior, score_rows
from msdepth_training.export import ContractModel, example_inputs
from msdepth_training.networks import MsDepth
from msdepth_training.scenes.style import STREET, STYLES

PRIOR_SEED = 500_000
"""First seed of the training-split scenes that the row prior is fitted on."""
REPEATS = 60
"""Timed calls of the model."""
EAGER_REPEATS = 25
"""Timed calls in eager PyTorch."""


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median of single calls after three unmeasured ones, milliseconds."""
    for _ in range(3):
        call()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        spent.append((time.perf_counter() - started) * 1e3)
    return statistics.median(spent)


def measure_speed(path: Path, height: int, width: int, *, threads: int) -> dict[str, Any]:
    """ONNX Runtime for N = 1, 2, 3, and the same network in eager PyTorch for N = 3, in turn in this process.

    The eager network has the architecture and the contract's outputs; its weights are random, which takes as long.
    """
    torch.set_num_threads(threads)
    predictor = OnnxPredictor(path, threads=threads)
    eager = ContractModel(MsDepth()).eval()
    inputs = {n: example_inputs(n, height, width) for n in (1, 2, 3)}
    model_ms = {f"n{n}": median_ms(lambda n=n: predictor(inputs[n]), REPEATS) for n in (1, 2, 3)}

    def run_eager() -> object:
        with torch.no_grad():
            return eager(*inputs[3])

    eager_ms = median_ms(run_eager, EAGER_REPEATS)
    return {"model_ms": model_ms, "eager_ms": {"n3": eager_ms}, "eager_over_ort": eager_ms / model_ms["n3"]}


def trained_on(card: Mapping[str, Any]) -> str:
    """Style of the scenes that a model was trained on, as its card says; `street` where it says nothing."""
    return str(card["training"]["config"].get("scenes", STREET.name))


def measure_accuracy(
    path: Path, height: int, width: int, *, style: str, scenes: int, data: Path, workers: int
) -> dict[str, Any]:
    """Unscaled AbsRel on test scenes of a style, each condition equally often, and of the row prior."""
    test = SceneSet("test", TEST_SEED, scenes, height, width, frames=1, style=style)
    prior = SceneSet("train", PRIOR_SEED, scenes, height, width, frames=1, style=style)
    for part in (test, prior):
        render_set(part, data, workers=workers)
    samples = load_set(test, data)
    rows = score_rows(samples, OnnxPredictor(path))
    fitted = RowPrior(load_set(prior, data).depth_m[:, 0].float().numpy())
    named = {name: _abs_rel(scores) for name, scores in rows.items()}
    main = ("fused", "rgb", "nir", "thermal")
    return {
        "abs_rel": {**{n: named[n]["all"] for n in main}, "row_prior": score_row_prior(fitted, samples)},
        "abs_rel_own_frame": {
            "rgb": named["rgb"]["all"],
            "nir": named["nir_own_frame"]["all"],
            "thermal": named["thermal_own_frame"]["all"],
        },
        "abs_rel_without": {s: named[f"without_{s}"]["all"] for s in ("rgb", "nir", "thermal")},
        "abs_rel_by_condition": named,
        "ece": {name: scores["all"].ece for name, scores in rows.items()},
        "test_scenes": len(samples),
        "style": style,
    }


def _abs_rel(scores: dict[str, Score]) -> dict[str, float]:
    return {condition: s.metrics.abs_rel for condition, s in scores.items()}


def verdicts(result: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """Each bar of the first release: what, measured, bar, met."""
    a = result["abs_rel"]
    best = min(a["rgb"], a["nir"], a["thermal"])
    best_own = min(result["abs_rel_own_frame"].values())
    without = max(result["abs_rel_without"].values()) / a["fused"]
    n3, ratio = result["model_ms"]["n3"], result["eager_over_ort"]
    over = result.get("geometry", {}).get("over_nominal")
    geometry = [] if over is None else [
        ("told baselines twice as long, over told rightly", over["wrong"], ">= 1.5", over["wrong"] >= 1.5),
        ("rigs half as wide, over nominal", over["half"], "<= 1.1", over["half"] <= 1.1),
        ("rigs twice as wide, over nominal", over["double"], "<= 1.1", over["double"] <= 1.1),
    ]  # fmt: skip
    return [
        *geometry,
        ("model, N = 3, ms", n3, "<= 40", n3 <= 40),
        ("eager PyTorch over ONNX Runtime", ratio, ">= 3", ratio >= 3),
        ("fused over best single spectrum, RGB frame", a["fused"] / best, "<= 0.85", a["fused"] / best <= 0.85),
        (
            "fused over best single spectrum, own frames",
            a["fused"] / best_own,
            "<= 0.85",
            a["fused"] / best_own <= 0.85,
        ),
        ("fused over row prior", a["fused"] / a["row_prior"], "<= 0.4", a["fused"] / a["row_prior"] <= 0.4),
        ("worst camera missing over all three", without, "<= 1.3", without <= 1.3),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure the shipped model's speed and accuracy.")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--model", type=Path, default=Path("models/tiny.onnx"))
    parser.add_argument("--scenes", type=POSITIVE, default=120, help="test scenes, a multiple of the four conditions")
    parser.add_argument(
        "--geometry-scenes", type=int, default=40, help="of those, with rigs half, once and twice as wide; 0: none"
    )
    parser.add_argument(
        "--style",
        choices=sorted(STYLES),
        help="of the test scenes; by default that of the training scenes, as the card says",
    )
    parser.add_argument("--data", type=Path, default=Path("out/scenes"))
    parser.add_argument("--threads", type=POSITIVE, default=2)
    arguments = parser.parse_args()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    _, info = read_model(arguments.model)
    height, width = info.height, info.width
    result: dict[str, Any] = {
        "model": f"{info.name} {info.version}",
        "machine": platform.processor() or platform.machine(),
        "threads": arguments.threads,
    }
    result |= measure_speed(arguments.model, height, width, threads=arguments.threads)
    result |= measure_accuracy(
        arguments.model, height, width, style=arguments.style or trained_on(info.card),
        scenes=arguments.scenes, data=arguments.data, workers=os.cpu_count() or 1,
    )  # fmt: skip
    style = arguments.style or trained_on(info.card)
    if STYLES[style].varied_rigs and arguments.geometry_scenes:
        result["geometry"] = measure_geometry(
            OnnxPredictor(arguments.model, threads=arguments.threads), height, width, style=style,
            scenes=arguments.geometry_scenes, data=arguments.data, workers=os.cpu_count() or 1,
        )  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "bench.json").write_text(json.dumps(result, indent=2) + "\n")
    for what, measured, bar, met in verdicts(result):
        print(f"{'met   ' if met else 'MISSED'}  {what:<46} {measured:8.3f}  bar {bar}")
    print(
        json.dumps(
            {k: result[k] for k in ("model_ms", "abs_rel", "abs_rel_own_frame", "abs_rel_without", "ece")}, indent=2
        )
    )
    print(f"{arguments.out / 'bench.json'} is written")


if __name__ == "__main__":
    main()
