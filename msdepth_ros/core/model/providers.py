"""What ONNX Runtime runs the network on, and with which options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.info import ModelInfo

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Short names, the preferred one first."""


def choose_providers(providers: str | Sequence[str]) -> list[str]:
    """Turns "auto" or names into what ONNX Runtime is asked for, best first; the CPU is always the last resort.

    Raises:
        MsdepthError: A name is unknown, or this ONNX Runtime does not have it.
    """
    available = ort.get_available_providers()
    if providers == "auto":
        return [name for name in PROVIDERS.values() if name in available]
    names = [providers] if isinstance(providers, str) else list(providers)
    if not names:
        raise MsdepthError("no provider named; use auto, or some of " + ", ".join(PROVIDERS))
    wanted = [PROVIDERS.get(name.lower(), name) for name in names]
    for name, full_name in zip(names, wanted, strict=True):
        if full_name not in PROVIDERS.values():
            raise MsdepthError(f"unknown provider {name!r}; use auto, or some of {', '.join(PROVIDERS)}")
        if full_name not in available:
            raise MsdepthError(
                f"provider {name!r} is not in this ONNX Runtime, which has {', '.join(available)}; "
                "install the extra msdepth_ros[gpu] (onnxruntime-gpu), or choose providers auto"
            )
    return list(dict.fromkeys((*wanted, PROVIDERS["cpu"])))


def session_options(threads: int) -> ort.SessionOptions:
    """Options for one session that shares the machine with camera drivers.

    Its threads do not spin while they wait for work. By default they do, also after the network has run: on two cores
    with camera drivers beside it, that took half as much CPU time again and nearly twice as long for each image. Work
    is handed out in small blocks, so that a core somebody else uses does not hold up the other: a sixth faster there.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.dynamic_block_base", "4")
    options.log_severity_level = 3
    return options


def provider_options(provider: str, info: ModelInfo, cache_dir: str | Path | None) -> dict[str, str]:
    """Options of one provider: for TensorRT fp32, and where its engines are kept.

    The range of views is left to TensorRT, which widens it and builds again when more or fewer come: the warm-up
    takes care of that. Stated ranges would have to name the inner tensors, too, wherever it splits the graph.
    """
    if provider != PROVIDERS["tensorrt"]:
        return {}
    options = {"trt_fp16_enable": "0"}
    if cache_dir is not None:
        folder = Path(cache_dir) / f"{info.name}-{info.sha256[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MsdepthError(
                f"model cache {folder}: cannot be made ({error.strerror}); name another folder"
            ) from error
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
    return options
