import dataclasses
import socket
import sys
from pathlib import Path

import pytest
import torch

from msdepth_training.errors import TrainingError
from msdepth_training.networks import SMALL, TINY, MsDepth, SpectralDepth, load_backbone_weights, make_encoder
from msdepth_training.networks.backbone import make_backbone
from msdepth_training.networks.encoder import STRIDES, Encoder

H, W = 64, 96


@pytest.fixture(scope="module")
def config(small):
    pytest.importorskip("transformers", reason="backbones need the extra [backbones]")
    return dataclasses.replace(
        small, backbone="convnextv2", backbone_widths=(4, 8, 12, 16), backbone_depths=(1, 1, 1, 1)
    )


@pytest.fixture(scope="module")
def encoder(config):
    torch.manual_seed(0)
    return make_encoder(config).eval()


def inputs(count=1):
    k = torch.tensor([[60.0, 0, 47.0], [0, 60.0, 31.0], [0, 0, 1.0]])
    return torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(1)), k.repeat(count, 1, 1)


def test_the_default_is_our_own_encoder():
    assert TINY.backbone == ""
    assert isinstance(make_encoder(TINY), Encoder)


def test_levels_are_those_of_our_own_encoder(encoder, small):
    with torch.no_grad():
        theirs, ours = encoder(*inputs(2)), make_encoder(small).eval()(*inputs(2))
    assert tuple(theirs.pyramid) == STRIDES
    assert [x.shape for x in theirs.pyramid.values()] == [x.shape for x in ours.pyramid.values()]
    assert theirs.log_depth.shape == ours.log_depth.shape


def test_the_camera_is_heard(encoder):
    images, k = inputs()
    longer = k.clone()
    longer[:, 0, 0] *= 2.0
    with torch.no_grad():
        assert (encoder(images, longer).log_depth - encoder(images, k).log_depth).abs().max() > 1e-4


@pytest.mark.parametrize("count", [1, 2])
def test_both_networks_train_with_it(config, count):
    images, k = inputs(count)
    out = SpectralDepth(config).train()(images, k)
    out.log_depth.mean().backward()
    pose = torch.eye(4).repeat(1, count, 1, 1)
    network = MsDepth(config).train()
    fused = network(images[None], k[None], pose, k[:1])
    fused.log_depth.mean().backward()
    assert all(p.grad is not None for p in network.encoder.backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ["resnet", "swin"])
def test_other_model_types_by_name(name):
    pytest.importorskip("transformers", reason="backbones need the extra [backbones]")
    widths = (8, 16, 32, 64)
    backbone = make_backbone(name, widths if name == "resnet" else (6,), (1, 1, 1, 1))
    with torch.no_grad():
        maps = backbone.eval()(torch.rand(1, 3, 64, 64)).feature_maps
    assert [64 // x.shape[-1] for x in maps] == list(STRIDES)


@pytest.mark.parametrize(("name", "reason"), [("no_such_thing", "no_such_thing"), ("bert", "bert")])
def test_what_is_no_pyramid_is_refused(name, reason):
    pytest.importorskip("transformers", reason="backbones need the extra [backbones]")
    with pytest.raises(TrainingError, match=rf"network\.backbone.*{reason}"):
        make_backbone(name, depths=())


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        pytest.fail("something wanted to connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_weights_on_this_machine_are_read(config, tmp_path, no_network):
    torch.manual_seed(5)
    other = make_backbone("convnextv2", config.backbone_widths, config.backbone_depths)
    other.save_pretrained(tmp_path)
    target = make_encoder(config)
    load_backbone_weights(target, tmp_path)
    for name, value in other.state_dict().items():
        assert torch.equal(target.backbone.model.state_dict()[name], value), name


def test_weights_of_a_classifier_are_read(config, tmp_path, no_network):
    from transformers import ConvNextV2ForImageClassification

    torch.manual_seed(6)
    other = ConvNextV2ForImageClassification(make_encoder(config).backbone.model.config)
    other.save_pretrained(tmp_path)
    target = make_encoder(config)
    load_backbone_weights(target, tmp_path)
    name = "encoder.stages.2.layers.0.pwconv1.weight"
    assert torch.equal(target.backbone.model.state_dict()[name], other.state_dict()[f"convnextv2.{name}"])


def test_weights_that_are_not_here_are_not_downloaded(encoder, tmp_path, no_network):
    for place in (tmp_path, Path("facebook/convnextv2-femto-1k-224")):
        with pytest.raises(TrainingError, match=f"{place}/model.safetensors: it does not exist"):
            load_backbone_weights(encoder, place)


def test_weights_of_another_architecture_are_refused(encoder, tmp_path):
    make_backbone("convnextv2", (4, 8, 8, 8), (1, 1, 1, 1)).save_pretrained(tmp_path / "narrow")
    make_backbone("resnet", (4, 8, 12, 16), (1, 1, 1, 1)).save_pretrained(tmp_path / "other")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/model.safetensors").write_bytes(b"nothing of the kind")
    for name in ("narrow", "other", "broken"):
        with pytest.raises(TrainingError, match=f"cannot be read from .*{name}"):
            load_backbone_weights(encoder, tmp_path / name)


def test_our_own_encoder_takes_no_such_weights(small, tmp_path):
    with pytest.raises(TrainingError, match="none of Hugging Face"):
        load_backbone_weights(make_encoder(small), tmp_path)


def test_without_the_package_the_message_says_what_to_install(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TrainingError, match=r"msdepth_training\[backbones\]"):
        make_encoder(config)


def test_small_has_four_to_eight_million_parameters(config):
    assert 4e6 < sum(p.numel() for p in MsDepth(SMALL).parameters()) < 8e6
