"""The `msdepth` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from msdepth_ros import __version__
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        Exit code: 0 done, 1 done but a check failed, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["demo"]:
            return _demo(arguments[1:])
        if arguments[:1] == ["inject"]:
            return _inject(arguments[1:])
        return _infer(_parser().parse_args(arguments))
    except MsdepthError as error:
        print(f"msdepth: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("msdepth: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _demo(arguments: list[str]) -> int:
    """Hands over to the demo, which has arguments of its own and needs rclpy."""
    from msdepth_ros import demo

    return demo.main(arguments)


def _inject(arguments: list[str]) -> int:
    """Hands over to the injector, which takes ROS arguments, too."""
    from msdepth_ros.nodes import injector

    return injector.main(arguments)


def _infer(arguments: argparse.Namespace) -> int:
    """Computes depth from files."""
    from msdepth_ros.infer import InferConfig, infer

    providers = [name.strip() for name in arguments.providers.split(",") if name.strip()]
    config = InferConfig(
        rig=arguments.rig,
        images={name: path for name in SPECTRA if (path := getattr(arguments, name)) is not None},
        out=arguments.out,
        reference=arguments.reference,
        model=arguments.model,
        nir_bits=arguments.nir_bits,
        providers="auto" if providers == ["auto"] else providers,
    )
    for line in infer(config):
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    """Describes all commands."""
    parser = argparse.ArgumentParser(
        prog="msdepth", description="Dense metric depth from RGB, near-infrared and thermal cameras."
    )
    parser.add_argument("--version", action="version", version=f"msdepth {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{infer,demo,inject}")
    commands.add_parser("demo", help="play the sample drive through the live node, and report", add_help=False)
    commands.add_parser("inject", help="make live camera topics fail, to see what the node does", add_help=False)
    infer = commands.add_parser("infer", help="depth from image files, without ROS", description=_INFER_DESCRIPTION)
    infer.add_argument("--rig", type=Path, required=True, help="calibration of the cameras, a Kalibr camchain YAML")
    infer.add_argument("--rgb", type=Path, help="colour image of 8 bits")
    infer.add_argument("--nir", type=Path, help="near-infrared image, 8 or 16 bits")
    infer.add_argument("--thermal", type=Path, help="thermal image, 8 or 16 bits, for example raw counts")
    infer.add_argument("--out", type=Path, required=True, help="folder for the results")
    infer.add_argument(
        "--reference", choices=SPECTRA, default="rgb", help="camera whose frame the depth is in (default: %(default)s)"
    )
    infer.add_argument("--model", type=Path, help="ONNX model with its card beside it (default: the one that ships)")
    infer.add_argument(
        "--nir-bits",
        type=int,
        choices=range(1, 17),
        default=16,
        metavar="BITS",
        help="significant bits of a 16-bit NIR image, 1 to 16 (default: %(default)s)",
    )
    infer.add_argument(
        "--providers", default="auto", help="auto, or some of tensorrt,cuda,cpu, best first (default: %(default)s)"
    )
    return parser


_INFER_DESCRIPTION = (
    "Writes depth_m.npy (float32 metres, NaN unknown), depth_mm.png (uint16 millimetres, 0 unknown or beyond 65.5 m), "
    "confidence.npy and confidence_<spectrum>.npy, all at the reference camera's resolution, and overview.png. "
    "Any subset of the three images will do; the reference camera needs no image, only its calibration."
)

if __name__ == "__main__":
    sys.exit(main())
