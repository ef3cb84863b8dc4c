"""The options that say what is evaluated: those that `msdepth info` takes, too."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.settings import DEFAULTS, Settings, read_parameter_file
from msdepth_ros.core.spectra import SPECTRA, check_spectrum
from msdepth_ros.evaluation.options import EvaluateOptions

NO_TRUTH = "none"


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say which recordings, cameras, topics, calibration and settings."""
    add = parser.add_argument
    add("bags", nargs="+", metavar="BAG", help="recordings: folders or files, patterns, or list files (.txt)")
    add("--model", type=Path, help="ONNX model with its card beside it (default: the one that ships)")
    add("--reference", choices=SPECTRA, help="camera whose frame the depth is in (default: rgb)")
    add(
        "--rig",
        type=Path,
        metavar="FILE",
        help="Kalibr camchain (default: camera_info and /tf_static of the recording)",
    )
    add("--params", type=Path, metavar="FILE", help="parameter file of the node; the options here go before it")
    add("--topic", action="append", default=[], metavar="SPECTRUM=TOPIC", help="image topic of a camera; repeatable")
    add("--camera-info", action="append", default=[], metavar="SPECTRUM=TOPIC", help="its camera_info; repeatable")
    add("--drop", action="append", default=[], metavar="SPECTRA",
        help="evaluate without these cameras, for example thermal or rgb,nir; repeatable")  # fmt: skip
    add("--ground-truth", metavar="TOPIC", help="depth images or a LiDAR PointCloud2; none does without (default: "
        ".../ground_truth/depth or .../ground_truth/points if the recording has it)")  # fmt: skip


def recording_options(arguments: argparse.Namespace, *, providers: str | None = None) -> EvaluateOptions:
    """What the arguments of `add_recording_arguments` ask for; everything else as it is by default.

    Args:
        arguments: Parsed.
        providers: What the model runs on; None leaves it to the parameters.

    Raises:
        MsdepthError: Something is written wrongly, or makes no sense.
    """
    values = {**DEFAULTS, **(read_parameter_file(arguments.params) if arguments.params else {})}
    given = {
        "reference": arguments.reference,
        "model.path": None if arguments.model is None else str(arguments.model.resolve()),
        "model.providers": providers,
    }
    values |= {name: value for name, value in given.items() if value is not None}
    truth = arguments.ground_truth
    return EvaluateOptions(
        Settings.from_values(values),
        rig=None if arguments.rig is None else arguments.rig.resolve(),
        images=_by_spectrum("--topic", arguments.topic),
        infos=_by_spectrum("--camera-info", arguments.camera_info),
        ground_truth="" if truth == NO_TRUTH else truth,
        drop=tuple(check_spectrum(name.strip()) for name in ",".join(arguments.drop).split(",") if name.strip()),
    )


def _by_spectrum(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Reads SPECTRUM=TOPIC."""
    topics = {}
    for text in texts:
        spectrum, _, topic = text.partition("=")
        if spectrum not in SPECTRA or not topic.startswith("/"):
            raise MsdepthError(f"{option} {text!r}: write SPECTRUM=TOPIC, for example rgb=/camera/image_raw")
        topics[spectrum] = topic
    return topics
