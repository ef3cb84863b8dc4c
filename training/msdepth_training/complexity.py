"""What a network costs: parameters, floating-point operations and time, of the whole and of its fusion.

`python -m msdepth_training.complexity` prints a table. Fusion is everything between the encoder and the decoder, warps
included: the whole without `REST`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from msdepth_ros.core.arguments import POSITIVE
from msdepth_training.networks import CONVNEXT, SMALL, TINY, MsDepth, PaperFusion, SpectralDepth

Network = MsDepth | PaperFusion | SpectralDepth
REST = ("encoder", "decoder", "levels", "upsampling", "base")
"""Parts of a network that are not its fusion, by the names of its modules."""


@dataclass(frozen=True)
class Cost:
    """Of the whole network and of its fusion."""

    parameters: int
    fusion_parameters: int
    gflops: float
    """Of convolutions, matrix products and attention for one set of views; a multiplication and an addition are two."""
    fusion_gflops: float


class Meter:
    """Adds up what `read` says passes inside a network's `REST`, however its modules are nested.

    Args:
        network: to watch.
        read: a count that only grows.
    """

    def __init__(self, network: Network, read: Callable[[], float]) -> None:
        self.network, self.read = network, read
        self.rest = 0.0
        self._depth, self._entered = 0, 0.0

    def _enter(self, *_: Any) -> None:
        if self._depth == 0:
            self._entered = self.read()
        self._depth += 1

    def _leave(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.rest += self.read() - self._entered

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Count as long as this is open."""
        modules = [m for name, m in self.network.named_modules() if name.split(".")[0] in REST]
        handles = [m.register_forward_pre_hook(self._enter) for m in modules]
        handles += [m.register_forward_hook(self._leave) for m in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def example_call(network: Network, views: int, height: int, width: int) -> Callable[[], Any]:
    """One set of random views through the network, without gradient; the anchor or reference is the first."""
    like = next(network.parameters())
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, views, 3, height, width, generator=generator).to(like)
    k = torch.tensor([[0.6 * width, 0.0, width / 2], [0.0, 0.6 * width, height / 2], [0.0, 0.0, 1.0]]).to(like)
    k, pose = k.repeat(1, views, 1, 1), torch.eye(4).repeat(1, views, 1, 1).to(like)
    pose[0, :, 0, 3] = torch.arange(views).to(like) * 0.2

    def call() -> Any:
        with torch.no_grad():
            if isinstance(network, SpectralDepth):
                return network(images[0], k[0])
            if isinstance(network, PaperFusion):
                return network(images, k, pose, torch.zeros(1, dtype=torch.long, device=like.device))
            return network(images, k, pose, k[:, 0])

    return call


def count(parameters: Iterator[nn.Parameter]) -> int:
    """Numbers in all of them."""
    return sum(p.numel() for p in parameters)


def cost(network: Network, *, views: int = 3, height: int = 256, width: int = 640) -> Cost:
    """Count.

    Args:
        network: of either recipe.
        views: N; three for the paper's fusion.
        height: rows of the images.
        width: columns of the images.
    """
    rest = sum(count(m.parameters()) for name, m in network.named_children() if name in REST)
    counter = FlopCounterMode(display=False)
    meter = Meter(network, counter.get_total_flops)
    # the fused kernel of the CPU is not counted
    with meter.watch(), sdpa_kernel(SDPBackend.MATH), counter:
        example_call(network, views, height, width)()
    total = count(network.parameters())
    flops = counter.get_total_flops()
    return Cost(total, total - rest, flops / 1e9, (flops - meter.rest) / 1e9)


def milliseconds(
    network: Network, *, views: int = 3, height: int = 256, width: int = 640, repeats: int = 5
) -> tuple[float, float]:
    """Median time of the whole network and of its fusion for one set, in PyTorch on the CPU; arguments as `cost`."""
    call = example_call(network.eval(), views, height, width)
    call()
    whole, fusion = [], []
    for _ in range(repeats):
        meter = Meter(network, time.perf_counter)
        started = time.perf_counter()
        with meter.watch():
            call()
        whole.append(1e3 * (time.perf_counter() - started))
        fusion.append(whole[-1] - 1e3 * meter.rest)
    return statistics.median(whole), statistics.median(fusion)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--threads", type=POSITIVE, default=2)
    parser.add_argument("--views", type=POSITIVE, default=3)
    parser.add_argument("--sizes", nargs="+", choices=("tiny", "small"), default=["tiny", "small"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'size':6}{'recipe':9}{'M parameters':>14}{'fusion':>9}{'GFLOPs':>9}{'fusion':>9}{'ms':>9}{'fusion':>9}")
    for size in arguments.sizes:
        config = {"tiny": TINY, "small": SMALL, "convnext": CONVNEXT}[size]
        for name, network in (("msdepth", MsDepth(config)), ("paper", PaperFusion(SpectralDepth(config)))):
            found, (ms, fusion_ms) = cost(network.eval(), views=arguments.views), milliseconds(network)
            print(
                f"{size:6}{name:9}{found.parameters / 1e6:14.3f}{found.fusion_parameters / 1e6:9.3f}"
                f"{found.gflops:9.2f}{found.fusion_gflops:9.2f}{ms:9.1f}{fusion_ms:9.1f}"
            )


if __name__ == "__main__":
    main()
