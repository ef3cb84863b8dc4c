"""Encoders on a published backbone: EfficientNet-Lite, or any of Hugging Face's. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msdepth_training.errors import TrainingError
from msdepth_training.networks.blocks import conv_bn
from msdepth_training.networks.cameras import CAMERA_MAPS, CameraRays
from msdepth_training.networks.config import NetworkConfig
from msdepth_training.networks.efficientnet import DEEPER, EfficientNetLite, load_published
from msdepth_training.networks.encoder import STRIDES, Encoder, PyramidEncoder

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What published weights were trained with."""


def make_encoder(config: NetworkConfig) -> PyramidEncoder:
    """The encoder of a configuration, with random weights."""
    if not config.backbone:
        return Encoder(config.channels, config.blocks)
    if config.backbone in DEEPER:
        return BackboneEncoder(EfficientNetLite(config.backbone, config.frozen_blocks), config.channels[1:])
    backbone = make_backbone(config.backbone, config.backbone_widths, config.backbone_depths)
    return BackboneEncoder(HuggingFaceBackbone(backbone), config.channels[1:])


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise TrainingError(
            "backbones need the package transformers; pip install 'msdepth_training[backbones]'"
        ) from error
    return transformers


def make_backbone(name: str, widths: tuple[int, ...] = (), depths: tuple[int, ...] = ()) -> nn.Module:
    """A backbone with random weights.

    Args:
        name: model type of Hugging Face transformers that `AutoBackbone` knows, such as `convnextv2`, `resnet`, `swin`.
        widths: channels at stride 4, 8, 16, 32; the first alone counts where a model type doubles them by itself.
        depths: blocks at stride 4, 8, 16, 32.

    Raises:
        TrainingError: there is no such model type, it is no backbone, or its levels are not at stride 4, 8, 16, 32.
    """
    transformers = _transformers()
    options: dict[str, Any] = {"depths": list(depths)} if depths else {}
    try:
        config = transformers.AutoConfig.for_model(name)
        if widths:
            options |= {"hidden_sizes": list(widths)} if hasattr(config, "hidden_sizes") else {"embed_dim": widths[0]}
        config = transformers.AutoConfig.for_model(name, out_indices=[1, 2, 3, 4], **options)
        backbone: nn.Module = transformers.AutoBackbone.from_config(config)
    except (ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"network.backbone: no backbone of the model type {name!r} could be made: {reason}"
        ) from error
    _check_strides(name, backbone)
    return backbone


def _check_strides(name: str, backbone: nn.Module) -> None:
    side = 2 * STRIDES[-1]
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(1, 3, side, side)).feature_maps
    backbone.train()
    strides = tuple(side // x.shape[-1] for x in maps)
    if strides != STRIDES:
        raise TrainingError(f"network.backbone: levels of {name!r} are at stride {strides}, not {STRIDES}")


def load_pretrained(encoder: PyramidEncoder, folder: str) -> None:
    """Start from published weights: EfficientNet-Lite from its package, a Hugging Face backbone from a folder.

    Args:
        encoder: of a network; our own is left as it is.
        folder: of Hugging Face weights, empty for none.

    Raises:
        TrainingError: they are not there, or of another architecture.
    """
    if isinstance(encoder, BackboneEncoder) and isinstance(encoder.backbone, EfficientNetLite):
        load_published(encoder.backbone)
    if folder:
        load_backbone_weights(encoder, Path(folder))


def load_backbone_weights(encoder: PyramidEncoder, folder: Path) -> None:
    """Start a backbone from published weights on this machine.

    Args:
        encoder: of a network with a backbone.
        folder: with `model.safetensors` as transformers saves it, of the backbone alone or of a classifier on it.

    Raises:
        TrainingError: the encoder is our own, or the weights are not there or of another architecture.
    """
    if not isinstance(encoder, BackboneEncoder) or not isinstance(encoder.backbone, HuggingFaceBackbone):
        raise TrainingError("weights of a backbone were given, but network.backbone is none of Hugging Face's")
    # not by from_pretrained: that of AutoBackbone asks the hub even when told to use local files only
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    backbone, file = encoder.backbone.model, folder / "model.safetensors"
    refused = f"weights of the backbone cannot be read from {file}"
    try:
        # a classifier's file names what belongs to the backbone by a prefix
        stored = {key.removeprefix(f"{backbone.base_model_prefix}."): value for key, value in load_file(file).items()}
        # a classifier has no norms of the levels that a backbone gives
        missing = [key for key in backbone.state_dict() if key not in stored and "hidden_states_norms" not in key]
        if missing:
            raise TrainingError(f"{refused}: it has no {missing[0]}, so it is of another architecture")
        backbone.load_state_dict(stored, strict=False)
    except FileNotFoundError as error:
        raise TrainingError(f"{refused}: it does not exist; nothing is downloaded, put it there first") from error
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"{refused}: {' '.join(str(error).split())}") from error


class HuggingFaceBackbone(nn.Module):
    """A backbone of transformers as the encoder wants it.

    Args:
        model: of transformers, with levels at stride 4, 8, 16, 32.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.channels = list(model.channels)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images [M, 3, H, W] in [0, 1] to [M, C_stride, H/stride, W/stride] at stride 4, 8, 16, 32."""
        return list(self.model((images - self.mean) / self.deviation).feature_maps)


class BackboneEncoder(PyramidEncoder):
    """A published backbone; each level is told its camera and brought to fewer channels.

    The camera joins after the backbone, so that published weights fit.

    Args:
        backbone: images [M, 3, H, W] in [0, 1] to levels at stride 4, 8, 16, 32; `channels` are theirs.
        levels: channels at stride 4, 8, 16, 32.
    """

    def __init__(self, backbone: EfficientNetLite | HuggingFaceBackbone, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        told = (0, CAMERA_MAPS, CAMERA_MAPS, CAMERA_MAPS)
        self.adapt = nn.ModuleList(
            conv_bn(inputs + maps, outputs)
            for inputs, maps, outputs in zip(backbone.channels, told, levels, strict=True)
        )
        self.add_top_down(levels)

    def bottom_up(self, images: Tensor, cameras: CameraRays) -> list[Tensor]:
        """See `PyramidEncoder`."""
        maps = self.backbone(images)
        told = [maps[0]]
        told += [
            torch.cat((x, cameras.maps(cameras.at_stride(stride))), dim=1)
            for stride, x in zip(STRIDES[1:], maps[1:], strict=True)
        ]
        return [adapt(x) for adapt, x in zip(self.adapt, told, strict=True)]
