"""Separable convolution blocks. Batch norm follows each convolution directly, so that export folds it away."""

from __future__ import annotations

from torch import Tensor, nn


def conv_bn(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and by default ReLU: [M, inputs, h, w] to [M, outputs, h/stride, w/stride]."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Depthwise 3x3, pointwise expansion, ReLU, pointwise projection, added to the input ([M, C, h, w] throughout)."""

    def __init__(self, channels: int, expansion: int = 2, kernel: int = 3) -> None:
        super().__init__()
        self.spatial = conv_bn(channels, channels, kernel, groups=channels, relu=False)
        self.expand = conv_bn(channels, channels * expansion)
        self.project = conv_bn(channels * expansion, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """[M, C, h, w] to the same shape."""
        return x + self.project(self.expand(self.spatial(x)))


class Downsample(nn.Module):
    """Halves the resolution: depthwise 3x3 with stride 2, then pointwise."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.spatial = conv_bn(inputs, inputs, 3, stride=2, groups=inputs, relu=False)
        self.mix = conv_bn(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[M, inputs, h, w] to [M, outputs, h/2, w/2]."""
        return self.mix(self.spatial(x))
